// SPDX-License-Identifier: BSD-2-Clause
// The fault sweep, or the part of it that two numbers name: FIRST and STEP. The table goes to
// standard output, tab-separated; progress and what must not happen go to standard error.
#include "tests/host/fault_sweep.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

using namespace spillway::test;

namespace {

struct Tally {
    size_t boots = 0, stated = 0, silent = 0, stopped = 0, problems = 0, most_hypercalls = 0;
};

} // namespace

int main(int argument_count, char** arguments) {
    if (argument_count != 3) {
        std::fprintf(stderr, "usage: %s FIRST STEP\n", arguments[0]);
        return 2;
    }
    std::map<std::pair<const Shape*, Channel>, Tally> table;
    size_t boots = 0;
    size_t problems = 0;
    sweep(std::strtoul(arguments[1], nullptr, 10), std::strtoul(arguments[2], nullptr, 10),
          [&](const Shape& shape, const Fault& fault, const Outcome& outcome) {
              constexpr size_t most_reported = 20;
              if (++boots % 1000 == 0)
                  std::fprintf(stderr, "progress\t%zu\t%s\n", boots, shape.name);
              Tally& tally = table[{&shape, fault.channel}];
              ++tally.boots;
              tally.most_hypercalls = std::max(tally.most_hypercalls, outcome.hypercalls);
              if (!outcome.problem.empty()) {
                  ++tally.problems;
                  if (++problems > most_reported) return;
                  std::fprintf(stderr, "problem\t%s\t%s\n%s\n", describe(shape, fault).c_str(),
                               outcome.problem.c_str(), outcome.console.c_str());
              } else if (outcome.ending != Ending::booted) {
                  ++tally.stopped;
              } else if (outcome.unstated != 0) {
                  ++tally.silent;
              } else {
                  ++tally.stated;
              }
          });
    for (const auto& [key, tally] : table) {
        std::printf("%s\t%s\t%zu\t%zu\t%zu\t%zu\t%zu\t%zu\n", key.first->name, name(key.second),
                    tally.boots, tally.stated, tally.silent, tally.stopped, tally.problems,
                    tally.most_hypercalls);
    }
    return problems == 0 ? 0 : 1;
}
