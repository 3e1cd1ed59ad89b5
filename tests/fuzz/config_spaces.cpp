// SPDX-License-Identifier: BSD-2-Clause
// Bus trees of any shape, with functions that are right, have wrong bytes in config space, or
// answer noise: what is found is laid out without overlap and described, and nobody is bus master.
#include "base/log.h"
#include "pci/bus_master.h"
#include "tests/fuzz/machines.h"
#include "tests/fuzz/trees.h"
#include "tests/host/pci_machine.h"

namespace spillway::fuzz {
namespace {

/// Answers every read with other bytes, but stays there.
class Noise : public test::FakeFunction {
public:
    explicit Noise(uint32_t seed)
        : FakeFunction(test::some_vendor, test::some_device, 0x010000)
        , state_(seed) {}
    uint32_t read_config(unsigned offset, unsigned size) override {
        if (offset == 0) return FakeFunction::read_config(offset, size);
        state_ = state_ * 1664525 + 1013904223;
        const uint32_t value = state_ ^ state_ >> 15;
        return size == 4 ? value : value & ((1u << 8 * size) - 1);
    }

private:
    uint32_t state_;
};

class Machine {
public:
    /// Adds what the input says to a bus, and behind its bridges.
    void fill(Input& input, test::FakeBus& bus, unsigned depth = 0) {
        constexpr unsigned most_functions = 48, deepest = 12;
        for (; !input.empty() && functions_ < most_functions; ++functions_) {
            enum What : uint8_t { device, bridge, noise, end };
            const auto what = static_cast<What>(input.below(4));
            if (what == end) return;
            const uint8_t place = input.byte();
            if (bus.at(place / 8, place % 8) != nullptr) continue;
            if (what == noise) {
                hostile = true;
                bus.add<Noise>(place / 8, place % 8, input.number<uint32_t>()).in_tree =
                    input.flag();
            } else if (what == device || depth == deepest) {
                furnish(input, pci.add(bus, place / 8, place % 8), 6);
            } else {
                test::FakeBridge& made = bus.add<test::FakeBridge>(place / 8, place % 8);
                furnish(input, made, 2);
                const uint8_t windows = input.byte();
                made.set_io_32((windows & 1) != 0);
                made.set_prefetchable_64((windows & 2) != 0);
                if ((windows & 4) != 0) made.remove_io_window();
                if ((windows & 8) != 0) made.remove_prefetchable_window();
                fill(input, made.bus, depth + 1);
            }
        }
    }
    void boot() {
        pci.fill_tree();
        apply(patches_);
        pci.boot();
    }

    test::PciMachine pci;
    bool hostile = false;

private:
    static constexpr size_t header_size = 0x40;

    void furnish(Input& input, test::FakeFunction& function, unsigned bar_count) {
        const uint8_t traits = input.byte();
        function.in_tree = (traits & 1) != 0;
        if ((traits & 2) != 0) function.add_rom(0x800u << input.below(12));
        for (unsigned bars = traits >> 2 & 7; bars > 0; --bars)
            add_bar(input, function, bar_count);
        for (unsigned patches = traits >> 5; patches > 0; --patches) {
            hostile = true;
            patches_.push_back(patch_from(input, function, header_size));
        }
    }

    std::vector<Patch> patches_;
    unsigned functions_ = 0;
};

} // namespace

void run(Input input) {
    Machine machine;
    test::PciMachine& pci = machine.pci;
    const uint8_t traits = input.byte();
    pci.host.enumerated = (traits & 1) != 0;
    if ((traits & 2) != 0) pci.host.windows[1].size = uint64_t{1} << (12 + input.below(20));
    if ((traits & 4) != 0) pci.host.windows[2].size = uint64_t{1} << (12 + input.below(28));
    if ((traits & 8) != 0) pci.host.windows.pop_back();
    if ((traits & 16) != 0) pci.host.last_bus = input.byte();
    machine.fill(input, pci.host.bus);
    machine.boot();

    demand(pci.enumerated_well && pci.described_well, "the machine is found and described");
    demand_laid_out(pci.topology);
    demand_bounded(pci.machine, pci.topology);
    if (!machine.hostile) {
        const std::string broken = pci.broken_invariant();
        demand(broken.empty(), broken.c_str());
        demand(pci::silence_bus_masters(pci.topology) == 0, "nobody is bus master");
    }
    demand_sound(*pci.tree);
}

} // namespace spillway::fuzz
