// SPDX-License-Identifier: BSD-2-Clause
// Which guest-physical memory there is and who has claimed what (IEEE 1275-1994, 6.3.2.4: claim and
// release). Plain bookkeeping: nothing is ever written to the memory itself.
#pragma once

#include "base/address.h"
#include "base/error.h"

#include <array>
#include <cstddef>
#include <optional>
#include <span>

namespace spillway {

class MemoryMap {
public:
    enum class Owner : uint8_t {
        firmware, ///< image, stack, heap: never readable or writable through a client's pointer
        loaded,   ///< what the hypervisor put there: kernel, initrd, its tree
        client,   ///< claimed by the program
    };
    struct Claim {
        PhysicalRange range;
        Owner owner = Owner::firmware;
    };

    /// More than any machine has nodes below 4 GiB; claims of one owner that touch are merged.
    static constexpr size_t most_ram_ranges = 64;
    static constexpr size_t most_claims = 512;

    /// Adds RAM. Adjacent and overlapping ranges merge. Fails on a range that is empty or wraps,
    /// and when the table is full.
    Result<void> add_ram(PhysicalRange range);

    /// Claims exactly `range`, which must be RAM and free.
    Result<void> claim(PhysicalRange range, Owner owner);
    /// Claims `size` bytes at the lowest free aligned place within `within`; alignment is a power
    /// of two.
    Result<PhysicalAddress> claim_lowest(uint64_t size, uint64_t alignment, PhysicalRange within,
                                         Owner owner);
    /// Gives back a range, all of which must be claimed by `owner`; a part of a claim splits it.
    Result<void> release(PhysicalRange range, Owner owner);

    /// All of `range` is RAM. An empty range is not, nor is one that wraps.
    bool is_ram(PhysicalRange range) const;
    /// Some byte of `range` is claimed by `owner`. An empty range touches nothing; of one that
    /// wraps the worst is assumed.
    bool touches(PhysicalRange range, Owner owner) const;
    /// Another number after every change: tells when what was derived from the map is out of date.
    uint64_t revision() const { return revision_; }
    /// RAM, sorted, and claims, sorted and disjoint.
    std::span<const PhysicalRange> ram() const { return {ram_.data(), ram_count_}; }
    std::span<const Claim> claims() const { return {claims_.data(), claim_count_}; }

    /// Calls visit(PhysicalRange) for each stretch of free RAM, in ascending order.
    template<typename Visitor> void for_each_free(Visitor visit) const {
        for (const PhysicalRange& ram : this->ram()) {
            PhysicalAddress from = ram.start;
            for (const Claim& claim : claims()) {
                if (!claim.range.overlaps(ram)) continue;
                if (claim.range.start > from) visit(PhysicalRange{from, claim.range.start - from});
                from = claim.range.end();
            }
            if (from < ram.end()) visit(PhysicalRange{from, ram.end() - from});
        }
    }

private:
    std::array<PhysicalRange, most_ram_ranges> ram_{};
    size_t ram_count_ = 0;
    std::array<Claim, most_claims> claims_{};
    size_t claim_count_ = 0;
    uint64_t revision_ = 0;

    enum class Refusal : uint8_t;
    static Result<void> outcome(Refusal refusal, const char* action, PhysicalRange range);
    Refusal try_add_ram(PhysicalRange range);
    Refusal try_claim(PhysicalRange range, Owner owner);
    Refusal try_release(PhysicalRange range, Owner owner);
    std::optional<PhysicalAddress> lowest_place(uint64_t size, uint64_t alignment,
                                                PhysicalRange within) const;
    /// Index of the first claim that ends after `address`.
    size_t first_ending_after(PhysicalAddress address) const;
};

} // namespace spillway
