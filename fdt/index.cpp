// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/index.h"

#include "base/heap.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace spillway::fdt {

namespace {

constexpr uint64_t odd_of_golden_ratio = 0x9e3779b97f4a7c15;
constexpr uint32_t smallest_size = 64;
constexpr uint32_t largest_size = 1u << 26;

} // namespace

uint32_t hash_of(std::string_view text) { // FNV-1a, then mixed
    uint32_t hash = 0x811c9dc5;
    for (const char character : text) {
        hash = (hash ^ static_cast<unsigned char>(character)) * 0x01000193;
    }
    return hash_of(hash);
}

uint32_t hash_of(const void* first, const void* second) {
    uint64_t hash = std::bit_cast<uintptr_t>(first) * odd_of_golden_ratio;
    for (const uint64_t next : {std::bit_cast<uintptr_t>(second), uintptr_t{0}}) {
        hash = ((hash ^ hash >> 32) + next) * odd_of_golden_ratio;
    }
    return static_cast<uint32_t>(hash >> 32);
}

uint32_t hash_of(uint32_t number) { // every step can be undone
    number ^= number >> 16;
    number *= 0x85ebca6b;
    return number ^ number >> 13;
}

PointerIndex::~PointerIndex() {
    give_to_heap(slots_);
}

bool PointerIndex::make_room() {
    if (count_ < size_ / 2) return true;
    const uint32_t new_size = std::max(smallest_size, size_ * 2);
    if (new_size > largest_size) return false;
    void* const memory = take_from_heap(new_size * sizeof(Slot));
    if (memory == nullptr) return false;
    std::memset(memory, 0, new_size * sizeof(Slot));
    Slot* const old_slots = std::exchange(slots_, static_cast<Slot*>(memory));
    const uint32_t old_size = std::exchange(size_, new_size);
    count_ = 0;
    for (uint32_t at = 0; at < old_size; ++at) {
        if (old_slots[at].item != nullptr) insert(old_slots[at].hash, old_slots[at].item);
    }
    give_to_heap(old_slots);
    return true;
}

void PointerIndex::insert(uint32_t hash, void* item) {
    uint32_t at = home(hash);
    while (slots_[at].item != nullptr)
        at = after(at);
    slots_[at] = {item, hash};
    ++count_;
}

uint32_t PointerIndex::slot_of(uint32_t hash, const void* item) const {
    uint32_t at = home(hash);
    while (slots_[at].item != item || slots_[at].hash != hash)
        at = after(at);
    return at;
}

void* PointerIndex::next_candidate(uint32_t hash, uint32_t& at) const {
    if (size_ == 0) return nullptr;
    for (;;) {
        const Slot& slot = slots_[home(at++)];
        if (slot.item == nullptr || slot.hash == hash) return slot.item;
    }
}

void PointerIndex::remove(uint32_t hash, const void* item) {
    uint32_t hole = slot_of(hash, item);
    // An item further on whose search passes the hole moves into it.
    for (uint32_t at = after(hole); slots_[at].item != nullptr; at = after(at)) {
        const uint32_t distance = (at - home(slots_[at].hash)) & (size_ - 1);
        const uint32_t distance_to_hole = (at - hole) & (size_ - 1);
        if (distance < distance_to_hole) continue;
        slots_[hole] = slots_[at];
        hole = at;
    }
    slots_[hole].item = nullptr;
    --count_;
}

void PointerIndex::replace(uint32_t hash, const void* item, void* replacement) {
    slots_[slot_of(hash, item)].item = replacement;
}

size_t PointerIndex::longest_search() const {
    size_t longest = 0;
    for (uint32_t at = 0; at < size_; ++at) {
        if (slots_[at].item == nullptr) continue;
        const uint32_t looked_at = ((at - home(slots_[at].hash)) & (size_ - 1)) + 1;
        longest = std::max<size_t>(longest, looked_at);
    }
    return longest;
}

} // namespace spillway::fdt
