// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

namespace spillway::of::test {
namespace {

using Owner = MemoryMap::Owner;

class OfMemory : public testing::Test {
protected:
    uint32_t claim(uint64_t address, uint64_t size, uint64_t alignment) {
        return guest.ask("claim", {static_cast<uint32_t>(address), static_cast<uint32_t>(size),
                                   static_cast<uint32_t>(alignment)});
    }
    void release(uint64_t address, uint64_t size, int32_t status = 0) {
        guest.tell("release", {static_cast<uint32_t>(address), static_cast<uint32_t>(size)},
                   status);
    }
    /// What is free of the first block.
    std::vector<PhysicalRange> free_below() {
        std::vector<PhysicalRange> ranges;
        for (const PhysicalRange& range : guest.free()) {
            if (range.start.value < Guest::ram_size) ranges.push_back(range);
        }
        return ranges;
    }

    Guest guest;
};

TEST_F(OfMemory, ClaimExactly) {
    EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib);
    EXPECT_TRUE(guest.memory.touches({{32 * mib}, mib}, Owner::client));
}

TEST_F(OfMemory, ClaimExactlyNeedsNoAlignment) {
    EXPECT_EQ(claim(32 * mib + 1, 3, 0), 32 * mib + 1);
}

TEST_F(OfMemory, ClaimTwiceFails) {
    EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib);
    EXPECT_EQ(claim(32 * mib, mib, 0), failure);
}

TEST_F(OfMemory, ClaimOfNothingFails) {
    EXPECT_EQ(claim(32 * mib, 0, 0), failure);
    EXPECT_EQ(claim(0, 0, 4096), failure);
}

TEST_F(OfMemory, ClaimOfTheFirmwareFails) {
    EXPECT_EQ(claim(0, 1, 0), failure);
    EXPECT_EQ(claim(0x8000, 0x1000, 0), failure);
    EXPECT_EQ(claim(Guest::image.end().value - 1, 2, 0), failure);
    EXPECT_EQ(claim(Guest::stacks.start.value - 1, 2, 0), failure);
    EXPECT_EQ(claim(Guest::ram_size - 1, 1, 0), failure);
}

TEST_F(OfMemory, ClaimOfTheProgramFails) {
    EXPECT_EQ(claim(Guest::program.start.value, 0x1000, 0), failure);
    EXPECT_EQ(claim(Guest::program.end().value - 1, 2, 0), failure);
    EXPECT_EQ(claim(Guest::program.end().value, 2, 0), Guest::program.end().value);
}

TEST_F(OfMemory, ClaimPastRamFails) {
    EXPECT_EQ(claim(Guest::ram_size, 1, 0), failure);
    EXPECT_EQ(claim(70 * mib, mib, 0), failure);
    EXPECT_EQ(claim(Guest::island.end().value - 1, 2, 0), failure);
    EXPECT_EQ(claim(0x80000000, mib, 0), failure);
}

TEST_F(OfMemory, ClaimThatWrapsFails) {
    EXPECT_EQ(claim(0xFFFFFFFF, 2, 0), failure);
    EXPECT_EQ(claim(32 * mib, 0xFFFFFFFF, 0), failure);
    EXPECT_EQ(claim(0x80000000, 0x80000000, 0), failure);
    EXPECT_TRUE(guest.memory.add_ram({{0xFFFF0000}, 0x20000}));
    EXPECT_EQ(claim(0xFFFFF000, 0x1001, 0), failure);
    EXPECT_EQ(claim(0xFFFFF000, 0x1000, 0), 0xFFFFF000);
}

TEST_F(OfMemory, ClaimBehindTheHole) {
    EXPECT_EQ(claim(Guest::island.start.value, mib, 0), Guest::island.start.value);
}

TEST_F(OfMemory, ClaimAnywhereIsLow) {
    EXPECT_EQ(claim(0, 0x1000, 0x1000), mib);
    EXPECT_EQ(claim(0x3000000, 0x1000, 0x1000), mib + 0x1000) << "the address means nothing";
}

TEST_F(OfMemory, ClaimAnywhereIsNeverBelow1MiB) {
    EXPECT_TRUE(guest.memory.release({{0}, mib}, Owner::firmware));
    EXPECT_EQ(claim(0, 0x1000, 1), mib);
    EXPECT_EQ(claim(0, 0x1000, 0), 0U) << "but who wants it there may have it";
}

TEST_F(OfMemory, ClaimAnywhereAligns) {
    for (uint32_t alignment = 1; alignment <= 16 * mib; alignment *= 2) {
        const uint32_t place = claim(0, 1, alignment);
        EXPECT_NE(place, failure) << alignment;
        EXPECT_EQ(place % alignment, 0U) << alignment;
    }
}

