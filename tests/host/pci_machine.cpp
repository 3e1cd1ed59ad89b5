// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/pci_machine.h"

#include "base/heap.h"
#include "base/log.h"
#include "fdt/cells.h"
#include "pci/allocate.h"
#include "pci/describe.h"
#include "pci/enumerate.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace spillway::test {
namespace {

using pci::Bar;
using pci::Function;
using pci::Space;

std::string text(const char* what, const Function& function, uint64_t one = 0, uint64_t two = 0) {
    char line[160];
    std::snprintf(line, sizeof line, "%s: %s (0x%llx, 0x%llx)", pci::name(function).text, what,
                  static_cast<unsigned long long>(one), static_cast<unsigned long long>(two));
    return line;
}

struct Span {
    uint64_t start, end;
    const Function* owner;
};

/// What functions and bridges of one bus claim of I/O or of memory space.
struct Claims {
    const Function* bridge;
    bool io;
    std::vector<Span> spans;
};

std::string check_bridge(const Function& bridge, const FakeBridge& fake) {
    const auto same = [](BusRange window, FakeBridge::Span span) {
        if (window.size == 0) return span.start >= span.end;
        return span.start == window.start.value && span.end == window.end().value;
    };
    if (!same(bridge.windows[0], fake.io_window())) return text("I/O window", bridge);
    if (!same(bridge.windows[1], fake.memory_window())) return text("memory window", bridge);
    if (!same(bridge.windows[2], fake.prefetchable_window())) {
        return text("prefetchable window", bridge, fake.prefetchable_window().start,
                    fake.prefetchable_window().end);
    }
    for (size_t space = 0; space < pci::space_count; ++space) {
        const BusRange window = bridge.windows[space];
        if (window.size == 0) continue;
        const uint64_t granule = space == 0 ? 0x1000 : 0x10'0000;
        if (window.start.value % granule != 0 || window.size % granule != 0) {
            return text("window granule", bridge, window.start.value, window.size);
        }
        const BusRange above = bridge.bridge != nullptr ? bridge.bridge->windows[space]
                                                        : bridge.host->windows[space].bus;
        if (!above.contains(window)) return text("window outside parent's", bridge, space);
    }
    return {};
}

} // namespace

void free_topology(pci::Topology& topology) {
    while (topology.functions != nullptr) {
        give_to_heap(std::exchange(topology.functions, topology.functions->next));
    }
    while (topology.hosts != nullptr) {
        give_to_heap(std::exchange(topology.hosts, topology.hosts->next));
    }
    topology = {};
}

void free_findings(const virtio::Findings& findings) {
    give_to_heap(const_cast<virtio::Finding*>(findings.begin()));
}

PciMachine::PciMachine()
    : machine(1 << 20)
    , host(machine.add_host_bridge(0))
    , rtas(machine.rtas_tokens()) {
    log::set_level(log::Level::normal);
}

PciMachine::~PciMachine() {
    free_topology(topology);
}

FakeFunction& PciMachine::add(FakeBus& bus, unsigned device, unsigned function) {
    return bus.add<FakeFunction>(device, function, some_vendor, some_device, disk_class);
}

void PciMachine::fill_tree() {
    tree = std::make_unique<fdt::Tree>();
    machine.fill_tree(*tree);
}

void PciMachine::enumerate() {
    if (tree == nullptr) fill_tree();
    free_topology(topology);
    auto result = pci::enumerate(*tree, rtas);
    enumerated_well = result.has_value();
    if (result) topology = *result;
}

void PciMachine::allocate() {
    pci::allocate(topology);
}

void PciMachine::describe() {
    described_well = pci::describe(topology, *tree).has_value();
}

void PciMachine::reset_firmware() {
    free_topology(topology);
    tree.reset();
}

Function* PciMachine::find(pci::Location location, size_t host_index) const {
    const hcall::Buid buid = machine.host_bridges[host_index]->buid;
    for (Function* at = topology.functions; at != nullptr; at = at->next) {
        if (at->location == location && at->host->buid == buid) return at;
    }
    return nullptr;
}

std::vector<uint32_t> PciMachine::cells(const fdt::Node& node, std::string_view name) const {
    std::vector<uint32_t> result;
    fdt::CellReader reader{tree->value(node, name)};
    while (reader.cells_left() > 0)
        result.push_back(*reader.cell());
    return result;
}

std::vector<std::string> PciMachine::texts(const fdt::Node& node, std::string_view name) const {
    std::vector<std::string> result;
    const fdt::Bytes bytes = tree->value(node, name);
    std::string_view rest{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\0'), rest.size() - 1);
        result.emplace_back(rest.substr(0, rest[end] == '\0' ? end : end + 1));
        rest.remove_prefix(end + 1);
    }
    return result;
}

