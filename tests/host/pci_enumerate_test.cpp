// SPDX-License-Identifier: BSD-2-Clause
// Finding host bridges, functions, bus numbers and BAR sizes.
#include "pci/enumerate.h"
#include "tests/host/fdt_support.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace spillway::test {
namespace {

using pci::Bar;
using pci::Function;
using pci::Space;

class PciEnumerate : public testing::Test, protected PciMachine {
protected:
    fdt::Node& host_node() { return *node("/pci@800000020000000"); }
    void set(fdt::Node& at, const char* name, std::initializer_list<uint32_t> values) {
        ASSERT_TRUE(tree->set_cells(at, name, values, fdt::Origin::hypervisor));
    }
    size_t host_count() const {
        size_t count = 0;
        for (auto* at = topology.hosts; at != nullptr; at = at->next)
            ++count;
        return count;
    }
    /// Locations in list order.
    std::string order() const {
        std::string result;
        for (const Function* at = topology.functions; at != nullptr; at = at->next) {
            result += std::string{pci::name(*at).text}.substr(5) + " ";
        }
        return result;
    }
};

// --- host bridges

TEST_F(PciEnumerate, a_machine_without_host_bridge_has_no_functions) {
    machine.host_bridges.clear();
    enumerate();
    EXPECT_TRUE(enumerated_well);
    EXPECT_EQ(topology.hosts, nullptr);
    EXPECT_EQ(topology.functions, nullptr);
}

TEST_F(PciEnumerate, windows_and_buid_come_from_the_tree) {
    enumerate();
    ASSERT_NE(topology.hosts, nullptr);
    const pci::HostBridge& found = *topology.hosts;
    EXPECT_EQ(found.buid, host.buid);
    EXPECT_TRUE(found.numbered);
    EXPECT_EQ(found.first_bus, 0);
    EXPECT_EQ(found.last_bus, 255);
    for (size_t space = 0; space < pci::space_count; ++space) {
        EXPECT_EQ(found.windows[space].bus.start.value, host.windows[space].bus);
        EXPECT_EQ(found.windows[space].bus.size, host.windows[space].size);
        EXPECT_EQ(found.windows[space].cpu.value, host.windows[space].cpu);
    }
}

TEST_F(PciEnumerate, nodes_that_are_not_host_bridges_are_passed_over) {
    fill_tree();
    fdt::Node& other = **tree->add(*tree->root(), "pci@1", fdt::Origin::hypervisor);
    ASSERT_TRUE(tree->set_text(other, "device_type", "pci", fdt::Origin::hypervisor));
    ASSERT_TRUE(tree->set_text(other, "compatible", "other", fdt::Origin::hypervisor));
    enumerate();
    EXPECT_EQ(host_count(), 1u);
    EXPECT_EQ(machine.console, "");
}

TEST_F(PciEnumerate, compatible_may_be_any_entry_of_the_list) {
    fill_tree();
    constexpr char list[] = "ibm,other\0IBM,Logical_PHB";
    ASSERT_TRUE(tree->set(host_node(), "compatible", std::as_bytes(std::span{list}),
                          fdt::Origin::hypervisor));
    enumerate();
    EXPECT_EQ(host_count(), 1u);
}

struct HostFault {
    const char* name;
    const char* property;
    std::vector<uint32_t> cells;
};

class PciHostFault : public testing::TestWithParam<HostFault>, protected PciMachine {};

TEST_P(PciHostFault, leaves_the_host_bridge_out_with_one_line) {
    add(0);
    machine.add_host_bridge(1).bus.add<FakeFunction>(3, 0, some_vendor, some_device, disk_class);
    fill_tree();
    std::vector<Big32> value(GetParam().cells.begin(), GetParam().cells.end());
    fdt::Node& at = *node("/pci@800000020000000");
    ASSERT_TRUE(tree->set(at, GetParam().property, std::as_bytes(std::span{value}),
                          fdt::Origin::hypervisor));
    enumerate();
    ASSERT_NE(topology.hosts, nullptr);
    EXPECT_EQ(topology.hosts->buid, machine.host_bridges[1]->buid);
    EXPECT_EQ(topology.hosts->next, nullptr);
    EXPECT_EQ(function_count(), 1u);
    EXPECT_EQ(machine.console_count("\n"), 1u) << machine.console;
    EXPECT_EQ(machine.console_count("pci@800000020000000"), 1u) << machine.console;
}

INSTANTIATE_TEST_SUITE_P(
    All, PciHostFault,
    testing::Values(HostFault{"reg_empty", "reg", {}}, HostFault{"reg_one_cell", "reg", {1}},
                    HostFault{"bus_range_missing", "bus-range", {}},
                    HostFault{"bus_range_short", "bus-range", {0}},
                    HostFault{"bus_range_backwards", "bus-range", {5, 4}},
                    HostFault{"bus_range_too_high", "bus-range", {0, 256}},
                    HostFault{"ranges_odd", "ranges", {0x1000000, 0, 0, 0x2000, 0, 0}},
                    HostFault{"ranges_of_config", "ranges", {0, 0, 0, 0x2000, 0, 0, 0x1000}},
                    HostFault{"bus_wraps", "ranges", {0x3000000, ~0u, ~0u, 0x2000, 0, 1, 0}},
                    HostFault{"cpu_wraps", "ranges", {0x3000000, 0x100, 0, ~0u, 0, 1, 0}},
                    HostFault{"ends_at_top", "ranges", {0x3000000, ~0u, 0, 0x2000, 0, 1, 0}},
                    HostFault{"mem32_too_high",
                              "ranges",
                              {0x2000000, 0, 0xF000'0000, 0x2000, 0, 0, 0x2000'0000}},
                    HostFault{"mem32_above", "ranges", {0x2000000, 1, 0, 0x2000, 0, 0, 0x1000}},
                    HostFault{"io_above", "ranges", {0x1000000, 1, 0, 0x2000, 0, 0, 0x1000}},
                    HostFault{"memory_overlaps",
                              "ranges",
                              {0x2000000, 0, 0x8000'0000, 0x2000, 0, 0, 0x1000, //
                               0x3000000, 0, 0x8000'0800, 0x2100, 0, 1, 0}}),
    [](const testing::TestParamInfo<HostFault>& instance) {
        return std::string{instance.param.name};
    });

TEST_F(PciEnumerate, windows_of_size_zero_are_none) {
    host.windows[2].size = 0;
    enumerate();
    EXPECT_EQ(topology.hosts->windows[2].bus.size, 0u);
    EXPECT_EQ(machine.console, "");
}

TEST_F(PciEnumerate, windows_of_size_zero_may_lie_anywhere) {
    host.windows[1] = {2, uint64_t{1} << 40, 0, 0};
    enumerate();
    EXPECT_NE(topology.hosts, nullptr);
    EXPECT_EQ(machine.console, "");
}

TEST_F(PciEnumerate, of_two_windows_of_one_space_the_first_counts) {
    host.windows.push_back({1, 0x10000, 0x5000'0000, 0x1000});
    enumerate();
    EXPECT_EQ(topology.hosts->windows[0].bus.size, 0x10000u);
}

TEST_F(PciEnumerate, a_host_bridge_without_ranges_still_shows_its_functions) {
    host.windows.clear();
    add(4).add_bar(0, FakeBar::memory32, 0x1000);
    boot();
    ASSERT_EQ(function_count(), 1u);
    EXPECT_FALSE(find(0, 4)->bars[0].assigned);
}

TEST_F(PciEnumerate, of_two_host_bridges_with_one_buid_the_first_counts) {
    machine.add_host_bridge(1);
    fill_tree();
    set(*node("/pci@800000020000001"), "reg", {0x8000000, 0x20000000, 0, 0});
    enumerate();
    EXPECT_EQ(host_count(), 1u);
    EXPECT_EQ(machine.console_count("two host bridges"), 1u);
}

TEST_F(PciEnumerate, thirty_one_host_bridges) {
    for (unsigned index = 1; index < 31; ++index) {
        machine.add_host_bridge(index)
            .bus.add<FakeFunction>(index, 0, some_vendor, some_device, disk_class)
            .add_bar(0, FakeBar::memory64, 0x1000);
    }
    add(0);
    boot();
    EXPECT_EQ(host_count(), 31u);
    EXPECT_EQ(function_count(), 31u);
    EXPECT_EQ(machine.config_reads, 31u * 32 + 31 * 9 + 30 * 2);
    EXPECT_EQ(broken_invariant(), "");
    EXPECT_NE(find({0, 30, 0}, 30), nullptr);
}

TEST_F(PciEnumerate, root_buses_may_have_another_number) {
    host.first_bus = 0x20;
    host.last_bus = 0x2F;
    FakeBridge& bridge = add_bridge(1);
    add(bridge.bus, 2).add_bar(0, FakeBar::memory32, 0x100);
    boot();
    EXPECT_NE(find(0x20, 1), nullptr);
    EXPECT_NE(find(0x21, 2), nullptr);
    EXPECT_EQ(broken_invariant(), "");
}

// --- functions

TEST_F(PciEnumerate, functions_know_what_they_are) {
    FakeFunction& fake = host.bus.add<FakeFunction>(5, 0, 0x8086, 0x10D3, 0x020001);
    fake.config[0x08] = 0x42;
    enumerate();
    const Function* found = find(0, 5);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->vendor_id, 0x8086);
    EXPECT_EQ(found->device_id, 0x10D3);
    EXPECT_EQ(found->class_code, 0x020001u);
    EXPECT_EQ(found->revision, 0x42);
    EXPECT_FALSE(found->is_bridge);
    EXPECT_TRUE(found->listed);
    EXPECT_EQ(found->bridge, nullptr);
    EXPECT_EQ(found->host, topology.hosts);
    EXPECT_EQ(found->node, node("/pci@800000020000000/scsi@5") != nullptr
                               ? node("/pci@800000020000000/scsi@5")
                               : node("/pci@800000020000000/ethernet@5"));
}

TEST_F(PciEnumerate, every_slot_of_a_bus_is_found) {
    for (unsigned device = 0; device < 32; ++device)
        add(device);
    enumerate();
    EXPECT_EQ(function_count(), 32u);
}

TEST_F(PciEnumerate, one_read_for_each_empty_slot) {
    enumerate();
    EXPECT_EQ(machine.config_reads, 32u);
    EXPECT_EQ(machine.config_writes, 0u);
}

TEST_F(PciEnumerate, absent_functions_are_asked_once_in_a_whole_boot) {
    FakeBridge& bridge = add_bridge(1);
    add(bridge.bus, 4, 0);
    add(bridge.bus, 4, 3);
    machine.keep_config_log = true;
    boot();
    std::multiset<uint32_t> absent;
    for (const ConfigAccess& access : machine.config_log) {
        if (!access.answered) absent.insert(access.location.config_address().value);
    }
    EXPECT_EQ(absent.size(), 31u + 31 + 6);
    for (const uint32_t address : absent)
        EXPECT_EQ(absent.count(address), 1u);
}

TEST_F(PciEnumerate, the_accesses_for_one_more_device_are_constant) {
    const auto cost = [](unsigned devices) {
        PciMachine pci;
        for (unsigned device = 0; device < devices; ++device) {
            FakeFunction& fake = pci.add(device);
            fake.add_bar(0, FakeBar::io, 0x40);
            fake.add_bar(1, FakeBar::memory32, 0x1000);
            fake.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
        }
        pci.boot();
        return pci.machine.config_reads + pci.machine.config_writes;
    };
    const size_t one = cost(1) - cost(0);
    EXPECT_EQ(one, 25u);
    EXPECT_EQ(cost(31) - cost(0), 31 * one);
}

TEST_F(PciEnumerate, functions_of_a_multi_function_device_are_found) {
    add(2, 0);
    add(2, 1);
    add(2, 7);
    enumerate();
    EXPECT_EQ(order(), "00:02.0 00:02.1 00:02.7 ");
}

TEST_F(PciEnumerate, other_functions_need_function_0) {
    add(2, 1).in_tree = false;
    enumerate();
    EXPECT_EQ(function_count(), 0u);
    EXPECT_EQ(machine.config_reads, 32u);
}

TEST_F(PciEnumerate, other_functions_need_function_0_even_when_they_are_listed) {
    add(2, 1);
    enumerate();
    EXPECT_EQ(function_count(), 0u);
    EXPECT_EQ(machine.config_reads, 32u + 2u) << "the two leave it alone";
}

TEST_F(PciEnumerate, nodes_without_reg_are_nobodys) {
    add(0).in_tree = false;
    fill_tree();
    ASSERT_TRUE(tree->add(host_node(), "without-reg", fdt::Origin::hypervisor));
    enumerate();
    EXPECT_NE(find(0, 0)->node, node("/pci/without-reg"));
}

TEST_F(PciEnumerate, reg_that_is_right_stays_the_hypervisors) {
    add(2);
    enumerate();
    const fdt::Property* reg = tree->property(*find(0, 2)->node, "reg");
    EXPECT_EQ(tree->origin(*reg), fdt::Origin::hypervisor);
}

TEST_F(PciEnumerate, without_memory_what_does_not_fit_is_left_out) {
    for (unsigned device = 0; device < 3; ++device)
        add(device);
    fill_tree();
    fdt::test::Heap heap;
    for (size_t n = 0; n < 6; ++n) {
        heap.fail_from(n);
        const auto found = pci::enumerate(*tree, rtas);
        if (!found) {
            EXPECT_EQ(n, 0u);
            EXPECT_EQ(found.error().code, ErrorCode::out_of_memory);
            continue;
        }
        EXPECT_EQ(found->function_count, n == 1 ? 0u : n < 5 ? 2u : 3u) << n;
        EXPECT_EQ(heap.failures(), n < 5 ? 1u : 0u);
        pci::Topology last = *found;
        free_topology(last);
    }
}

TEST_F(PciEnumerate, functions_1_to_7_are_not_asked_without_the_multi_function_bit) {
    add(2, 0);
    machine.keep_config_log = true;
    enumerate();
    for (const ConfigAccess& access : machine.config_log)
        EXPECT_EQ(access.location.function, 0);
}

TEST_F(PciEnumerate, a_multi_function_lie_costs_seven_reads) {
    add(2, 0);
    boot();
    const size_t honest = machine.config_reads;
    reset_firmware();
    host.bus.at(2, 0)->config[0x0E] = 0x80;
    machine.config_reads = 0;
    boot();
    EXPECT_EQ(function_count(), 1u);
    EXPECT_EQ(machine.config_reads, honest + 7);
}

TEST_F(PciEnumerate, functions_in_the_tree_are_found_without_the_multi_function_bit) {
    add(2, 0);
    add(2, 3);
    host.bus.at(2, 0)->config[0x0E] = 0;
    enumerate();
    EXPECT_EQ(function_count(), 2u);
}

TEST_F(PciEnumerate, vendor_ids_0_and_ffff_mean_absent) {
    add(1).set32(0, 0xFFFF'0000);
    add(2).set32(0, 0x0000'FFFF);
    add(3).set32(0, 0x1234'FFFF);
    add(4).set32(0, 0);
    enumerate();
    EXPECT_EQ(function_count(), 0u);
}

TEST_F(PciEnumerate, header_types_2_and_unknown_are_only_quieted) {
    for (const unsigned type : {0x02u, 0x03u, 0x7Fu}) {
        FakeFunction& fake = add(type % 32);
        fake.config[0x0E] = static_cast<uint8_t>(type);
        fake.set16(0x04, 0x0507);
    }
    machine.keep_config_log = true;
    enumerate();
    EXPECT_EQ(function_count(), 0u);
    for (const ConfigAccess& access : machine.config_log) {
        EXPECT_TRUE(!access.is_write || access.offset == 0x04);
    }
    for (FakeFunction* each : host.bus.members())
        EXPECT_EQ(each->get16(0x04), 0);
    EXPECT_EQ(machine.console_count("header type"), 3u);
    EXPECT_EQ(machine.console_count("0000:00:02.0 has header type 0x02"), 1u);
}

TEST_F(PciEnumerate, siblings_of_an_unknown_header_are_found) {
    add(2, 0).config[0x0E] = 2;
    add(2, 1);
    enumerate();
    EXPECT_EQ(order(), "00:02.1 ");
}

TEST_F(PciEnumerate, the_header_type_decides_what_a_bridge_is) {
    host.bus.add<FakeFunction>(1, 0, 1, 1, 0x060400); // says bridge, is none
    FakeBridge& bridge = add_bridge(2);
    bridge.set32(0x08, 0x010000 << 8); // says disk, is a bridge
    add(bridge.bus, 0);
    enumerate();
    EXPECT_FALSE(find(0, 1)->is_bridge);
    EXPECT_TRUE(find(0, 2)->is_bridge);
    EXPECT_NE(find(1, 0), nullptr);
}

TEST_F(PciEnumerate, decoding_and_bus_mastering_are_off_before_sizing) {
    FakeFunction& fake = add(1);
    fake.add_bar(0, FakeBar::memory32, 0x1000);
    fake.set16(0x04, 0x0507);
    machine.keep_config_log = true;
    enumerate();
    EXPECT_EQ(fake.get16(0x04), 0);
    const auto first_write =
        std::find_if(machine.config_log.begin(), machine.config_log.end(),
                     [](const ConfigAccess& access) { return access.is_write; });
    ASSERT_NE(first_write, machine.config_log.end());
    EXPECT_EQ(first_write->offset, 0x04u);
}

// --- nodes

TEST_F(PciEnumerate, a_function_that_is_not_listed_gets_a_node_and_a_line) {
    FakeBridge& bridge = add_bridge(1);
    bridge.bus.add<FakeFunction>(2, 0, 0x1AF4, 0x1041, 0x020000).in_tree = false;
    enumerate();
    const Function* found = find(1, 2);
    ASSERT_NE(found, nullptr);
    EXPECT_FALSE(found->listed);
    EXPECT_EQ(found->node, node("/pci@800000020000000/pci@1/ethernet@2"));
    EXPECT_EQ(machine.console_count("pci 0000:01:02.0 is not in the hypervisor's tree"), 1u);
    EXPECT_EQ(cells(*found->node, "reg"), (std::vector<uint32_t>{0x11000, 0, 0, 0, 0}));
}

TEST_F(PciEnumerate, new_nodes_of_other_functions_name_the_function) {
    add(0x1F, 0);
    add(0x1F, 5).in_tree = false;
    enumerate();
    EXPECT_NE(node("/pci@800000020000000/scsi@1f,5"), nullptr);
}

TEST_F(PciEnumerate, a_whole_bus_that_is_not_listed_is_described) {
    FakeBridge& bridge = add_bridge(1);
    bridge.in_tree = false;
    add(bridge.bus, 2).in_tree = false;
    enumerate();
    EXPECT_NE(node("/pci@800000020000000/pci@1/scsi@2"), nullptr);
}

TEST_F(PciEnumerate, a_node_whose_function_does_not_answer_is_said) {
    add(7).present = false;
    enumerate();
    EXPECT_EQ(function_count(), 0u);
    EXPECT_EQ(machine.console_count("pci 0000:00:07.0 is in the hypervisor's tree but does not"),
              1u);
    EXPECT_NE(node("/pci@800000020000000/scsi@7"), nullptr);
}

TEST_F(PciEnumerate, a_name_that_is_taken_costs_only_that_function) {
    add(3).in_tree = false;
    add(4);
    fill_tree();
    ASSERT_TRUE(tree->add(host_node(), "scsi@3", fdt::Origin::hypervisor)); // no reg: no match
    enumerate();
    EXPECT_EQ(order(), "00:04.0 ");
    EXPECT_EQ(machine.console_count("0000:00:03.0"), 2u);
}

TEST_F(PciEnumerate, of_two_nodes_for_one_function_the_first_counts) {
    add(3);
    fill_tree();
    fdt::Node& twin = **tree->add(host_node(), "twin@3", fdt::Origin::hypervisor);
    set(twin, "reg", {3 << 11, 0, 0, 0, 0});
    enumerate();
    EXPECT_EQ(find(0, 3)->node, node("/pci@800000020000000/scsi@3"));
}

TEST_F(PciEnumerate, reg_entries_of_bars_do_not_make_a_node_match) {
    add(3).in_tree = false;
    fill_tree();
    fdt::Node& odd = **tree->add(host_node(), "odd@3", fdt::Origin::hypervisor);
    set(odd, "reg", {0x0200'1810, 0, 0, 0, 0});
    enumerate();
    EXPECT_EQ(find(0, 3)->node, node("/pci@800000020000000/scsi@3"));
}

TEST_F(PciEnumerate, bus_numbers_in_reg_are_corrected_in_every_entry) {
    host.enumerated = false;
    FakeBridge& bridge = add_bridge(1);
    FakeFunction& fake = add(bridge.bus, 2);
    fake.add_bar(0, FakeBar::io, 0x80);
    fake.add_bar(1, FakeBar::memory32, 0x1000);
    enumerate();
    const Function* found = find(1, 2);
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(found->listed);
    EXPECT_EQ(cells(*found->node, "reg"),
              (std::vector<uint32_t>{0x11000, 0, 0, 0, 0, 0x1011010, 0, 0, 0, 0x80, 0x2011014, 0, 0,
                                     0, 0x1000}));
}

TEST_F(PciEnumerate, reg_with_too_many_entries_costs_only_that_function) {
    host.enumerated = false;
    FakeBridge& bridge = add_bridge(1);
    add(bridge.bus, 2);
    add(bridge.bus, 3);
    fill_tree();
    std::vector<Big32> many(5 * 9, Big32{0});
    many[0] = 2 << 11;
    ASSERT_TRUE(tree->set(*node("/pci@800000020000000/pci@1/scsi@2"), "reg",
                          std::as_bytes(std::span{many}), fdt::Origin::hypervisor));
    enumerate();
    EXPECT_EQ(find(1, 2), nullptr);
    EXPECT_NE(find(1, 3), nullptr);
}

// --- bus numbers

TEST_F(PciEnumerate, functions_are_listed_depth_first) {
    FakeBridge& first = add_bridge(1);
    FakeBridge& inner = add_bridge(first.bus, 0);
    add(inner.bus, 5);
    add(first.bus, 1);
    FakeBridge& second = add_bridge(2);
    add(second.bus, 9);
    add(3);
    enumerate();
    EXPECT_EQ(order(), "00:01.0 01:00.0 02:05.0 01:01.0 00:02.0 03:09.0 00:03.0 ");
    EXPECT_EQ(find(2, 5)->bridge, find(1, 0));
    EXPECT_EQ(find(1, 0)->bridge, find(0, 1));
}

TEST_F(PciEnumerate, the_hypervisors_bus_numbers_are_not_written) {
    FakeBridge& bridge = add_bridge(1);
    add(bridge.bus, 0);
    machine.keep_config_log = true;
    boot();
    for (const ConfigAccess& access : machine.config_log) {
        EXPECT_FALSE(access.is_write && access.offset == 0x18 && access.location.bus == 0);
    }
    EXPECT_EQ(find(0, 1)->secondary_bus, 1);
    EXPECT_EQ(find(0, 1)->subordinate_bus, 1);
}

TEST_F(PciEnumerate, our_own_bus_numbers_are_depth_first) {
    host.enumerated = false;
    FakeBridge& first = add_bridge(1);
    FakeBridge& inner = add_bridge(first.bus, 0);
    add(inner.bus, 5);
    FakeBridge& second = add_bridge(2);
    add(second.bus, 9);
    enumerate();
    const auto numbers = [](const FakeBridge& bridge) { return bridge.get32(0x18) & 0xFF'FFFF; };
    EXPECT_EQ(numbers(first), 0x02'01'00u);
    EXPECT_EQ(numbers(inner), 0x02'02'01u);
    EXPECT_EQ(numbers(second), 0x03'03'00u);
    EXPECT_EQ(find(0, 1)->subordinate_bus, 2);
    EXPECT_EQ(function_count(), 5u);
}

TEST_F(PciEnumerate, our_own_bus_numbers_are_those_of_qemu) {
    FakeBridge* bridges[4];
    bridges[0] = &add_bridge(4);
    bridges[1] = &add_bridge(bridges[0]->bus, 3);
    bridges[2] = &add_bridge(bridges[0]->bus, 8);
    bridges[3] = &add_bridge(20);
    host.number_buses();
    uint32_t expected[4];
    for (int index = 0; index < 4; ++index) {
        expected[index] = bridges[index]->get32(0x18);
        bridges[index]->set32(0x18, 0x00FF'0100); // left from an odd reset
    }
    host.enumerated = false;
    enumerate();
    for (int index = 0; index < 4; ++index)
        EXPECT_EQ(bridges[index]->get32(0x18), expected[index]);
}

TEST_F(PciEnumerate, stale_bus_numbers_do_not_let_two_bridges_answer) {
    host.enumerated = false;
    FakeBridge& first = add_bridge(1);
    FakeBridge& second = add_bridge(2);
    add(first.bus, 1);
    add(second.bus, 2);
    first.set32(0x18, 0x02'02'00);
    second.set32(0x18, 0x01'01'00);
    enumerate();
    EXPECT_NE(find(1, 1), nullptr);
    EXPECT_NE(find(2, 2), nullptr);
    EXPECT_EQ(function_count(), 4u);
}

struct BadNumbers {
    const char* name;
    uint32_t primary_to_subordinate;
};

class PciBadBusNumbers : public testing::TestWithParam<BadNumbers>, protected PciMachine {};

TEST_P(PciBadBusNumbers, leave_only_the_subtree_out) {
    FakeBridge& good = add_bridge(1);
    add(good.bus, 1);
    FakeBridge& bad = add_bridge(2);
    add(bad.bus, 2);
    add(3).add_bar(0, FakeBar::memory32, 0x1000);
    fill_tree();
    bad.set32(0x18, GetParam().primary_to_subordinate);
    boot();
    EXPECT_NE(find(0, 2), nullptr);
    EXPECT_EQ(find(0, 2)->secondary_bus, 0);
    EXPECT_NE(find(1, 1), nullptr);
    EXPECT_EQ(function_count(), 4u);
    EXPECT_EQ(machine.console_count("which makes no sense"), 1u);
    EXPECT_FALSE(tree->has(*find(0, 2)->node, "bus-range"));
    EXPECT_EQ(broken_invariant(), "");
}

INSTANTIATE_TEST_SUITE_P(All, PciBadBusNumbers,
                         testing::Values(BadNumbers{"zero", 0}, BadNumbers{"own_bus", 0x02'00'00},
                                         BadNumbers{"subordinate_below_secondary", 0x01'02'00},
                                         BadNumbers{"the_bus_of_another_bridge", 0x01'01'00},
                                         BadNumbers{"range_around_another_bridge", 0x05'01'00},
                                         BadNumbers{"all_ones", 0xFFFF'FFFF}),
                         [](const testing::TestParamInfo<BadNumbers>& instance) {
                             return std::string{instance.param.name};
                         });

TEST_F(PciEnumerate, bus_numbers_outside_bus_range_make_no_sense) {
    host.last_bus = 1;
    add(add_bridge(1).bus, 1);
    add(add_bridge(2).bus, 2);
    enumerate();
    EXPECT_EQ(order(), "00:01.0 01:01.0 00:02.0 ");
}

TEST_F(PciEnumerate, an_inner_bridge_cannot_forward_more_than_the_outer) {
    FakeBridge& outer = add_bridge(1);
    FakeBridge& inner = add_bridge(outer.bus, 1);
    add(inner.bus, 1);
    fill_tree();
    inner.config[0x1A] = 9;
    enumerate();
    EXPECT_EQ(function_count(), 2u);
    EXPECT_EQ(machine.console_count("which makes no sense"), 1u);
}

/// A bridge whose secondary bus is the bus that it sits on.
struct Loop : FakeFunction {
    explicit Loop(FakeBus& own)
        : FakeFunction(1, 1, 0x060400)
        , own_bus(own) {
        config[0x0E] = 1;
        writable[0x18] = writable[0x19] = writable[0x1A] = 0xFF;
    }
    FakeBus* secondary() override { return &own_bus; }
    FakeBus& own_bus;
};

TEST_F(PciEnumerate, a_loop_of_bridges_ends) {
    host.enumerated = false;
    add(0);
    fill_tree();
    host.bus.add<Loop>(1, 0, host.bus);
    enumerate();
    allocate();
    EXPECT_LE(function_count(), 256u * 2);
    EXPECT_LE(machine.config_reads, 256u * (32 + 40));
}

TEST_F(PciEnumerate, a_loop_of_bridges_with_the_hypervisors_numbers_ends) {
    add(0);
    fill_tree();
    host.bus.add<Loop>(1, 0, host.bus).set32(0x18, 0xFF'01'00);
    enumerate();
    allocate();
    EXPECT_LE(function_count(), 256u * 2);
    EXPECT_LE(machine.config_reads, 256u * (32 + 40));
}

TEST_F(PciEnumerate, the_256th_bus_is_left_out) {
    host.enumerated = false;
    for (unsigned outer = 0; outer < 16; ++outer) {
        FakeBridge& bridge = add_bridge(outer);
        for (unsigned inner = 0; inner < 15; ++inner)
            add_bridge(bridge.bus, inner);
    }
    boot();
    EXPECT_EQ(function_count(), 256u);
    EXPECT_EQ(find(0, 15)->subordinate_bus, 255);
    EXPECT_EQ(machine.console_count("no bus number is left"), 1u);
    EXPECT_EQ(broken_invariant(), "");
}

TEST_F(PciEnumerate, bridges_nested_deeper_than_the_tree_may_be_are_left_out) {
    host.enumerated = false;
    FakeBus* bus = &host.bus;
    for (int depth = 0; depth < 100; ++depth) {
        FakeBridge& bridge = add_bridge(*bus, 1);
        bridge.in_tree = false;
        bus = &bridge.bus;
    }
    add(2).add_bar(0, FakeBar::memory32, 0x1000);
    boot();
    EXPECT_GE(function_count(), 60u);
    EXPECT_LT(function_count(), 70u);
    EXPECT_TRUE(find(0, 2)->bars[0].assigned);
    EXPECT_EQ(machine.console_count("left out"), 1u);
    EXPECT_EQ(broken_invariant(), "");
}

TEST_F(PciEnumerate, our_own_numbers_respect_bus_range) {
    host.enumerated = false;
    host.last_bus = 2;
    for (unsigned device = 1; device <= 4; ++device)
        add(add_bridge(device).bus, device);
    enumerate();
    EXPECT_EQ(function_count(), 6u);
    EXPECT_EQ(machine.console_count("no bus number is left"), 2u);
    EXPECT_NE(find(2, 2), nullptr);
}

TEST_F(PciEnumerate, forty_six_nested_bridges) {
    FakeBus* bus = &host.bus;
    for (int depth = 0; depth < 46; ++depth)
        bus = &add_bridge(*bus, 1).bus;
    FakeFunction& disk = add(*bus, 2);
    disk.add_bar(1, FakeBar::memory32, 0x1000);
    disk.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    boot();
    ASSERT_NE(find(46, 2), nullptr);
    EXPECT_TRUE(find(46, 2)->bars[1].assigned);
    EXPECT_TRUE(find(46, 2)->bars[4].assigned);
    EXPECT_EQ(broken_invariant(), "");
}

TEST_F(PciEnumerate, bridges_tell_which_windows_they_have) {
    FakeBridge& wide = add_bridge(1);
    wide.set_io_32(true);
    FakeBridge& narrow = add_bridge(2);
    narrow.set_prefetchable_64(false);
    FakeBridge& bare = add_bridge(3);
    bare.remove_io_window();
    bare.remove_prefetchable_window();
    enumerate();
    EXPECT_TRUE(find(0, 1)->has_io_window && find(0, 1)->io_32);
    EXPECT_TRUE(find(0, 1)->has_prefetchable_window && find(0, 1)->prefetchable_64);
    EXPECT_TRUE(find(0, 2)->has_io_window && !find(0, 2)->io_32);
    EXPECT_TRUE(find(0, 2)->has_prefetchable_window && !find(0, 2)->prefetchable_64);
    EXPECT_FALSE(find(0, 3)->has_io_window || find(0, 3)->has_prefetchable_window);
}

// --- BAR sizes

class PciBars : public testing::Test, protected PciMachine {
protected:
    PciBars()
        : fake(add(6)) {}
    const Bar& bar(unsigned index) const { return find(0, 6)->bars[index]; }
    void expect_malformed(unsigned index) {
        enumerate();
        ASSERT_NE(find(0, 6), nullptr);
        EXPECT_EQ(bar(index).size, 0u);
        EXPECT_EQ(machine.console_count("is malformed"), 1u) << machine.console;
        allocate();
        EXPECT_EQ(broken_invariant(), "");
    }
    FakeFunction& fake;
};

TEST_F(PciBars, of_every_kind_are_sized) {
    fake.add_bar(0, FakeBar::io, 0x20);
    fake.add_bar(1, FakeBar::memory32, 0x10);
    fake.add_bar(2, FakeBar::memory64, 0x2'0000'0000);
    fake.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    fake.add_rom(0x40000);
    enumerate();
    EXPECT_EQ(bar(0).space, Space::io);
    EXPECT_EQ(bar(0).size, 0x20u);
    EXPECT_EQ(bar(1).space, Space::memory32);
    EXPECT_EQ(bar(1).size, 0x10u);
    EXPECT_EQ(bar(2).space, Space::memory64);
    EXPECT_EQ(bar(2).size, 0x2'0000'0000u);
    EXPECT_FALSE(bar(2).prefetchable);
    EXPECT_EQ(bar(3).size, 0u);
    EXPECT_TRUE(bar(4).prefetchable);
    EXPECT_EQ(bar(4).config_offset, 0x20);
    EXPECT_TRUE(bar(6).rom);
    EXPECT_EQ(bar(6).size, 0x40000u);
    EXPECT_EQ(bar(6).config_offset, 0x30);
    EXPECT_EQ(machine.console, "");
}

TEST_F(PciBars, from_16_bytes_to_1_tib_are_sized) {
    for (unsigned bits = 4; bits <= 40; ++bits) {
        fake.add_bar(0, FakeBar::memory64_prefetchable, uint64_t{1} << bits);
        enumerate();
        EXPECT_EQ(bar(0).size, uint64_t{1} << bits);
        reset_firmware();
    }
}

TEST_F(PciBars, six_of_them_and_a_rom_cost_two_accesses_each) {
    enumerate();
    const size_t reads = machine.config_reads, writes = machine.config_writes;
    EXPECT_EQ(reads, 32u + 2 + 7);
    EXPECT_EQ(writes, 1u + 7);
}

TEST_F(PciBars, two_gib_fits_32_bits) {
    fake.add_bar(0, FakeBar::memory32, 0x8000'0000);
    enumerate();
    EXPECT_EQ(bar(0).size, 0x8000'0000u);
}

TEST_F(PciBars, io_with_16_address_bits_is_sized) {
    fake.add_bar(0, FakeBar::io, 0x100);
    fake.set_mask32(0x10, 0x0000'FF00);
    enumerate();
    EXPECT_EQ(bar(0).size, 0x100u);
    allocate();
    EXPECT_TRUE(bar(0).assigned);
    EXPECT_EQ(broken_invariant(), "");
}

TEST_F(PciBars, masks_with_holes_are_malformed) {
    fake.set_mask32(0x10, 0xFFF0'F000);
    expect_malformed(0);
}

TEST_F(PciBars, masks_without_top_bits_are_malformed) {
    fake.set_mask32(0x10, 0x0FFF'F000);
    expect_malformed(0);
}

TEST_F(PciBars, size_zero_with_type_bits_is_malformed) {
    fake.set32(0x14, 8);
    expect_malformed(1);
}

TEST_F(PciBars, wide_ones_without_address_bits_are_malformed) {
    fake.set32(0x10, 4);
    expect_malformed(0);
}

TEST_F(PciBars, wide_ones_whose_upper_half_is_missing_are_malformed) {
    fake.set32(0x10, 4);
    fake.set_mask32(0x10, 0xFFFF'F000);
    expect_malformed(0);
}

TEST_F(PciBars, wide_masks_with_holes_are_malformed) {
    fake.set32(0x10, 4);
    fake.set_mask32(0x10, 0xFFFF'F000);
    fake.set_mask32(0x14, 0xFFFF'FFFE);
    expect_malformed(0);
}

TEST_F(PciBars, a_wide_one_in_the_last_register_is_malformed) {
    fake.set32(0x24, 4);
    fake.set_mask32(0x24, 0xFFFF'F000);
    expect_malformed(5);
}

TEST_F(PciBars, memory_below_1_mib_is_malformed) {
    fake.set32(0x10, 2);
    fake.set_mask32(0x10, 0xFFFF'F000);
    expect_malformed(0);
}

TEST_F(PciBars, the_reserved_memory_type_is_malformed) {
    fake.set32(0x10, 6);
    fake.set_mask32(0x10, 0xFFFF'F000);
    expect_malformed(0);
}

TEST_F(PciBars, the_reserved_io_bit_is_malformed) {
    fake.set32(0x10, 3);
    fake.set_mask32(0x10, 0xFFFF'FF00);
    expect_malformed(0);
}

TEST_F(PciBars, all_ones_is_malformed) {
    fake.set_mask32(0x10, 0xFFFF'FFFF);
    expect_malformed(0);
}

TEST_F(PciBars, a_rom_that_turns_itself_on_is_malformed) {
    fake.set32(0x30, 1);
    fake.set_mask32(0x30, 0xFFFF'0000);
    expect_malformed(6);
}

TEST_F(PciBars, a_rom_with_holes_is_malformed) {
    fake.set_mask32(0x30, 0xFF0F'0001);
    expect_malformed(6);
}

TEST_F(PciBars, malformed_ones_do_not_disturb_their_neighbours) {
    fake.set_mask32(0x10, 0xFFF0'F000);
    fake.add_bar(1, FakeBar::memory32, 0x1000);
    boot();
    EXPECT_FALSE(bar(0).assigned);
    EXPECT_TRUE(bar(1).assigned);
}

TEST_F(PciBars, rom_enable_is_never_set) {
    fake.add_rom(0x1000);
    machine.keep_config_log = true;
    boot();
    for (const ConfigAccess& access : machine.config_log) {
        EXPECT_FALSE(access.is_write && access.offset == 0x30 && (access.value & 1) != 0);
    }
    EXPECT_TRUE(bar(6).assigned);
}

TEST_F(PciBars, bridges_have_two_and_a_rom_elsewhere) {
    FakeBridge& bridge = add_bridge(1);
    bridge.add_bar(0, FakeBar::memory64, 0x100);
    bridge.add_rom(0x800);
    enumerate();
    const Function* found = find(0, 1);
    EXPECT_EQ(found->bars[0].size, 0x100u);
    EXPECT_EQ(found->bars[pci::rom_bar].config_offset, 0x38);
    for (unsigned index = 2; index < 6; ++index)
        EXPECT_EQ(found->bars[index].size, 0u);
}

TEST_F(PciBars, a_wide_one_in_a_bridges_second_register_is_malformed) {
    FakeBridge& bridge = add_bridge(1);
    bridge.set32(0x14, 4);
    bridge.set_mask32(0x14, 0xFFFF'F000);
    enumerate();
    EXPECT_EQ(find(0, 1)->bars[1].size, 0u);
    EXPECT_EQ(machine.console_count("is malformed"), 1u);
    EXPECT_EQ(bridge.config[0x19],
              1); // the bus numbers behind it were not taken for its upper half
}

} // namespace
} // namespace spillway::test
