// SPDX-License-Identifier: BSD-2-Clause
// What memory there is, what QEMU has put into it, and what the firmware takes for itself.
#pragma once

#include "base/memory_map.h"
#include "fdt/blob.h"

namespace spillway::boot {

/// Reads the memory nodes of a checked blob and claims: the firmware's image and stacks, the blob,
/// and what its reservation map lists (kernel, initrd). Fails when the first block of RAM does not
/// start at 0, is smaller than 128 MiB, or a reserved range covers the firmware.
Result<void> map_memory(fdt::Bytes blob, MemoryMap& memory);

/// The first block of RAM (memory@0): what real-mode programs may use.
PhysicalRange real_mode_area(const MemoryMap& memory);

} // namespace spillway::boot
