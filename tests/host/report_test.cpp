// SPDX-License-Identifier: BSD-2-Clause
// The table of functions on the console.
#include "boot/report.h"

#include "tests/host/fake_virtio.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace spillway::boot {
namespace {

class Report : public testing::Test {
protected:
    void print() {
        machine.boot();
        const auto findings = virtio::Findings::gather(machine.topology);
        ASSERT_TRUE(findings);
        print_functions(*findings);
        test::free_findings(*findings);
    }
    size_t count(const char* text) const { return machine.machine.console_count(text); }

    test::PciMachine machine;
};

TEST_F(Report, WithoutFunctionsThereIsNoTable) {
    print();
    EXPECT_EQ(count("address"), 0u);
}

TEST_F(Report, OnlyWhatIsVirtioOffersBit33OrNot) {
    machine.host.bus.add<test::FakeFunction>(1, 0, 0x8086, 0x100E, 0x020000);
    machine.host.bus.add<test::FakeVirtio>(2, 0, uint16_t{1}, uint64_t{1} << 32);
    machine.host.bus.add<test::FakeVirtio>(3, 0, uint16_t{1}, uint64_t{3} << 32);
    print();
    EXPECT_EQ(count("  address "), 1u);
    EXPECT_EQ(count("8086:100e class 020000            -      -          "), 1u);
    EXPECT_EQ(count("1af4:1041 virtio net              no     fixed      "), 1u);
    EXPECT_EQ(count("1af4:1041 virtio net              yes    -          "), 1u);
}

} // namespace
} // namespace spillway::boot