void PciMachine::set_decoding(bool on) {
    for (const Function* at = topology.functions; at != nullptr; at = at->next) {
        FakeFunction* fake = machine.find_function(at->host->buid, at->location);
        if (fake == nullptr) continue;
        uint16_t command = 0;
        for (const Bar& bar : at->bars) {
            if (!bar.assigned || bar.rom) continue;
            command |= bar.space == Space::io ? pci::command_io : pci::command_memory;
        }
        for (size_t space = 0; space < pci::space_count; ++space) {
            if (at->windows[space].size == 0) continue;
            command |= space == 0 ? pci::command_io : pci::command_memory;
        }
        fake->set16(0x04, on ? command : 0);
    }
}

std::string PciMachine::broken_invariant() {
    for (const Function* at = topology.functions; at != nullptr; at = at->next) {
        const FakeFunction* fake = machine.find_function(at->host->buid, at->location);
        if (fake != nullptr && fake->get16(0x04) != 0) return text("decodes", *at);
    }
    set_decoding(true);
    std::string broken = broken_while_decoding();
    set_decoding(false);
    return broken;
}

std::string PciMachine::broken_while_decoding() {
    std::vector<Claims> all;
    const auto claim = [&all](const Function* bridge, const Function& owner, bool io,
                              BusRange range) {
        auto found = std::find_if(all.begin(), all.end(), [&](const Claims& claims) {
            return claims.bridge == bridge && claims.io == io &&
                   claims.spans.front().owner->host == owner.host;
        });
        if (found == all.end()) found = all.insert(all.end(), Claims{bridge, io, {}});
        found->spans.push_back({range.start.value, range.end().value, &owner});
    };

    for (const Function* at = topology.functions; at != nullptr; at = at->next) {
        FakeFunction* fake = machine.find_function(at->host->buid, at->location);
        if (fake == nullptr) return text("is not there", *at);
        if (fake->bus_master()) return text("is bus master", *at);
        for (size_t index = 0; index < pci::bar_count; ++index) {
            const Bar& bar = at->bars[index];
            if (!bar.assigned) continue;
            const uint64_t start = bar.address.value;
            if (start == 0 || start % bar.size != 0) return text("not aligned", *at, start);
            if (bar.size != fake->bar_sizes[index]) return text("size", *at, bar.size);
            const bool io = bar.space == Space::io;
            const BusRange range{bar.address, bar.size};
            claim(at->bridge, *at, io, range);
            bool inside = false;
            for (size_t space = 0; space < pci::space_count; ++space) {
                if ((space == 0) != io) continue;
                const BusRange above = at->bridge != nullptr ? at->bridge->windows[space]
                                                             : at->host->windows[space].bus;
                inside = inside || above.contains(range);
            }
            if (!inside) return text("outside windows", *at, start, bar.size);
            if (bar.space != Space::memory64 && range.end().value > uint64_t{1} << 32) {
                return text("32-bit BAR beyond 4 GiB", *at, start);
            }
            if (fake->bar_address(static_cast<unsigned>(index)) != start) {
                return text("register", *at, start);
            }
            if (bar.rom) {
                if ((fake->get8(bar.config_offset) & 1) != 0) return text("ROM enabled", *at);
                continue;
            }
            for (const uint64_t offset : {uint64_t{0}, bar.size - 1}) {
                const auto cpu = pci::cpu_address(*at, bar, offset, 1);
                if (!cpu) return text("no CPU address", *at, offset);
                const auto target = machine.decode(*cpu, 1);
                if (!target || target->function != fake || target->bar != index ||
                    target->offset != offset) {
                    return text("not reachable", *at, start, offset);
                }
            }
        }
        if (!at->is_bridge) continue;
        if (auto broken = check_bridge(*at, dynamic_cast<FakeBridge&>(*fake)); !broken.empty()) {
            return broken;
        }
        for (size_t space = 0; space < pci::space_count; ++space) {
            if (at->windows[space].size != 0) {
                claim(at->bridge, *at, space == 0, at->windows[space]);
            }
        }
    }
    for (Claims& claims : all) {
        std::sort(claims.spans.begin(), claims.spans.end(),
                  [](const Span& one, const Span& two) { return one.start < two.start; });
        for (size_t index = 1; index < claims.spans.size(); ++index) {
            if (claims.spans[index].start < claims.spans[index - 1].end) {
                return text("overlap", *claims.spans[index].owner, claims.spans[index].start,
                            claims.spans[index - 1].end);
            }
        }
    }
    return {};
}

} // namespace spillway::test
