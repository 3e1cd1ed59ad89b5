// SPDX-License-Identifier: BSD-2-Clause
// Which node of the tree belongs to which function of one bus.
#pragma once

#include "base/error.h"
#include "fdt/tree.h"
#include "pci/topology.h"

#include <array>

namespace spillway::pci {

/// The nodes below a host bridge or bridge, by device and function. 2 KiB: not for the stack.
class BusNodes {
public:
    /// Collects the children of `parent` that have a config space entry in `reg`. The first one
    /// counts when several name the same function.
    void collect(const fdt::Tree& tree, const fdt::Node& parent);

    /// Some function 1..7 of the device has a node.
    bool lists_more_functions(uint8_t device) const;
    /// The node of a function, once: nullptr when there is none or it was taken before.
    fdt::Node* take(Location location);

    /// Calls visit(device, function) for each node that nobody took.
    template<typename Visitor> void for_each_left(Visitor visit) const {
        for (size_t index = 0; index < nodes_.size(); ++index) {
            if (nodes_[index] == nullptr) continue;
            visit(static_cast<uint8_t>(index / 8), static_cast<uint8_t>(index % 8));
        }
    }

private:
    std::array<fdt::Node*, 256> nodes_{};
};

/// Puts the function's bus number into every entry of `reg`, if another one stands there.
Result<void> set_bus_number(fdt::Tree& tree, fdt::Node& node, uint8_t bus);

/// Creates the node of a function that the hypervisor does not list, named as QEMU would.
Result<fdt::Node*> add_node(fdt::Tree& tree, fdt::Node& parent, const Function& function);

} // namespace spillway::pci
