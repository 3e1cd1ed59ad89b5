// SPDX-License-Identifier: BSD-2-Clause
// A tree that is well formed, but describes no machine that there is: everything that reads it
// comes to an end, and what is written into it leaves it sound.
#include "boot/machine.h"
#include "boot/nvram.h"
#include "of/client.h"
#include "tests/fuzz/machines.h"
#include "tests/fuzz/trees.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/of_guest.h"
#include "tests/host/pci_machine.h"

namespace spillway::fuzz {

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
    return mutate_blob(data, size, most, seed);
}

void run(Input input) {
    AlignedCopy copy{input.bytes()};
    const auto blob = fdt::check_blob(copy.data(), copy.size());
    fdt::Tree tree;
    if (!blob || !fdt::read_blob(*blob, tree)) return;

    constexpr uint64_t ram_size = 1 << 20;
    test::FakeHypervisor machine{ram_size};
    test::FakeBus& bus = machine.add_host_bridge(0).bus;
    bus.add<test::FakeVirtio>(0, 0, uint16_t{2}, uint64_t{3} << 32);
    bus.add<test::FakeBridge>(1, 0).bus.add<test::FakeFunction>(0, 0, 1u, 1u, 0x020000u);

    const hcall::Rtas rtas{boot::find_rtas_tokens(*blob)};
    boot::format_blank_nvram(tree, rtas);
    const Probed probed{tree, rtas};

    MemoryMap memory;
    demand(memory.add_ram({{0}, ram_size}).has_value(), "there is RAM");
    of::test::FakeConsole console;
    of::test::FakePlatform platform;
    of::Client client{tree, memory, console, platform};
    demand(client.prepare(fdt::blob_boot_cpu(*blob)).has_value(), "the client's tree is furnished");
    demand_round_trip(tree);
}

} // namespace spillway::fuzz
