// SPDX-License-Identifier: BSD-2-Clause
// Writes what was found and assigned into the device tree (PCI Bus Binding to IEEE 1275, 2.1).
#pragma once

#include "fdt/tree.h"
#include "pci/topology.h"

namespace spillway::pci {

/// `assigned-addresses` and `compatible` of every function; `device_type`, `bus-range`, `ranges`
/// and the interrupt map of bridges; for functions that the hypervisor did not list, all that it
/// would have written.
Result<void> describe(const Topology& topology, fdt::Tree& tree);

} // namespace spillway::pci
