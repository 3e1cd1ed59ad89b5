// SPDX-License-Identifier: BSD-2-Clause
#include "base/memory_map.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>
#include <vector>

namespace spillway {
namespace {

using Owner = MemoryMap::Owner;

constexpr uint64_t mib = 1 << 20;
constexpr uint64_t top = UINT64_MAX;

PhysicalRange range(uint64_t start, uint64_t size) {
    return {{start}, size};
}

std::vector<PhysicalRange> free_of(const MemoryMap& map) {
    std::vector<PhysicalRange> result;
    map.for_each_free([&](PhysicalRange free) { result.push_back(free); });
    return result;
}

std::vector<PhysicalRange> ram_of(const MemoryMap& map) {
    return {map.ram().begin(), map.ram().end()};
}

std::vector<PhysicalRange> claims_of(const MemoryMap& map, Owner owner) {
    std::vector<PhysicalRange> result;
    for (const MemoryMap::Claim& claim : map.claims()) {
        if (claim.owner == owner) result.push_back(claim.range);
    }
    return result;
}

using Ranges = std::vector<PhysicalRange>;

class MemoryMapTest : public testing::Test {
protected:
    MemoryMapTest() { EXPECT_TRUE(map.add_ram(range(0, 64 * mib))); }

    MemoryMap map;
};

TEST(MemoryMapRam, StartsEmpty) {
    const MemoryMap map;
    EXPECT_TRUE(map.ram().empty());
    EXPECT_TRUE(map.claims().empty());
    EXPECT_TRUE(free_of(map).empty());
    EXPECT_FALSE(map.is_ram(range(0, 1)));
}

TEST(MemoryMapRam, KeepsDistantRangesSorted) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(0x3000, 0x1000)));
    EXPECT_TRUE(map.add_ram(range(0, 0x1000)));
    EXPECT_EQ(ram_of(map), (Ranges{range(0, 0x1000), range(0x3000, 0x1000)}));
}

TEST(MemoryMapRam, MergesAdjacentRanges) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(0x1000, 0x1000)));
    EXPECT_TRUE(map.add_ram(range(0x2000, 0x1000)));
    EXPECT_TRUE(map.add_ram(range(0, 0x1000)));
    EXPECT_EQ(ram_of(map), Ranges{range(0, 0x3000)});
}

TEST(MemoryMapRam, MergesOverlappingRanges) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(0x1000, 0x2000)));
    EXPECT_TRUE(map.add_ram(range(0x2000, 0x2000)));
    EXPECT_EQ(ram_of(map), Ranges{range(0x1000, 0x3000)});
}

TEST(MemoryMapRam, SwallowsContainedRange) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(0, 0x8000)));
    EXPECT_TRUE(map.add_ram(range(0x1000, 0x1000)));
    EXPECT_EQ(ram_of(map), Ranges{range(0, 0x8000)});
}

TEST(MemoryMapRam, OneRangeBridgesSeveral) {
    MemoryMap map;
    for (uint64_t i = 0; i < 5; ++i)
        EXPECT_TRUE(map.add_ram(range(i * 0x2000, 0x1000)));
    EXPECT_TRUE(map.add_ram(range(0x1000, 0x6800)));
    EXPECT_EQ(ram_of(map), (Ranges{range(0, 0x7800), range(0x8000, 0x1000)}));
}

TEST(MemoryMapRam, RefusesEmptyRange) {
    MemoryMap map;
    const auto added = map.add_ram(range(0x1000, 0));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::malformed);
}

TEST(MemoryMapRam, RefusesRangeThatWraps) {
    MemoryMap map;
    EXPECT_FALSE(map.add_ram(range(top - 0xFFF, 0x1000)));
    EXPECT_FALSE(map.add_ram(range(1, top)));
    EXPECT_TRUE(map.ram().empty());
}

TEST(MemoryMapRam, AcceptsRangeUpToTheLastByteButOne) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(top - 0x1000, 0x1000)));
    EXPECT_TRUE(map.is_ram(range(top - 1, 1)));
    EXPECT_FALSE(map.is_ram(range(top, 1)));
}

