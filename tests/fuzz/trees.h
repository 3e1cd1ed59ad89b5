// SPDX-License-Identifier: BSD-2-Clause
// Device trees in fuzz targets: blobs from inputs, and what must hold for every tree.
#pragma once

#include "fdt/blob.h"
#include "fdt/tree.h"
#include "tests/fuzz/fuzz.h"

#include <vector>

namespace spillway::fuzz {

/// A copy that begins 8-byte aligned and ends where the input ends, so that the sanitizer sees
/// every read beyond it.
class AlignedCopy {
public:
    explicit AlignedCopy(std::span<const std::byte> bytes)
        : bytes_(bytes.begin(), bytes.end()) {}
    std::byte* data() { return bytes_.data(); }
    size_t size() const { return bytes_.size(); }

private:
    std::vector<std::byte> bytes_; // operator new aligns by 16
};

/// The tree as a blob.
std::vector<std::byte> written(const fdt::Tree& tree);

/// Every node and property is found in every way.
void demand_sound(const fdt::Tree& tree);

/// It is sound, the bound of its blob's size holds, what is written passes every check, reads back
/// as the same tree, and that one writes the same bytes.
void demand_round_trip(const fdt::Tree& tree);

/// A number that tells trees apart: by nodes, phandles, properties, values, origins and their
/// order.
uint64_t fingerprint(const fdt::Tree& tree);

/// Mutates a blob so that, most of the time, its header still fits: for LLVMFuzzerCustomMutator.
size_t mutate_blob(uint8_t* data, size_t size, size_t most, unsigned seed);

} // namespace spillway::fuzz
