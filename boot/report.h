// SPDX-License-Identifier: BSD-2-Clause
// The table of PCI functions that people see at every boot.
#pragma once

#include "virtio/dma_contract.h"

namespace spillway::boot {

/// One line a function: domain and address, IDs, what it is, whether it offers bit 33, how its DMA
/// travels and why.
void print_functions(const virtio::Findings& findings);

} // namespace spillway::boot
