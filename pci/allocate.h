// SPDX-License-Identifier: BSD-2-Clause
// Gives BARs their addresses and bridges their windows.
#pragma once

#include "pci/topology.h"

namespace spillway::pci {

/// Assigns and programs: in each window by descending alignment, with room for hot-plug in bridges
/// as long as there is enough. What does not fit stays unassigned, is said on the console by
/// function, and does not disturb the rest. Functions with assigned BARs decode them afterwards;
/// Bus Master Enable is clear on every function.
void allocate(Topology& topology);

} // namespace spillway::pci
