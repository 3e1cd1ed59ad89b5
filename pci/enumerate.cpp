// SPDX-License-Identifier: BSD-2-Clause
#include "pci/enumerate.h"

#include "base/heap.h"
#include "base/log.h"
#include "pci/bars.h"
#include "pci/bus_master.h"
#include "pci/host_bridge.h"
#include "pci/nodes.h"

#include <array>
#include <new>

namespace spillway::pci {
namespace {

constexpr size_t bus_count = 256;

enum HeaderType : uint8_t { header_device = 0, header_bridge = 1 };
constexpr uint32_t header_type_mask = 0x7F;
constexpr uint32_t multi_function_bit = 0x80;

/// A plain object on the heap, for ever; nullptr when there is no memory.
template<typename Type, typename... Arguments> Type* make(const Arguments&... arguments) {
    void* memory = take_from_heap(sizeof(Type));
    return memory == nullptr ? nullptr : new (memory) Type{arguments...};
}

bool is_absent(uint32_t ids) {
    const uint32_t vendor = ids & 0xFFFF;
    return vendor == 0xFFFF || ids == 0 || ids == 0xFFFF'0000;
}

/// What is needed while one host bridge is walked. Too large for the stack.
struct Scratch {
    BusNodes nodes;
    /// Which bus a bus number may be given out on: the secondary bus of the innermost bridge that
    /// forwards it, the root bus at first. Ranges of bridges so nest, and never meet otherwise.
    std::array<uint8_t, bus_count> giver;
};

/// Walks one host bridge in depth-first order without recursion: the buses of bridges are scanned
/// when the walk along the list of functions comes to the bridge, and what is found there is put
/// right behind it.
class Walk {
public:
    Walk(fdt::Tree& tree, Topology& topology, HostBridge& host, Scratch& scratch)
        : tree_(tree)
        , topology_(topology)
        , host_(host)
        , scratch_(scratch)
        , last_used_bus_(host.first_bus) {}

    /// `tail` is the last function of the topology so far, nullptr when there is none.
    void run(Function* tail) {
        scratch_.giver.fill(host_.first_bus);
        scan_bus(nullptr, tail);
        for (Function* at = tail == nullptr ? topology_.functions : tail->next; at != nullptr;
             at = at->next) {
            if (at->is_bridge && take_bus_numbers(*at)) scan_bus(at, at);
        }
        close_bridges_up_to(nullptr);
    }

private:
    uint8_t secondary_bus_of(const Function* bridge) const {
        return bridge == nullptr ? host_.first_bus : bridge->secondary_bus;
    }

    // --- one bus

    void scan_bus(Function* bridge, Function* after) {
        fdt::Node& parent = bridge == nullptr ? *host_.node : *bridge->node;
        const uint8_t bus = secondary_bus_of(bridge);
        scratch_.nodes.collect(tree_, parent);
        for (uint8_t device = 0; device < 32; ++device) {
            bool more = scratch_.nodes.lists_more_functions(device);
            for (uint8_t function = 0; function < 8; ++function) {
                if (function == 1 && !more) break;
                const Location location{bus, device, function};
                const Config config{*topology_.rtas, host_.buid, location};
                const uint32_t ids = config.read(Register32::ids);
                if (is_absent(ids)) {
                    if (function == 0) break;
                    continue;
                }
                const uint32_t header = config.read(Register32::header);
                if (function == 0) more = more || (header >> 16 & multi_function_bit) != 0;
                Function* found = probe(config, location, ids, header, bridge, parent);
                if (found == nullptr) {
                    leave_alone(location);
                    continue;
                }
                insert(*found, after);
                after = found;
            }
        }
        scratch_.nodes.for_each_left([&](uint8_t device, uint8_t function) {
            const Location location{bus, device, function};
            log::warning("pci %s is in the hypervisor's tree but does not answer",
                         name(host_, location).text);
            leave_alone(location);
        });
    }

    void insert(Function& function, Function* after) {
        Function*& link = after == nullptr ? topology_.functions : after->next;
        function.next = link;
        link = &function;
        ++topology_.function_count;
    }

