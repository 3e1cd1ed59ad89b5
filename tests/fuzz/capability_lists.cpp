// SPDX-License-Identifier: BSD-2-Clause
// Config space of any content: a capability list is walked once, or refused.
#include "pci/capability.h"
#include "tests/fuzz/machines.h"

namespace spillway::fuzz {

void run(Input input) {
    static test::FakeHypervisor machine{0x1000};
    static test::FakeFunction& function =
        machine.add_host_bridge(0).bus.add<test::FakeFunction>(0, 0, uint16_t{1}, uint16_t{1}, 1u);
    static const hcall::Rtas rtas{machine.rtas_tokens()};

    // The input is what differs from a function with a list, from the registers of its head on.
    function.config.fill(0);
    function.config[0x06] = 0x10;
    const auto head = input.bytes(2);
    if (!head.empty()) function.config[0x34] = std::to_integer<uint8_t>(head[0]);
    if (head.size() == 2) function.config[0x06] ^= std::to_integer<uint8_t>(head[1]);
    const auto rest = input.bytes(192);
    std::ranges::transform(rest, &function.config[0x40],
                           [](std::byte byte) { return std::to_integer<uint8_t>(byte); });

    machine.config_reads = 0;
    const auto list = pci::CapabilityList::read({rtas, machine.host_bridges[0]->buid, {}});
    demand(machine.config_reads <= 2 + pci::most_capabilities, "each is read once");
    demand(machine.config_writes == 0, "nothing is written");
    if (!list) return;

    unsigned expected = (function.config[0x06] & 0x10) != 0 ? function.config[0x34] & 0xFCu : 0;
    for (const pci::Capability& capability : *list) {
        demand(capability.offset == expected && expected >= 0x40, "capabilities follow the list");
        demand(static_cast<uint8_t>(capability.id) == function.config[expected], "its ID");
        expected = function.config[expected + 1] & 0xFCu;
    }
    demand(expected == 0, "the list is followed to its end");
}

} // namespace spillway::fuzz
