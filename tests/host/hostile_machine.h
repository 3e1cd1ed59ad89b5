// SPDX-License-Identifier: BSD-2-Clause
// A machine with something hostile in it, booted as far as the hand-off and quiesced. It knows what
// honest neighbours must be told, what the boot has cost, and who was left able to reach memory.
#pragma once

#include "base/clock.h"
#include "pci/bus_master.h"
#include "tests/host/fake_clock.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/pci_machine.h"
#include "virtio/dma_contract.h"

#include <cstdlib>

namespace spillway::test {

/// Where honest devices sit on the first root bus; all other slots are the hostile's.
constexpr unsigned fixed_slot = 30, switchable_slot = 31;

class HostileMachine : public PciMachine {
public:
    /// A look at the clock lasts this long.
    static constexpr uint64_t microseconds_a_look = 10'000;

    HostileMachine() {
        host.bus.add<FakeVirtio>(fixed_slot, 0, uint16_t{1}, version_1);
        host.bus.add<FakeVirtio>(switchable_slot, 0, uint16_t{4}, version_1 | access_platform);
        machine.handlers[hcall::Number::pci_dma_bypass] = [](hcall::Registers& registers) {
            registers.r4 = 0;
            return hcall::Status::success;
        };
    }
    ~HostileMachine() { free_findings(findings); }

    /// All that a boot does with devices. Everybody starts as bus master, as if somebody had run
    /// before.
    void run() {
        for_each(host.bus, [](FakeFunction& function) {
            function.config[4] |= static_cast<uint8_t>(pci::command_bus_master);
            return true;
        });
        FakeClock::step = microseconds_a_look * ticks_a_microsecond;
        const uint64_t start = FakeClock::now;
        const size_t before = accesses_so_far();
        boot();
        auto gathered = virtio::Findings::gather(topology);
        gathered_well = gathered && gathered->describe(*tree).has_value();
        if (gathered) findings = *gathered;
        pci::silence_bus_masters(topology);
        accesses = accesses_so_far() - before;
        milliseconds = (FakeClock::now - start) / (1000 * ticks_a_microsecond);
        FakeClock::step = ticks_a_microsecond;
    }

    /// `qemu,dma-bypass` of a function, or `spillway,virtio-device`; "" without one.
    std::string property(unsigned bus, unsigned device, const char* name) const {
        const pci::Function* function = find(bus, device);
        return function == nullptr ? "" : std::string{tree->text(*function->node, name)};
    }

    /// What is wrong with the boot, whatever was hostile; "" when nothing is.
    std::string broken() {
        if (!enumerated_well || !described_well || !gathered_well) return "a step failed";
        if (property(host.first_bus, fixed_slot, "qemu,dma-bypass") != "fixed" ||
            property(host.first_bus, switchable_slot, "qemu,dma-bypass") != "switchable") {
            return "an honest device was harmed";
        }
        return left_able_to_reach_memory();
    }

    static std::string slot(const FakeFunction& function) {
        char text[16];
        std::snprintf(text, sizeof text, "%02x.%u", function.devfn / 8u, function.devfn % 8u);
        return text;
    }

    /// By any bus number that leads to it.
    bool is_said_to_stay_master(const FakeFunction& function) {
        const auto device = static_cast<uint8_t>(function.devfn / 8);
        const auto number = static_cast<uint8_t>(function.devfn % 8);
        for (unsigned bus = 0; bus < 256; ++bus) {
            const pci::Location location{static_cast<uint8_t>(bus), device, number};
            if (machine.find_function(host.buid, location) != &function) continue;
            char address[16];
            std::snprintf(address, sizeof address, "%02x:", bus);
            if (machine.console_count(address + slot(function) + " stays bus master") != 0) {
                return true;
            }
        }
        return false;
    }

    /// Functions that were left alone though nothing keeps them from memory: no reset that was read
    /// back, Bus Master Enable set in the function and in all bridges above it, and not named.
    std::string left_able_to_reach_memory() {
        std::string able;
        for_each(host.bus, [&](FakeFunction& function) {
            const auto* device = dynamic_cast<FakeVirtio*>(&function);
            const bool is_reset = device != nullptr && device->police.is_reset();
            if (function.present && function.bus_master() && !is_reset) {
                if (!is_said_to_stay_master(function)) able += slot(function) + " ";
            }
            return function.bus_master();
        });
        return able.empty() ? able : "may reach memory: " + able;
    }

    virtio::Findings findings;
    bool gathered_well = false;
    size_t accesses = 0; ///< to config space and registers
    uint64_t milliseconds = 0;

private:
    static constexpr uint64_t ticks_a_microsecond = 512;

    size_t accesses_so_far() const {
        return machine.config_reads + machine.config_writes +
               machine.call_count(hcall::Number::logical_ci_load) +
               machine.call_count(hcall::Number::logical_ci_store);
    }
    /// `visit` says whether to go on behind the bridge.
    template<typename Visitor> static void for_each(FakeBus& bus, Visitor visit) {
        for (FakeFunction* function : bus.members()) {
            if (!visit(*function)) continue;
            FakeBus* secondary = function->secondary();
            if (secondary != nullptr && secondary != &bus) for_each(*secondary, visit);
        }
    }
};

} // namespace spillway::test