TEST_F(OfMemory, ClaimAnywhereAlignsToTheNextPowerOfTwo) {
    for (const uint32_t alignment : {3U, 5U, 0x1001U, 0x3000U}) {
        const uint32_t place = claim(0, 1, alignment);
        EXPECT_NE(place, failure) << alignment;
        EXPECT_EQ(place % std::bit_ceil(alignment), 0U) << alignment;
    }
    EXPECT_EQ(claim(0, 0x1000, 0x80000001), failure);
    EXPECT_EQ(claim(0, 0x1000, 0xFFFFFFFF), failure);
}

TEST_F(OfMemory, ClaimWithHugeAlignmentFails) {
    EXPECT_EQ(claim(0, 0x1000, 0x80000000), failure);
    EXPECT_EQ(claim(0, 0x1000, 64 * mib), failure);
}

TEST_F(OfMemory, ClaimAnywhereStaysInTheFirstBlock) {
    EXPECT_EQ(claim(0, 51 * mib, 1), 12 * mib);
    EXPECT_EQ(claim(0, 4 * mib, 1), failure) << "only the other block has this much";
    EXPECT_EQ(claim(0, 3 * mib, 1), mib);
    EXPECT_EQ(claim(0, 1, 1), failure);
}

TEST_F(OfMemory, ClaimAnywhereOfTooMuchFails) {
    EXPECT_EQ(claim(0, 0xFFFFFFFF, 1), failure);
    EXPECT_EQ(claim(0, 52 * mib, 1), failure);
}

TEST_F(OfMemory, ClaimAnywhereEndsWhereTheFirstBlockEnds) {
    set(guest.tree, *guest.tree.find("/memory@0"), "reg", cells({0, 0, 0, 2 * mib}));
    EXPECT_EQ(claim(0, mib, 1), mib);
    EXPECT_EQ(claim(0, 1, 1), failure);
    EXPECT_EQ(claim(32 * mib, 1, 0), 32 * mib) << "exact claims are the client's business";
}

TEST_F(OfMemory, ClaimWithoutMemoryNode) {
    guest.tree.remove(*guest.tree.find("/memory@0"));
    EXPECT_EQ(claim(0, mib, 1), mib);
    release(mib, mib);
}

TEST_F(OfMemory, MalformedMemoryNodesAreSurvived) {
    fdt::Node& node = *guest.tree.find("/memory@0");
    for (const std::string& reg :
         {std::string{}, cells({0}), cells({0, 0, 0}), cells({0, 0, 0, 0}),
          cells({failure, failure, failure, failure}), cells({1, 0, 0, mib})}) {
        set(guest.tree, node, "reg", reg);
        EXPECT_EQ(claim(0, mib, 1), failure);
        EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib);
        release(32 * mib, mib);
    }
}

TEST_F(OfMemory, OtherCellCountsAreSurvived) {
    fdt::Node& root = *guest.tree.root();
    for (const uint32_t count : {0U, 1U, 3U, 4U, 1000U, failure}) {
        set(guest.tree, root, "#address-cells", cells({count}));
        set(guest.tree, root, "#size-cells", cells({count}));
        EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib) << count;
        release(32 * mib, mib);
    }
}

TEST_F(OfMemory, AddressesOfMoreThan64BitsAreNotLowMemory) {
    set(guest.tree, *guest.tree.root(), "#address-cells", cells({3}));
    set(guest.tree, *guest.tree.find("/memory@0"), "reg", cells({1, 0, 0, 0, 64 * mib}));
    EXPECT_EQ(claim(0, mib, 1), failure);
}

TEST_F(OfMemory, ReleaseExactly) {
    EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib);
    release(32 * mib, mib);
    EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib);
}

TEST_F(OfMemory, ReleaseOfAPart) {
    EXPECT_EQ(claim(32 * mib, 3 * mib, 0), 32 * mib);
    release(33 * mib, mib);
    EXPECT_EQ(claim(33 * mib, mib, 0), 33 * mib);
    release(32 * mib, 3 * mib);
}

TEST_F(OfMemory, ReleaseTwiceFails) {
    EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib);
    release(32 * mib, mib);
    release(32 * mib, mib, -1);
}

TEST_F(OfMemory, ReleaseOfWhatIsNotTheClientsFails) {
    release(0, 0x1000, -1);
    release(Guest::program.start.value, 0x1000, -1);
    release(40 * mib, 0x1000, -1);
    release(0, 0, -1);
    release(0xFFFFFFFF, 0xFFFFFFFF, -1);
    release(Guest::ram_size, 1, -1);
    EXPECT_EQ(claim(0x8000, 0x1000, 0), failure);
}

