// SPDX-License-Identifier: BSD-2-Clause
#include "of/client.h"

#include "base/heap.h"
#include "fdt/cells.h"

#include <algorithm>
#include <bit>

namespace spillway::of {
namespace {

/// One entry of "available" on a machine whose root has two cells for addresses and for sizes.
struct Entry {
    Big64 start;
    Big64 size;
};

constexpr uint64_t end_of_nameable = uint64_t{1} << 32;

/// Memory for a client that does not care where comes from here upwards. Below lie vectors that it
/// may want to set, and address 0 would look like no memory at all.
constexpr PhysicalAddress lowest_choice{1 << 20};

/// Memory that a program in real mode can reach: the node that starts at 0.
constexpr const char* low_memory_path = "/memory@0";

PhysicalRange low_memory(const fdt::Tree& tree, const fdt::Node& node) {
    fdt::CellReader reg{tree.value(node, "reg")}; // address first, then size
    const auto start = reg.number(tree.cell(*tree.root(), "#address-cells", 2));
    const auto size = reg.number(tree.cell(*tree.root(), "#size-cells", 1));
    return {{0}, start == 0U ? size.value_or(0) : 0};
}

} // namespace

PhysicalAddress Client::end_of_low_memory() const {
    const fdt::Node* node = tree_.find(low_memory_path);
    const uint64_t end = node == nullptr ? end_of_nameable : low_memory(tree_, *node).end().value;
    return {std::min(end, end_of_nameable)};
}

Result<void> Client::set_available(fdt::Node& node) {
    const PhysicalRange whole = low_memory(tree_, node);
    size_t room = 1; // the allocation itself may split a stretch
    memory_.for_each_free([&](PhysicalRange) { ++room; });
    auto* entries = static_cast<Entry*>(take_from_heap(room * sizeof(Entry)));
    if (entries == nullptr) {
        return fail(ErrorCode::out_of_memory, "%s: no memory for \"available\"", low_memory_path);
    }
    const uint64_t revision = memory_.revision();
    size_t count = 0;
    memory_.for_each_free([&](PhysicalRange free) {
        if (!free.overlaps(whole) || count == room) return;
        const PhysicalAddress start = std::max(free.start, whole.start);
        const uint64_t size = std::min(free.end(), whole.end()) - start;
        entries[count++] = {Big64{start.value}, Big64{size}};
    });
    const auto set = tree_.set(node, "available", std::as_bytes(std::span{entries, count}),
                               fdt::Origin::firmware);
    give_to_heap(entries);
    if (!set) return error_of(set);
    available_at_revision_ = revision;
    return {};
}

Result<void> Client::update_available() {
    fdt::Node* node = tree_.find(low_memory_path);
    if (node == nullptr || tree_.cell(*tree_.root(), "#address-cells", 2) != 2 ||
        tree_.cell(*tree_.root(), "#size-cells", 1) != 2) {
        available_at_revision_ = memory_.revision();
        return {};
    }
    Result<void> set = set_available(*node);
    // Storing it may have taken memory: then it is not true any more.
    if (set && memory_.revision() != available_at_revision_) set = set_available(*node);
    return set;
}

void Client::claim(Call& call) {
    call.returns[0] = failure;
    const PhysicalAddress wanted{call.arguments[0]};
    const uint32_t size = call.arguments[1];
    const uint32_t alignment = call.arguments[2];

    PhysicalRange range{wanted, size};
    if (alignment == 0) {
        if (range.end().value > end_of_nameable) return;
        if (!memory_.claim(range, MemoryMap::Owner::client)) return;
    } else {
        const PhysicalAddress end = std::max(end_of_low_memory(), lowest_choice);
        // The boundary is the smallest power of two that is not less (6.3.2.4).
        const auto place =
            memory_.claim_lowest(size, std::bit_ceil(uint64_t{alignment}),
                                 {lowest_choice, end - lowest_choice}, MemoryMap::Owner::client);
        if (!place) return;
        range.start = *place;
    }
    // Without memory to say that it is taken, it must not be.
    if (!update_available()) {
        static_cast<void>(memory_.release(range, MemoryMap::Owner::client));
        return;
    }
    call.returns[0] = static_cast<uint32_t>(range.start.value);
}

void Client::release(Call& call) {
    const PhysicalRange range{{call.arguments[0]}, call.arguments[1]};
    call.refused = !memory_.release(range, MemoryMap::Owner::client);
    // "available" follows at the end of this call, or as soon as there is memory to say it.
}

} // namespace spillway::of