TEST(MemoryMapRam, RefusesOneRangeTooMany) {
    MemoryMap map;
    for (uint64_t i = 0; i < MemoryMap::most_ram_ranges; ++i) {
        EXPECT_TRUE(map.add_ram(range(i * 0x2000, 0x1000)));
    }
    const auto added = map.add_ram(range(MemoryMap::most_ram_ranges * 0x2000, 0x1000));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::out_of_memory);
    EXPECT_EQ(map.ram().size(), MemoryMap::most_ram_ranges);
    EXPECT_TRUE(map.add_ram(range(0x1000, 0x1000))) << "a merging range needs no room";
    EXPECT_TRUE(map.add_ram(range(MemoryMap::most_ram_ranges * 0x2000, 0x1000)));
}

TEST(MemoryMapRam, IsRamKnowsEdges) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(0x1000, 0x1000)));
    EXPECT_TRUE(map.is_ram(range(0x1000, 0x1000)));
    EXPECT_TRUE(map.is_ram(range(0x1FFF, 1)));
    EXPECT_FALSE(map.is_ram(range(0x1FFF, 2)));
    EXPECT_FALSE(map.is_ram(range(0xFFF, 2)));
    EXPECT_FALSE(map.is_ram(range(0x1800, 0)));
    EXPECT_FALSE(map.is_ram(range(0x1800, top)));
}

TEST_F(MemoryMapTest, ClaimsExactly) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::client), Ranges{range(0x4000, 0x1000)});
}

TEST_F(MemoryMapTest, ClaimsAllOfRam) {
    EXPECT_TRUE(map.claim(range(0, 64 * mib), Owner::client));
    EXPECT_TRUE(free_of(map).empty());
}

TEST_F(MemoryMapTest, ClaimsSingleByte) {
    EXPECT_TRUE(map.claim(range(7, 1), Owner::client));
    EXPECT_EQ(free_of(map), (Ranges{range(0, 7), range(8, 64 * mib - 8)}));
}

TEST_F(MemoryMapTest, RefusesEmptyClaim) {
    const auto claimed = map.claim(range(0x4000, 0), Owner::client);
    ASSERT_FALSE(claimed);
    EXPECT_EQ(claimed.error().code, ErrorCode::malformed);
}

TEST_F(MemoryMapTest, RefusesClaimThatWraps) {
    const auto claimed = map.claim(range(0x4000, top), Owner::client);
    ASSERT_FALSE(claimed);
    EXPECT_EQ(claimed.error().code, ErrorCode::malformed);
}

TEST_F(MemoryMapTest, RefusesClaimPastRam) {
    const auto claimed = map.claim(range(64 * mib, 1), Owner::client);
    ASSERT_FALSE(claimed);
    EXPECT_EQ(claimed.error().code, ErrorCode::out_of_range);
}

TEST_F(MemoryMapTest, RefusesClaimAcrossTheEnd) {
    EXPECT_FALSE(map.claim(range(64 * mib - 1, 2), Owner::client));
}

TEST_F(MemoryMapTest, RefusesClaimAcrossAHole) {
    EXPECT_TRUE(map.add_ram(range(65 * mib, mib)));
    EXPECT_FALSE(map.claim(range(63 * mib, 3 * mib), Owner::client));
}

TEST_F(MemoryMapTest, RefusesSameClaimTwice) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    const auto claimed = map.claim(range(0x4000, 0x1000), Owner::client);
    ASSERT_FALSE(claimed);
    EXPECT_EQ(claimed.error().code, ErrorCode::out_of_range);
}

TEST_F(MemoryMapTest, RefusesEveryOverlap) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::firmware));
    for (const PhysicalRange overlap : {range(0x3FFF, 2), range(0x4FFF, 2), range(0x4800, 1),
                                        range(0x3000, 0x3000), range(0, 64 * mib)}) {
        EXPECT_FALSE(map.claim(overlap, Owner::client)) << std::hex << overlap.start.value;
    }
    EXPECT_TRUE(map.claim(range(0x3FFF, 1), Owner::client));
    EXPECT_TRUE(map.claim(range(0x5000, 1), Owner::client));
}

