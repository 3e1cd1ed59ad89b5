// SPDX-License-Identifier: BSD-2-Clause
// The client interface when the heap is used up.
#include "tests/host/fdt_support.h"
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

namespace spillway::of::test {
namespace {

using fdt::test::Heap;

/// Uses up what the tree has of its own, but for `left` nodes with a property of 64 bytes each.
void use_up(Guest& guest, size_t left) {
    const std::string value(64, 'v');
    fdt::Node& parent = add_node(guest.tree, *guest.tree.root(), "filler");
    std::vector<fdt::Node*> nodes;
    for (;;) {
        const auto added =
            guest.tree.add(parent, "node@" + std::to_string(nodes.size()), fdt::Origin::hypervisor);
        if (!added) break;
        nodes.push_back(*added);
        static_cast<void>(
            guest.tree.set(**added, "value", as_bytes(value), fdt::Origin::hypervisor));
    }
    for (; left > 0 && !nodes.empty(); --left, nodes.pop_back())
        guest.tree.remove(*nodes.back());
}

class OfHeapPreparation : public testing::TestWithParam<std::tuple<Guest::Terminals, size_t>> {};

TEST_P(OfHeapPreparation, FailsAndCanBeRepeated) {
    const auto& [terminals, more_to_fail] = GetParam();
    for (size_t left = 0; left < 40; ++left) {
        Heap heap;
        Guest guest{terminals, false};
        guest.tree.remove(*guest.tree.find("/chosen"));
        heap.fail_from(0, Heap::never);
        use_up(guest, left);
        heap.fail_from(0, more_to_fail);
        const auto prepared = guest.client.prepare();
        ASSERT_FALSE(prepared);
        EXPECT_EQ(prepared.error().code, ErrorCode::out_of_memory);
        heap.fail_never();
        EXPECT_TRUE(guest.client.prepare());
        EXPECT_EQ(guest.cell_property("/chosen", "stdout") >> 30, 1U);
    }
}
INSTANTIATE_TEST_SUITE_P(All, OfHeapPreparation,
                         testing::Combine(testing::Values(Guest::Terminals::none,
                                                          Guest::Terminals::one),
                                          testing::Values(0, Heap::never)));

TEST(OfHeap, SetpropFailsAndChangesNothing) {
    Heap heap;
    Guest guest;
    const uint32_t chosen = guest.node("/chosen");
    const uint32_t value = guest.buffer(mib);
    const auto names = guest.property_names(chosen);
    heap.fail_from(0, Heap::never);
    EXPECT_EQ(guest.ask("setprop", {chosen, guest.text("large"), value, mib}), failure);
    EXPECT_EQ(guest.ask("setprop", {chosen, guest.text("bootargs"), value, mib}), failure);
    heap.fail_never();
    EXPECT_EQ(guest.property_names(chosen), names);
    EXPECT_EQ(guest.property(chosen, "bootargs"), terminated("console=hvc0"));
    EXPECT_EQ(guest.ask("setprop", {chosen, guest.text("large"), value, mib}), mib);
}

/// Claims without a neighbour until telling so takes memory that there is not: none at all, or
/// none after the first allocation of a call.
uint32_t claim_until_it_fails(Guest& guest, Heap& heap, size_t first_to_fail) {
    for (uint32_t address = 16 * mib; address < 48 * mib; address += 0x20000) {
        heap.fail_from(first_to_fail, Heap::never);
        if (guest.ask("claim", {address, 0x1000, 0}) == failure) return address;
    }
    return 0;
}

class OfHeapClaim : public testing::TestWithParam<size_t> {};

TEST_P(OfHeapClaim, ThatCannotBeToldIsNoClaim) {
    Heap heap;
    Guest guest;
    const uint32_t address = claim_until_it_fails(guest, heap, GetParam());
    ASSERT_NE(address, 0U);
    EXPECT_FALSE(guest.memory.touches({{address}, 0x1000}, MemoryMap::Owner::client));
    auto free = guest.free();
    free.pop_back(); // the island
    EXPECT_EQ(guest.available(), free);
    heap.fail_never();
    EXPECT_EQ(guest.ask("claim", {address, 0x1000, 0}), address);
}

INSTANTIATE_TEST_SUITE_P(All, OfHeapClaim, testing::Values(0, 1));

TEST(OfHeap, NegotiationAfterWhichMemoryCannotBeToldFails) {
    Heap heap;
    Guest guest;
    const uint32_t root = guest.open("/");
    guest.platform.negotiate = [&]() -> Result<void> {
        heap.fail_from(0, Heap::never);
        return guest.memory.claim({{16 * mib}, mib}, MemoryMap::Owner::firmware);
    };
    const auto answer = guest.call(
        "call-method", {guest.text("ibm,client-architecture-support"), root, guest.buffer(64)}, 2);
    EXPECT_EQ(answer.returns, (std::vector<uint32_t>{0, failure}));
}

TEST(OfHeap, ReleaseIsToldWhenThereIsMemory) {
    Heap heap;
    Guest guest;
    EXPECT_EQ(guest.ask("claim", {16 * mib, 32 * mib, 0}), 16 * mib);
    heap.fail_from(0, Heap::never);
    const auto before = guest.available();
    // Every hole makes the value longer.
    bool behind = false;
    for (uint32_t hole = 17 * mib; hole < 47 * mib; hole += 0x20000) {
        guest.tell("release", {hole, 0x1000});
        behind = behind || guest.available().size() + 1 < guest.free().size();
    }
    EXPECT_TRUE(behind);
    for (const PhysicalRange& range : guest.available()) {
        EXPECT_FALSE(guest.memory.touches(range, MemoryMap::Owner::client));
    }
    heap.fail_never();
    EXPECT_EQ(guest.ask("milliseconds", {}), 0U);
    auto free = guest.free();
    free.pop_back();
    EXPECT_EQ(guest.available(), free);
}

} // namespace
} // namespace spillway::of::test
