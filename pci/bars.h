// SPDX-License-Identifier: BSD-2-Clause
// Asks a function how large its base address registers are (PCI Local Bus 3.0, 6.2.5.1).
#pragma once

#include "pci/topology.h"

namespace spillway::pci {

/// Fills function.bars by writing all ones and reading what sticks; two accesses a register. The
/// registers keep that value until allocate() writes them, so decoding must be off (and ROM enable
/// stays 0). A register that breaks its format is cleared, left out and named on the console.
void size_bars(const Config& config, Function& function);

} // namespace spillway::pci
