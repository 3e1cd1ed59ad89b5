// SPDX-License-Identifier: BSD-2-Clause
// What is done for QEMU's sake when it emulates the processor (TCG); KVM does not feel it.
#pragma once

namespace spillway::boot {

/// Makes QEMU's table of translated addresses larger. It is direct-mapped, starts with 256 entries
/// of 4 KiB, and doubles at a flush that finds most of them used. Linux, loaded at 4 MiB, copies
/// itself to 0: with 1,024 entries or fewer the two addresses share one, and each load and store
/// of the copy evicts the other's. 2,048 entries end that; a flush soon shrinks an unused table.
/// Source: QEMU, accel/tcg/cputlb.c (tlb_mmu_resize_locked).
void enlarge_emulator_tlb();

} // namespace spillway::boot
