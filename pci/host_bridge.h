// SPDX-License-Identifier: BSD-2-Clause
// Reads a PCI host bridge's node (PAPR, "PCI Host Bridge"; PCI Bus Binding to IEEE 1275, 2.1).
#pragma once

#include "base/error.h"
#include "fdt/tree.h"
#include "pci/topology.h"

namespace spillway::pci {

/// device_type is "pci" and compatible has "IBM,Logical_PHB".
bool is_host_bridge(const fdt::Tree& tree, const fdt::Node& node);

/// Fails, with a sentence that names the node, on a `reg`, `bus-range` or `ranges` that makes no
/// sense. Of several windows of one space the first is taken.
Result<HostBridge> read_host_bridge(const fdt::Tree& tree, fdt::Node& node);

} // namespace spillway::pci
