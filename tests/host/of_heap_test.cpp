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
        if (!guest.tree.set(**added, "value", as_bytes(value), fdt::Origin::hypervisor)) break;
    }
    for (; left > 0 && !nodes.empty(); --left, nodes.pop_back())
        guest.tree.remove(*nodes.back());
}

TEST(OfHeap, PreparationFailsAndCanBeRepeated) {
    for (size_t left = 0; left < 40; ++left) {
        Heap heap;
        Guest guest{Guest::Terminals::one, false};
        heap.fail_from(0, Heap::never);
        use_up(guest, left);
        const auto prepared = guest.client.prepare();
        ASSERT_FALSE(prepared);
        EXPECT_EQ(prepared.error().code, ErrorCode::out_of_memory);
        heap.fail_never();
        EXPECT_TRUE(guest.client.prepare());
        EXPECT_EQ(guest.cell_property("/chosen", "stdout") >> 30, 1U);
    }
}

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

/// Claims without a neighbour until telling so takes memory that there is not.
uint32_t claim_until_it_fails(Guest& guest, Heap& heap) {
    heap.fail_from(0, Heap::never);
    for (uint32_t address = 16 * mib; address < 48 * mib; address += 0x20000) {
        if (guest.ask("claim", {address, 0x1000, 0}) == failure) return address;
    }
    return 0;
}

TEST(OfHeap, ClaimThatCannotBeToldIsNoClaim) {
    Heap heap;
    Guest guest;
    const uint32_t address = claim_until_it_fails(guest, heap);
    ASSERT_NE(address, 0U);
    EXPECT_FALSE(guest.memory.touches({{address}, 0x1000}, MemoryMap::Owner::client));
    auto free = guest.free();
    free.pop_back(); // the island
    EXPECT_EQ(guest.available(), free);
    heap.fail_never();
    EXPECT_EQ(guest.ask("claim", {address, 0x1000, 0}), address);
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
