// SPDX-License-Identifier: BSD-2-Clause
// The border to the client's memory: no pointer of the client is used before it has passed here.
//
// Good memory is RAM below 4 GiB that the firmware does not own. A range of no bytes is good
// wherever it lies, because nothing is touched.
#pragma once

#include "base/memory_map.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace spillway::of {

/// Copy of a client's string, without its NUL; Capacity counts the NUL.
template<size_t Capacity> class Text {
public:
    static constexpr size_t capacity = Capacity;

    constexpr std::string_view view() const { return {bytes_.data(), size_}; }
    /// Takes a string that ends within `limit` characters; false if it does not. Most are short: a
    /// simple loop is faster than to look for the end first.
    bool assign_terminated(const char* from, size_t limit) {
        for (size_t i = 0; i < limit; ++i) {
            bytes_[i] = from[i];
            if (from[i] != 0) continue;
            size_ = i;
            return true;
        }
        return false;
    }

private:
    std::array<char, Capacity> bytes_;
    size_t size_ = 0;
};

/// Longest name of a property, with its NUL: what clients have room for when they ask for the next
/// one (the standard has 32, the platform's own names are longer).
using PropertyName = Text<64>;
using ServiceName = Text<64>;
using Path = Text<512>;

class ClientMemory {
public:
    constexpr explicit ClientMemory(const MemoryMap& memory)
        : memory_(memory) {}

    /// The bytes of a range, if all of it is good.
    std::optional<std::span<const std::byte>> readable(uint32_t address, size_t size);
    /// The same, and none of it is the argument array of the call that is being served.
    std::optional<std::span<std::byte>> writable(uint32_t address, size_t size);
    /// Copies a string that ends, in good memory, within the capacity of `text`.
    template<size_t Capacity> bool copy_string(uint32_t address, Text<Capacity>& text) {
        const size_t limit = std::min<uint64_t>(good_bytes(address), Capacity);
        return text.assign_terminated(reinterpret_cast<const char*>(to_pointer({address})), limit);
    }

    /// Where the argument array of the call lies.
    void set_argument_array(PhysicalRange array) { argument_array_ = array; }

private:
    /// How many bytes from `address` on are good.
    uint64_t good_bytes(uint32_t address);

    const MemoryMap& memory_;
    PhysicalRange argument_array_;
    /// The stretch of good memory that was used last: a call's pointers mostly lie together.
    PhysicalRange good_;
    uint64_t good_at_revision_ = 0;
};

} // namespace spillway::of
