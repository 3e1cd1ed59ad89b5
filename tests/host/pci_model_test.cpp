// SPDX-License-Identifier: BSD-2-Clause
// The model that all other tests stand on: tests/host/fake_hypervisor.h.
#include "base/endian.h"
#include "hcall/cache_inhibited.h"
#include "hcall/console.h"
#include "hcall/tce.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

namespace spillway::test {
namespace {

using pci::Config;
using pci::Location;
using pci::Register16;
using pci::Register32;

class PciModel : public testing::Test, protected PciMachine {
protected:
    Config config(Location location) const { return {rtas, host.buid, location}; }
};

/// Registers that remember, in BAR 4.
struct Scratchpad : FakeFunction {
    Scratchpad()
        : FakeFunction(1, 2, 3) {
        add_bar(4, FakeBar::memory64_prefetchable, 0x1000);
    }
    uint64_t read(unsigned bar, uint64_t offset, unsigned size) override {
        return bar == 4 && offset == 0x10 && size == 4 ? value : 0;
    }
    void write(unsigned, uint64_t offset, unsigned, uint64_t written) override {
        if (offset == 0x10) value = written;
    }
    uint64_t value = 0;
};

TEST_F(PciModel, ram_addresses_convert_both_ways) {
    std::byte* inside = to_pointer({0x1234});
    EXPECT_EQ(inside, machine.ram().data() + 0x1234);
    EXPECT_EQ(to_physical(inside).value, 0x1234u);
}

TEST_F(PciModel, host_pointers_pass_through) {
    int object = 0;
    EXPECT_EQ(static_cast<void*>(to_pointer(to_physical(&object))), &object);
}

TEST_F(PciModel, unknown_calls_answer_h_function) {
    hcall::Registers registers;
    EXPECT_EQ(hcall::call(hcall::Number::pci_dma_bypass, registers), hcall::Status::function);
    EXPECT_EQ(machine.call_count(hcall::Number::pci_dma_bypass), 1u);
}

TEST_F(PciModel, handlers_override_built_in_answers) {
    machine.handlers[hcall::Number::put_term_char] = [](hcall::Registers&) {
        return hcall::Status::hardware;
    };
    EXPECT_EQ(hcall::put_characters(hcall::Terminal::standard, "lost"), 0u);
    EXPECT_EQ(machine.console, "");
}

TEST_F(PciModel, console_keeps_what_is_written_and_gives_what_waits) {
    EXPECT_EQ(hcall::put_characters(hcall::Terminal::standard, "more than sixteen characters"),
              28u);
    EXPECT_EQ(machine.console, "more than sixteen characters");
    machine.input = "0123456789abcdefXY";
    std::array<char, 16> buffer;
    EXPECT_EQ(hcall::get_characters(hcall::Terminal::standard, buffer), 16u);
    EXPECT_EQ(buffer[15], 'f');
    EXPECT_EQ(hcall::get_characters(hcall::Terminal::standard, buffer), 2u);
    EXPECT_EQ(hcall::get_characters(hcall::Terminal::standard, buffer), 0u);
}

TEST_F(PciModel, absent_functions_answer_a_hardware_error) {
    uint32_t value = 7;
    EXPECT_EQ(rtas.read_pci_config(host.buid, {0x800}, 4, value), hcall::RtasStatus::hardware);
    EXPECT_EQ(config({0, 1, 0}).read(Register32::ids), 0xFFFF'FFFFu);
}

TEST_F(PciModel, bars_answer_sizing_as_real_ones) {
    FakeFunction& function = add(1);
    function.add_bar(0, FakeBar::io, 0x20);
    function.add_bar(1, FakeBar::memory32, 0x1000);
    function.add_bar(2, FakeBar::memory64_prefetchable, uint64_t{1} << 33);
    function.add_rom(0x10000);
    const Config at = config({0, 1, 0});
    const auto sized = [&at](unsigned offset) {
        at.write(Register32::bar0 + offset, 0xFFFF'FFFF);
        return at.read(Register32::bar0 + offset);
    };
    EXPECT_EQ(sized(0x00), 0xFFFF'FFE1u);
    EXPECT_EQ(sized(0x04), 0xFFFF'F000u);
    EXPECT_EQ(sized(0x08), 0x0000'000Cu);
    EXPECT_EQ(sized(0x0C), 0xFFFF'FFFEu);
    EXPECT_EQ(sized(0x10), 0u);
    EXPECT_EQ(sized(0x20), 0xFFFF'0001u);
}

TEST_F(PciModel, type_1_accesses_follow_every_bridge_on_the_way) {
    FakeBridge& outer = add_bridge(3);
    FakeBridge& inner = add_bridge(outer.bus, 5);
    add(inner.bus, 7);
    host.number_buses();
    EXPECT_EQ(config({2, 7, 0}).read(Register16::vendor_id), some_vendor);
    outer.config[0x1A] = 1; // the outer bridge no longer forwards bus 2
    EXPECT_EQ(config({2, 7, 0}).read(Register16::vendor_id), 0xFFFF);
}

TEST_F(PciModel, registers_in_bars_are_reached_only_while_decoded) {
    auto& pad = host.bus.add<Scratchpad>(2, 0);
    const uint64_t base = host.windows[2].bus;
    const PhysicalAddress address{host.windows[2].cpu + 0x10};
    pad.set32(0x20, static_cast<uint32_t>(base) | 0xC);
    pad.set32(0x24, static_cast<uint32_t>(base >> 32));
    hcall::ci_store<uint32_t>(address, 0x1234'5678);
    EXPECT_EQ(pad.value, 0u);
    pad.set16(0x04, pci::command_memory);
    hcall::ci_store<uint32_t>(address, 0x1234'5678);
    EXPECT_EQ(pad.value, 0x1234'5678u);
    EXPECT_EQ(hcall::ci_load<uint32_t>(address), 0x1234'5678u);
}

TEST_F(PciModel, bridges_forward_memory_only_through_open_windows) {
    FakeBridge& bridge = add_bridge(1);
    FakeFunction& function = add(bridge.bus, 2);
    function.add_bar(0, FakeBar::memory32, 0x1000);
    function.set32(0x10, 0x8010'0000);
    function.set16(0x04, pci::command_memory);
    const PhysicalAddress address{host.windows[1].cpu + 0x10'0000};
    bridge.set32(0x20, 0x8010'8010);
    EXPECT_FALSE(machine.decode(address, 4));
    bridge.set16(0x04, pci::command_memory);
    EXPECT_TRUE(machine.decode(address, 4));
    bridge.set32(0x20, 0x0000'FFF0);
    EXPECT_FALSE(machine.decode(address, 4));
}

TEST_F(PciModel, loads_that_nobody_claims_read_zero) {
    EXPECT_EQ(hcall::ci_load<uint32_t>({host.windows[1].cpu}), 0u);
}

TEST_F(PciModel, tce_tables_map_pages) {
    using hcall::Tce;
    const hcall::Liobn liobn{host.liobn};
    EXPECT_EQ(hcall::put_tce(liobn, {0x3000}, Tce::map({0x8000}, hcall::TceAccess::device_reads)),
              hcall::Status::success);
    EXPECT_EQ(machine.translate(host.liobn, 0x3010, false)->value, 0x8010u);
    EXPECT_FALSE(machine.translate(host.liobn, 0x3010, true));
    EXPECT_EQ(hcall::put_tce(liobn, {0x4000'0000}, {}), hcall::Status::parameter);
    EXPECT_EQ(hcall::put_tce(hcall::Liobn{5}, {0}, {}), hcall::Status::parameter);
}

TEST_F(PciModel, tce_lists_are_read_from_memory) {
    for (uint64_t index = 0; index < 4; ++index) {
        const Big64 entry{(index + 1) << 12 | 3};
        std::memcpy(to_pointer({0x1000 + 8 * index}), &entry, sizeof entry);
    }
    EXPECT_EQ(hcall::put_tce_indirect(hcall::Liobn{host.liobn}, {0x10000}, {0x1000}, 4),
              hcall::Status::success);
    EXPECT_EQ(machine.translate(host.liobn, 0x13008, true)->value, 0x4008u);
}

TEST_F(PciModel, faults_hit_one_chosen_read) {
    add(0);
    const Config at = config({0, 0, 0});
    machine.fail_config_read(1, ConfigFault::all_ones);
    EXPECT_EQ(at.read(Register16::vendor_id), some_vendor);
    EXPECT_EQ(at.read(Register16::vendor_id), 0xFFFF);
    EXPECT_EQ(at.read(Register16::vendor_id), some_vendor);
}

TEST_F(PciModel, trees_look_like_qemus) {
    FakeBridge& bridge = add_bridge(3);
    FakeFunction& disk = add(bridge.bus, 2);
    disk.add_bar(0, FakeBar::io, 0x80);
    disk.add_bar(1, FakeBar::memory32, 0x1000);
    disk.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    fill_tree();
    const fdt::Node* found = node("/pci@800000020000000/pci@3/scsi@2");
    ASSERT_NE(found, nullptr);
    const std::vector<uint32_t> reg = {0x11000,   0, 0, 0, 0,      0x1011010, 0, 0, 0, 0x80,
                                       0x2011014, 0, 0, 0, 0x1000, 0x3011020, 0, 0, 0, 0x4000};
    EXPECT_EQ(cells(*found, "reg"), reg);
    EXPECT_FALSE(tree->has(*found, "assigned-addresses"));
    EXPECT_EQ(tree->cell(*node("/rtas"), "ibm,read-pci-config", 0), 0x2016u);
}

} // namespace
} // namespace spillway::test
