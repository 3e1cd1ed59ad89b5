// SPDX-License-Identifier: BSD-2-Clause
// Hostile functions and bridges, one at a time between honest devices: how many functions are
// found, what the console says, what it may cost. Whatever they do, addresses do not overlap, lie
// inside windows, and nobody is left able to reach memory.
#include "tests/host/hostile_machine.h"

#include <gtest/gtest.h>

#include <ostream>

namespace spillway::test {
namespace {

constexpr unsigned hostile_slot = 3;

FakeFunction& add(FakeBus& bus, unsigned device = hostile_slot, unsigned function = 0) {
    return bus.add<FakeFunction>(device, function, uint16_t{0x8086}, uint16_t{0x1234}, 0x020000u);
}
/// A function whose BAR 0 reads `low` in its type bits and keeps what `mask` lets through.
void add_bar(FakeBus& bus, unsigned index, uint32_t low, uint32_t mask, uint32_t high_mask = 0) {
    FakeFunction& function = add(bus);
    function.set32(0x10 + 4 * index, low);
    function.set_mask32(0x10 + 4 * index, mask);
    if (high_mask != 0) function.set_mask32(0x14 + 4 * index, high_mask);
}
FakeBridge& add_bridge(FakeBus& bus, unsigned device = hostile_slot) {
    return bus.add<FakeBridge>(device, 0);
}

/// Another value at every read of everything but IDs and command.
struct Restless : FakeFunction {
    Restless()
        : FakeFunction(0x8086, 0x1234, 0x020000) {}
    uint32_t read_config(unsigned offset, unsigned size) override {
        if (offset < 8) return FakeFunction::read_config(offset, size);
        value = value * 1664525 + 1013904223;
        return size == 4 ? value & 0xFF80'FFFF : value >> 8 & ((1u << 8 * size) - 1);
    }
    uint32_t value = 1;
};

/// A bridge whose secondary bus is the bus it sits on.
struct Loop : FakeBridge {
    explicit Loop(FakeBus& on)
        : own(on) {}
    FakeBus* secondary() override { return &own; }
    FakeBus& own;
};

/// A bridge that keeps no bus number.
struct Forgetful : FakeBridge {
    Forgetful() { std::fill_n(&writable[0x18], 3, uint8_t{0}); }
};

/// A BAR that reads one address more each time.
struct Wandering : FakeFunction {
    Wandering()
        : FakeFunction(0x8086, 0x1234, 0x020000) {
        FakeFunction::add_bar(0, FakeBar::memory32, 0x1000);
    }
    uint32_t read_config(unsigned offset, unsigned size) override {
        const uint32_t value = FakeFunction::read_config(offset, size);
        return offset == 0x10 && value != 0xFFFF'F000 ? value + (wandered += 0x1000) : value;
    }
    uint32_t wandered = 0;
};

/// An honest function costs this much, with some to spare.
constexpr size_t usual = 40;
constexpr size_t bus = 32; ///< to look at a bus

struct Case {
    const char* name;
    void (*make)(FakeHostBridge& host);
    size_t functions;        ///< that are found besides the honest ones
    const char* says;        ///< a line of the console has this; "": it says nothing
    size_t accesses = usual; ///< that it costs at most
    bool enumerated = true;  ///< the hypervisor gave the bus numbers
    /// What the hostile bridge's bus numbers are once the hypervisor has set them.
    std::optional<uint32_t> numbers = std::nullopt;
};

void PrintTo(const Case& printed, std::ostream* out) {
    *out << printed.name;
}

const Case cases[] = {
    // --- headers
    {"MultiFunctionLie", [](FakeHostBridge& host) { add(host.bus).config[0x0E] = 0x80; }, 1, ""},
    {"HeaderType2", [](FakeHostBridge& host) { add(host.bus).config[0x0E] = 2; }, 0,
     "header type 0x02"},
    {"HeaderType127", [](FakeHostBridge& host) { add(host.bus).config[0x0E] = 0x7F; }, 0,
     "header type 0x7f"},
    {"HeaderType127OfEight",
     [](FakeHostBridge& host) {
         for (unsigned function = 0; function < 8; ++function)
             add(host.bus, hostile_slot, function).config[0x0E] = 0xFF;
     },
     0, "0000:00:03.7 has header type 0x7f", 8 * 8},
    {"ClassOfABridge", [](FakeHostBridge& host) { add(host.bus).set32(0x08, 0x060400 << 8); }, 1,
     ""},
    {"ClassAllOnes", [](FakeHostBridge& host) { add(host.bus).set32(0x08, 0xFFFF'FFFF); }, 1, ""},
    {"VendorAllOnes", [](FakeHostBridge& host) { add(host.bus).set16(0, 0xFFFF); }, 0,
     "does not answer"},
    {"VendorZero", [](FakeHostBridge& host) { add(host.bus).set32(0, 0); }, 0, "does not answer"},
    {"DeviceAllOnes", [](FakeHostBridge& host) { add(host.bus).set16(2, 0xFFFF); }, 1, ""},
    {"NeverTheSameTwice", [](FakeHostBridge& host) { host.bus.add<Restless>(hostile_slot, 0); }, 1,
     "BAR at 0x30 is malformed"},
    {"HeaderType2StaysBusMaster",
     [](FakeHostBridge& host) {
         FakeFunction& function = add(host.bus);
         function.config[0x0E] = 2;
         function.set_mask16(0x04, 0);
     },
     0, "stays bus master"},
    {"GoneButInTheTree", [](FakeHostBridge& host) { add(host.bus).present = false; }, 0,
     "does not answer"},

    // --- bridges
    {"BridgeThatIsADisk",
     [](FakeHostBridge& host) {
         FakeBridge& bridge = add_bridge(host.bus);
         bridge.set32(0x08, 0x010000 << 8);
         add(bridge.bus);
     },
     2, "", 2 * usual + bus},
    {"BridgeWithHeaderType2",
     [](FakeHostBridge& host) {
         FakeBridge& bridge = add_bridge(host.bus);
         add(bridge.bus);
         bridge.config[0x0E] = 2;
     },
     0, "header type 0x02"},
    {"SubordinateBelowSecondary", [](FakeHostBridge& host) { add(add_bridge(host.bus).bus); }, 1,
     "which makes no sense", usual, true, 0x01'02'00},
    {"SecondaryIsItsOwnBus", [](FakeHostBridge& host) { add(add_bridge(host.bus).bus); }, 1,
     "which makes no sense", usual, true, 0x05'00'00},
    {"SecondaryBusZero", [](FakeHostBridge& host) { add(add_bridge(host.bus).bus); }, 1,
     "which makes no sense", usual, true, 0},
    {"BusNumbersAllOnes", [](FakeHostBridge& host) { add(add_bridge(host.bus).bus); }, 1,
     "which makes no sense", usual, true, 0xFFFF'FFFF},
    {"TheBusesOfAnother",
     [](FakeHostBridge& host) {
         add(add_bridge(host.bus).bus);
         add(add_bridge(host.bus, 4).bus);
     },
     3, "which makes no sense", 3 * usual + bus, true, 0xFF'01'00},
    {"BridgeThatForgetsItsNumbers",
     [](FakeHostBridge& host) { add(host.bus.add<Forgetful>(hostile_slot, 0).bus); }, 1,
     "does not answer", usual + bus + 8, false},
    {"MoreBusesThanNumbers",
     [](FakeHostBridge& host) {
         for (unsigned outer = 0; outer < 29; ++outer) {
             FakeBridge& bridge = add_bridge(host.bus, outer);
             for (unsigned inner = 0; inner < 9; ++inner)
                 add_bridge(bridge.bus, inner);
         }
     },
     29 + 9 * 26, "0000:00:1c.0: no bus number is left", 300 * (usual + bus), false},
    {"NestedDeeperThanTheTree",
     [](FakeHostBridge& host) {
         FakeBus* below = &host.bus;
         for (unsigned depth = 0; depth < 80; ++depth) {
             FakeBridge& bridge = add_bridge(*below);
             bridge.in_tree = false;
             below = &bridge.bus;
         }
     },
     63, "left out", 64 * (usual + bus), false}, // the tree has 64 levels
    {"BridgeWithoutWindows",
     [](FakeHostBridge& host) {
         FakeBridge& bridge = add_bridge(host.bus);
         bridge.remove_io_window();
         bridge.remove_prefetchable_window();
         add(bridge.bus).add_bar(0, FakeBar::io, 0x20);
     },
     2, "gets no address", 2 * usual + bus},

    // --- base address registers
    {"BarOfSizeZero", [](FakeHostBridge& host) { add_bar(host.bus, 1, 8, 0); }, 1, "is malformed"},
    {"BarOfOneByte", [](FakeHostBridge& host) { add_bar(host.bus, 0, 0, 0xFFFF'FFFF); }, 1,
     "is malformed"},
    {"BarOfThreePages", [](FakeHostBridge& host) { add_bar(host.bus, 0, 0, 0xFFFF'D000); }, 1,
     "is malformed"},
    {"BarWithoutTop", [](FakeHostBridge& host) { add_bar(host.bus, 0, 0, 0x7FFF'F000); }, 1,
     "is malformed"},
    {"BarOfType01", [](FakeHostBridge& host) { add_bar(host.bus, 0, 2, 0xFFFF'F000); }, 1,
     "is malformed"},
    {"BarOfType11", [](FakeHostBridge& host) { add_bar(host.bus, 0, 6, 0xFFFF'F000); }, 1,
     "is malformed"},
    {"IoBarWithReservedBit", [](FakeHostBridge& host) { add_bar(host.bus, 0, 3, 0xFFFF'FF00); }, 1,
     "is malformed"},
    {"WideBarInTheLastRegister", [](FakeHostBridge& host) { add_bar(host.bus, 5, 4, 0xFFFF'F000); },
     1, "is malformed"},
    {"WideBarWithoutUpperHalf", [](FakeHostBridge& host) { add_bar(host.bus, 0, 4, 0xFFFF'F000); },
     1, "is malformed"},
    {"WideBarWithHoles",
     [](FakeHostBridge& host) { add_bar(host.bus, 0, 4, 0xFFFF'F000, 0xFFFF'0FFF); }, 1,
     "is malformed"},
    {"RomThatIsOn",
     [](FakeHostBridge& host) {
         FakeFunction& function = add(host.bus);
         function.set32(0x30, 1);
         function.set_mask32(0x30, 0xFFFF'0000);
     },
     1, "is malformed"},
    {"BarOf1TiB",
     [](FakeHostBridge& host) {
         add(host.bus).add_bar(0, FakeBar::memory64_prefetchable, uint64_t{1} << 40);
     },
     1, "gets no address"},
    {"BarOf16TiB",
     [](FakeHostBridge& host) { add(host.bus).add_bar(0, FakeBar::memory64, uint64_t{1} << 44); },
     1, "gets no address"},
    {"BarOf8EiB",
     [](FakeHostBridge& host) { add(host.bus).add_bar(0, FakeBar::memory64, uint64_t{1} << 63); },
     1, "gets no address"},
    {"BarsOf16TiBBehindABridge",
     [](FakeHostBridge& host) {
         FakeBridge& bridge = add_bridge(host.bus);
         for (unsigned device = 0; device < 8; ++device) {
             add(bridge.bus, device).add_bar(0, FakeBar::memory64_prefetchable, uint64_t{1} << 44);
         }
     },
     9, "0000:01:07.0: BAR at 0x10", 9 * usual + bus},
    {"ExhaustedMemory",
     [](FakeHostBridge& host) {
         for (unsigned device = 0; device < 8; ++device)
             add(host.bus, device).add_bar(0, FakeBar::memory32, 1u << 30);
     },
     8, "0000:00:07.0: BAR at 0x10", 8 * usual},
    {"ExhaustedIo",
     [](FakeHostBridge& host) {
         for (unsigned device = 0; device < 8; ++device)
             add(host.bus, device).add_bar(0, FakeBar::io, 0x4000);
     },
     8, "0000:00:07.0: BAR at 0x10", 8 * usual},
    {"BarsThatRefuseAddresses",
     [](FakeHostBridge& host) {
         FakeFunction& function = add(host.bus);
         for (unsigned index = 0; index < 6; ++index)
             function.set32(0x10 + 4 * index, 0xFFFF'F000);
     },
     1, "BAR at 0x24 holds 0xfffff000", 2 * usual},
    {"BarThatWanders", [](FakeHostBridge& host) { host.bus.add<Wandering>(hostile_slot, 0); }, 1,
     "not used"},
};

class HostileBus : public testing::TestWithParam<Case> {};

TEST_P(HostileBus, CostsOnlyItself) {
    const Case& expected = GetParam();
    HostileMachine honest;
    honest.run();
    HostileMachine machine;
    machine.host.enumerated = expected.enumerated;
    expected.make(machine.host);
    machine.fill_tree();
    if (expected.numbers) machine.host.bus.at(hostile_slot, 0)->set32(0x18, *expected.numbers);
    machine.run();
    EXPECT_EQ(machine.broken(), "") << machine.machine.console;
    EXPECT_EQ(machine.broken_invariant(), "");
    EXPECT_EQ(machine.function_count() - honest.function_count(), expected.functions);
    if (*expected.says != '\0') {
        EXPECT_EQ(machine.machine.console_count(expected.says), 1u) << machine.machine.console;
    }
    EXPECT_LE(machine.accesses - honest.accesses, expected.accesses);
    EXPECT_EQ(machine.milliseconds, 0u);
}

TEST(HostileBuses, ALoopOfBridgesCostsOnlyItself) {
    HostileMachine machine;
    machine.host.enumerated = false;
    machine.host.bus.add<Loop>(hostile_slot, 0, machine.host.bus).in_tree = false;
    machine.run();
    EXPECT_EQ(machine.broken(), "");
    EXPECT_LE(machine.function_count(), 256u * 2);
    EXPECT_LE(machine.accesses, 256 * (bus + usual));
}

INSTANTIATE_TEST_SUITE_P(All, HostileBus, testing::ValuesIn(cases),
                         [](const auto& instance) { return std::string{instance.param.name}; });

} // namespace
} // namespace spillway::test
