// SPDX-License-Identifier: BSD-2-Clause
// Property values as sequences of big-endian 32-bit cells (IEEE 1275-1994, 3.2.2.1.3).
#pragma once

#include "fdt/tree.h"

#include <optional>

namespace spillway::fdt {

/// Reads cells one after another; a read past the end answers nothing and stays at the end.
class CellReader {
public:
    constexpr explicit CellReader(Bytes bytes)
        : rest_(bytes) {}

    size_t cells_left() const { return rest_.size() / 4; }
    std::optional<uint32_t> cell() {
        if (rest_.size() < 4) return std::nullopt;
        const uint32_t value = load<Big32>(rest_.data());
        rest_ = rest_.subspan(4);
        return value;
    }
    /// A number of `count` cells (1 or 2 give its value; 0 gives 0; more: only if it fits 64 bits).
    std::optional<uint64_t> number(unsigned count) {
        if (cells_left() < count) return std::nullopt;
        uint64_t value = 0;
        for (; count > 0; --count) {
            if (value >> 32 != 0) return std::nullopt;
            value = value << 32 | *cell();
        }
        return value;
    }

private:
    Bytes rest_;
};

/// Collects cells in storage of fixed capacity; full() tells when something did not fit.
template<size_t Capacity> class CellWriter {
public:
    void cell(uint32_t value) {
        if (used_ < Capacity) {
            cells_[used_++] = Big32{value};
        } else {
            full_ = true;
        }
    }
    void number(uint64_t value) {
        cell(static_cast<uint32_t>(value >> 32));
        cell(static_cast<uint32_t>(value));
    }
    bool full() const { return full_; }
    bool empty() const { return used_ == 0; }
    Bytes bytes() const { return std::as_bytes(std::span{cells_, used_}); }

private:
    Big32 cells_[Capacity];
    size_t used_ = 0;
    bool full_ = false;
};

} // namespace spillway::fdt