TEST_F(MemoryMapTest, ErrorNamesWhoHasIt) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::loaded));
    const auto claimed = map.claim(range(0x4800, 0x10), Owner::client);
    ASSERT_FALSE(claimed);
    EXPECT_STREQ(claimed.error().message,
                 "claiming 0x10 bytes at 0x4800: something is loaded there");
}

TEST_F(MemoryMapTest, MergesClaimsOfOneOwner) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claim(range(0x6000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claim(range(0x5000, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::client), Ranges{range(0x4000, 0x3000)});
    EXPECT_EQ(map.claims().size(), 1U);
}

TEST_F(MemoryMapTest, KeepsClaimsOfTwoOwnersApart) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claim(range(0x5000, 0x1000), Owner::loaded));
    EXPECT_TRUE(map.claim(range(0x3000, 0x1000), Owner::firmware));
    EXPECT_EQ(map.claims().size(), 3U);
}

TEST_F(MemoryMapTest, ReleasesExactly) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_TRUE(map.release(range(0x4000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claims().empty());
    EXPECT_EQ(free_of(map), Ranges{range(0, 64 * mib)});
}

TEST_F(MemoryMapTest, ReleasesTheStart) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x3000), Owner::client));
    EXPECT_TRUE(map.release(range(0x4000, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::client), Ranges{range(0x5000, 0x2000)});
}

TEST_F(MemoryMapTest, ReleasesTheEnd) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x3000), Owner::client));
    EXPECT_TRUE(map.release(range(0x6000, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::client), Ranges{range(0x4000, 0x2000)});
}

TEST_F(MemoryMapTest, ReleasesTheMiddle) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x3000), Owner::client));
    EXPECT_TRUE(map.release(range(0x5000, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::client),
              (Ranges{range(0x4000, 0x1000), range(0x6000, 0x1000)}));
}

TEST_F(MemoryMapTest, ReleasesWhatTwoClaimsMade) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claim(range(0x5000, 0x1000), Owner::client));
    EXPECT_TRUE(map.release(range(0x4800, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::client), (Ranges{range(0x4000, 0x800), range(0x5800, 0x800)}));
}

TEST_F(MemoryMapTest, RefusesReleaseOfFreeMemory) {
    const auto released = map.release(range(0x4000, 0x1000), Owner::client);
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code, ErrorCode::out_of_range);
}

TEST_F(MemoryMapTest, RefusesReleaseOfTheLastClaimTwice) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claim(range(0x8000, 0x1000), Owner::client));
    EXPECT_TRUE(map.release(range(0x8000, 0x1000), Owner::client));
    EXPECT_FALSE(map.release(range(0x8000, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::client), Ranges{range(0x4000, 0x1000)});
}

TEST_F(MemoryMapTest, RefusesReleaseOfAnother) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::firmware));
    EXPECT_FALSE(map.release(range(0x4000, 0x1000), Owner::client));
    EXPECT_EQ(claims_of(map, Owner::firmware), Ranges{range(0x4000, 0x1000)});
}

TEST_F(MemoryMapTest, RefusesReleaseAcrossOwners) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claim(range(0x5000, 0x1000), Owner::loaded));
    EXPECT_FALSE(map.release(range(0x4000, 0x2000), Owner::client));
}

TEST_F(MemoryMapTest, RefusesReleaseThatReachesOut) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    for (const PhysicalRange wide : {range(0x3FFF, 0x1000), range(0x4000, 0x1001), range(0, mib)}) {
        EXPECT_FALSE(map.release(wide, Owner::client));
    }
    EXPECT_EQ(claims_of(map, Owner::client), Ranges{range(0x4000, 0x1000)});
}

TEST_F(MemoryMapTest, RefusesMalformedRelease) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    for (const uint64_t size : {uint64_t{0}, top}) {
        const auto released = map.release(range(0x4000, size), Owner::client);
        ASSERT_FALSE(released);
        EXPECT_EQ(released.error().code, ErrorCode::malformed);
    }
}

