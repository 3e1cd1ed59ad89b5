// SPDX-License-Identifier: BSD-2-Clause
// The boot, from the first C++ instruction to the operating system: seven steps, each taking what
// the ones before it returned.
#include "base/clock.h"
#include "base/log.h"
#include "boot/console.h"
#include "boot/handoff.h"
#include "boot/heap.h"
#include "boot/machine.h"
#include "boot/memory.h"
#include "boot/nvram.h"
#include "boot/profile.h"
#include "boot/program.h"
#include "boot/report.h"
#include "boot/steps.h"
#include "boot/stop.h"
#include "boot/version.h"
#include "of/client.h"
#include "pci/allocate.h"
#include "pci/bus_master.h"
#include "pci/describe.h"
#include "pci/enumerate.h"

#include <cstdlib>
#include <new>

namespace spillway::boot {
namespace {

constinit MemoryMap memory;
constinit PhysicalRange home; ///< the firmware's: RAM that QEMU keeps free below its tree
constinit hcall::Rtas rtas{hcall::RtasTokens{}};
constinit TerminalConsole console{hcall::Terminal::standard};
constinit Profile profile;
constinit of::Client* client = nullptr; ///< who answers once a program runs

/// Objects that outlive main's own frames live on the heap for ever.
template<typename Object, typename... Arguments> Object& keep(Arguments&&... arguments) {
    void* place = std::malloc(sizeof(Object));
    if (place == nullptr) {
        give_up(fail(ErrorCode::out_of_memory, "no memory for %zu bytes", sizeof(Object)).error());
    }
    return *new (place) Object(static_cast<Arguments&&>(arguments)...);
}

// The steps are not inlined: each gives its stack frame back.

/// 1. Console and memory.
[[gnu::noinline]] fdt::Bytes open_machine(PhysicalAddress device_tree, Steps& steps) {
    constexpr uint64_t qemu_keeps_free = 40 << 20; // below the end of what real mode reaches
    const fdt::Bytes blob = need(open_blob(device_tree));
    rtas = hcall::Rtas{find_rtas_tokens(blob)};
    set_stop_services(rtas);
    need(map_memory(blob, memory));
    const PhysicalRange low = real_mode_area(memory);
    const PhysicalAddress tree = to_physical(blob.data());
    const uint64_t start = tree.value > qemu_keeps_free ? tree.value - qemu_keeps_free : 0;
    home = {{align_up(start, 1 << 20)}, tree.value - align_up(start, 1 << 20)};
    start_heap(memory, home, low.end());
    steps.done("memory", "%llu MiB in the first block",
               static_cast<unsigned long long>(low.size >> 20));
    return blob;
}

/// 2. The tree.
[[gnu::noinline]] fdt::Tree& read_tree(fdt::Bytes blob, Steps& steps) {
    auto& tree = keep<fdt::Tree>();
    need(fdt::read_blob(blob, tree));
    clock::set_frequency(find_timebase_frequency(tree));
    if (fdt::Node* chosen = tree.find("/chosen")) {
        need(tree.set_text(*chosen, "spillway,version", version, fdt::Origin::firmware));
    }
    steps.done("tree", "%zu nodes, %zu properties", tree.node_count(), tree.property_count());
    return tree;
}

/// 3. PCI.
[[gnu::noinline]] const pci::Topology& probe_pci(fdt::Tree& tree, Steps& steps) {
    auto& topology = keep<pci::Topology>(need(pci::enumerate(tree, rtas)));
    pci::allocate(topology);
    need(pci::describe(topology, tree));
    steps.done("pci", "%zu functions", topology.function_count);
    return topology;
}

/// 4 and 5. virtio devices, and how the DMA of every function travels.
[[gnu::noinline]] const virtio::Findings& settle_dma(const pci::Topology& topology, fdt::Tree& tree,
                                                     Steps& steps) {
    const auto& findings = keep<virtio::Findings>(need(virtio::Findings::gather(topology)));
    need(findings.describe(tree));
    size_t devices = 0;
    size_t claims = 0;
    for (const virtio::Finding& finding : findings) {
        devices += finding.device.has_value();
        claims += finding.verdict != virtio::Verdict::unstated;
    }
    steps.done("virtio", "%zu devices; DMA stated for %zu functions", devices, claims);
    print_functions(findings);
    return findings;
}

/// 6. What to boot.
[[gnu::noinline]] Program find_program(const fdt::Tree& tree, Steps& steps) {
    const PhysicalRange image = find_kernel(tree);
    if (image.size == 0) {
        log::error("nothing to boot: looked for qemu,boot-kernel in /chosen (QEMU's -kernel); "
                   "disks and networks are not looked at");
        log::error("powering off");
        power_off_machine();
    }
    const fdt::Node* chosen = tree.find("/chosen");
    const Program program =
        need(prepare_program(image, tree.has(*chosen, "qemu,boot-kernel-le"), memory));
    steps.done("program", "%s, entry 0x%llx", program.format,
               static_cast<unsigned long long>(program.entry.value));
    return program;
}

/// 7. Hand-off.
[[noreturn, gnu::noinline]] void hand_off(const Program& program, fdt::Tree& tree,
                                          const pci::Topology& topology,
                                          const virtio::Findings& findings, fdt::Bytes blob,
                                          Steps& steps) {
    constexpr uint64_t stack_size = 64 << 10;
    auto& handoff = keep<Handoff>(tree, memory, home, topology, findings, blob, profile);
    client = &keep<of::Client>(tree, memory, console, handoff);
    const PhysicalAddress stack = need(memory.claim_lowest(
        stack_size, stack_size, real_mode_area(memory), MemoryMap::Owner::client));
    need(client->prepare(fdt::blob_boot_cpu(blob), version));
    format_blank_nvram(tree, rtas);
    const size_t masters = pci::silence_bus_masters(topology);
    steps.done("hand-off", "bus mastering is off%s; %u ms since the start",
               masters == 0 ? " everywhere" : ", but not everywhere", handoff.milliseconds());
    need(profile.describe(tree));
    enter(program, find_initrd(tree), stack + stack_size);
}

} // namespace

extern "C" [[noreturn]] void spillway_main(uint64_t device_tree) {
    start_log();
    Steps steps{profile};
    const fdt::Bytes blob = open_machine({device_tree}, steps);
    fdt::Tree& tree = read_tree(blob, steps);
    const pci::Topology& topology = probe_pci(tree, steps);
    const virtio::Findings& findings = settle_dma(topology, tree, steps);
    const Program program = find_program(tree, steps);
    hand_off(program, tree, topology, findings, blob, steps);
}

extern "C" int32_t client_interface_call(uint64_t arguments) {
    return client->call({arguments});
}

extern "C" [[noreturn]] void program_returned() {
    log::error("the program returned; powering off");
    power_off_machine();
}

} // namespace spillway::boot
