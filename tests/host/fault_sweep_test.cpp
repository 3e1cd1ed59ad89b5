// SPDX-License-Identifier: BSD-2-Clause
// A sample of the fault sweep; `make sweep` does all of it.
#include "tests/host/fault_sweep.h"

#include <gtest/gtest.h>

#include <string_view>

namespace spillway::test {
namespace {

TEST(FaultSweep, ASampleEndsWell) {
    constexpr size_t step = 61;
    size_t boots = 0;
    sweep(0, step, [&](const Shape& shape, const Fault& fault, const Outcome& outcome) {
        ++boots;
        EXPECT_EQ(outcome.problem, "") << describe(shape, fault) << "\n" << outcome.console;
    });
    EXPECT_GE(boots, 2000U);
}

TEST(FaultSweep, NoFailedCallMakesAVerdict) {
    const Shape& mixed = shapes()[6];
    size_t boots = 0;
    for (const Fault& fault : faults(boot(mixed).counts)) {
        if (fault.channel != Channel::rtas || std::string_view{fault.failure->name} != "H_HARDWARE")
            continue;
        ++boots;
        EXPECT_EQ(boot(mixed, {&fault, 1}).problem, "") << describe(mixed, fault);
    }
    EXPECT_GE(boots, 300U);
}

} // namespace
} // namespace spillway::test