TEST_F(MemoryMapTest, RefusesOneClaimTooMany) {
    for (uint64_t i = 0; i < MemoryMap::most_claims; ++i) {
        EXPECT_TRUE(map.claim(range(i * 0x2000, 0x1000), Owner::client));
    }
    const auto claimed = map.claim(range(MemoryMap::most_claims * 0x2000, 1), Owner::client);
    ASSERT_FALSE(claimed);
    EXPECT_EQ(claimed.error().code, ErrorCode::out_of_memory);
    EXPECT_TRUE(map.claim(range(0x1000, 0x1000), Owner::client)) << "a merging claim needs no room";
    EXPECT_TRUE(map.claim(range(MemoryMap::most_claims * 0x2000, 1), Owner::client));
}

TEST_F(MemoryMapTest, RefusesReleaseThatWouldSplitOnceTooOften) {
    for (uint64_t i = 0; i < MemoryMap::most_claims; ++i) {
        EXPECT_TRUE(map.claim(range(i * 0x2000, 0x1000), Owner::client));
    }
    const auto released = map.release(range(0x400, 0x400), Owner::client);
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code, ErrorCode::out_of_memory);
    EXPECT_EQ(map.claims().size(), MemoryMap::most_claims);
    EXPECT_EQ(map.claims()[0].range, range(0, 0x1000));
    EXPECT_TRUE(map.release(range(0, 0x400), Owner::client)) << "no split, no room needed";
}

TEST_F(MemoryMapTest, LowestTakesTheFirstPlace) {
    EXPECT_TRUE(map.claim(range(0, 0x5000), Owner::firmware));
    const auto place = map.claim_lowest(0x1000, 1, range(0, 64 * mib), Owner::client);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->value, 0x5000U);
    EXPECT_EQ(claims_of(map, Owner::client), Ranges{range(0x5000, 0x1000)});
}

TEST_F(MemoryMapTest, LowestAligns) {
    EXPECT_TRUE(map.claim(range(0, 0x5001), Owner::firmware));
    const auto place = map.claim_lowest(0x1000, 0x10000, range(0, 64 * mib), Owner::client);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->value, 0x10000U);
}

TEST_F(MemoryMapTest, LowestSkipsHolesThatAreTooSmall) {
    EXPECT_TRUE(map.claim(range(0x1000, 0x1000), Owner::firmware));
    EXPECT_TRUE(map.claim(range(0x3000, 0x1000), Owner::firmware));
    const auto place = map.claim_lowest(0x1001, 1, range(0, 64 * mib), Owner::client);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->value, 0x4000U);
}

TEST_F(MemoryMapTest, LowestStaysWithin) {
    const auto place = map.claim_lowest(0x1000, 0x1000, range(mib + 1, mib), Owner::client);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->value, mib + 0x1000);
    EXPECT_FALSE(map.claim_lowest(mib, 1, range(mib + 1, mib), Owner::client));
}

TEST_F(MemoryMapTest, LowestFillsToTheLastByte) {
    const auto place = map.claim_lowest(64 * mib, 1, range(0, top), Owner::client);
    ASSERT_TRUE(place);
    const auto none = map.claim_lowest(1, 1, range(0, top), Owner::client);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::out_of_memory);
}

TEST_F(MemoryMapTest, LowestRefusesBadSizesAndAlignments) {
    EXPECT_FALSE(map.claim_lowest(0, 1, range(0, mib), Owner::client));
    EXPECT_FALSE(map.claim_lowest(1, 0, range(0, mib), Owner::client));
    EXPECT_FALSE(map.claim_lowest(1, 3, range(0, mib), Owner::client));
    EXPECT_FALSE(map.claim_lowest(1, 1, range(mib, top), Owner::client));
    EXPECT_FALSE(map.claim_lowest(top, 1, range(0, top), Owner::client));
    EXPECT_TRUE(map.claims().empty());
}

TEST(MemoryMapLowest, AlignmentPastTheTopIsNoPlace) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(top - 0x1000, 0x1000)));
    EXPECT_FALSE(map.claim_lowest(1, uint64_t{1} << 63, range(0, top), Owner::client));
}

