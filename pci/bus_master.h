// SPDX-License-Identifier: BSD-2-Clause
// No function may reach memory on its own when the operating system takes over.
#pragma once

#include "pci/topology.h"

namespace spillway::pci {

/// Clears Bus Master Enable and reads it back; false when it stays set (said on the console). A
/// function that is gone reads as all ones and counts as quiet.
bool silence_bus_master(const Config& config, const Name& name);

/// Does so with every function. Returns how many stay bus masters.
size_t silence_bus_masters(const Topology& topology);

} // namespace spillway::pci
