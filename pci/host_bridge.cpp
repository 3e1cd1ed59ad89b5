// SPDX-License-Identifier: BSD-2-Clause
#include "pci/host_bridge.h"

#include "fdt/cells.h"

#include <string_view>

namespace spillway::pci {
namespace {

constexpr uint32_t space_code(uint32_t phys_hi) {
    return phys_hi >> 24 & 3;
}

bool list_has(fdt::Bytes list, std::string_view wanted) {
    std::string_view rest{reinterpret_cast<const char*>(list.data()), list.size()};
    while (!rest.empty()) {
        const std::string_view text = rest.substr(0, rest.find('\0'));
        if (text == wanted) return true;
        rest.remove_prefix(text.size() < rest.size() ? text.size() + 1 : rest.size());
    }
    return false;
}

std::unexpected<Error> nonsense(const fdt::Tree& tree, const fdt::Node& node, const char* what) {
    const std::string_view name = tree.name(node);
    return fail(ErrorCode::malformed, "/%.*s: %s; host bridge left out",
                static_cast<int>(name.size() < 40 ? name.size() : 40), name.data(), what);
}

/// What is wrong with `ranges`; nullptr when nothing is.
const char* read_windows(fdt::CellReader ranges, HostBridge& host) {
    constexpr uint64_t top_of_32_bits = uint64_t{1} << 32;
    while (ranges.cells_left() > 0) {
        const auto phys_hi = ranges.cell();
        const auto bus = ranges.number(2), cpu = ranges.number(2), size = ranges.number(2);
        if (!size) return "ranges is not a multiple of 7 cells";
        if (space_code(*phys_hi) == 0) return "ranges has a window of config space";
        if (*size == 0) continue;
        Window& window = host.windows[space_code(*phys_hi) - 1];
        if (window.bus.size != 0) continue;
        window = {{{*bus}, *size}, {*cpu}};
        if (window.bus.wraps() || PhysicalRange{window.cpu, *size}.wraps()) {
            return "ranges has a window that wraps";
        }
        if (space_code(*phys_hi) != 3 && window.bus.end().value > top_of_32_bits) {
            return "ranges has a 32-bit window beyond 4 GiB";
        }
    }
    const auto& memory32 = host.windows[static_cast<size_t>(Space::memory32)].bus;
    const auto& memory64 = host.windows[static_cast<size_t>(Space::memory64)].bus;
    return memory32.overlaps(memory64) ? "ranges has memory windows that overlap" : nullptr;
}

} // namespace

bool is_host_bridge(const fdt::Tree& tree, const fdt::Node& node) {
    return tree.text(node, "device_type") == "pci" &&
           list_has(tree.value(node, "compatible"), "IBM,Logical_PHB");
}

Result<HostBridge> read_host_bridge(const fdt::Tree& tree, fdt::Node& node) {
    HostBridge host;
    host.node = &node;
    host.numbered = tree.has(node, "qemu,phb-enumerated");

    fdt::CellReader reg{tree.value(node, "reg")};
    const auto buid = reg.number(2);
    if (!buid) return nonsense(tree, node, "reg has no bus unit identifier");
    host.buid = hcall::Buid{*buid};

    fdt::CellReader bus_range{tree.value(node, "bus-range")};
    const auto first = bus_range.cell(), last = bus_range.cell();
    if (!last || *first > *last || *last > 255) {
        return nonsense(tree, node, "bus-range is not two bus numbers in order");
    }
    host.first_bus = static_cast<uint8_t>(*first);
    host.last_bus = static_cast<uint8_t>(*last);

    const char* wrong = read_windows(fdt::CellReader{tree.value(node, "ranges")}, host);
    if (wrong != nullptr) return nonsense(tree, node, wrong);
    return host;
}

} // namespace spillway::pci
