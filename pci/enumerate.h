// SPDX-License-Identifier: BSD-2-Clause
// Finds host bridges in the tree and functions in config space.
#pragma once

#include "fdt/tree.h"
#include "hcall/rtas.h"
#include "pci/topology.h"

namespace spillway::pci {

/// Every host bridge of the tree (device_type "pci" below the root, compatible "IBM,Logical_PHB"),
/// every function that answers behind it, its BARs with their sizes, and a node for each: the
/// hypervisor's, or a new one when the tree lists none (the console says so). Bus numbers are the
/// hypervisor's where it gave them (`qemu,phb-enumerated`), ours where it did not. A host bridge or
/// function that makes no sense is left out with one line on the console.
Result<Topology> enumerate(fdt::Tree& tree, const hcall::Rtas& rtas);

} // namespace spillway::pci