TEST(MemoryMapLowest, AlignmentPastTheTopDoesNotComeBackAtTheBottom) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(0, mib)));
    EXPECT_TRUE(map.add_ram(range(top - 0x1000, 0x1000)));
    const PhysicalRange high = range(top - 0x1000, 0x1000);
    EXPECT_FALSE(map.claim_lowest(1, uint64_t{1} << 63, high, Owner::client));
    EXPECT_TRUE(map.claims().empty());
}

TEST(MemoryMapLowest, WorksInHighRanges) {
    MemoryMap map;
    EXPECT_TRUE(map.add_ram(range(0, mib)));
    EXPECT_TRUE(map.add_ram(range(uint64_t{1} << 40, mib)));
    const auto place = map.claim_lowest(mib, mib, range(mib, top - mib), Owner::loaded);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->value, uint64_t{1} << 40);
}

TEST_F(MemoryMapTest, TouchesKnowsEdgesAndOwners) {
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::firmware));
    EXPECT_TRUE(map.claim(range(0x5000, 0x1000), Owner::client));
    EXPECT_TRUE(map.touches(range(0x4FFF, 1), Owner::firmware));
    EXPECT_FALSE(map.touches(range(0x3FFF, 1), Owner::firmware));
    EXPECT_FALSE(map.touches(range(0x5000, 1), Owner::firmware));
    EXPECT_TRUE(map.touches(range(0x5000, 1), Owner::client));
    EXPECT_TRUE(map.touches(range(0, mib), Owner::client)) << "behind another's claim";
    EXPECT_FALSE(map.touches(range(0, mib), Owner::loaded));
    EXPECT_FALSE(map.touches(range(0x4800, 0), Owner::firmware));
    EXPECT_TRUE(map.touches(range(0x9000, top), Owner::loaded)) << "wraps";
}

TEST_F(MemoryMapTest, FreeListsWhatIsBetween) {
    EXPECT_TRUE(map.add_ram(range(128 * mib, mib)));
    EXPECT_TRUE(map.claim(range(0, 0x1000), Owner::firmware));
    EXPECT_TRUE(map.claim(range(0x1000, 0x1000), Owner::client));
    EXPECT_TRUE(map.claim(range(64 * mib - 0x1000, 0x1000), Owner::loaded));
    EXPECT_TRUE(map.claim(range(128 * mib, mib), Owner::client));
    EXPECT_EQ(free_of(map), Ranges{range(0x2000, 64 * mib - 0x3000)});
}

TEST_F(MemoryMapTest, RevisionFollowsChanges) {
    const uint64_t before = map.revision();
    EXPECT_TRUE(map.claim(range(0x4000, 0x1000), Owner::client));
    const uint64_t claimed = map.revision();
    EXPECT_NE(claimed, before);
    EXPECT_FALSE(map.claim(range(0x4000, 0x1000), Owner::client));
    EXPECT_EQ(map.revision(), claimed);
    EXPECT_TRUE(map.release(range(0x4000, 0x1000), Owner::client));
    EXPECT_NE(map.revision(), claimed);
}

/// The same map, one mark a page.
class Model {
public:
    static constexpr size_t pages = 512;
    enum : uint8_t { no_ram = 255, free = 254 };

    Model() { marks_.fill(no_ram); }

    static bool inside(size_t start, size_t size) {
        return size != 0 && start < pages && size <= pages - start;
    }
    void add_ram(size_t start, size_t size) {
        for (size_t i = start; i < start + size; ++i) {
            if (marks_[i] == no_ram) marks_[i] = free;
        }
    }
    bool all(size_t start, size_t size, uint8_t mark) const {
        if (!inside(start, size)) return false;
        for (size_t i = start; i < start + size; ++i) {
            if (marks_[i] != mark) return false;
        }
        return true;
    }
    bool change(size_t start, size_t size, uint8_t from, uint8_t to) {
        if (!all(start, size, from)) return false;
        for (size_t i = start; i < start + size; ++i)
            marks_[i] = to;
        return true;
    }
    std::optional<size_t> lowest(size_t size, size_t alignment, size_t from, size_t to) const {
        for (size_t i = 0; i + size <= pages; i += alignment) {
            if (i >= from && i + size <= to && all(i, size, free)) return i;
        }
        return std::nullopt;
    }
    uint8_t mark(size_t page) const { return marks_[page]; }

private:
    std::array<uint8_t, pages> marks_;
};

