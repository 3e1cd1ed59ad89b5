// SPDX-License-Identifier: BSD-2-Clause
// Non-volatile memory, divided into partitions (PAPR 8.1, CHRP 1.7).
#pragma once

#include "fdt/tree.h"
#include "hcall/rtas.h"

namespace spillway::boot {

/// QEMU hands out non-volatile memory that is all zeroes, and operating systems only add partitions
/// to free space that a header describes: writes that header. Touches nothing that is not blank.
void format_blank_nvram(const fdt::Tree& tree, const hcall::Rtas& rtas);

} // namespace spillway::boot
