// SPDX-License-Identifier: BSD-2-Clause
// What malloc gets its memory from on target.
#include "boot/heap.h"

#include "tests/host/fake_hypervisor.h"
#include "tests/host/firmware_life.h"

#include <gtest/gtest.h>

#include <cerrno>

/// sbrk() of boot/heap.cpp, as tests/host/firmware_life.cpp calls it.
extern "C" void* firmware_sbrk(ptrdiff_t increment);

namespace spillway::boot {
namespace {

constexpr uint64_t mib = 1 << 20;

class HeapTest : public testing::Test {
protected:
    void start(PhysicalRange home, PhysicalAddress limit) {
        ASSERT_TRUE(memory_.add_ram({{}, 16 * mib}));
        start_heap(memory_, home, limit);
    }
    uint64_t take(uint64_t bytes) {
        return to_physical(firmware_sbrk(static_cast<ptrdiff_t>(bytes))).value;
    }
    static void expect_refused(ptrdiff_t increment) {
        errno = 0;
        EXPECT_EQ(firmware_sbrk(increment), reinterpret_cast<void*>(-1));
        EXPECT_EQ(errno, ENOMEM);
    }

    test::FakeHypervisor machine_{16 * mib};
    test::FirmwareLife life_;
    MemoryMap memory_;
};

TEST_F(HeapTest, HasNothingBeforeItStarts) {
    expect_refused(16);
}

TEST_F(HeapTest, GrowsAtHomeFirstAndThenElsewhere) {
    start({{8 * mib}, 2 * mib}, {4 * mib});
    EXPECT_EQ(take(4096), 8 * mib);
    EXPECT_EQ(take(mib), 8 * mib + 4096) << "pieces that touch are one";
    EXPECT_EQ(take(mib), 0U) << "the rest at home is too small, and lost";
    EXPECT_TRUE(memory_.touches({{mib - 1}, 1}, MemoryMap::Owner::firmware));
}

TEST_F(HeapTest, GivesNothingThatItCannotClaim) {
    start({{8 * mib}, mib}, {mib});
    EXPECT_EQ(take(mib), 8 * mib);
    EXPECT_EQ(take(mib), 0U);
    expect_refused(1);
    EXPECT_FALSE(memory_.touches({{mib}, 7 * mib}, MemoryMap::Owner::firmware));
}

TEST_F(HeapTest, TakesNothingBack) {
    start({{8 * mib}, mib}, {mib});
    EXPECT_EQ(take(4096), 8 * mib);
    expect_refused(-4096);
    EXPECT_EQ(take(4096), 8 * mib + 4096);
}

} // namespace
} // namespace spillway::boot
