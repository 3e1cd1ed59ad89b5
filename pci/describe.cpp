// SPDX-License-Identifier: BSD-2-Clause
#include "pci/describe.h"

#include "fdt/cells.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace spillway::pci {
namespace {

constexpr uint32_t not_relocatable = 1u << 31;
constexpr uint32_t prefetchable = 1u << 30;
constexpr uint32_t space_io = 1u << 24;
constexpr uint32_t space_memory32 = 2u << 24;
constexpr uint32_t space_memory64 = 3u << 24;
constexpr size_t cells_per_entry = 5;

uint32_t space_code(Space space) {
    constexpr std::array codes{space_io, space_memory32, space_memory64};
    return codes[static_cast<size_t>(space)];
}

/// Writes properties of one node and remembers the first failure.
class NodeWriter {
public:
    NodeWriter(fdt::Tree& tree, fdt::Node& node)
        : tree_(tree)
        , node_(node) {}

    void bytes(const char* name, fdt::Bytes value) {
        keep(tree_.set(node_, name, value, fdt::Origin::firmware));
    }
    void text(const char* name, const char* value) {
        keep(tree_.set_text(node_, name, value, fdt::Origin::firmware));
    }
    void cell(const char* name, uint32_t value) {
        keep(tree_.set_cells(node_, name, {value}, fdt::Origin::firmware));
    }
    void cell_if_missing(const char* name, uint32_t value) {
        if (!tree_.has(node_, name)) cell(name, value);
    }
    bool has(const char* name) const { return tree_.has(node_, name); }
    uint32_t value(const char* name) const { return tree_.cell(node_, name, 0); }
    const Result<void>& result() const { return result_; }

private:
    void keep(const Result<fdt::Property*>& outcome) {
        if (!outcome && result_) result_ = error_of(outcome);
    }

