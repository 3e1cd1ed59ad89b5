// SPDX-License-Identifier: BSD-2-Clause
// Whole boots of all shapes with nothing failing.
#include "tests/host/whole_boot.h"

#include <gtest/gtest.h>

namespace spillway::test {
namespace {

class WholeBoot : public testing::TestWithParam<Shape> {};

TEST_P(WholeBoot, EndsInTheProgramWithTheTruthForEveryFunction) {
    const Outcome outcome = boot(GetParam());
    EXPECT_EQ(outcome.ending, Ending::booted) << outcome.console;
    EXPECT_EQ(outcome.problem, "") << outcome.console;
    EXPECT_EQ(outcome.unstated, 0U) << outcome.console;
    EXPECT_EQ(outcome.console.find("warning: "), std::string::npos) << outcome.console;
    EXPECT_EQ(outcome.console.find("error: "), std::string::npos) << outcome.console;
}

INSTANTIATE_TEST_SUITE_P(Shapes, WholeBoot, testing::ValuesIn(shapes().begin(), shapes().end()),
                         [](const auto& shape) { return std::to_string(shape.index); });

TEST(WholeBoots, LeaveNothingBehindForTheNext) {
    for (const Shape& shape : shapes()) {
        const Outcome first = boot(shape);
        boot(shapes()[6]);
        const Outcome second = boot(shape);
        EXPECT_EQ(first.console, second.console) << shape.name;
        EXPECT_EQ(first.counts, second.counts) << shape.name;
    }
}

} // namespace
} // namespace spillway::test
