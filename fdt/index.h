// SPDX-License-Identifier: BSD-2-Clause
// Finds things by what they are called, in constant time: an open-addressing hash table of
// pointers. Whoever owns the things makes the hashes and compares the keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace spillway::fdt {

/// Hashes whose low bits may choose a slot.
uint32_t hash_of(std::string_view text);
uint32_t hash_of(const void* first, const void* second);
/// Different numbers have different hashes.
uint32_t hash_of(uint32_t number);

class PointerIndex {
public:
    PointerIndex() = default;
    ~PointerIndex();
    PointerIndex(const PointerIndex&) = delete;
    PointerIndex& operator=(const PointerIndex&) = delete;

    /// Makes room for one insertion; false when there is no memory.
    bool make_room();
    /// Room must have been made, or one have been removed since the last insertion.
    void insert(uint32_t hash, void* item);
    /// The item must be in the index under this hash; it may be there under others, too.
    void remove(uint32_t hash, const void* item);
    void replace(uint32_t hash, const void* item, void* replacement);

    size_t count() const { return count_; }
    /// Most slots that finding any item looks at: for tests.
    size_t longest_search() const;

protected:
    struct Slot {
        void* item; ///< nullptr: the slot is free
        uint32_t hash;
    };
    uint32_t home(uint32_t hash) const { return hash & (size_ - 1); }
    uint32_t after(uint32_t slot) const { return (slot + 1) & (size_ - 1); }
    uint32_t slot_of(uint32_t hash, const void* item) const;
    /// The next item of this hash; `at` begins as the hash and counts on.
    void* next_candidate(uint32_t hash, uint32_t& at) const;

    Slot* slots_ = nullptr;
    uint32_t size_ = 0; ///< 0 or a power of two, never full
    uint32_t count_ = 0;
};

template<typename Item> class Index : public PointerIndex {
public:
    /// The item of this hash for which matches(const Item&) is true, or nullptr.
    template<typename Matches> Item* find(uint32_t hash, Matches matches) const {
        uint32_t at = hash;
        while (void* const candidate = next_candidate(hash, at)) {
            Item* const item = static_cast<Item*>(candidate);
            if (matches(*item)) return item;
        }
        return nullptr;
    }
};

} // namespace spillway::fdt