    // --- one function

    /// Who is not used decodes nothing and reaches no memory; nobody asks it again.
    void leave_alone(Location location) {
        const Config config{*topology_.rtas, host_.buid, location};
        config.write(Register16::command, 0);
        silence_bus_master(config, name(host_, location));
    }

    /// Quiets a function that answers and learns all about it. nullptr: not one to use.
    Function* probe(const Config& config, Location location, uint32_t ids, uint32_t header,
                    Function* bridge, fdt::Node& parent) {
        fdt::Node* node = scratch_.nodes.take(location);
        const uint32_t type = header >> 16 & header_type_mask;
        if (type != header_device && type != header_bridge) {
            log::warning("pci %s has header type 0x%02x, neither device nor PCI bridge: left alone",
                         name(host_, location).text, static_cast<unsigned>(type));
            return nullptr;
        }
        Function* function = make<Function>();
        if (function == nullptr) {
            log::error("pci %s: no memory: left out", name(host_, location).text);
            return nullptr;
        }
        const uint32_t class_and_revision = config.read(Register32::class_and_revision);
        function->bridge = bridge;
        function->host = &host_;
        function->location = location;
        function->vendor_id = static_cast<uint16_t>(ids);
        function->device_id = static_cast<uint16_t>(ids >> 16);
        function->class_code = class_and_revision >> 8;
        function->revision = static_cast<uint8_t>(class_and_revision);
        function->is_bridge = type == header_bridge;
        function->listed = node != nullptr;

        const auto found = node == nullptr ? adopt(parent, *function) : renumber(*node, *function);
        if (!found) {
            log::warning("pci %s: %s: left out", name(*function).text, found.error().message);
            give_to_heap(function);
            return nullptr;
        }
        function->node = *found;

        config.write(Register16::command, 0); // nothing may decode while BARs are sized
        size_bars(config, *function);
        if (function->is_bridge) learn_bridge(config, *function);
        return function;
    }

    Result<fdt::Node*> adopt(fdt::Node& parent, const Function& function) {
        log::warning("pci %s is not in the hypervisor's tree", name(function).text);
        return add_node(tree_, parent, function);
    }

    Result<fdt::Node*> renumber(fdt::Node& node, const Function& function) {
        const auto renumbered = set_bus_number(tree_, node, function.location.bus);
        if (!renumbered) return error_of(renumbered);
        return &node;
    }

