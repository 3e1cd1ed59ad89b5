// SPDX-License-Identifier: BSD-2-Clause
// H_PCI_DMA_BYPASS: the bypass window of one PCI function (docs/dma-bypass.md, section 2).
#pragma once

#include "base/address.h"
#include "hcall/rtas.h"

namespace spillway::hcall {

/// `status` is `function` on a hypervisor that has never heard of the call; asking is always safe.
/// `on` and `base` mean something only when `status` is `success`.
struct DmaBypass {
    Status status;
    bool on = false;
    BusAddress base; ///< bus address of guest-physical address 0 while the window is open
};

/// `function` has register bits 0.
DmaBypass query_dma_bypass(Buid buid, ConfigAddress function);
DmaBypass enable_dma_bypass(Buid buid, ConfigAddress function);
DmaBypass disable_dma_bypass(Buid buid, ConfigAddress function);

} // namespace spillway::hcall
