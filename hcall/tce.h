// SPDX-License-Identifier: BSD-2-Clause
// Translation control entries: the IOMMU's page tables (PAPR 14.5.4.2).
#pragma once

#include "base/address.h"
#include "hcall/hypercall.h"

namespace spillway::hcall {

/// Logical I/O bus number: names one TCE table; first cell of `ibm,dma-window`.
enum class Liobn : uint32_t {};

/// What a device may do with a page.
enum class TceAccess : uint64_t { none = 0, device_reads = 1, device_writes = 2, both = 3 };

struct Tce {
    uint64_t value = 0;

    /// `page` is aligned to the window's page size, at least 4 KiB.
    static constexpr Tce map(PhysicalAddress page, TceAccess access) {
        return {page.value | static_cast<uint64_t>(access)};
    }
};

/// H_PUT_TCE: one entry.
Status put_tce(Liobn liobn, BusAddress address, Tce entry);
/// H_PUT_TCE_INDIRECT: up to 512 entries from a 4 KiB-aligned list of big-endian doublewords.
Status put_tce_indirect(Liobn liobn, BusAddress address, PhysicalAddress list, uint64_t count);
/// H_STUFF_TCE: `count` entries of one value.
Status stuff_tce(Liobn liobn, BusAddress address, Tce entry, uint64_t count);
/// H_GET_TCE.
Status get_tce(Liobn liobn, BusAddress address, Tce& entry);

} // namespace spillway::hcall