    /// Which windows the bridge has, and closes the two optional ones (PCI-to-PCI Bridge 1.2,
    /// 3.2.5.6 and 3.2.5.9: one that is not implemented reads 0, the low bits tell the width).
    void learn_bridge(const Config& config, Function& bridge) const {
        constexpr uint32_t all_ones = 0xFFFF'FFFF;
        config.write(Register16::io_window, 0x00F0);
        const uint16_t io = config.read(Register16::io_window);
        bridge.has_io_window = io != 0xFFFF && (io & 0xF0) != 0;
        bridge.io_32 = bridge.has_io_window && (io & 0x0F) == 1;
        config.write(Register32::prefetchable_window, 0x0000'FFF0);
        const uint32_t prefetchable = config.read(Register32::prefetchable_window);
        bridge.has_prefetchable_window = prefetchable != all_ones && (prefetchable & 0xFFF0) != 0;
        bridge.prefetchable_64 = bridge.has_prefetchable_window && (prefetchable & 0x0F) == 1;
        // Numbers from before a reset would let two bridges answer for one bus.
        if (!host_.numbered) config.write(Register32::bus_numbers, 0);
    }

    // --- bus numbers

    bool take_bus_numbers(Function& bridge) {
        return host_.numbered ? read_bus_numbers(bridge) : give_bus_numbers(bridge);
    }

    bool read_bus_numbers(Function& bridge) {
        const uint32_t numbers = topology_.config(bridge).read(Register32::bus_numbers);
        const auto secondary = static_cast<uint8_t>(numbers >> 8);
        const auto subordinate = static_cast<uint8_t>(numbers >> 16);
        const uint8_t own = bridge.location.bus;
        constexpr uint32_t all_ones = 0xFFFF'FFFF;
        bool sound = numbers != all_ones && secondary > own && subordinate >= secondary &&
                     subordinate <= host_.last_bus;
        for (unsigned bus = secondary; sound && bus <= subordinate; ++bus) {
            sound = scratch_.giver[bus] == own;
        }
        if (!sound) {
            log::warning("pci %s: bridge forwards buses 0x%02x to 0x%02x, which makes no sense: "
                         "what is behind it is left out",
                         name(bridge).text, unsigned{secondary}, unsigned{subordinate});
            return false;
        }
        for (unsigned bus = secondary; bus <= subordinate; ++bus)
            scratch_.giver[bus] = secondary;
        bridge.secondary_bus = secondary;
        bridge.subordinate_bus = subordinate;
        return true;
    }

    /// The next number; the bridge forwards all higher ones until close_bridges_up_to() knows
    /// better.
    bool give_bus_numbers(Function& bridge) {
        close_bridges_up_to(bridge.bridge);
        if (last_used_bus_ == host_.last_bus) {
            log::warning("pci %s: no bus number is left: what is behind it is left out",
                         name(bridge).text);
            return false;
        }
        bridge.secondary_bus = ++last_used_bus_;
        bridge.subordinate_bus = host_.last_bus;
        write_bus_numbers(bridge);
        open_ = &bridge;
        return true;
    }

    /// Limits the bridges from the last numbered one upwards to the buses really behind them.
    void close_bridges_up_to(const Function* end) {
        for (; open_ != end; open_ = open_->bridge) {
            open_->subordinate_bus = last_used_bus_;
            write_bus_numbers(*open_);
        }
    }

    void write_bus_numbers(const Function& bridge) {
        topology_.config(bridge).write(Register32::bus_numbers,
                                       uint32_t{bridge.location.bus} |
                                           uint32_t{bridge.secondary_bus} << 8 |
                                           uint32_t{bridge.subordinate_bus} << 16);
    }

    fdt::Tree& tree_;
    Topology& topology_;
    HostBridge& host_;
    Scratch& scratch_;
    uint8_t last_used_bus_;
    Function* open_ = nullptr; ///< innermost bridge that still forwards all higher bus numbers
};

bool has_buid(const HostBridge* hosts, hcall::Buid buid) {
    for (; hosts != nullptr; hosts = hosts->next) {
        if (hosts->buid == buid) return true;
    }
    return false;
}

} // namespace

Result<Topology> enumerate(fdt::Tree& tree, const hcall::Rtas& rtas) {
    Topology topology;
    topology.rtas = &rtas;
    auto* scratch = make<Scratch>();
    if (scratch == nullptr) return fail(ErrorCode::out_of_memory, "PCI: no memory to probe");
    HostBridge** last_host = &topology.hosts;
    Function* tail = nullptr;
    for (fdt::Node* node = tree.first_child(*tree.root()); node != nullptr;
         node = tree.next_sibling(*node)) {
        if (!is_host_bridge(tree, *node)) continue;
        const auto read = read_host_bridge(tree, *node);
        if (!read) {
            log::warning("%s", read.error().message);
            continue;
        }
        if (has_buid(topology.hosts, read->buid)) {
            log::warning("pci: two host bridges have the buid 0x%llx: the second is left out",
                         static_cast<unsigned long long>(read->buid));
            continue;
        }
        HostBridge* host = make<HostBridge>(*read);
        if (host == nullptr) {
            log::error("pci: no memory for another host bridge");
            break;
        }
        *last_host = host;
        last_host = &host->next;
        Walk{tree, topology, *host, *scratch}.run(tail);
        for (Function* at = tail == nullptr ? topology.functions : tail; at != nullptr;
             at = at->next) {
            tail = at;
        }
    }
    give_to_heap(scratch);
    return topology;
}

} // namespace spillway::pci
