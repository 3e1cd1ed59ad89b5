// SPDX-License-Identifier: BSD-2-Clause
// What the firmware learns of memory before anything else, from the blob as it lies there.
#include "boot/memory.h"

#include "tests/host/fake_hypervisor.h"
#include "tests/host/fdt_support.h"

#include <gtest/gtest.h>

#include <cstring>

namespace spillway::boot {
namespace {

using fdt::test::BlobBuilder;
using Owner = MemoryMap::Owner;

constexpr uint64_t mib = 1 << 20, gib = 1 << 30;

class MapMemory : public testing::Test {
protected:
    MapMemory() { tree_.begin(""); }

    void add(const char* name, const char* type, std::initializer_list<uint32_t> reg) {
        tree_.begin(name);
        if (type != nullptr) tree_.text("device_type", type);
        if (reg.size() != 0) tree_.cells("reg", reg);
        tree_.end();
    }
    void add_usual() { add("memory@0", "memory", {0, 0, 0, 256 * mib}); }

    /// Maps a blob of the tree so far.
    Result<void> map() {
        fdt::test::Blob blob = tree_.end().build();
        std::byte* const place = machine_.pointer(where_);
        std::memcpy(place, blob.data(), blob.bytes().size());
        return map_memory({place, blob.bytes().size()}, memory_);
    }

    test::FakeHypervisor machine_{256 * mib};
    PhysicalAddress where_{200 * mib};
    BlobBuilder tree_;
    MemoryMap memory_;
};

TEST_F(MapMemory, TheTreeAndTheFirmwareAreClaimed) {
    add_usual();
    ASSERT_TRUE(map());
    EXPECT_EQ(real_mode_area(memory_), (PhysicalRange{{}, 256 * mib}));
    EXPECT_TRUE(memory_.touches({{}, 1}, Owner::firmware));
    EXPECT_TRUE(memory_.touches({where_, 1}, Owner::loaded));
}

TEST_F(MapMemory, OnlyNodesOfMemoryHaveSome) {
    add_usual();
    add("untyped", nullptr, {0, 0x4000'0000, 0, 0x1000});
    add("cpu@0", "cpu", {0, 0x5000'0000, 0, 0x1000});
    add("memory-like", "memory2", {0, 0x6000'0000, 0, 0x1000});
    add("empty", "", {0, 0x7000'0000, 0, 0x1000});
    add("memory@80000000", "memory", {});
    ASSERT_TRUE(map());
    EXPECT_EQ(memory_.ram().size(), 1U);
}

TEST_F(MapMemory, WhatIsEmptyOrAbove4GiBIsPassedOver) {
    add_usual();
    add("memory@20000000", "memory", {0, 0x2000'0000, 0, 0});
    add("memory@100000000", "memory", {1, 0, 0, 0x1000'0000});
    add("memory@40000000", "memory", {0, 0x4000'0000, 0, 0x1000'0000});
    ASSERT_TRUE(map());
    EXPECT_EQ(memory_.ram().size(), 2U);
    EXPECT_TRUE(memory_.is_ram({{1 * gib}, 256 * mib}));
    EXPECT_FALSE(memory_.is_ram({{4 * gib}, 256 * mib}));
}

TEST_F(MapMemory, RealModeNeeds128MiBFrom0On) {
    add("memory@0", "memory", {0, 0, 0, 128 * mib - 1});
    const auto mapped = map();
    ASSERT_FALSE(mapped);
    EXPECT_STREQ(mapped.error().message, "memory@0 has 127 MiB, needs 128 at least");
}

TEST_F(MapMemory, MemoryThatBeginsHigherIsNoMemoryAt0) {
    add("memory@1000", "memory", {0, 0x1000, 0, 255 * mib});
    const auto mapped = map();
    ASSERT_FALSE(mapped);
    EXPECT_EQ(mapped.error().code, ErrorCode::unsupported);
}

TEST_F(MapMemory, ReservationsAreClaimed) {
    add_usual();
    tree_.reservation(32 * mib, 4096);
    ASSERT_TRUE(map());
    EXPECT_TRUE(memory_.touches({{32 * mib}, 1}, Owner::loaded));
}

TEST_F(MapMemory, TheFirstReservationThatCannotBeIsTheError) {
    add_usual();
    tree_.reservation(2 * gib, 4096).reservation(32 * mib, 4096);
    const auto mapped = map();
    ASSERT_FALSE(mapped);
    EXPECT_NE(std::strstr(mapped.error().message, "the tree's reservations"), nullptr);
    EXPECT_FALSE(memory_.touches({{32 * mib}, 1}, Owner::loaded));
}

} // namespace
} // namespace spillway::boot