TEST_F(OfMemory, ReleaseWiderThanTheClaimFails) {
    EXPECT_EQ(claim(32 * mib, mib, 0), 32 * mib);
    release(32 * mib, mib + 1, -1);
    release(32 * mib - 1, mib, -1);
    release(32 * mib, mib);
}

TEST_F(OfMemory, AvailableTellsWhatIsFreeOfTheFirstBlock) {
    EXPECT_EQ(guest.available(), free_below());
    EXPECT_EQ(guest.available().size(), 2U);
}

TEST_F(OfMemory, AvailableFollowsClaims) {
    claim(32 * mib, mib, 0);
    EXPECT_EQ(guest.available(), free_below());
    EXPECT_EQ(guest.available().size(), 3U);
    claim(0, mib, 4096);
    EXPECT_EQ(guest.available(), free_below());
    release(32 * mib, mib);
    EXPECT_EQ(guest.available(), free_below());
    EXPECT_EQ(guest.available().size(), 2U);
}

TEST_F(OfMemory, AvailableIsEmptyWhenNothingIsLeft) {
    EXPECT_EQ(claim(mib, 3 * mib, 0), mib);
    EXPECT_EQ(claim(12 * mib, 51 * mib, 0), 12 * mib);
    EXPECT_EQ(guest.property(guest.node("/memory@0"), "available"), "");
    release(12 * mib, 4096);
    EXPECT_EQ(guest.available(), free_below());
}

TEST_F(OfMemory, AvailableFollowsTheFirmwaresOwnClaims) {
    EXPECT_TRUE(guest.memory.claim({{40 * mib}, mib}, Owner::firmware));
    EXPECT_EQ(guest.ask("milliseconds", {}), 0U);
    EXPECT_EQ(guest.available(), free_below());
}

TEST_F(OfMemory, AvailableEndsWithTheFirstBlock) {
    set(guest.tree, *guest.tree.find("/memory@0"), "reg", cells({0, 0, 0, 16 * mib}));
    claim(32 * mib, mib, 0);
    EXPECT_EQ(guest.available(),
              (std::vector<PhysicalRange>{{{mib}, 3 * mib}, {{12 * mib}, 4 * mib}}));
}

TEST_F(OfMemory, AvailableTellsOfMemoryAbove4GiB) {
    EXPECT_TRUE(guest.memory.add_ram({{0}, 8 * 1024 * mib}));
    set(guest.tree, *guest.tree.find("/memory@0"), "reg", cells({0, 0, 2, 0}));
    claim(32 * mib, mib, 0);
    EXPECT_EQ(guest.available().back().end().value, 8 * 1024 * mib);
}

TEST_F(OfMemory, KernelWalksUpAndDown) {
    // As Linux allocates: exact claims in steps of 1 MiB until one succeeds.
    const auto down = [&](uint64_t from) {
        for (uint64_t address = from; address > 12 * mib; address -= mib) {
            if (claim(address, 0x830, 0) != failure) return address;
        }
        return uint64_t{0};
    };
    EXPECT_EQ(down(63 * mib), 62 * mib);
    EXPECT_EQ(down(63 * mib), 61 * mib);
    uint64_t address = 4 * mib;
    while (claim(address, mib, 0) == failure)
        address += mib;
    EXPECT_EQ(address, 12 * mib);
}

TEST_F(OfMemory, ClaimsEndWhenTheTableIsFull) {
    uint32_t last = 0;
    for (uint32_t address = 16 * mib; address < 60 * mib; address += 0x2000) {
        if (claim(address, 0x1000, 0) == failure) break;
        last = address;
    }
    EXPECT_GT(last, 16 * mib);
    EXPECT_EQ(guest.memory.claims().size(), MemoryMap::most_claims);
    EXPECT_EQ(guest.available(), free_below());
    EXPECT_EQ(claim(last + 0x2000, 0x1000, 0), failure);
    release(last, 0x1000);
    EXPECT_EQ(claim(last, 0x1000, 0), last);
}

TEST_F(OfMemory, AvailableIsTrueAfterRandomClaims) {
    std::mt19937 random{7};
    for (int i = 0; i < 2000; ++i) {
        const uint64_t address = random() % 1024 * 0x10000;
        const uint64_t size = random() % 16 * 0x8000;
        if (random() % 2 == 0) {
            claim(address, size, random() % 2 == 0 ? 0 : uint64_t{1} << random() % 20);
        } else {
            const auto answer = guest.call(
                "release", {static_cast<uint32_t>(address), static_cast<uint32_t>(size)}, 0);
            EXPECT_TRUE(answer.status == 0 || answer.status == -1);
        }
        if (i % 10 == 0) {
            ASSERT_EQ(guest.available(), free_below()) << i;
        }
    }
}

} // namespace
} // namespace spillway::of::test
