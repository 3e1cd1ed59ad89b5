// SPDX-License-Identifier: BSD-2-Clause
// What the tree says about PCI in the end.
#include "pci/describe.h"
#include "tests/host/fdt_support.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

#include <optional>

namespace spillway::test {
namespace {

using pci::Function;

using Cells = std::vector<uint32_t>;

class PciDescribe : public testing::Test, protected PciMachine {
protected:
    Cells of(const Function* function, const char* name) const {
        return cells(*function->node, name);
    }
    /// Follows an interrupt up the tree by the maps alone, as an operating system does (Open
    /// Firmware Recommended Practice: Interrupt Mapping). Answers the controller's specifier.
    std::optional<uint32_t> resolve_interrupt(const fdt::Node& function, uint32_t pin) const {
        const fdt::Node* at = tree->parent(function);
        Cells address = cells(function, "reg");
        address.resize(3);
        for (int level = 0; at != nullptr && level < 64; ++level) {
            const Cells map = cells(*at, "interrupt-map"), mask = cells(*at, "interrupt-map-mask");
            if (mask.size() != 4 || tree->cell(*at, "#interrupt-cells", 0) != 1) return {};
            bool matched = false;
            for (size_t row = 0; row + 5 <= map.size() && !matched;) {
                const fdt::Node* parent = tree->find(fdt::Phandle{map[row + 4]});
                if (parent == nullptr) return {};
                const size_t unit = tree->cell(*parent, "#address-cells", 2);
                const size_t specifier = tree->cell(*parent, "#interrupt-cells", 1);
                matched = ((map[row] ^ address[0]) & mask[0]) == 0 &&
                          ((map[row + 3] ^ pin) & mask[3]) == 0;
                if (matched && unit == 0) return map[row + 5];
                if (matched) {
                    address.assign(map.begin() + static_cast<ptrdiff_t>(row) + 5,
                                   map.begin() + static_cast<ptrdiff_t>(row) + 8);
                    pin = map[row + 5 + unit];
                    at = parent;
                }
                row += 5 + unit + specifier;
            }
            if (!matched) return {};
        }
        return {};
    }
};

TEST_F(PciDescribe, assigned_addresses_list_every_bar) {
    FakeFunction& fake = add(3);
    fake.add_bar(0, FakeBar::io, 0x80);
    fake.add_bar(1, FakeBar::memory32, 0x1000);
    fake.add_bar(2, FakeBar::memory32_prefetchable, 0x100000);
    fake.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    fake.add_rom(0x20000);
    boot();
    const Function* found = find(0, 3);
    const auto low = [&](unsigned bar) {
        return static_cast<uint32_t>(found->bars[bar].address.value);
    };
    EXPECT_EQ(of(found, "assigned-addresses"),
              (Cells{0x8100'1810, 0, low(0), 0, 0x80,     0x8200'1814, 0,      low(1), 0, 0x1000,
                     0xC200'1818, 0, low(2), 0, 0x100000, 0xC300'1820, 0x2100, low(4), 0, 0x4000,
                     0x8200'1830, 0, low(6), 0, 0x20000}));
}

TEST_F(PciDescribe, what_there_is_no_memory_for_is_an_error) {
    for (unsigned device = 0; device < 32; ++device)
        add(device).in_tree = false;
    enumerate();
    allocate();
    fdt::test::Heap heap;
    size_t n = 0;
    for (;; ++n) {
        heap.fail_from(n);
        const auto described = pci::describe(topology, *tree);
        ASSERT_EQ(described.has_value(), heap.failures() == 0);
        if (described) break;
        EXPECT_EQ(described.error().code, ErrorCode::out_of_memory);
    }
    EXPECT_GT(n, 0u);
}

TEST_F(PciDescribe, assigned_addresses_have_the_bus_number) {
    add(add_bridge(1).bus, 2).add_bar(0, FakeBar::memory32, 0x1000);
    boot();
    EXPECT_EQ(of(find(1, 2), "assigned-addresses")[0], 0x8201'1010u);
}

TEST_F(PciDescribe, unassigned_bars_are_not_listed) {
    FakeFunction& fake = add(3);
    fake.add_bar(0, FakeBar::memory64, uint64_t{1} << 45);
    fake.add_bar(2, FakeBar::memory32, 0x1000);
    boot();
    const Cells list = of(find(0, 3), "assigned-addresses");
    ASSERT_EQ(list.size(), 5u);
    EXPECT_EQ(list[0], 0x8200'1818u);
}

TEST_F(PciDescribe, without_an_assigned_bar_there_is_no_property) {
    add(3);
    add(4).add_bar(0, FakeBar::memory64, uint64_t{1} << 45);
    boot();
    EXPECT_FALSE(tree->has(*find(0, 3)->node, "assigned-addresses"));
    EXPECT_FALSE(tree->has(*find(0, 4)->node, "assigned-addresses"));
}

TEST_F(PciDescribe, an_old_list_of_addresses_is_emptied) {
    add(3);
    fill_tree();
    ASSERT_TRUE(tree->set_cells(*node("/pci@800000020000000/scsi@3"), "assigned-addresses",
                                {0x8200'1810, 0, 0x8000'0000, 0, 0x1000}, fdt::Origin::hypervisor));
    boot();
    EXPECT_TRUE(tree->has(*find(0, 3)->node, "assigned-addresses"));
    EXPECT_TRUE(of(find(0, 3), "assigned-addresses").empty());
}

TEST_F(PciDescribe, compatible_goes_from_special_to_general) {
    FakeFunction& fake = host.bus.add<FakeFunction>(3, 0, 0x1AF4, 0x1000, 0x020000);
    fake.config[0x08] = 0x0A;
    fake.set_subsystem(0x1AF4, 0x0001);
    boot();
    EXPECT_EQ(texts(*find(0, 3)->node, "compatible"),
              (std::vector<std::string>{"pci1af4,1000.1af4.1.a", "pci1af4,1000.1af4.1", "pci1af4,1",
                                        "pci1af4,1000.a", "pci1af4,1000", "pciclass,020000",
                                        "pciclass,0200"}));
}

TEST_F(PciDescribe, compatible_without_subsystem_is_shorter) {
    host.bus.add<FakeFunction>(3, 0, 0x8086, 0x0001, 0x00ff00);
    boot();
    EXPECT_EQ(
        texts(*find(0, 3)->node, "compatible"),
        (std::vector<std::string>{"pci8086,1.0", "pci8086,1", "pciclass,00ff00", "pciclass,00ff"}));
}

TEST_F(PciDescribe, the_longest_compatible_fits) {
    FakeFunction& fake = host.bus.add<FakeFunction>(3, 0, 0xABCD, 0xABCD, 0xFFFFFF);
    fake.config[0x08] = 0xFF;
    fake.set_subsystem(0xABCD, 0xABCD);
    boot();
    const auto list = texts(*find(0, 3)->node, "compatible");
    ASSERT_EQ(list.size(), 7u);
    EXPECT_EQ(list.back(), "pciclass,ffff");
}

TEST_F(PciDescribe, the_hypervisors_compatible_stays) {
    add(3);
    fill_tree();
    ASSERT_TRUE(tree->set_text(*node("/pci@800000020000000/scsi@3"), "compatible", "ibm,special",
                               fdt::Origin::hypervisor));
    boot();
    EXPECT_EQ(tree->text(*find(0, 3)->node, "compatible"), "ibm,special");
}

TEST_F(PciDescribe, listed_functions_keep_what_the_hypervisor_said) {
    add(3).add_bar(0, FakeBar::memory32, 0x1000);
    fill_tree();
    fdt::Node& at = *node("/pci@800000020000000/scsi@3");
    const Cells reg = cells(at, "reg");
    boot();
    EXPECT_EQ(cells(at, "reg"), reg);
    EXPECT_EQ(tree->origin(*tree->property(at, "vendor-id")), fdt::Origin::hypervisor);
}

TEST_F(PciDescribe, unlisted_functions_look_as_if_they_were_listed) {
    const auto properties = [](bool listed) {
        PciMachine pci;
        FakeFunction& fake = pci.host.bus.add<FakeFunction>(3, 0, 0x1AF4, 0x1001, 0x010000);
        fake.config[0x08] = 3;
        fake.set_subsystem(0x1AF4, 2);
        fake.set_interrupt_pin(1);
        fake.add_bar(0, FakeBar::io, 0x80);
        fake.add_bar(1, FakeBar::memory32, 0x1000);
        fake.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
        fake.add_rom(0x1000);
        fake.in_tree = listed;
        pci.boot();
        std::map<std::string, Cells> result;
        const fdt::Node& at = *pci.find(0, 3)->node;
        for (auto* each = pci.tree->first_property(at); each != nullptr;
             each = pci.tree->next_property(*each)) {
            const std::string name{pci.tree->name(*each)};
            if (name != "cache-line-size" && name != "devsel-speed") {
                result[name] = pci.cells(at, name);
            }
        }
        return result;
    };
    EXPECT_EQ(properties(false), properties(true));
}

TEST_F(PciDescribe, interrupt_pins_that_do_not_exist_are_not_described) {
    FakeFunction& fake = add(3);
    fake.in_tree = false;
    fake.set_interrupt_pin(9);
    boot();
    EXPECT_FALSE(tree->has(*find(0, 3)->node, "interrupts"));
}

// --- bridges

TEST_F(PciDescribe, bridges_have_what_linux_needs_to_scan_them) {
    FakeBridge& bridge = add_bridge(1);
    add_bridge(bridge.bus, 2);
    boot();
    const Function* found = find(0, 1);
    EXPECT_EQ(tree->text(*found->node, "device_type"), "pci");
    EXPECT_EQ(of(found, "bus-range"), (Cells{1, 2}));
    EXPECT_EQ(of(found, "#address-cells"), (Cells{3}));
    EXPECT_EQ(of(found, "#size-cells"), (Cells{2}));
    EXPECT_EQ(of(found, "#interrupt-cells"), (Cells{1}));
}

TEST_F(PciDescribe, ranges_name_memory_prefetchable_and_io_in_this_order) {
    FakeBridge& bridge = add_bridge(1);
    add(bridge.bus, 2).add_bar(0, FakeBar::io, 0x20);
    boot();
    const Function* found = find(0, 1);
    const auto start = [&](size_t space) { return found->windows[space].start.value; };
    const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
    const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
    EXPECT_EQ(of(found, "ranges"), (Cells{0x0200'0000,
                                          0,
                                          low(start(1)),
                                          0x0200'0000,
                                          0,
                                          low(start(1)),
                                          0,
                                          0x20'0000,
                                          0x4300'0000,
                                          high(start(2)),
                                          low(start(2)),
                                          0x4300'0000,
                                          high(start(2)),
                                          low(start(2)),
                                          0,
                                          0x4000'0000,
                                          0x0100'0000,
                                          0,
                                          low(start(0)),
                                          0x0100'0000,
                                          0,
                                          low(start(0)),
                                          0,
                                          0x1000}));
}

TEST_F(PciDescribe, a_bridge_with_nothing_open_has_empty_ranges) {
    host.windows.clear();
    add_bridge(1);
    boot();
    EXPECT_TRUE(tree->has(*find(0, 1)->node, "ranges"));
    EXPECT_TRUE(of(find(0, 1), "ranges").empty());
}

TEST_F(PciDescribe, unlisted_bridges_get_their_cells) {
    FakeBridge& bridge = add_bridge(1);
    bridge.in_tree = false;
    add(bridge.bus, 3).in_tree = false;
    boot();
    EXPECT_EQ(of(find(0, 1), "#address-cells"), (Cells{3}));
    EXPECT_EQ(of(find(0, 1), "#size-cells"), (Cells{2}));
    EXPECT_EQ(of(find(0, 1), "bus-range"), (Cells{1, 1}));
}

TEST_F(PciDescribe, the_hypervisors_interrupt_map_of_a_bridge_stays) {
    add_bridge(1);
    fill_tree();
    ASSERT_TRUE(tree->set_cells(*node("/pci@800000020000000/pci@1"), "interrupt-map", {1, 2, 3},
                                fdt::Origin::hypervisor));
    boot();
    EXPECT_EQ(of(find(0, 1), "interrupt-map"), (Cells{1, 2, 3}));
    EXPECT_FALSE(tree->has(*find(0, 1)->node, "interrupt-map-mask"));
}

TEST_F(PciDescribe, interrupts_on_the_root_bus_resolve) {
    add(5);
    boot();
    EXPECT_EQ(resolve_interrupt(*find(0, 5)->node, 1), 0x1200u + 1);
}

TEST_F(PciDescribe, every_slot_and_pin_behind_a_bridge_resolves_as_qemu_wires_it) {
    FakeBridge& bridge = add_bridge(6);
    for (unsigned device = 0; device < 32; ++device)
        add(bridge.bus, device);
    boot();
    for (uint32_t device = 0; device < 32; ++device) {
        for (uint32_t pin = 0; pin < 4; ++pin) {
            const uint32_t behind = (device + pin) % 4, root = (6 + behind) % 4;
            EXPECT_EQ(resolve_interrupt(*find(1, device)->node, pin + 1), 0x1200u + root)
                << device << " " << pin;
        }
    }
}

TEST_F(PciDescribe, interrupts_resolve_through_nested_bridges) {
    FakeBus* bus = &host.bus;
    uint32_t swizzled = 2;
    for (unsigned depth = 0; depth < 10; ++depth)
        bus = &add_bridge(*bus, depth + 3).bus;
    add(*bus, 7);
    boot();
    swizzled = (7 + 1) % 4; // device 7, pin B
    for (unsigned depth = 10; depth-- > 0;)
        swizzled = (depth + 3 + swizzled) % 4;
    EXPECT_EQ(resolve_interrupt(*find(10, 7)->node, 2), 0x1200u + swizzled);
}

TEST_F(PciDescribe, describing_twice_changes_nothing) {
    add(add_bridge(1).bus, 2).add_bar(0, FakeBar::memory32, 0x1000);
    boot();
    const size_t properties = tree->property_count();
    const Cells addresses = of(find(1, 2), "assigned-addresses");
    describe();
    EXPECT_EQ(tree->property_count(), properties);
    EXPECT_EQ(of(find(1, 2), "assigned-addresses"), addresses);
}

} // namespace
} // namespace spillway::test
