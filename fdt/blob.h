// SPDX-License-Identifier: BSD-2-Clause
// Flattened trees, in and out, through libfdt (Devicetree Specification 0.4, chapter 5).
#pragma once

#include "base/address.h"
#include "fdt/tree.h"

namespace spillway::fdt {

constexpr size_t largest_blob = 16u << 20; ///< bytes

/// A blob at `memory` that passed every check: 8-byte aligned, version 17, last compatible version
/// 16, at most `largest_possible` and largest_blob bytes, blocks aligned as the standard says,
/// structure and strings in order (fdt_check_full). The total size may be any number: QEMU's is not
/// always a multiple of 4. The span is exactly the blob.
Result<Bytes> check_blob(const std::byte* memory, size_t largest_possible);

/// The value of a property of /chosen (or of any node, by absolute path) straight from a checked
/// blob; empty when absent. For the few things that are needed before there is a tree.
Bytes blob_property(Bytes blob, const char* path, const char* name);

/// `reg` of the processor that runs the firmware, from the header of a checked blob.
uint32_t blob_boot_cpu(Bytes blob);

/// Calls `visit` for each entry of a checked blob's memory reservation map.
void for_each_reservation(Bytes blob, void (*visit)(PhysicalRange, void* context), void* context);

/// Fills an empty tree from a checked blob. `phandle` (or `linux,phandle`) values of the blob are
/// kept, and every other node gets one of its own that none of those uses. Refused are: a name or a
/// depth that Tree::add refuses, two siblings or two properties of one name, a property after a
/// child, and a phandle that is not one cell, names none or belongs to two nodes. After an error
/// the tree is sound, but holds only a part of the blob.
Result<void> read_blob(Bytes blob, Tree& tree);

/// Makes `tree` agree with a newer checked blob of the same machine, by identity of paths: nodes
/// (with all below them) and properties of Origin::hypervisor that the blob no longer has are
/// removed, those that it has are set or added, everything else is left alone, phandles included.
/// In particular a property that the firmware or the client has written since is theirs and keeps
/// its value. In /chosen nothing is removed, because the hypervisor's answer to a client's
/// architecture vectors leaves its boot words out.
///
/// The blob becomes a tree of its own for the time of the call, so one that read_blob refuses, or
/// for which there is no memory, changes nothing. After any other error the tree is sound, and a
/// call that succeeds completes it.
Result<void> merge_blob(Bytes blob, Tree& tree);

/// Writes the tree as a packed version-17 blob into `buffer`, which is 8-byte aligned, every node
/// with its "phandle", and the reservations given. Returns the part of `buffer` that it uses;
/// ErrorCode::out_of_range when the buffer is too small.
Result<std::span<std::byte>> write_blob(const Tree& tree,
                                        std::span<const PhysicalRange> reservations,
                                        uint32_t boot_cpu, std::span<std::byte> buffer);

/// An upper bound of the bytes that write_blob needs.
size_t blob_size_bound(const Tree& tree, size_t reservation_count);

} // namespace spillway::fdt
