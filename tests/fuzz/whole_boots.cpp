// SPDX-License-Identifier: BSD-2-Clause
// Whole boots in which several things fail: from reset to quiesce, on a machine that QEMU made.
#include "tests/fuzz/fuzz.h"
#include "tests/host/whole_boot.h"

#include <cstdio>
#include <vector>

namespace spillway::fuzz {

void run(Input input) {
    using namespace test;
    constexpr size_t most_faults = 12;
    const Shape& shape = shapes()[input.below(shapes().size())];
    std::vector<Fault> faults;
    while (!input.empty() && faults.size() < most_faults) {
        const auto channel = static_cast<Channel>(1 + input.below(channel_count - 1));
        const std::span<const Failure> ways = failures(channel);
        const Failure& way = ways[input.below(ways.size())];
        faults.push_back({channel, &way, input.number<uint16_t>(), input.flag()});
    }
    const Outcome outcome = boot(shape, faults);
    if (!outcome.problem.empty()) {
        std::fprintf(stderr, "%s, %zu faults: %s\n%s\n", shape.name, faults.size(),
                     outcome.problem.c_str(), outcome.console.c_str());
    }
    demand(outcome.problem.empty(), "a boot, or a stop that says why");
}

} // namespace spillway::fuzz