    fdt::Tree& tree_;
    fdt::Node& node_;
    Result<void> result_;
};

/// What the hypervisor writes for functions that it lists.
void write_identity(const Topology& topology, const Function& function, NodeWriter& node) {
    const Config config = topology.config(function);
    node.cell("vendor-id", function.vendor_id);
    node.cell("device-id", function.device_id);
    node.cell("revision-id", function.revision);
    node.cell("class-code", function.class_code);
    const uint32_t interrupt = config.read(Register32::interrupt);
    const uint32_t pin = interrupt >> 8 & 0xFF;
    if (pin >= 1 && pin <= 4) node.cell("interrupts", pin);
    if (!function.is_bridge) {
        const uint32_t subsystem = config.read(Register32::subsystem);
        if (subsystem >> 16 != 0) node.cell("subsystem-id", subsystem >> 16);
        if ((subsystem & 0xFFFF) != 0) node.cell("subsystem-vendor-id", subsystem & 0xFFFF);
        node.cell("min-grant", interrupt >> 16 & 0xFF);
        node.cell("max-latency", interrupt >> 24);
    }

    const uint32_t address = function.location.config_address().value;
    fdt::CellWriter<cells_per_entry*(1 + bar_count)> reg;
    reg.cell(address);
    reg.number(0);
    reg.number(0);
    for (const Bar& bar : function.bars) {
        if (bar.size == 0) continue;
        reg.cell(space_code(bar.space) | address | bar.config_offset);
        reg.number(0);
        reg.number(bar.size);
    }
    node.bytes("reg", reg.bytes());
}

void write_assigned_addresses(const Function& function, NodeWriter& node) {
    fdt::CellWriter<cells_per_entry * bar_count> cells;
    for (const Bar& bar : function.bars) {
        if (!bar.assigned) continue;
        cells.cell(not_relocatable | (bar.prefetchable ? prefetchable : 0) | space_code(bar.space) |
                   function.location.config_address().value | bar.config_offset);
        cells.number(bar.address.value);
        cells.number(bar.size);
    }
    // Without the property Linux takes sizes from `reg` and may find addresses itself.
    if (!cells.empty() || node.has("assigned-addresses")) {
        node.bytes("assigned-addresses", cells.bytes());
    }
}

/// A list of NUL-terminated strings.
class TextList {
public:
    [[gnu::format(printf, 2, 3)]] void add(const char* format, ...) {
        std::va_list arguments;
        va_start(arguments, format);
        const int length =
            std::vsnprintf(text_.data() + used_, text_.size() - used_, format, arguments);
        va_end(arguments);
        if (length > 0 && static_cast<size_t>(length) < text_.size() - used_) {
            used_ += static_cast<size_t>(length) + 1;
        }
    }
    fdt::Bytes bytes() const { return std::as_bytes(std::span{text_.data(), used_}); }

private:
    std::array<char, 192> text_; // seven entries of at most 26 characters
    size_t used_ = 0;
};

/// PCI Bus Binding 2.1, 4.1.2.1: from the most to the least special.
void write_compatible(const Function& function, NodeWriter& node) {
    if (node.has("compatible")) return;
    const unsigned vendor = function.vendor_id, device = function.device_id;
    const unsigned subsystem_vendor = node.value("subsystem-vendor-id") & 0xFFFF;
    const unsigned subsystem = node.value("subsystem-id") & 0xFFFF;
    const unsigned revision = function.revision, class_code = function.class_code;
    TextList list;
    if (subsystem_vendor != 0) {
        list.add("pci%x,%x.%x.%x.%x", vendor, device, subsystem_vendor, subsystem, revision);
        list.add("pci%x,%x.%x.%x", vendor, device, subsystem_vendor, subsystem);
        list.add("pci%x,%x", subsystem_vendor, subsystem);
    }
    list.add("pci%x,%x.%x", vendor, device, revision);
    list.add("pci%x,%x", vendor, device);
    list.add("pciclass,%06x", class_code);
    list.add("pciclass,%04x", class_code >> 8);
    node.bytes("compatible", list.bytes());
}

void write_ranges(const Function& bridge, NodeWriter& node) {
    constexpr size_t cells_per_range = 8;
    fdt::CellWriter<cells_per_range * space_count> ranges;
    // Linux takes the first memory range for the 32-bit window, whatever its flags say.
    for (const Space space : {Space::memory32, Space::memory64, Space::io}) {
        const BusRange& window = bridge.windows[static_cast<size_t>(space)];
        if (window.size == 0) continue;
        const uint32_t phys_hi = space_code(space) | (space == Space::memory64 ? prefetchable : 0);
        for (int side = 0; side < 2; ++side) { // child and parent: bridges do not translate
            ranges.cell(phys_hi);
            ranges.number(window.start.value);
        }
        ranges.number(window.size);
    }
    node.bytes("ranges", ranges.bytes());
}

/// Pin p of device d comes out at pin (d + p - 1) mod 4 + 1 of the bridge's own slot
/// (PCI-to-PCI Bridge 1.2, 9.1), so two bits of the device number are enough to look at.
/// Not inlined: so it gives its stack frame back.
[[gnu::noinline]] void write_interrupt_map(const Function& bridge, fdt::Phandle parent,
                                           NodeWriter& node) {
    constexpr uint32_t devices = 4, pins = 4, cells_per_row = 9;
    const uint32_t own_address = bridge.location.config_address().value & 0xFFFF;
    fdt::CellWriter<size_t{devices} * pins * cells_per_row> map;
    for (uint32_t device = 0; device < devices; ++device) {
        for (uint32_t pin = 0; pin < pins; ++pin) {
            map.cell(device << 11);
            map.number(0);
            map.cell(pin + 1);
            map.cell(static_cast<uint32_t>(parent));
            map.cell(own_address);
            map.number(0);
            map.cell((device + pin) % pins + 1);
        }
    }
    node.bytes("interrupt-map", map.bytes());
    fdt::CellWriter<4> mask;
    mask.cell((devices - 1) << 11);
    mask.number(0);
    mask.cell(7);
    node.bytes("interrupt-map-mask", mask.bytes());
}

void write_bridge(const Function& bridge, const fdt::Tree& tree, NodeWriter& node) {
    node.text("device_type", "pci");
    node.cell_if_missing("#address-cells", 3);
    node.cell_if_missing("#size-cells", 2);
    if (bridge.secondary_bus == 0) return; // nothing may look for devices behind it
    fdt::CellWriter<2> bus_range;
    bus_range.cell(bridge.secondary_bus);
    bus_range.cell(bridge.subordinate_bus);
    node.bytes("bus-range", bus_range.bytes());
    write_ranges(bridge, node);
    if (node.has("interrupt-map")) return;
    node.cell("#interrupt-cells", 1);
    write_interrupt_map(bridge, tree.phandle(*tree.parent(*bridge.node)), node);
}

} // namespace

Result<void> describe(const Topology& topology, fdt::Tree& tree) {
    for (const Function* function = topology.functions; function != nullptr;
         function = function->next) {
        NodeWriter node{tree, *function->node};
        if (!function->listed) write_identity(topology, *function, node);
        write_assigned_addresses(*function, node);
        write_compatible(*function, node);
        if (function->is_bridge) write_bridge(*function, tree, node);
        if (!node.result()) return node.result();
    }
    return {};
}

} // namespace spillway::pci
