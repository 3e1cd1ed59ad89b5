// SPDX-License-Identifier: BSD-2-Clause
// What the tree says about the machine as a whole.
#pragma once

#include "base/memory_map.h"
#include "fdt/blob.h"
#include "fdt/tree.h"
#include "hcall/rtas.h"

namespace spillway::boot {

/// Console, log level and time base, from a blob that is not checked yet at `device_tree`. Returns
/// the blob, checked.
Result<fdt::Bytes> open_console(PhysicalAddress device_tree);

hcall::RtasTokens find_rtas_tokens(const fdt::Tree& tree);

/// `qemu,boot-kernel` and the initrd of /chosen; size 0 when there is none.
PhysicalRange find_kernel(const fdt::Tree& tree);
PhysicalRange find_initrd(const fdt::Tree& tree);

} // namespace spillway::boot
