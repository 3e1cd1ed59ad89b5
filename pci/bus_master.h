// SPDX-License-Identifier: BSD-2-Clause
// No function may reach memory on its own when the operating system takes over.
#pragma once

#include "pci/topology.h"

namespace spillway::pci {

/// Clears Bus Master Enable on every function and reads it back. Returns how many functions still
/// have it set (each named on the console); a function that is gone reads as all ones and counts
/// as quiet.
size_t silence_bus_masters(const Topology& topology);

} // namespace spillway::pci
