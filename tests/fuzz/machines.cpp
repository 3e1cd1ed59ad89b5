// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/machines.h"

#include "pci/allocate.h"
#include "pci/describe.h"
#include "pci/enumerate.h"

#include <algorithm>

namespace spillway::fuzz {
namespace {

using pci::Function;
using pci::Space;

/// The windows that an address on the function's bus has to come through.
BusRange window_above(const Function& function, size_t space) {
    return function.bridge != nullptr ? function.bridge->windows[space]
                                      : function.host->windows[space].bus;
}

/// What is taken of one bus's I/O or memory addresses.
struct Taken {
    const Function* function;
    bool io;
    BusRange range;

    bool clashes_with(const Taken& other) const {
        return function->host == other.function->host &&
               function->bridge == other.function->bridge && io == other.io &&
               range.overlaps(other.range);
    }
};

void demand_buses_nest(const Function& function) {
    const Function* bridge = function.bridge;
    demand(function.host != nullptr && function.node != nullptr, "a host bridge and a node");
    demand(function.location.bus ==
               (bridge != nullptr ? bridge->secondary_bus : function.host->first_bus),
           "the bus that the bridge leads to");
    if (!function.is_bridge || function.secondary_bus == 0) return;
    const unsigned last = bridge != nullptr ? bridge->subordinate_bus : function.host->last_bus;
    demand(function.secondary_bus > function.location.bus &&
               function.subordinate_bus >= function.secondary_bus &&
               function.subordinate_bus <= last,
           "bus numbers nest");
}

} // namespace

Patch patch_from(Input& input, test::FakeFunction& function, size_t most_offsets) {
    const auto offset = static_cast<uint8_t>(input.below(most_offsets));
    return {&function, offset, input.byte(), input.byte()};
}

void apply(const std::vector<Patch>& patches) {
    for (const Patch& patch : patches) {
        patch.function->config[patch.offset] = patch.value;
        patch.function->writable[patch.offset] = patch.writable;
    }
}

void add_bar(Input& input, test::FakeFunction& function, unsigned bar_count) {
    using test::FakeBar;
    const size_t index = input.below(bar_count);
    const FakeBar kind{static_cast<uint8_t>(input.below(5))};
    const bool io = kind == FakeBar::io;
    const bool wide = kind == FakeBar::memory64 || kind == FakeBar::memory64_prefetchable;
    const uint64_t size = uint64_t{1}
                          << (io ? 2 + input.below(14) : 4 + input.below(wide ? 44 : 28));
    const auto taken = [&function](size_t at) {
        // The upper half of a pair has no size of its own, but bits that can be written.
        return function.bar_sizes[at] != 0 || function.writable[0x13 + 4 * at] != 0;
    };
    if (index + wide >= bar_count || taken(index) || (wide && taken(index + 1))) return;
    function.add_bar(static_cast<unsigned>(index), kind, size);
}

void demand_laid_out(const pci::Topology& topology) {
    std::vector<Taken> all;
    size_t count = 0;
    for (const Function* at = topology.functions; at != nullptr; at = at->next, ++count) {
        demand_buses_nest(*at);
        for (const Function* other = at->next; other != nullptr; other = other->next) {
            demand(at->host != other->host || at->location != other->location,
                   "no function is there twice");
        }
        for (const pci::Bar& bar : at->bars) {
            if (!bar.assigned) continue;
            const bool io = bar.space == Space::io;
            const BusRange range{bar.address, bar.size};
            demand(is_power_of_two(bar.size) && bar.address.value != 0 &&
                       bar.address.value % bar.size == 0,
                   "a BAR has a size, an address, and is aligned");
            demand(bar.space == Space::memory64 || range.end().value <= uint64_t{1} << 32,
                   "a 32-bit BAR lies below 4 GiB");
            demand(io ? window_above(*at, 0).contains(range)
                      : window_above(*at, 1).contains(range) ||
                            window_above(*at, 2).contains(range),
                   "a BAR lies in the window above");
            demand(pci::cpu_address(*at, bar, 0, bar.size).has_value(), "the CPU reaches a BAR");
            all.push_back({at, io, range});
        }
        for (size_t space = 0; space < pci::space_count; ++space) {
            const BusRange window = at->windows[space];
            if (window.size == 0) continue;
            demand(at->is_bridge, "only bridges have windows");
            demand(window_above(*at, space).contains(window), "windows nest");
            all.push_back({at, space == 0, window});
        }
    }
    demand(count == topology.function_count, "as many functions as counted");
    for (size_t i = 0; i < all.size(); ++i) {
        for (size_t k = 0; k < i; ++k)
            demand(!all[i].clashes_with(all[k]), "no two overlap");
    }
}

void demand_bounded(const test::FakeHypervisor& machine, const pci::Topology& topology) {
    constexpr size_t most_slots = 256 * 256, of_a_function = 64;
    const size_t hosts = machine.host_bridges.size();
    demand(machine.config_reads <=
               hosts * most_slots + of_a_function * (topology.function_count + 1),
           "config reads are bounded");
}

void demand_honest(const virtio::Findings& findings, const pci::Topology& topology,
                   const fdt::Tree& tree) {
    const Function* function = topology.functions;
    for (const virtio::Finding& finding : findings) {
        demand(finding.function == function, "findings follow the functions");
        function = function->next;
        const char* value = virtio::property_value(finding.verdict);
        demand(tree.text(*finding.function->node, "qemu,dma-bypass") ==
                   (value != nullptr ? value : ""),
               "the tree says the verdict");
        if (finding.is_virtio && !finding.device) {
            demand(finding.verdict == virtio::Verdict::unstated, "nothing is claimed");
        }
        if (!finding.device) continue;
        const virtio::Features& features = finding.device->features;
        demand((finding.verdict == virtio::Verdict::fixed) !=
                   features.has(virtio::feature_access_platform),
               "bit 33 decides");
        demand(features.low != ~uint64_t{0}, "features are not all ones");
    }
    demand(function == nullptr, "one finding a function");
}

Probed::Probed(fdt::Tree& tree, const hcall::Rtas& rtas) {
    auto found = pci::enumerate(tree, rtas);
    demand(found.has_value(), "there is memory to probe");
    topology = *found;
    pci::allocate(topology);
    const auto gathered = virtio::Findings::gather(topology);
    demand(gathered && gathered->describe(tree) && pci::describe(topology, tree), "described");
    findings = *gathered;
    demand_laid_out(topology);
    demand_honest(findings, topology, tree);
}

Probed::~Probed() {
    test::free_findings(findings);
    test::free_topology(topology);
}

} // namespace spillway::fuzz
