// SPDX-License-Identifier: BSD-2-Clause
// What the tree says about the machine as a whole.
#pragma once

#include "base/memory_map.h"
#include "fdt/blob.h"
#include "fdt/tree.h"
#include "hcall/rtas.h"

namespace spillway::boot {

/// The log goes to the hypervisor's default terminal from now on.
void start_log();

/// Checks the blob at `device_tree`, lets its command line choose the log level, and greets.
Result<fdt::Bytes> open_blob(PhysicalAddress device_tree);

/// Straight from the blob: stopping must work before there is a tree.
hcall::RtasTokens find_rtas_tokens(fdt::Bytes blob);

/// `timebase-frequency` of the first processor, in ticks a second; 0 when the tree does not say.
uint64_t find_timebase_frequency(const fdt::Tree& tree);

/// `qemu,boot-kernel` and the initrd of /chosen; size 0 when there is none.
PhysicalRange find_kernel(const fdt::Tree& tree);
PhysicalRange find_initrd(const fdt::Tree& tree);

} // namespace spillway::boot
