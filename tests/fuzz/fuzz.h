// SPDX-License-Identifier: BSD-2-Clause
// What fuzz targets share. A target is one file: it defines run(), which libFuzzer calls with one
// input after another, and demands what must hold whatever the input is.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace spillway::fuzz {

/// Reads an input from its beginning; behind its end all is zero.
class Input {
public:
    explicit Input(std::span<const uint8_t> bytes)
        : rest_(bytes) {}

    bool empty() const { return rest_.empty(); }
    size_t size() const { return rest_.size(); }

    /// Up to `most` bytes.
    std::span<const std::byte> bytes(size_t most = SIZE_MAX) {
        const auto taken = rest_.first(std::min(most, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return std::as_bytes(taken);
    }
    std::string_view text(size_t most) {
        const auto taken = bytes(most);
        return {reinterpret_cast<const char*>(taken.data()), taken.size()};
    }
    /// Little-endian.
    template<std::unsigned_integral Integer> Integer number() {
        uint64_t value = 0;
        unsigned shift = 0;
        for (const std::byte byte : bytes(sizeof(Integer))) {
            value |= uint64_t{std::to_integer<uint8_t>(byte)} << shift;
            shift += 8;
        }
        return static_cast<Integer>(value);
    }
    uint8_t byte() { return number<uint8_t>(); }
    bool flag() { return (byte() & 1) != 0; }
    /// One byte chooses among at most 256 things.
    size_t below(size_t count) { return byte() % count; }
    template<typename Item, size_t Count> const Item& one_of(const Item (&items)[Count]) {
        return items[below(Count)];
    }

private:
    std::span<const uint8_t> rest_;
};

/// The target.
void run(Input input);

/// Ends the process, which makes the input a finding, unless the condition holds.
void demand(bool holds, const char* what, const char* file = __builtin_FILE(),
            int line = __builtin_LINE());

} // namespace spillway::fuzz
