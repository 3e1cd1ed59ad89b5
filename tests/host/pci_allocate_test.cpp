// SPDX-License-Identifier: BSD-2-Clause
// Addresses of BARs and windows of bridges.
#include "pci/bus_master.h"
#include "tests/host/fdt_support.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spillway::test {
namespace {

using pci::Bar;
using pci::Function;
using pci::Space;

constexpr uint64_t KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30;
constexpr size_t io = 0, memory32 = 1, memory64 = 2;

class PciAllocate : public testing::Test, protected PciMachine {
protected:
    const Bar& bar(unsigned bus, unsigned device, unsigned index) const {
        return find(bus, device)->bars[index];
    }
    uint64_t address(unsigned bus, unsigned device, unsigned index) const {
        EXPECT_TRUE(bar(bus, device, index).assigned);
        return bar(bus, device, index).address.value;
    }
    bool in_window(uint64_t at, size_t window) const {
        const auto& where = host.windows[window];
        return at >= where.bus && at - where.bus < where.size;
    }
    size_t unassigned() const {
        size_t count = 0;
        for (const Function* at = topology.functions; at != nullptr; at = at->next) {
            for (const Bar& each : at->bars)
                count += each.size != 0 && !each.assigned;
        }
        return count;
    }
    size_t lines() const { return machine.console_count("gets no address"); }
    void expect_sound() { EXPECT_EQ(broken_invariant(), ""); }
    /// A virtio disk as QEMU makes them.
    FakeFunction& add_virtio(FakeBus& bus, unsigned device) {
        FakeFunction& fake = add(bus, device);
        fake.add_bar(0, FakeBar::io, 0x80);
        fake.add_bar(1, FakeBar::memory32, 4 * KiB);
        fake.add_bar(4, FakeBar::memory64_prefetchable, 16 * KiB);
        return fake;
    }
};

TEST_F(PciAllocate, nothing_is_fine) {
    boot();
    expect_sound();
    EXPECT_EQ(machine.config_writes, 0u);
}

TEST_F(PciAllocate, every_kind_goes_to_its_window_on_the_root_bus) {
    FakeFunction& fake = add(1);
    fake.add_bar(0, FakeBar::io, 0x20);
    fake.add_bar(1, FakeBar::memory32, 4 * KiB);
    fake.add_bar(2, FakeBar::memory64, 4 * KiB);
    fake.add_bar(4, FakeBar::memory64_prefetchable, 16 * KiB);
    FakeFunction& other = add(2);
    other.add_bar(0, FakeBar::memory32_prefetchable, 4 * KiB);
    boot();
    EXPECT_TRUE(in_window(address(0, 1, 0), io));
    EXPECT_TRUE(in_window(address(0, 1, 1), memory32));
    EXPECT_TRUE(in_window(address(0, 1, 2), memory64));
    EXPECT_TRUE(in_window(address(0, 1, 4), memory64));
    EXPECT_TRUE(in_window(address(0, 2, 0), memory32));
    expect_sound();
}

TEST_F(PciAllocate, the_first_4_kib_of_io_stay_free) {
    add(1).add_bar(0, FakeBar::io, 4);
    boot();
    EXPECT_EQ(address(0, 1, 0), 0x1000u);
}

TEST_F(PciAllocate, tiny_io_windows_are_used_without_address_0) {
    host.windows[io].size = 0x100;
    add(1).add_bar(0, FakeBar::io, 0x10);
    boot();
    EXPECT_EQ(address(0, 1, 0), 0x10u);
    expect_sound();
}

TEST_F(PciAllocate, memory_address_0_is_not_used) {
    host.windows[memory32].bus = 0;
    add(1).add_bar(0, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_EQ(address(0, 1, 0), 64 * KiB);
    expect_sound();
}

TEST_F(PciAllocate, memory_bars_are_a_page_of_64_kib_apart) {
    for (unsigned device = 0; device < 3; ++device)
        add(device).add_bar(0, FakeBar::memory32, 16);
    boot();
    EXPECT_EQ(address(0, 0, 0), 0x8000'0000u);
    EXPECT_EQ(address(0, 1, 0), 0x8001'0000u);
    EXPECT_EQ(address(0, 2, 0), 0x8002'0000u);
}

TEST_F(PciAllocate, pages_are_given_up_when_they_do_not_fit) {
    host.windows[memory32].size = 64 * KiB;
    for (unsigned device = 0; device < 16; ++device) {
        add(device).add_bar(0, FakeBar::memory32, 4 * KiB);
    }
    boot();
    EXPECT_EQ(unassigned(), 0u);
    expect_sound();
}

TEST_F(PciAllocate, large_bars_come_first_so_that_nothing_is_wasted) {
    host.windows[memory32].size = 2 * MiB;
    add(1).add_bar(0, FakeBar::memory32, 64 * KiB);
    add(2).add_bar(0, FakeBar::memory32, MiB);
    add(3).add_bar(0, FakeBar::memory32, 64 * KiB);
    add(4).add_bar(0, FakeBar::memory32, 512 * KiB);
    boot();
    EXPECT_EQ(unassigned(), 0u);
    EXPECT_EQ(address(0, 2, 0), 0x8000'0000u);
    EXPECT_EQ(address(0, 4, 0), 0x8010'0000u);
    EXPECT_EQ(address(0, 1, 0), 0x8018'0000u);
    EXPECT_EQ(address(0, 3, 0), 0x8019'0000u);
}

TEST_F(PciAllocate, a_full_window_is_filled_to_the_last_byte) {
    host.windows[memory32].size = 2 * MiB;
    add(1).add_bar(0, FakeBar::memory32, MiB);
    add(2).add_bar(0, FakeBar::memory32, 512 * KiB);
    add(3).add_bar(0, FakeBar::memory32, 512 * KiB);
    boot();
    EXPECT_EQ(unassigned(), 0u);
    expect_sound();
}

TEST_F(PciAllocate, without_a_64_bit_window_wide_bars_go_to_the_32_bit_one) {
    host.windows.pop_back();
    add_virtio(host.bus, 1);
    FakeBridge& bridge = add_bridge(2);
    add_virtio(bridge.bus, 3);
    boot();
    EXPECT_TRUE(in_window(address(0, 1, 4), memory32));
    EXPECT_TRUE(in_window(address(1, 3, 4), memory32));
    EXPECT_EQ(find(0, 2)->windows[memory64].size, 0u);
    EXPECT_EQ(host.bus.at(1, 0)->get32(0x24), 0u);
    expect_sound();
}

TEST_F(PciAllocate, behind_a_bridge_only_prefetchable_bars_go_above_4_gib) {
    FakeBridge& bridge = add_bridge(1);
    FakeFunction& fake = add(bridge.bus, 2);
    fake.add_bar(0, FakeBar::memory64, 4 * KiB);
    fake.add_bar(2, FakeBar::memory64_prefetchable, 4 * KiB);
    fake.add_bar(4, FakeBar::memory32_prefetchable, 4 * KiB);
    boot();
    EXPECT_TRUE(in_window(address(1, 2, 0), memory32));
    EXPECT_TRUE(in_window(address(1, 2, 2), memory64));
    EXPECT_TRUE(in_window(address(1, 2, 4), memory32));
    expect_sound();
}

TEST_F(PciAllocate, every_bridge_above_must_forward_64_bits) {
    FakeBridge& outer = add_bridge(1);
    outer.set_prefetchable_64(false);
    FakeBridge& inner = add_bridge(outer.bus, 1);
    add(inner.bus, 2).add_bar(0, FakeBar::memory64_prefetchable, 4 * KiB);
    boot();
    EXPECT_TRUE(in_window(address(2, 2, 0), memory32));
    EXPECT_EQ(find(1, 1)->windows[memory64].size, 0u);
    expect_sound();
}

TEST_F(PciAllocate, a_bridge_without_prefetchable_window_uses_the_other) {
    FakeBridge& bridge = add_bridge(1);
    bridge.remove_prefetchable_window();
    add(bridge.bus, 2).add_bar(0, FakeBar::memory64_prefetchable, 4 * KiB);
    boot();
    EXPECT_TRUE(in_window(address(1, 2, 0), memory32));
    expect_sound();
}

TEST_F(PciAllocate, a_bridge_without_io_window_costs_only_io) {
    FakeBridge& bridge = add_bridge(1);
    bridge.remove_io_window();
    add_virtio(bridge.bus, 2);
    boot();
    EXPECT_FALSE(bar(1, 2, 0).assigned);
    EXPECT_TRUE(bar(1, 2, 1).assigned);
    EXPECT_TRUE(bar(1, 2, 4).assigned);
    EXPECT_EQ(lines(), 1u);
    expect_sound();
}

TEST_F(PciAllocate, bridges_keep_room_for_hot_plug) {
    add_bridge(1);
    boot();
    const Function* bridge = find(0, 1);
    EXPECT_EQ(bridge->windows[io].size, 4 * KiB);
    EXPECT_EQ(bridge->windows[memory32].size, 2 * MiB);
    EXPECT_EQ(bridge->windows[memory64].size, GiB);
    expect_sound();
}

TEST_F(PciAllocate, room_comes_on_top_of_what_is_used) {
    FakeBridge& bridge = add_bridge(1);
    add(bridge.bus, 2).add_bar(0, FakeBar::memory32, 4 * MiB);
    boot();
    EXPECT_EQ(find(0, 1)->windows[memory32].size, 6 * MiB);
}

TEST_F(PciAllocate, room_is_given_up_before_anything_else) {
    host.windows[memory32].size = 2 * MiB;
    add_virtio(add_bridge(1).bus, 2);
    add_virtio(add_bridge(2).bus, 2);
    boot();
    EXPECT_EQ(unassigned(), 0u);
    EXPECT_EQ(find(0, 1)->windows[memory32].size, MiB);
    EXPECT_EQ(find(0, 1)->windows[memory64].size, GiB + MiB);
    EXPECT_EQ(lines(), 0u);
    expect_sound();
}

TEST_F(PciAllocate, empty_bridges_without_room_are_closed) {
    host.windows[io].size = 0x2000;
    FakeBridge& first = add_bridge(1);
    add_bridge(2);
    add(first.bus, 1).add_bar(0, FakeBar::io, 0x20);
    boot();
    EXPECT_EQ(find(0, 1)->windows[io].size, 4 * KiB);
    EXPECT_EQ(find(0, 2)->windows[io].size, 0u);
    EXPECT_EQ(host.bus.at(2, 0)->get16(0x1C), 0x00F0);
    expect_sound();
}

TEST_F(PciAllocate, windows_that_cannot_be_used_are_closed) {
    host.windows.clear();
    FakeBridge& bridge = add_bridge(1);
    add_virtio(bridge.bus, 2);
    boot();
    EXPECT_EQ(bridge.get16(0x1C), 0x00F0);
    EXPECT_EQ(bridge.get32(0x20), 0x0000'FFF0u);
    EXPECT_EQ(bridge.get32(0x24), 0x0001'FFF1u);
    EXPECT_EQ(bridge.get16(0x04), 0);
    EXPECT_EQ(lines(), 3u);
}

TEST_F(PciAllocate, a_bridge_with_a_prefetchable_window_has_the_other_too) {
    host.windows[memory32].size = MiB;
    add(add_bridge(1).bus, 2).add_bar(0, FakeBar::memory64_prefetchable, 4 * KiB);
    boot();
    EXPECT_GT(find(0, 1)->windows[memory64].size, 0u);
    EXPECT_EQ(find(0, 1)->windows[memory32].size, MiB);
}

TEST_F(PciAllocate, wide_io_windows_are_programmed_with_32_bits) {
    host.windows[io] = {1, 0x30'0000, 0x2000'0000'0000, 0x10'0000};
    FakeBridge& bridge = add_bridge(1);
    bridge.set_io_32(true);
    add(bridge.bus, 2).add_bar(0, FakeBar::io, 0x100);
    boot();
    EXPECT_TRUE(in_window(address(1, 2, 0), io));
    expect_sound();
}

TEST_F(PciAllocate, narrow_io_bridges_keep_all_of_it_below_64_kib) {
    host.windows[io].size = 0x10'0000;
    for (unsigned device = 0; device < 20; ++device) {
        add(add_bridge(device).bus, 1).add_bar(0, FakeBar::io, 0x100);
    }
    boot();
    EXPECT_EQ(unassigned(), 5u);
    EXPECT_EQ(lines(), 5u);
    expect_sound();
}

TEST_F(PciAllocate, io_that_starts_above_64_kib_does_not_pass_narrow_bridges) {
    host.windows[io] = {1, 0x2'0000, 0x2000'0000'0000, 0x1'0000};
    add(add_bridge(1).bus, 1).add_bar(0, FakeBar::io, 0x100);
    add(2).add_bar(0, FakeBar::io, 0x100);
    boot();
    EXPECT_FALSE(bar(1, 1, 0).assigned);
    EXPECT_TRUE(bar(0, 2, 0).assigned);
    expect_sound();
}

TEST_F(PciAllocate, bars_of_bridges_get_addresses_on_their_own_bus) {
    FakeBridge& bridge = add_bridge(1);
    bridge.add_bar(0, FakeBar::memory64, 0x100); // as QEMU's pci-bridge has
    bridge.add_rom(0x800);
    FakeBridge& inner = add_bridge(bridge.bus, 1);
    inner.add_bar(0, FakeBar::memory64, 0x100);
    boot();
    EXPECT_TRUE(in_window(address(0, 1, 0), memory64));
    EXPECT_TRUE(in_window(address(1, 1, 0), memory32));
    EXPECT_TRUE(bar(0, 1, 6).assigned);
    expect_sound();
}

TEST_F(PciAllocate, roms_get_addresses_and_stay_off) {
    FakeFunction& fake = add(1);
    fake.add_rom(256 * 1024);
    boot();
    EXPECT_TRUE(in_window(address(0, 1, 6), memory32));
    EXPECT_EQ(fake.get32(0x30), address(0, 1, 6));
    EXPECT_EQ(fake.get16(0x04), 0);
}

TEST_F(PciAllocate, roms_are_given_up_before_bars) {
    host.windows[memory32].size = MiB;
    FakeFunction& first = add(1);
    first.add_rom(512 * 1024);
    add(2).add_bar(0, FakeBar::memory32, MiB);
    boot();
    EXPECT_FALSE(bar(0, 1, 6).assigned);
    EXPECT_TRUE(bar(0, 2, 0).assigned);
    EXPECT_EQ(first.get32(0x30), 0u);
    EXPECT_EQ(lines(), 1u);
}

// --- exhaustion

TEST_F(PciAllocate, one_bar_too_large_costs_only_itself) {
    add(1).add_bar(0, FakeBar::memory32, 0x8000'0000);
    add(2).add_bar(0, FakeBar::memory32, 0x8000'0000);
    add(3).add_bar(0, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_TRUE(bar(0, 3, 0).assigned);
    EXPECT_FALSE(bar(0, 1, 0).assigned);
    EXPECT_FALSE(bar(0, 2, 0).assigned);
    EXPECT_EQ(lines(), 2u);
    expect_sound();
}

TEST_F(PciAllocate, of_equal_bars_as_many_as_fit_get_addresses) {
    for (unsigned device = 0; device < 10; ++device) {
        add(device).add_bar(0, FakeBar::memory32, 256 * MiB);
    }
    boot();
    EXPECT_EQ(unassigned(), 2u);
    EXPECT_TRUE(bar(0, 7, 0).assigned);
    EXPECT_FALSE(bar(0, 8, 0).assigned);
    EXPECT_EQ(machine.console_count("pci 0000:00:09.0: BAR at 0x10 (0x10000000 bytes"), 1u);
    expect_sound();
}

TEST_F(PciAllocate, of_an_exhausted_window_the_small_bars_get_addresses) {
    host.windows[memory32].size = 8 * KiB;
    add(1).add_bar(0, FakeBar::memory32, 8 * KiB);
    for (unsigned device = 2; device < 5; ++device)
        add(device).add_bar(0, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_FALSE(bar(0, 1, 0).assigned);
    EXPECT_TRUE(bar(0, 2, 0).assigned);
    EXPECT_TRUE(bar(0, 3, 0).assigned);
    EXPECT_FALSE(bar(0, 4, 0).assigned);
    expect_sound();
}

TEST_F(PciAllocate, roms_get_nothing_of_an_exhausted_window) {
    host.windows[memory32].size = 8 * KiB;
    add(1).add_rom(2 * KiB);
    add(2).add_rom(4 * KiB);
    for (unsigned device = 3; device < 6; ++device)
        add(device).add_bar(0, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_FALSE(bar(0, 1, 6).assigned);
    EXPECT_FALSE(bar(0, 2, 6).assigned);
    EXPECT_TRUE(bar(0, 3, 0).assigned);
    EXPECT_TRUE(bar(0, 4, 0).assigned);
    expect_sound();
}

TEST_F(PciAllocate, of_exhausted_io_nothing_passes_a_bridge_without_window) {
    host.windows[io] = {1, 0x1000, 0, 0x100};
    FakeBridge& bridge = add_bridge(0);
    bridge.remove_io_window();
    add(bridge.bus, 1).add_bar(0, FakeBar::io, 0x80);
    for (unsigned device = 1; device < 5; ++device)
        add(device).add_bar(0, FakeBar::io, 0x80);
    boot();
    EXPECT_FALSE(bar(1, 1, 0).assigned);
    EXPECT_EQ(unassigned(), 3u);
    expect_sound();
}

TEST_F(PciAllocate, an_empty_bridge_does_not_need_its_granule) {
    host.windows[memory32].bus = 0x8008'0000;
    host.windows[memory32].size = 64 * KiB;
    host.windows[memory64].size = 0;
    add_bridge(1);
    add(2).add_bar(0, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_TRUE(bar(0, 2, 0).assigned);
    expect_sound();
}

TEST_F(PciAllocate, addresses_do_not_pass_the_top_and_come_back_at_0) {
    for (unsigned device = 1; device < 4; ++device)
        add(device).add_bar(0, FakeBar::memory64_prefetchable, uint64_t{1} << 62);
    boot();
    EXPECT_EQ(unassigned(), 3u);
    expect_sound();
}

TEST_F(PciAllocate, without_memory_nothing_gets_an_address) {
    add(1).add_bar(0, FakeBar::memory32, 4 * KiB);
    enumerate();
    fdt::test::Heap heap;
    for (const unsigned n : {0u, 1u}) {
        heap.fail_from(n);
        allocate();
        EXPECT_EQ(unassigned(), 1u);
    }
    EXPECT_EQ(machine.console_count("no memory to give out addresses"), 2u);
}

TEST_F(PciAllocate, sixteen_tib_do_not_disturb_others) {
    FakeFunction& fake = add(1);
    fake.add_bar(0, FakeBar::memory64_prefetchable, uint64_t{1} << 44);
    fake.add_bar(2, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_FALSE(bar(0, 1, 0).assigned);
    EXPECT_TRUE(bar(0, 1, 2).assigned);
    expect_sound(); // the unassigned one must not decode
}

TEST_F(PciAllocate, the_largest_size_that_a_register_can_have_does_not_wrap) {
    for (unsigned device = 0; device < 4; ++device) {
        FakeFunction& fake = add(device);
        fake.add_bar(0, FakeBar::memory64_prefetchable, uint64_t{1} << 63);
        fake.add_bar(2, FakeBar::memory64_prefetchable, uint64_t{1} << 62);
    }
    add(9).add_bar(0, FakeBar::memory64_prefetchable, 4 * KiB);
    boot();
    EXPECT_EQ(unassigned(), 8u);
    EXPECT_TRUE(bar(0, 9, 0).assigned);
    expect_sound();
}

TEST_F(PciAllocate, a_device_with_a_huge_bar_behind_bridges_does_not_disturb_others) {
    FakeBridge& outer = add_bridge(1);
    FakeBridge& inner = add_bridge(outer.bus, 1);
    add_virtio(outer.bus, 2);
    add_virtio(inner.bus, 2);
    add(inner.bus, 3).add_bar(0, FakeBar::memory64_prefetchable, uint64_t{1} << 41);
    add(inner.bus, 4).add_bar(0, FakeBar::memory64, 16 * GiB);
    boot();
    EXPECT_EQ(unassigned(), 2u);
    expect_sound();
}

TEST_F(PciAllocate, io_exhausted_by_bridges_costs_only_io) {
    for (unsigned device = 0; device < 24; ++device)
        add_virtio(add_bridge(device).bus, 1);
    boot();
    EXPECT_EQ(unassigned(), 24u - 15);
    for (unsigned bus = 1; bus <= 24; ++bus) {
        EXPECT_TRUE(bar(bus, 1, 1).assigned && bar(bus, 1, 4).assigned);
    }
    expect_sound();
}

TEST_F(PciAllocate, exhaustion_behind_bridges_still_serves_the_root_bus) {
    host.windows[memory32].size = 4 * MiB;
    for (unsigned device = 0; device < 8; ++device) {
        add(add_bridge(device).bus, 1).add_bar(0, FakeBar::memory32, 4 * KiB);
    }
    add(20).add_bar(0, FakeBar::memory32, 64 * KiB);
    boot();
    EXPECT_EQ(unassigned(), 4u + 1);
    expect_sound();
}

TEST_F(PciAllocate, eight_bridges_with_31_disks_each) {
    for (unsigned device = 0; device < 8; ++device) {
        FakeBridge& bridge = add_bridge(device);
        for (unsigned slot = 1; slot < 32; ++slot)
            add_virtio(bridge.bus, slot);
    }
    boot();
    EXPECT_EQ(function_count(), 8u * 32);
    EXPECT_EQ(unassigned(), 0u);
    EXPECT_EQ(machine.console, "");
    expect_sound();
}

TEST_F(PciAllocate, a_full_root_bus_of_multi_function_devices) {
    for (unsigned device = 0; device < 32; ++device) {
        for (unsigned function = 0; function < 8; ++function) {
            FakeFunction& fake = add(device, function);
            fake.add_bar(0, FakeBar::io, 0x80);
            fake.add_bar(1, FakeBar::memory32, 4 * KiB);
        }
    }
    boot();
    EXPECT_EQ(function_count(), 256u);
    EXPECT_EQ(unassigned(), 0u);
    expect_sound();
}

TEST_F(PciAllocate, host_bridges_do_not_share_space) {
    FakeHostBridge& other = machine.add_host_bridge(1);
    add_virtio(host.bus, 1);
    add_virtio(other.bus, 1);
    boot();
    EXPECT_EQ(find({0, 1, 0}, 0)->bars[1].address, find({0, 1, 0}, 1)->bars[1].address);
    EXPECT_NE(find({0, 1, 0}, 0)->bars[4].address, find({0, 1, 0}, 1)->bars[4].address);
    expect_sound();
}

// --- programming

TEST_F(PciAllocate, no_function_is_made_to_decode_or_to_be_bus_master) {
    FakeFunction& both = add(3);
    both.add_bar(0, FakeBar::io, 0x20);
    both.add_bar(1, FakeBar::memory32, 0x20);
    add_virtio(add_bridge(1).bus, 2);
    machine.keep_config_log = true;
    boot();
    size_t writes = 0;
    for (const ConfigAccess& access : machine.config_log) {
        if (!access.is_write || access.offset != 0x04) continue;
        ++writes;
        EXPECT_EQ(access.value, 0u);
    }
    EXPECT_EQ(writes, 3u) << "whatever was left on by others is turned off";
}

TEST_F(PciAllocate, every_register_is_written_once) {
    FakeBridge& bridge = add_bridge(1);
    bridge.set_io_32(true);
    add_virtio(bridge.bus, 2).add_rom(0x1000);
    enumerate();
    machine.keep_config_log = true;
    allocate();
    std::vector<uint64_t> written;
    for (const ConfigAccess& access : machine.config_log) {
        if (!access.is_write) continue;
        written.push_back(uint64_t{access.location.config_address().value} | access.offset);
    }
    std::sort(written.begin(), written.end());
    EXPECT_EQ(std::adjacent_find(written.begin(), written.end()), written.end());
    EXPECT_EQ(written.size(), 5u /* device */ + 6 /* bridge */);
}

TEST_F(PciAllocate, registers_that_a_bridge_does_not_have_are_not_written) {
    add_bridge(1).remove_prefetchable_window();
    add_bridge(2).set_prefetchable_64(false);
    enumerate();
    machine.keep_config_log = true;
    allocate();
    for (const ConfigAccess& access : machine.config_log) {
        const unsigned first = access.location.device == 1 ? 0x24 : 0x28;
        EXPECT_FALSE(access.is_write && access.offset >= first && access.offset < 0x30);
    }
}

TEST_F(PciAllocate, a_bar_without_address_is_not_read_back) {
    host.windows[memory32].size = 0;
    add(1).add_bar(0, FakeBar::memory32, 4 * KiB);
    enumerate();
    machine.config_reads = 0;
    allocate();
    EXPECT_EQ(machine.config_reads, 0u);
}

TEST_F(PciAllocate, reserved_bits_of_a_rom_do_not_matter) {
    FakeFunction& fake = add(1);
    fake.add_rom(4 * KiB);
    enumerate();
    fake.set32(0x30, fake.get32(0x30) | 0x7FE);
    fake.set_mask32(0x30, 0xFFFF'F000);
    allocate();
    EXPECT_TRUE(bar(0, 1, 6).assigned);
}

TEST_F(PciAllocate, a_function_that_has_gone_is_not_silenced) {
    FakeFunction& fake = add(1);
    boot();
    fake.present = false;
    machine.config_writes = 0;
    EXPECT_EQ(pci::silence_bus_masters(topology), 0u);
    EXPECT_EQ(machine.config_writes, 0u);
}

TEST_F(PciAllocate, a_bar_that_refuses_writes_is_dropped) {
    FakeFunction& fake = add(1);
    fake.add_bar(0, FakeBar::io, 0x20);
    fake.set32(0x14, 0xFE00'0000); // fixed
    boot();
    EXPECT_FALSE(bar(0, 1, 1).assigned);
    EXPECT_TRUE(bar(0, 1, 0).assigned);
    EXPECT_EQ(fake.get16(0x04), 0);
    EXPECT_EQ(machine.console_count("holds 0xfe000000 instead of 0x80000000: not used"), 1u);
}

TEST_F(PciAllocate, all_bars_refusing_writes_leaves_a_quiet_device) {
    FakeFunction& fake = add(1);
    for (unsigned offset = 0x10; offset < 0x28; offset += 4)
        fake.set32(offset, 0xFE00'0000);
    add(2).add_bar(0, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_EQ(unassigned(), 6u);
    EXPECT_EQ(fake.get16(0x04), 0);
    EXPECT_TRUE(bar(0, 2, 0).assigned);
}

TEST_F(PciAllocate, unassigned_wide_bars_are_parked_beyond_everything) {
    FakeFunction& fake = add(1);
    fake.add_bar(0, FakeBar::memory64, uint64_t{1} << 45);
    fake.add_bar(2, FakeBar::memory32, 4 * KiB);
    boot();
    EXPECT_EQ(fake.bar_address(0), ~((uint64_t{1} << 45) - 1));
}

TEST_F(PciAllocate, an_unassigned_io_bar_is_not_in_the_way_of_another) {
    FakeFunction& fake = add(1);
    fake.add_bar(0, FakeBar::io, 32 * KiB); // at 0 it would reach into the window
    fake.add_bar(5, FakeBar::io, 4);
    boot();
    EXPECT_FALSE(bar(0, 1, 0).assigned);
    EXPECT_TRUE(bar(0, 1, 5).assigned);
    expect_sound();
}

TEST_F(PciAllocate, a_second_boot_after_an_odd_reset_gives_the_same) {
    FakeBridge& bridge = add_bridge(1);
    FakeFunction& fake = add_virtio(bridge.bus, 2);
    boot();
    const auto registers = fake.config, windows = bridge.config;
    fake.set16(0x04, 0x0007); // nothing was reset
    bridge.set16(0x04, 0x0007);
    reset_firmware();
    boot();
    EXPECT_EQ(fake.config, registers);
    EXPECT_EQ(bridge.config, windows);
    expect_sound();
}

TEST_F(PciAllocate, other_windows_of_the_host_bridge_are_respected) {
    host.windows[memory32] = {2, 0x1000'0000, 0x2000'4000'0000, 0x0100'0000};
    host.windows[memory64] = {3, 0x60'0000'0000, 0x60'0000'0000, 0x1'0000'0000};
    add_virtio(add_bridge(1).bus, 2);
    add_virtio(host.bus, 3);
    boot();
    EXPECT_EQ(unassigned(), 0u);
    EXPECT_GE(address(0, 3, 1), 0x1000'0000u);
    expect_sound();
}

TEST_F(PciAllocate, a_small_64_bit_window_costs_only_room) {
    host.windows[memory64].size = 64 * MiB;
    add_virtio(add_bridge(1).bus, 2);
    boot();
    EXPECT_EQ(unassigned(), 0u);
    EXPECT_EQ(find(0, 1)->windows[memory64].size, MiB);
    expect_sound();
}

} // namespace
} // namespace spillway::test
