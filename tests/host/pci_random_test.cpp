// SPDX-License-Identifier: BSD-2-Clause
// Whole machines: thousands of random ones, and one that fails at every read.
#include "base/log.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

namespace spillway::test {
namespace {

using pci::Bar;
using pci::Function;
using pci::Space;

class Random {
public:
    explicit Random(uint64_t seed)
        : engine_(seed) {}
    uint64_t below(uint64_t limit) { return engine_() % limit; }
    bool one_in(uint64_t chance) { return below(chance) == 0; }

private:
    std::mt19937_64 engine_;
};

/// A BAR that keeps the rules of no kind: size 0, holes, reserved types, refused writes. Returns
/// how many registers it takes.
unsigned add_hostile_bar(Random& random, FakeFunction& function, unsigned index) {
    struct Hostile {
        uint32_t value, mask;
    };
    constexpr Hostile kinds[] = {
        {8, 0},           {0, 0xFFF0'F000}, {0, 0x0FFF'F000}, {2, 0xFFFF'F000}, {6, 0xFFFF'F000},
        {3, 0xFFFF'FF00}, {1, 0xFF0F'FF00}, {4, 0},           {0, 0xFFFF'FFFF}, {0xFFFF'F000, 0},
    };
    const Hostile& kind = kinds[random.below(std::size(kinds))];
    function.set32(0x10 + 4 * index, kind.value);
    function.set_mask32(0x10 + 4 * index, kind.mask);
    // One that refuses its address is sized all the same.
    if (kind.value == 0xFFFF'F000) function.bar_sizes[index] = 0x1000;
    return kind.value == 4 ? 2 : 1;
}

void add_random_bars(Random& random, FakeFunction& function, unsigned count) {
    for (unsigned index = 0; index < count; ++index) {
        if (random.one_in(2)) continue;
        if (random.one_in(20)) {
            index += add_hostile_bar(random, function, index) - 1;
            continue;
        }
        const auto kind = FakeBar(random.below(5));
        const bool wide = kind == FakeBar::memory64 || kind == FakeBar::memory64_prefetchable;
        if (wide && index + 1 >= count) continue;
        const uint64_t bits = kind == FakeBar::io ? 2 + random.below(7)
                              : random.one_in(20) ? 20 + random.below(wide ? 20 : 12)
                                                  : 4 + random.below(17);
        function.add_bar(index, kind, uint64_t{1} << bits);
        if (wide) ++index;
    }
    if (random.one_in(4)) function.add_rom(1u << (11 + random.below(8)));
}

/// Returns how many functions it added.
size_t fill_randomly(Random& random, PciMachine& pci, FakeBus& bus, unsigned depth,
                     unsigned& bridges_left) {
    size_t added = 0;
    for (unsigned device = 0; device < 32; ++device) {
        if (!random.one_in(14)) continue;
        if (bridges_left > 0 && random.one_in(3 + depth)) {
            --bridges_left;
            FakeBridge& bridge = pci.add_bridge(bus, device);
            bridge.set_io_32(random.one_in(2));
            bridge.set_prefetchable_64(!random.one_in(4));
            if (random.one_in(10)) bridge.remove_io_window();
            if (random.one_in(10)) bridge.remove_prefetchable_window();
            add_random_bars(random, bridge, 2);
            bridge.in_tree = !random.one_in(16);
            added += 1 + fill_randomly(random, pci, bridge.bus, depth + 1, bridges_left);
            continue;
        }
        const unsigned functions = random.one_in(8) ? 8 : 1;
        for (unsigned function = 0; function < functions; ++function) {
            if (function != 0 && random.one_in(2)) continue;
            FakeFunction& fake = pci.add(bus, device, function);
            add_random_bars(random, fake, 6);
            fake.in_tree = !random.one_in(16);
            ++added;
        }
    }
    return added;
}

/// How many BARs got an address, and how many did not.
struct Outcome {
    size_t assigned = 0, unassigned = 0;
};

/// Boots the machine that `seed` stands for, and checks all that must hold whatever it looks like.
void boot_random_machine(uint64_t seed, Outcome& outcome) {
    Random random{seed};
    PciMachine pci;
    log::set_level(log::Level::quiet);
    const size_t hosts = random.one_in(16) ? 2 + random.below(3) : 1;
    size_t added = 0;
    for (unsigned index = 0; index < hosts; ++index) {
        FakeHostBridge& host = index == 0 ? pci.host : pci.machine.add_host_bridge(index);
        host.enumerated = !random.one_in(3);
        if (random.one_in(8)) host.windows[1].size = uint64_t{1} << (20 + random.below(9));
        if (random.one_in(8)) host.windows.pop_back();
        auto bridges = static_cast<unsigned>(random.below(random.one_in(256) ? 255 : 6));
        added += fill_randomly(random, pci, host.bus, 0, bridges);
    }
    pci.boot();
    ASSERT_TRUE(pci.enumerated_well && pci.described_well);
    ASSERT_EQ(pci.function_count(), added) << pci.machine.console;
    ASSERT_EQ(pci.broken_invariant(), "");
    size_t buses = hosts;
    for (const Function* at = pci.topology.functions; at != nullptr; at = at->next) {
        buses += at->is_bridge && at->secondary_bus != 0;
        for (const Bar& bar : at->bars) {
            if (bar.size != 0) ++(bar.assigned ? outcome.assigned : outcome.unassigned);
        }
    }
    ASSERT_LE(pci.machine.config_reads, 32 * buses + added * 37);
    ASSERT_LE(pci.machine.config_writes, added * 24);
}

/// A number of the environment (make/bus_trees.mk).
uint64_t number_of(const char* name, uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::strtoull(value, nullptr, 0);
}

TEST(PciRandomTree, KeepsEveryInvariant) {
    const uint64_t first = number_of("SPILLWAY_FIRST_TREE", 0);
    const uint64_t count = number_of("SPILLWAY_TREES", 20'000);
    const bool tells = std::getenv("SPILLWAY_TREES") != nullptr;
    Outcome outcome;
    for (uint64_t seed = first; seed < first + count; ++seed) {
        boot_random_machine(seed, outcome);
        if (HasFailure()) {
            FAIL() << "this tree again: make check-bus-trees FIRST_TREE=" << seed << " TREES=1";
        }
        constexpr uint64_t step = 50'000;
        if (tells && (seed + 1 - first) % step == 0) {
            std::printf("trees %llu to %llu: good\n", static_cast<unsigned long long>(first),
                        static_cast<unsigned long long>(seed));
            std::fflush(stdout);
        }
    }
    if (count >= 1000) { // most trees are of a kind that fits
        EXPECT_GT(outcome.assigned, 10 * outcome.unassigned);
    }
}

/// A bit of everything, on both kinds of host bridges.
void fill_reference(PciMachine& pci) {
    for (FakeHostBridge* host : {&pci.host, &pci.machine.add_host_bridge(1)}) {
        FakeBridge& outer = host->bus.add<FakeBridge>(1, 0);
        outer.add_bar(0, FakeBar::memory64, 0x100);
        FakeBridge& inner = outer.bus.add<FakeBridge>(2, 0);
        for (FakeBus* bus : {&host->bus, &outer.bus, &inner.bus}) {
            for (unsigned function : {0u, 1u, 5u}) {
                FakeFunction& fake = pci.add(*bus, 4, function);
                fake.set_interrupt_pin(1);
                fake.add_bar(0, FakeBar::io, 0x80);
                fake.add_bar(1, FakeBar::memory32, 0x1000);
                fake.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
                fake.add_rom(0x800);
                fake.in_tree = function != 5;
            }
        }
    }
    pci.machine.host_bridges[1]->enumerated = false;
}

class PciFault : public testing::TestWithParam<ConfigFault> {};

TEST_P(PciFault, at_any_one_read_of_a_boot_costs_at_most_what_was_asked) {
    size_t reads = 0, functions = 0;
    {
        PciMachine pci;
        fill_reference(pci);
        pci.boot();
        reads = pci.machine.config_reads;
        functions = pci.function_count();
        ASSERT_EQ(pci.broken_invariant(), "");
        ASSERT_EQ(functions, 22u);
    }
    for (size_t read = 0; read < reads; ++read) {
        PciMachine pci;
        fill_reference(pci);
        pci.machine.fail_config_read(read, GetParam());
        pci.boot();
        ASSERT_TRUE(pci.enumerated_well && pci.described_well) << read;
        ASSERT_LE(pci.function_count(), functions) << read;
        ASSERT_LE(pci.machine.config_reads, reads + 32 * 3) << read;
        for (const auto& host : pci.machine.host_bridges) {
            for (FakeFunction* each : host->bus.members())
                ASSERT_FALSE(each->bus_master());
        }
    }
}

TEST_P(PciFault, from_any_read_of_a_boot_on_ends) {
    size_t reads = 0;
    {
        PciMachine pci;
        fill_reference(pci);
        pci.boot();
        reads = pci.machine.config_reads;
    }
    for (size_t read = 0; read < reads; ++read) {
        PciMachine pci;
        fill_reference(pci);
        pci.machine.config_hook = [read](const ConfigAccess& access) {
            return !access.is_write && access.index >= read ? GetParam() : ConfigFault::none;
        };
        pci.boot();
        ASSERT_TRUE(pci.enumerated_well && pci.described_well) << read;
        ASSERT_LE(pci.machine.config_reads, reads + 256) << read;
    }
}

INSTANTIATE_TEST_SUITE_P(Reads, PciFault,
                         testing::Values(ConfigFault::all_ones, ConfigFault::rtas_error));

/// Config space that answers random bytes.
struct Noise : FakeFunction {
    explicit Noise(uint64_t seed)
        : FakeFunction(1, 1, 1)
        , random(seed) {}
    uint32_t read_config(unsigned offset, unsigned size) override {
        if (offset == 0 || offset == 0x0E) return FakeFunction::read_config(offset, size);
        const auto value = static_cast<uint32_t>(random.below(uint64_t{1} << 32));
        return size == 4 ? value : value & ((1u << 8 * size) - 1);
    }
    Random random;
};

TEST(PciNoise, of_random_config_space_does_no_harm_to_others) {
    for (uint64_t seed = 0; seed < 300; ++seed) {
        PciMachine pci;
        pci.host.enumerated = seed % 2 == 0;
        pci.add(0).add_bar(0, FakeBar::memory32, 0x1000);
        pci.fill_tree();
        for (unsigned device = 1; device < 8; ++device) {
            pci.host.bus.add<Noise>(device, 0, seed * 8 + device).in_tree = false;
        }
        pci.boot();
        ASSERT_TRUE(pci.enumerated_well && pci.described_well) << seed;
        ASSERT_NE(pci.find(0, 0), nullptr);
        ASSERT_LE(pci.machine.config_reads, 256u * 32 + 8 * 8 * 60) << seed;
    }
}

} // namespace
} // namespace spillway::test
