// SPDX-License-Identifier: BSD-2-Clause
#include "base/memory_map.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <initializer_list>

namespace spillway {
namespace {

/// Replaces entries [first, last) of a table by others; false when the table cannot hold them.
template<typename Entry, size_t Size>
bool replace(std::array<Entry, Size>& table, size_t& count, size_t first, size_t last,
             std::initializer_list<Entry> entries) {
    const size_t new_count = count - (last - first) + entries.size();
    if (new_count > Size) return false;
    std::memmove(table.data() + first + entries.size(), table.data() + last,
                 (count - last) * sizeof(Entry));
    std::copy(entries.begin(), entries.end(), table.data() + first);
    count = new_count;
    return true;
}

} // namespace

enum class MemoryMap::Refusal : uint8_t {
    taken_by_firmware, ///< these three follow Owner
    taken_by_loaded,
    taken_by_client,
    none,
    malformed,
    not_ram,
    not_claimed,
    table_full,
};

Result<void> MemoryMap::outcome(Refusal refusal, const char* action, PhysicalRange range) {
    ErrorCode code = ErrorCode::out_of_range;
    const char* reason = nullptr;
    switch (refusal) {
    case Refusal::none:
        return {};
    case Refusal::taken_by_firmware:
        reason = "the firmware has some of it";
        break;
    case Refusal::taken_by_loaded:
        reason = "something is loaded there";
        break;
    case Refusal::taken_by_client:
        reason = "the program has claimed some of it";
        break;
    case Refusal::not_ram:
        reason = "not all of it is RAM";
        break;
    case Refusal::not_claimed:
        reason = "not all of it is claimed by who releases it";
        break;
    case Refusal::malformed:
        code = ErrorCode::malformed;
        reason = "empty, or past the last address";
        break;
    case Refusal::table_full:
        code = ErrorCode::out_of_memory;
        reason = "the table of ranges is full";
        break;
    }
    return fail(code, "%s 0x%" PRIx64 " bytes at 0x%" PRIx64 ": %s", action, range.size,
                range.start.value, reason);
}

Result<void> MemoryMap::add_ram(PhysicalRange range) {
    return outcome(try_add_ram(range), "adding", range);
}

Result<void> MemoryMap::claim(PhysicalRange range, Owner owner) {
    return outcome(try_claim(range, owner), "claiming", range);
}

Result<void> MemoryMap::release(PhysicalRange range, Owner owner) {
    return outcome(try_release(range, owner), "releasing", range);
}

MemoryMap::Refusal MemoryMap::try_add_ram(PhysicalRange range) {
    if (range.size == 0 || range.wraps()) return Refusal::malformed;
    size_t first = 0;
    while (first < ram_count_ && ram_[first].end() < range.start)
        ++first;
    PhysicalAddress start = range.start;
    PhysicalAddress end = range.end();
    size_t last = first;
    for (; last < ram_count_ && ram_[last].start <= range.end(); ++last) {
        start = std::min(start, ram_[last].start);
        end = std::max(end, ram_[last].end());
    }
    if (!replace(ram_, ram_count_, first, last, {{start, end - start}})) {
        return Refusal::table_full;
    }
    ++revision_;
    return Refusal::none;
}

MemoryMap::Refusal MemoryMap::try_claim(PhysicalRange range, Owner owner) {
    if (range.size == 0 || range.wraps()) return Refusal::malformed;
    if (!is_ram(range)) return Refusal::not_ram;
    size_t first = first_ending_after(range.start);
    if (first < claim_count_ && claims_[first].range.overlaps(range)) {
        return Refusal{static_cast<uint8_t>(claims_[first].owner)};
    }
    PhysicalAddress start = range.start;
    PhysicalAddress end = range.end();
    size_t last = first;
    if (last < claim_count_ && claims_[last].owner == owner && claims_[last].range.start == end) {
        end = claims_[last++].range.end();
    }
    if (first > 0 && claims_[first - 1].owner == owner && claims_[first - 1].range.end() == start) {
        start = claims_[--first].range.start;
    }
    if (!replace(claims_, claim_count_, first, last, {{{start, end - start}, owner}})) {
        return Refusal::table_full;
    }
    ++revision_;
    return Refusal::none;
}

MemoryMap::Refusal MemoryMap::try_release(PhysicalRange range, Owner owner) {
    if (range.size == 0 || range.wraps()) return Refusal::malformed;
    const size_t index = first_ending_after(range.start);
    // What touches has been merged: a range that one owner has lies in one claim.
    if (index == claim_count_ || claims_[index].owner != owner ||
        !claims_[index].range.contains(range)) {
        return Refusal::not_claimed;
    }
    const PhysicalRange whole = claims_[index].range;
    const Claim before{{whole.start, range.start - whole.start}, owner};
    const Claim after{{range.end(), whole.end() - range.end()}, owner};
    if (before.range.size != 0 && after.range.size != 0) {
        if (!replace(claims_, claim_count_, index, index + 1, {before, after})) {
            return Refusal::table_full;
        }
    } else if (before.range.size != 0) {
        claims_[index] = before;
    } else if (after.range.size != 0) {
        claims_[index] = after;
    } else {
        replace(claims_, claim_count_, index, index + 1, {});
    }
    ++revision_;
    return Refusal::none;
}

std::optional<PhysicalAddress> MemoryMap::lowest_place(uint64_t size, uint64_t alignment,
                                                       PhysicalRange within) const {
    std::optional<PhysicalAddress> place;
    if (!is_power_of_two(alignment)) return place;
    for_each_free([&](PhysicalRange free) {
        if (place) return;
        const PhysicalAddress start = std::max(free.start, within.start);
        const PhysicalAddress end = std::min(free.end(), within.end());
        const PhysicalAddress aligned{align_up(start.value, alignment)};
        // Rounding up may pass the top of the address space.
        if (aligned < start || aligned >= end || end - aligned < size) return;
        place = aligned;
    });
    return place;
}

Result<PhysicalAddress> MemoryMap::claim_lowest(uint64_t size, uint64_t alignment,
                                                PhysicalRange within, Owner owner) {
    const std::optional<PhysicalAddress> place = lowest_place(size, alignment, within);
    if (place && try_claim({*place, size}, owner) == Refusal::none) return *place;
    return fail(ErrorCode::out_of_memory,
                "claiming 0x%" PRIx64 " bytes: no place aligned to 0x%" PRIx64 " from 0x%" PRIx64
                " on",
                size, alignment, within.start.value);
}

bool MemoryMap::is_ram(PhysicalRange range) const {
    return std::ranges::any_of(ram(),
                               [&](const PhysicalRange& ram) { return ram.contains(range); });
}

bool MemoryMap::touches(PhysicalRange range, Owner owner) const {
    if (range.wraps()) return true;
    for (size_t i = first_ending_after(range.start); i < claim_count_; ++i) {
        if (!claims_[i].range.overlaps(range)) return false;
        if (claims_[i].owner == owner) return true;
    }
    return false;
}

size_t MemoryMap::first_ending_after(PhysicalAddress address) const {
    const auto found = std::ranges::partition_point(
        claims(), [&](const Claim& claim) { return claim.range.end() <= address; });
    return static_cast<size_t>(found - claims().begin());
}

} // namespace spillway