TEST(MemoryMapModel, TwentyThousandRandomOperations) {
    constexpr uint64_t page = 0x1000;
    constexpr size_t operations = 20000;
    std::mt19937 random{20240611};
    const auto below = [&](size_t limit) {
        return std::uniform_int_distribution<size_t>{0, limit - 1}(random);
    };
    MemoryMap map;
    Model model;
    for (size_t i = 0; i < operations; ++i) {
        const size_t start = below(Model::pages);
        const size_t size = below(10) == 0 ? below(Model::pages - start) : below(8);
        const auto owner = static_cast<Owner>(below(3));
        const auto mark = static_cast<uint8_t>(owner);
        const PhysicalRange bytes = range(start * page, size * page);
        const bool in_model = Model::inside(start, size);
        switch (below(8)) {
        case 0:
            // Now and then: else the map has no holes for long.
            if (below(50) == 0) {
                EXPECT_EQ(bool{map.add_ram(bytes)}, size != 0);
                if (in_model) model.add_ram(start, size);
            }
            break;
        case 1:
        case 2:
            EXPECT_EQ(bool{map.claim(bytes, owner)},
                      in_model && model.change(start, size, Model::free, mark));
            break;
        case 3: {
            const size_t alignment = size_t{1} << below(5);
            const size_t end = start + below(Model::pages);
            const auto expected =
                size == 0 ? std::nullopt : model.lowest(size, alignment, start, end);
            const auto place = map.claim_lowest(size * page, alignment * page,
                                                range(start * page, (end - start) * page), owner);
            ASSERT_EQ(place.has_value(), expected.has_value());
            if (expected) {
                EXPECT_EQ(place->value, *expected * page);
                EXPECT_TRUE(model.change(*expected, size, Model::free, mark));
            }
            break;
        }
        case 4:
        case 5:
        case 6:
            EXPECT_EQ(bool{map.release(bytes, owner)},
                      in_model && model.change(start, size, mark, Model::free));
            break;
        default: {
            bool ram = in_model;
            bool touched = false;
            for (size_t k = start; in_model && k < start + size; ++k) {
                ram = ram && model.mark(k) != Model::no_ram;
                touched = touched || model.mark(k) == mark;
            }
            EXPECT_EQ(map.is_ram(bytes), ram);
            EXPECT_EQ(map.touches(bytes, owner), touched);
        }
        }
        if (i % 16 != 0) continue;
        Model seen;
        for (const PhysicalRange& ram : map.ram()) {
            seen.add_ram(ram.start.value / page, ram.size / page);
        }
        PhysicalAddress last{0};
        const MemoryMap::Claim* previous = nullptr;
        for (const MemoryMap::Claim& claim : map.claims()) {
            EXPECT_GE(claim.range.start, last);
            if (previous != nullptr && previous->owner == claim.owner) {
                EXPECT_GT(claim.range.start, last) << "not merged";
            }
            last = claim.range.end();
            previous = &claim;
            EXPECT_TRUE(seen.change(claim.range.start.value / page, claim.range.size / page,
                                    Model::free, static_cast<uint8_t>(claim.owner)));
        }
        size_t free_pages = 0;
        map.for_each_free([&](PhysicalRange free) {
            EXPECT_TRUE(seen.all(free.start.value / page, free.size / page, Model::free));
            free_pages += free.size / page;
        });
        size_t expected_free = 0;
        for (size_t k = 0; k < Model::pages; ++k) {
            ASSERT_EQ(seen.mark(k), model.mark(k)) << "page " << k << " after operation " << i;
            expected_free += model.mark(k) == Model::free;
        }
        EXPECT_EQ(free_pages, expected_free);
    }
}

} // namespace
} // namespace spillway
