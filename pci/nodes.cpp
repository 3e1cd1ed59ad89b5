// SPDX-License-Identifier: BSD-2-Clause
#include "pci/nodes.h"

#include "fdt/cells.h"
#include "pci/class_name.h"

#include <cstdio>
#include <utility>

namespace spillway::pci {
namespace {

constexpr uint32_t bus_bits = 0xFF << 16;
constexpr size_t cells_per_entry = 5;
/// Config space, six BARs and the ROM.
constexpr size_t most_entries = 8;

} // namespace

void BusNodes::collect(const fdt::Tree& tree, const fdt::Node& parent) {
    nodes_.fill(nullptr);
    for (fdt::Node* child = tree.first_child(parent); child != nullptr;
         child = tree.next_sibling(*child)) {
        fdt::CellReader reg{tree.value(*child, "reg")};
        const auto phys_hi = reg.cell();
        constexpr uint32_t space_and_register = 0x0300'00FF;
        if (!phys_hi || (*phys_hi & space_and_register) != 0) continue;
        fdt::Node*& node = nodes_[*phys_hi >> 8 & 0xFF];
        if (node == nullptr) node = child;
    }
}

bool BusNodes::lists_more_functions(uint8_t device) const {
    for (size_t function = 1; function < 8; ++function) {
        if (nodes_[device * size_t{8} + function] != nullptr) return true;
    }
    return false;
}

fdt::Node* BusNodes::take(Location location) {
    return std::exchange(nodes_[location.device * size_t{8} + location.function], nullptr);
}

Result<void> set_bus_number(fdt::Tree& tree, fdt::Node& node, uint8_t bus) {
    fdt::CellReader reader{tree.value(node, "reg")};
    fdt::CellWriter<cells_per_entry * most_entries> writer;
    bool changed = false;
    for (size_t index = 0; reader.cells_left() > 0; ++index) {
        uint32_t cell = *reader.cell();
        if (index % cells_per_entry == 0) {
            const uint32_t wanted = (cell & ~bus_bits) | uint32_t{bus} << 16;
            changed = changed || wanted != cell;
            cell = wanted;
        }
        writer.cell(cell);
    }
    if (!changed) return {};
    if (writer.full()) return fail(ErrorCode::malformed, "reg has more than 8 entries");
    const auto set = tree.set(node, "reg", writer.bytes(), fdt::Origin::firmware);
    if (!set) return error_of(set);
    return {};
}

Result<fdt::Node*> add_node(fdt::Tree& tree, fdt::Node& parent, const Function& function) {
    const Location at = function.location;
    char name[40];
    if (at.function != 0) {
        std::snprintf(name, sizeof name, "%s@%x,%x", class_name(function.class_code),
                      unsigned{at.device}, unsigned{at.function});
    } else {
        std::snprintf(name, sizeof name, "%s@%x", class_name(function.class_code),
                      unsigned{at.device});
    }
    const auto node = tree.add(parent, name, fdt::Origin::firmware);
    if (!node) return error_of(node);
    // describe() completes it; until then it is recognisable as this function's.
    const auto reg = tree.set_cells(**node, "reg", {at.config_address().value, 0, 0, 0, 0},
                                    fdt::Origin::firmware);
    if (!reg) return error_of(reg);
    return *node;
}

} // namespace spillway::pci
