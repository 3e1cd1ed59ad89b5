// SPDX-License-Identifier: BSD-2-Clause
#include "of/client_memory.h"

#include <algorithm>

namespace spillway::of {
namespace {

/// What a 32-bit client can name.
constexpr PhysicalRange nameable{{0}, uint64_t{1} << 32};

} // namespace

std::optional<std::span<const std::byte>> ClientMemory::readable(uint32_t address, size_t size) {
    if (good_bytes(address) < size) return std::nullopt;
    return std::span<const std::byte>{to_pointer({address}), size};
}

std::optional<std::span<std::byte>> ClientMemory::writable(uint32_t address, size_t size) {
    if (good_bytes(address) < size) return std::nullopt;
    if (argument_array_.overlaps({{address}, size})) return std::nullopt;
    return std::span<std::byte>{to_pointer({address}), size};
}

uint64_t ClientMemory::good_bytes(uint32_t address) {
    const PhysicalAddress here{address};
    if (good_at_revision_ != memory_.revision() || !good_.contains(here)) {
        good_ = {};
        good_at_revision_ = memory_.revision();
        for (const PhysicalRange& ram : memory_.ram()) {
            if (!ram.contains(here)) continue;
            PhysicalAddress start = ram.start;
            PhysicalAddress end = std::min(ram.end(), nameable.end());
            for (const MemoryMap::Claim& claim : memory_.claims()) {
                if (claim.owner != MemoryMap::Owner::firmware) continue;
                if (claim.range.contains(here)) return 0;
                if (claim.range.end() <= here) start = std::max(start, claim.range.end());
                if (claim.range.start > here) end = std::min(end, claim.range.start);
            }
            good_ = {start, end - start};
        }
        if (!good_.contains(here)) return 0;
    }
    return good_.end() - here;
}

} // namespace spillway::of
