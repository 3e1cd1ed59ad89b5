// SPDX-License-Identifier: BSD-2-Clause
// What the machine's owner sees of a boot, and the ways in which one ends. Here a machine that is
// told to end ends the process: its exit status says by which service.
#include "boot/console.h"
#include "boot/machine.h"
#include "boot/report.h"
#include "boot/steps.h"
#include "boot/stop.h"

#include "pci/allocate.h"
#include "pci/enumerate.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace spillway::boot {
namespace {

using test::FakeHypervisor;

enum Ended { by_power_off = 11, by_reboot, by_crash };

class EndsTest : public testing::Test {
protected:
    static constexpr uint32_t token_os_term = 0x201F;

    EndsTest() {
        start_log();
        hcall::RtasTokens tokens = machine.rtas_tokens();
        tokens.os_term = hcall::RtasToken{token_os_term};
        rtas = hcall::Rtas{tokens};
        end_at(FakeHypervisor::token_power_off, by_power_off);
        end_at(FakeHypervisor::token_system_reboot, by_reboot);
        end_at(token_os_term, by_crash);
        set_stop_services(rtas);
    }
    void end_at(uint32_t token, Ended how) {
        machine.rtas_handlers[token] = [how, this](std::span<const uint32_t>,
                                                   std::span<uint32_t>) -> hcall::RtasStatus {
            std::fwrite(machine.console.data(), 1, machine.console.size(), stderr);
            std::exit(how);
        };
    }

    FakeHypervisor machine;
    hcall::Rtas rtas{hcall::RtasTokens{}};
};
using EndsDeathTest = EndsTest;

TEST_F(EndsDeathTest, EachEndHasItsService) {
    EXPECT_EXIT(power_off_machine(), testing::ExitedWithCode(by_power_off), "");
    EXPECT_EXIT(restart_machine(), testing::ExitedWithCode(by_reboot), "");
    EXPECT_EXIT(stop_after_fault(), testing::ExitedWithCode(by_crash), "");
}

TEST_F(EndsDeathTest, ABootThatCannotGoOnSaysWhy) {
    const auto error = fail(ErrorCode::malformed, "the %s is wrong", "tree").error();
    EXPECT_EXIT(give_up(error), testing::ExitedWithCode(by_crash),
                "error: the tree is wrong\r\nerror: the boot cannot go on\r\n");
}

TEST_F(EndsDeathTest, WhatIsNeededAndMissingEndsTheBoot) {
    EXPECT_EQ(need(Result<int>{7}), 7);
    EXPECT_EXIT(need(Result<int>{fail(ErrorCode::unsupported, "none")}),
                testing::ExitedWithCode(by_crash), "error: none\r\n");
}

TEST_F(EndsTest, AStepIsALineAndAMark) {
    Profile profile;
    Steps steps{profile};
    steps.done("memory", "%d MiB", 512);
    EXPECT_EQ(machine.console_count("memory "), 1u);
    EXPECT_EQ(machine.console_count(" ms  512 MiB\r\n"), 1u);
    ASSERT_EQ(profile.marks().size(), 2u);
    EXPECT_STREQ(profile.marks()[0].step, "start");
    EXPECT_STREQ(profile.marks()[1].step, "memory");
}

TEST_F(EndsTest, TheTerminalGivesWhatWasTypedInPieces) {
    TerminalConsole console{hcall::Terminal::standard};
    std::array<char, 4> buffer;
    EXPECT_EQ(console.read(buffer), 0u);
    machine.input = "a line of more than sixteen characters";
    std::string read;
    while (const size_t count = console.read(buffer))
        read.append(buffer.data(), count);
    EXPECT_EQ(read, "a line of more than sixteen characters");
    EXPECT_EQ(console.write("out"), 3u);
    EXPECT_EQ(machine.console, "out");
}

class ReportTest : public EndsTest {
protected:
    ~ReportTest() override {
        test::free_findings(findings);
        test::free_topology(topology);
    }
    void print() {
        machine.fill_tree(tree);
        rtas = hcall::Rtas{machine.rtas_tokens()};
        topology = *pci::enumerate(tree, rtas);
        pci::allocate(topology);
        findings = *virtio::Findings::gather(topology);
        machine.console.clear();
        print_functions(findings);
    }

    fdt::Tree tree;
    pci::Topology topology;
    virtio::Findings findings;
};

TEST_F(ReportTest, NoFunctionsNoTable) {
    machine.add_host_bridge(0);
    print();
    EXPECT_EQ(machine.console, "");
}

TEST_F(ReportTest, EachFunctionIsALine) {
    using test::version_1, test::access_platform;
    test::FakeBus& bus = machine.add_host_bridge(0).bus;
    bus.add<test::FakeVirtio>(0, 0, uint16_t{2}, version_1);
    bus.add<test::FakeVirtio>(1, 0, uint16_t{1}, version_1 | access_platform);
    bus.add<test::FakeLegacyVirtio>(2, 0, uint16_t{4}, 0u);
    bus.add<test::FakeVirtio>(3, 0, uint16_t{2}, version_1).dead = true;
    bus.add<test::FakeFunction>(4, 0, uint16_t{0x8086}, uint16_t{0x100E}, 0x020000u);
    bus.add<test::FakeBridge>(5, 0);
    print();
    for (const char* line : {
             "0000:00:00.0 1af4:1042 virtio block            no     fixed ",
             "0000:00:01.0 1af4:1041 virtio net              yes    -     ",
             "0000:00:02.0 1af4:1000 virtio entropy (legacy) no     fixed ",
             "0000:00:03.0 1af4:1042 virtio, broken          -      -     ",
             "0000:00:04.0 8086:100e class 020000            -      -     ",
             "0000:00:05.0 1b36:0001 class 060400 (bridge)   -      -     ",
         }) {
        EXPECT_EQ(machine.console_count(line), 1u) << line << "\n" << machine.console;
    }
}

} // namespace
} // namespace spillway::boot
