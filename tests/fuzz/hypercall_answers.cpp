// SPDX-License-Identifier: BSD-2-Clause
// Every answer of the hypervisor, hypercalls and RTAS, follows a script: honest, refused, or
// garbage. The firmware comes to its end, with a sound tree and no two BARs in one place.
#include "base/clock.h"
#include "boot/handoff.h"
#include "boot/machine.h"
#include "hcall/console.h"
#include "hcall/device_tree.h"
#include "tests/fuzz/machines.h"
#include "tests/fuzz/trees.h"
#include "tests/host/fake_clock.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/pci_machine.h"

#include <array>
#include <cstring>

namespace spillway::fuzz {
namespace {

using hcall::Number;
using hcall::Registers;
using hcall::Status;

class Machine : public test::FakeHypervisor {
public:
    explicit Machine(Input script)
        : FakeHypervisor(ram_size)
        , script_(script) {
        test::FakeBus& bus = add_host_bridge(0).bus;
        bus.add<test::FakeVirtio>(0, 0, uint16_t{2}, uint64_t{3} << 32);
        bus.add<test::FakeBridge>(1, 0).bus.add<test::FakeFunction>(0, 0, 1u, 1u, 0x020000u);
        bus.add<test::FakeLegacyVirtio>(2, 0, uint16_t{1}, 3u);
    }

    /// From now on answers follow the script: how many honest ones come first, then a lie.
    void start(std::span<const std::byte> tree) {
        tree_ = tree;
        honest_left_ = script_.byte();
        for (const Number number :
             {Number::rtas, Number::logical_ci_load, Number::logical_ci_store,
              Number::put_term_char, Number::get_term_char, Number::client_architecture_support,
              Number::update_dt, Number::pci_dma_bypass}) {
            handlers[number] = [this, number](Registers& registers) {
                return answer(number, registers);
            };
        }
    }

    static constexpr uint64_t ram_size = 4 << 20;

private:
    Status answer(Number number, Registers& registers) {
        demand(++answers_ < 2'000'000, "calls come to an end");
        if (honest_left_ > 0 || script_.empty()) {
            if (honest_left_ > 0) --honest_left_;
            return as_built(number, registers);
        }
        enum Lie : uint8_t { refused, garbage, status, count };
        const auto lie = static_cast<Lie>(script_.below(count));
        auto answer = Status::success;
        if (lie == status) (void)as_built(number, registers);
        if (lie == garbage) {
            fill(number, registers);
        } else {
            answer = Status{static_cast<int8_t>(script_.byte())};
        }
        honest_left_ = script_.byte();
        return answer;
    }
    Status as_built(Number number, Registers& registers) {
        if (number == Number::client_architecture_support) {
            std::ranges::copy(tree_, pointer({registers.r5}) + hcall::cas_reply_header);
            return Status::success;
        }
        if (number == Number::update_dt) return Status::success;
        auto scripted = std::move(handlers);
        handlers.clear();
        const Status status = call(static_cast<uint64_t>(number), registers);
        handlers = std::move(scripted);
        return status;
    }
    void fill(Number number, Registers& registers) {
        if (number != Number::rtas) {
            registers = {script_.number<uint64_t>(), script_.number<uint64_t>()};
            return;
        }
        // The cells behind the arguments, as many as the caller has room for.
        std::byte* const block = pointer({registers.r4});
        const uint32_t arguments = load<Big32>(block + 4), returns = load<Big32>(block + 8);
        for (uint32_t at = 0; at < returns; ++at) {
            const Big32 cell{script_.flag() ? script_.number<uint32_t>() : 0};
            std::memcpy(block + 4 * (3 + arguments + at), &cell, sizeof cell);
        }
    }

    Input script_;
    std::span<const std::byte> tree_;
    unsigned honest_left_ = 0;
    size_t answers_ = 0;
};

} // namespace

void run(Input input) {
    test::FakeClock::step = clock::frequency() / 64;
    Machine machine{input};
    fdt::Tree tree;
    machine.fill_tree(tree);
    const std::vector<std::byte> blob = written(tree);
    boot::start_log();
    machine.start(blob);

    const hcall::Rtas rtas{boot::find_rtas_tokens(blob)};
    const Probed probed{tree, rtas};

    MemoryMap memory;
    constexpr PhysicalRange ram{{0}, Machine::ram_size};
    demand(memory.add_ram(ram).has_value(), "there is RAM");
    boot::Profile profile;
    boot::Handoff handoff{tree, memory, ram, probed.topology, probed.findings, blob, profile};
    (void)handoff.client_architecture_support({0x5000});
    demand(memory.claims().empty(), "the memory of the answer is given back");
    std::array<char, 16> typed;
    demand(hcall::get_characters(hcall::Terminal::standard, typed) <= typed.size(), "as it fits");
    handoff.quiesce();
    machine.handlers.clear();
    demand_sound(tree);
}

} // namespace spillway::fuzz
