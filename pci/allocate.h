// SPDX-License-Identifier: BSD-2-Clause
// Gives BARs their addresses and bridges their windows.
#pragma once

#include "pci/topology.h"

namespace spillway::pci {

/// Assigns and programs: in each window by descending alignment, with room for hot-plug in bridges
/// as long as there is enough. What does not fit stays unassigned, is said on the console by
/// function, and does not disturb the rest. No function decodes its BARs afterwards, no bridge
/// forwards: operating systems turn that on for what they use, and each such switch makes the
/// hypervisor lay out the address space anew (5 ms with 224 devices).
void allocate(Topology& topology);

} // namespace spillway::pci
