// SPDX-License-Identifier: BSD-2-Clause
// Config space access, capability lists, names, CPU addresses and bus masters.
#include "pci/bus_master.h"
#include "pci/capability.h"
#include "pci/class_name.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

namespace spillway::test {
namespace {

using pci::CapabilityId;
using pci::CapabilityList;
using pci::Config;
using pci::Function;
using pci::Register16;
using pci::Register32;
using pci::Register8;
using pci::Space;

class PciConfig : public testing::Test, protected PciMachine {
protected:
    PciConfig()
        : function(add(9, 0)) {}
    Config config() const { return {rtas, host.buid, {0, 9, 0}}; }
    auto capabilities() const { return CapabilityList::read(config()); }

    FakeFunction& function;
};

TEST_F(PciConfig, location_has_papr_form) {
    constexpr pci::Location location{0x12, 0x1F, 7};
    EXPECT_EQ(location.config_address().value, 0x12FF00u);
}

TEST_F(PciConfig, reads_have_the_width_of_their_register) {
    function.set32(0x08, 0x0123'4567);
    EXPECT_EQ(config().read(Register8::revision), 0x67);
    EXPECT_EQ(config().read(Register16{0x0A}), 0x0123);
    EXPECT_EQ(config().read(Register32::class_and_revision), 0x0123'4567u);
}

TEST_F(PciConfig, writes_have_the_width_of_their_register) {
    machine.keep_config_log = true;
    config().write(Register8::cache_line_size, 0x40);
    config().write(Register16::command, 0x0102);
    config().write(Register32::bar0, 0xFFFF'FFFF);
    ASSERT_EQ(machine.config_log.size(), 3u);
    EXPECT_EQ(machine.config_log[0].size, 1u);
    EXPECT_EQ(machine.config_log[1].size, 2u);
    EXPECT_EQ(machine.config_log[1].value, 0x0102u);
    EXPECT_EQ(machine.config_log[2].size, 4u);
    EXPECT_EQ(function.get8(0x0C), 0x40);
    EXPECT_EQ(function.get32(0x10), 0u);
}

TEST_F(PciConfig, extended_register_bits_travel_apart) {
    machine.keep_config_log = true;
    config().read(Register32{0x5A4});
    EXPECT_EQ(machine.config_log[0].offset, 0x5A4u);
}

TEST_F(PciConfig, failed_reads_are_all_ones_of_their_width) {
    function.present = false;
    EXPECT_EQ(config().read(Register8::revision), 0xFF);
    EXPECT_EQ(config().read(Register16::command), 0xFFFF);
    EXPECT_EQ(config().read(Register32::ids), 0xFFFF'FFFFu);
}

TEST_F(PciConfig, missing_rtas_services_read_as_all_ones) {
    const hcall::Rtas nothing{hcall::RtasTokens{}};
    EXPECT_EQ(Config(nothing, host.buid, {0, 9, 0}).read(Register32::ids), 0xFFFF'FFFFu);
}

// --- capabilities

TEST_F(PciConfig, no_capability_bit_means_an_empty_list) {
    function.config[0x34] = 0x40;
    const auto list = capabilities();
    ASSERT_TRUE(list);
    EXPECT_EQ(list->begin(), list->end());
}

TEST_F(PciConfig, capabilities_come_in_list_order) {
    function.add_capability(CapabilityId::msi, std::array<uint8_t, 12>{});
    function.add_virtio_capability(1, 4, 0, 0x1000);
    function.add_capability(CapabilityId::msi_x, std::array<uint8_t, 10>{});
    const auto list = capabilities();
    ASSERT_TRUE(list);
    ASSERT_EQ(list->end() - list->begin(), 3);
    EXPECT_EQ(list->begin()[0].id, CapabilityId::msi_x);
    EXPECT_EQ(list->begin()[1].id, CapabilityId::vendor_specific);
    EXPECT_EQ(list->begin()[2].id, CapabilityId::msi);
    EXPECT_EQ(list->begin()[2].offset, 0x40);
}

TEST_F(PciConfig, reserved_low_bits_of_capability_pointers_are_ignored) {
    function.add_capability(CapabilityId::msi, {});
    function.config[0x34] |= 3;
    const auto list = capabilities();
    ASSERT_TRUE(list);
    EXPECT_EQ(list->begin()->offset, 0x40);
}

TEST_F(PciConfig, capability_pointers_into_the_header_are_malformed) {
    function.add_capability(CapabilityId::msi, {});
    for (unsigned pointer = 4; pointer < 0x40; ++pointer) {
        function.config[0x34] = static_cast<uint8_t>(pointer);
        EXPECT_FALSE(capabilities()) << pointer;
    }
}

TEST_F(PciConfig, all_ones_are_no_capability_pointer) {
    function.config[0x06] |= 0x10;
    function.config[0x34] = 0xFF;
    const auto list = capabilities();
    ASSERT_FALSE(list) << "a read that failed must not look like an empty list";
    EXPECT_EQ(list.error().code, ErrorCode::device);
}

TEST_F(PciConfig, a_next_pointer_into_the_header_is_malformed) {
    function.add_capability(CapabilityId::msi, {});
    function.config[0x41] = 0x3C;
    const auto list = capabilities();
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().code, ErrorCode::malformed);
}

TEST_F(PciConfig, a_capability_that_follows_itself_is_a_loop) {
    function.add_capability(CapabilityId::msi, {});
    function.config[0x41] = 0x40;
    EXPECT_FALSE(capabilities());
}

TEST_F(PciConfig, a_longer_capability_loop_is_found) {
    function.add_capability(CapabilityId::msi, {});
    function.add_capability(CapabilityId::msi_x, {});
    function.config[0x41] = function.config[0x34];
    EXPECT_FALSE(capabilities());
}

TEST_F(PciConfig, a_list_into_the_middle_of_a_capability_is_walked_with_bounds) {
    function.add_virtio_capability(1, 0, 0, 0);
    function.config[0x41] = 0x44;
    EXPECT_TRUE(capabilities());
}

TEST_F(PciConfig, the_last_word_can_hold_a_capability) {
    function.config[0x06] |= 0x10;
    function.config[0x34] = 0xFE;
    function.config[0xFC] = 0x09;
    const auto list = capabilities();
    ASSERT_TRUE(list);
    EXPECT_EQ(list->begin()->offset, 0xFC);
}

TEST_F(PciConfig, forty_eight_capabilities_fit) {
    function.config[0x06] |= 0x10;
    function.config[0x34] = 0x40;
    for (unsigned offset = 0x40; offset < 0x100; offset += 4) {
        function.config[offset] = 0x09;
        function.config[offset + 1] = static_cast<uint8_t>(offset + 4);
    }
    const auto list = capabilities();
    ASSERT_TRUE(list);
    EXPECT_EQ(list->end() - list->begin(), 48);
}

TEST_F(PciConfig, capabilities_of_a_function_that_is_gone_are_an_error) {
    function.present = false;
    const auto list = capabilities();
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().code, ErrorCode::device);
}

TEST_F(PciConfig, a_capability_pointer_of_all_ones_is_an_error) {
    function.add_capability(CapabilityId::msi, {});
    function.config[0x34] = 0xFF;
    const auto list = capabilities();
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().code, ErrorCode::device);
}

TEST_F(PciConfig, every_all_ones_read_in_a_capability_list_ends_the_walk) {
    function.add_capability(CapabilityId::msi, {});
    function.add_capability(CapabilityId::msi_x, {});
    for (size_t read = 0; read < 4; ++read) {
        machine.fail_config_read(read, ConfigFault::all_ones);
        const size_t before = machine.config_reads;
        const auto list = capabilities();
        EXPECT_LE(machine.config_reads - before, 50u);
        EXPECT_TRUE(!list || list->end() - list->begin() <= 2);
    }
}

TEST_F(PciConfig, random_capability_bytes_never_walk_further_than_config_space) {
    uint32_t state = 1;
    for (int round = 0; round < 2000; ++round) {
        for (unsigned offset = 0x34; offset < 0x100; ++offset) {
            state = state * 1664525 + 1013904223;
            function.config[offset] = static_cast<uint8_t>(state >> 24);
        }
        function.config[0x06] = 0x10;
        const size_t before = machine.config_reads;
        (void)capabilities();
        ASSERT_LE(machine.config_reads - before, 2 + pci::most_capabilities + 1);
    }
}

// --- names

TEST_F(PciConfig, names_are_linuxs) {
    pci::HostBridge bridge;
    bridge.buid = hcall::Buid{0x8000'0002'0000'01F};
    EXPECT_STREQ(pci::name(bridge, {0xAB, 0x1F, 7}).text, "001f:ab:1f.7");
}

TEST_F(PciConfig, class_names_are_qemus) {
    EXPECT_STREQ(pci::class_name(0x010000), "scsi");
    EXPECT_STREQ(pci::class_name(0x020000), "ethernet");
    EXPECT_STREQ(pci::class_name(0x030000), "vga");
    EXPECT_STREQ(pci::class_name(0x038000), "display");
    EXPECT_STREQ(pci::class_name(0x060400), "pci");
    EXPECT_STREQ(pci::class_name(0x0c0330), "usb-xhci");
    EXPECT_STREQ(pci::class_name(0x0c0340), "usb");
    EXPECT_STREQ(pci::class_name(0x00ff00), "legacy-device");
    EXPECT_STREQ(pci::class_name(0x010802), "mass-storage");
    EXPECT_STREQ(pci::class_name(0x120000), "pci");
    EXPECT_STREQ(pci::class_name(0xffffff), "pci");
}

// --- CPU addresses

class PciCpuAddress : public testing::Test {
protected:
    PciCpuAddress() {
        host.windows[0] = {{{0}, 0x1'0000}, {0x1000'0000}};
        host.windows[1] = {{{0x8000'0000}, 0x8000'0000}, {0x2000'0000}};
        host.windows[2] = {{{~uint64_t{0} - 0xF'FFFF}, 0xF'FFFF}, {0x3000'0000}};
        function.host = &host;
        bar.assigned = true;
        bar.size = 0x1000;
        bar.address = {0x8000'3000};
    }
    auto at(uint64_t offset, uint64_t length) const {
        return pci::cpu_address(function, bar, offset, length);
    }
    pci::HostBridge host;
    Function function;
    pci::Bar bar;
};

TEST_F(PciCpuAddress, adds_the_windows_offset) {
    ASSERT_TRUE(at(0x10, 4));
    EXPECT_EQ(at(0x10, 4)->value, 0x2000'3010u);
}

TEST_F(PciCpuAddress, unassigned_bars_have_none) {
    bar.assigned = false;
    EXPECT_FALSE(at(0, 1));
}

TEST_F(PciCpuAddress, the_last_byte_is_in_and_the_next_is_out) {
    EXPECT_TRUE(at(0xFFF, 1));
    EXPECT_TRUE(at(0, 0x1000));
    EXPECT_FALSE(at(0x1000, 1));
    EXPECT_FALSE(at(0xFFF, 2));
    EXPECT_FALSE(at(0, 0x1001));
}

TEST_F(PciCpuAddress, nothing_has_no_address) {
    EXPECT_FALSE(at(0, 0));
}

TEST_F(PciCpuAddress, huge_offsets_and_lengths_do_not_wrap) {
    EXPECT_FALSE(at(~uint64_t{0}, 1));
    EXPECT_FALSE(at(1, ~uint64_t{0}));
    EXPECT_FALSE(at(~uint64_t{0}, ~uint64_t{0}));
    EXPECT_FALSE(at(0x800, ~uint64_t{0} - 0x7FF));
}

TEST_F(PciCpuAddress, io_and_memory_do_not_mix) {
    bar.space = Space::io;
    EXPECT_FALSE(at(0, 1));
    bar.address = {0x2000};
    ASSERT_TRUE(at(0, 1));
    EXPECT_EQ(at(0, 1)->value, 0x1000'2000u);
    bar.space = Space::memory32;
    EXPECT_FALSE(at(0, 1));
}

TEST_F(PciCpuAddress, wide_bars_may_sit_in_the_32_bit_window) {
    bar.space = Space::memory64;
    EXPECT_TRUE(at(0, 1));
}

TEST_F(PciCpuAddress, a_bar_at_the_very_top_does_not_wrap) {
    bar.space = Space::memory64;
    bar.address = {~uint64_t{0} - 0xFFF};
    EXPECT_FALSE(at(0, 0x1000)); // its last byte is past the window
    EXPECT_TRUE(at(0, 0xFFF));
}

TEST_F(PciCpuAddress, a_bar_outside_every_window_has_none) {
    bar.address = {0x4000'0000};
    EXPECT_FALSE(at(0, 4));
}

// --- bus masters

class PciBusMaster : public testing::Test, protected PciMachine {};

TEST_F(PciBusMaster, all_are_silenced) {
    FakeBridge& bridge = add_bridge(1);
    FakeFunction& one = add(2);
    FakeFunction& two = add(bridge.bus, 3);
    boot();
    for (FakeFunction* function : {static_cast<FakeFunction*>(&bridge), &one, &two}) {
        function->set16(0x04, 0x0507);
    }
    EXPECT_EQ(pci::silence_bus_masters(topology), 0u);
    EXPECT_EQ(one.get16(0x04), 0x0503);
    EXPECT_EQ(two.get16(0x04), 0x0503);
    EXPECT_EQ(bridge.get16(0x04), 0x0503);
}

TEST_F(PciBusMaster, silent_ones_are_written_too) {
    add(2);
    boot();
    const size_t before = machine.config_writes;
    EXPECT_EQ(pci::silence_bus_masters(topology), 0u);
    EXPECT_EQ(machine.config_writes - before, 1u);
}

TEST_F(PciBusMaster, one_that_stays_is_counted_and_named) {
    FakeFunction& function = add(2);
    boot();
    function.set16(0x04, 0x0004);
    function.set_mask16(0x04, 0x0003);
    EXPECT_EQ(pci::silence_bus_masters(topology), 1u);
    EXPECT_EQ(machine.console_count("0000:00:02.0 stays bus master"), 1u);
}

TEST_F(PciBusMaster, one_that_is_gone_is_quiet) {
    FakeFunction& function = add(2);
    boot();
    function.present = false;
    EXPECT_EQ(pci::silence_bus_masters(topology), 0u);
}

TEST_F(PciBusMaster, one_that_goes_in_between_is_quiet) {
    FakeFunction& function = add(2);
    boot();
    function.set16(0x04, 0x0004);
    machine.fail_config_read(1, ConfigFault::rtas_error);
    EXPECT_EQ(pci::silence_bus_masters(topology), 0u);
}

} // namespace
} // namespace spillway::test
