// SPDX-License-Identifier: BSD-2-Clause
// What a client reads of the machine's terminal.
#include "boot/console.h"
#include "tests/host/fake_hypervisor.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace spillway::boot {
namespace {

class TerminalConsoleTest : public testing::Test {
protected:
    std::string read(size_t size) {
        std::array<char, 64> buffer{};
        return {buffer.data(), console.read(std::span{buffer}.first(size))};
    }

    test::FakeHypervisor machine;
    TerminalConsole console{hcall::Terminal::standard};
};

TEST_F(TerminalConsoleTest, GivesWhatWaitsInOrder) {
    machine.input = "0123456789abcdefghij";
    EXPECT_EQ(read(8), "01234567");
    EXPECT_EQ(read(64), "89abcdefghij");
}

TEST_F(TerminalConsoleTest, GivesNothingWhenNothingWaits) {
    EXPECT_EQ(read(64), "");
    machine.input = "x";
    EXPECT_EQ(read(0), "");
    EXPECT_EQ(read(1), "x");
    EXPECT_EQ(read(64), "");
}

TEST_F(TerminalConsoleTest, AsksAgainOnlyWhenAllIsRead) {
    machine.input = "0123456789abcdef";
    EXPECT_EQ(read(15).size(), 15u);
    EXPECT_EQ(read(1), "f");
    EXPECT_EQ(machine.call_count(hcall::Number::get_term_char), 1u);
}

} // namespace
} // namespace spillway::boot
