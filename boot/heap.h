// SPDX-License-Identifier: BSD-2-Clause
// Memory behind malloc: picolibc's allocator asks sbrk, and sbrk claims RAM piece by piece.
#pragma once

#include "base/memory_map.h"

namespace spillway::boot {

/// From now on the heap grows within `home` first, then anywhere below `limit`. Both are RAM that
/// QEMU keeps free for firmware, or that nobody has claimed.
void start_heap(MemoryMap& memory, PhysicalRange home, PhysicalAddress limit);

} // namespace spillway::boot
