// SPDX-License-Identifier: BSD-2-Clause
// Hypercall numbers and return codes. Pure data: compiles on any host.
//
// Sources: PAPR (LoPAR) 14.5 for the codes, 14.5.4 for the calls; QEMU include/hw/ppc/spapr.h for
// its private range from 0xF000; docs/dma-bypass.md for H_PCI_DMA_BYPASS.
#pragma once

#include <cstdint>

namespace spillway::hcall {

enum class Number : uint64_t {
    get_tce = 0x1C,
    put_tce = 0x20,
    logical_ci_load = 0x3C,
    logical_ci_store = 0x40,
    get_term_char = 0x54,
    put_term_char = 0x58,
    stuff_tce = 0x138,
    put_tce_indirect = 0x13C,
    rtas = 0xF000,
    logical_memop = 0xF001,
    client_architecture_support = 0xF002,
    update_dt = 0xF003,
    pci_dma_bypass = 0xF006,
};

enum class Status : int64_t {
    success = 0,
    busy = 1,
    hardware = -1,
    function = -2, ///< the hypervisor does not know the call
    privilege = -3,
    parameter = -4,
    p2 = -55,
    p3 = -56,
    unsupported = -67,
    state = -75,
};

/// The name that PAPR gives a code ("H_PARAMETER"), or "H_?" for one not listed above.
constexpr const char* name(Status status) {
    switch (status) {
    case Status::success:
        return "H_SUCCESS";
    case Status::busy:
        return "H_BUSY";
    case Status::hardware:
        return "H_HARDWARE";
    case Status::function:
        return "H_FUNCTION";
    case Status::privilege:
        return "H_PRIVILEGE";
    case Status::parameter:
        return "H_PARAMETER";
    case Status::p2:
        return "H_P2";
    case Status::p3:
        return "H_P3";
    case Status::unsupported:
        return "H_UNSUPPORTED";
    case Status::state:
        return "H_STATE";
    }
    return "H_?";
}

} // namespace spillway::hcall
