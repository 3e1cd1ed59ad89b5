// SPDX-License-Identifier: BSD-2-Clause
// virtio devices that lie: structures that are elsewhere, registers that say what they like. What
// is claimed about a device is what it said, and nothing is claimed about one that did not answer.
#include "base/clock.h"
#include "pci/allocate.h"
#include "pci/bus_master.h"
#include "pci/enumerate.h"
#include "tests/fuzz/machines.h"
#include "tests/fuzz/trees.h"
#include "tests/host/fake_clock.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/pci_machine.h"

#include <array>

namespace spillway::fuzz {
namespace {

/// Answers reads of its registers from a script, and as it should when the script has ended.
template<typename Base> class Liar : public Base {
public:
    using Base::Base;

    uint64_t read(unsigned bar, uint64_t offset, unsigned size) override {
        enum Lie : uint8_t { none, ones, zero, other }; // of which the police does not hear
        const uint64_t mask = size == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * size) - 1;
        uint64_t value = Base::read(bar, offset, size);
        const bool silent = this->dead || this->never_resets;
        const auto lie = static_cast<Lie>(silent || script.empty() ? none : script.below(4));
        has_lied = has_lied || lie != none;
        switch (lie) {
        case none:
            break;
        case ones:
            value = mask;
            break;
        case zero:
            value = 0;
            break;
        case other:
            value = script.template number<uint64_t>() & mask;
            break;
        }
        const bool is_status = size == 1, is_feature = size == 4;
        if (is_status) last_status = static_cast<uint8_t>(value);
        if (is_feature && this->feature_select < 2) {
            features[this->feature_select] = static_cast<uint32_t>(value);
        }
        return value;
    }

    Input script{{}};
    bool has_lied = false;
    uint8_t last_status = 0xFF;
    std::array<uint32_t, 2> features{};
};
using Modern = Liar<test::FakeVirtio>;
using Legacy = Liar<test::FakeLegacyVirtio>;

template<typename Device> void set_up(Input& input, Device& device) {
    device.offered_high = input.byte();
    const uint8_t resets = input.byte();
    device.never_resets = resets == 0xFF;
    if (!device.never_resets) device.slow_resets = resets % 16;
    device.dead = input.byte() == 1;
}

template<typename Device>
void demand_as_said(const Device& device, const virtio::Finding& finding, bool as_built) {
    if (!as_built) return;
    demand(!device.bus_master(), "the device is not bus master");
    demand(device.has_lied || device.police.breaches == 0, "the driver keeps to the standard");
    if (!finding.device) return;
    demand(!device.dead && !device.never_resets, "a silent device has not held up");
    demand(device.last_status == 0, "it left reset");
    const uint64_t low = device.features[0] | uint64_t{device.features[1]} << 32;
    demand(finding.device->features.low == low, "the features are what it said");
}

} // namespace

void run(Input input) {
    test::FakeClock::step = clock::frequency() / 64; // two seconds are 128 looks
    test::PciMachine pci;
    const uint8_t traits = input.byte();
    const bool is_modern = (traits & 1) != 0;
    const uint16_t type = input.byte();
    const uint64_t offered = input.number<uint64_t>() | uint64_t{traits & 6u} << 31;
    Modern* const modern = is_modern ? &pci.host.bus.add<Modern>(1, 0, type, offered) : nullptr;
    Legacy* const legacy =
        is_modern ? nullptr : &pci.host.bus.add<Legacy>(1, 0, type, static_cast<uint32_t>(offered));
    if (legacy != nullptr && (traits & 8) != 0) {
        legacy->add_bar(test::FakeVirtio::register_bar, test::FakeBar::memory64_prefetchable,
                        0x4000);
        legacy->add_structures();
    }
    if (modern != nullptr) set_up(input, *modern);
    if (legacy != nullptr) set_up(input, *legacy);
    std::vector<Patch> patches;
    test::FakeFunction& function = *pci.host.bus.at(1, 0);
    for (unsigned left = traits >> 4; left > 0; --left)
        patches.push_back(patch_from(input, function, 256));
    pci.fill_tree();
    apply(patches);
    const hcall::Status answer{static_cast<int8_t>(input.byte())};
    const uint8_t open = input.byte();
    pci.machine.handlers[hcall::Number::pci_dma_bypass] = [=](hcall::Registers& registers) {
        registers.r4 = open;
        return answer;
    };

    pci.enumerate();
    pci.allocate();
    if (modern != nullptr) modern->script = input;
    if (legacy != nullptr) legacy->script = input;
    const uint64_t start = test::FakeClock::now;
    const auto findings = virtio::Findings::gather(pci.topology);
    demand(findings && findings->describe(*pci.tree), "the machine is described");
    demand(test::FakeClock::now - start < 4 * clock::frequency(), "patience ends");
    pci.describe();
    findings->reset_devices();
    findings->close_windows();
    pci::silence_bus_masters(pci.topology);

    demand_laid_out(pci.topology);
    demand_bounded(pci.machine, pci.topology);
    demand_honest(*findings, pci.topology, *pci.tree);
    for (const virtio::Finding& finding : *findings) {
        if (modern != nullptr) demand_as_said(*modern, finding, patches.empty());
        if (legacy != nullptr) demand_as_said(*legacy, finding, patches.empty());
    }
    demand_sound(*pci.tree);
    test::free_findings(*findings);
}

} // namespace spillway::fuzz
