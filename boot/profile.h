// SPDX-License-Identifier: BSD-2-Clause
// Where the time of a boot went: the time base at the end of each step.
#pragma once

#include "base/error.h"
#include "fdt/tree.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace spillway::boot {

class Profile {
public:
    struct Mark {
        const char* step; ///< the step that ended
        uint64_t ticks;   ///< time base, as everybody in this machine reads it
    };
    /// The oldest marks give way to newer ones, but for the first.
    static constexpr size_t most_marks = 16;

    void mark(const char* step);
    uint64_t started() const { return marks_[0].ticks; } ///< the first mark
    std::span<const Mark> marks() const { return {marks_.data(), count_}; }

    /// Puts the marks into /chosen: `spillway,boot-steps`, the names, and `spillway,boot-ticks`,
    /// 64 bits each. A tree without /chosen stays as it is.
    Result<void> describe(fdt::Tree& tree) const;
    /// At the verbose level: one line a step, with the time since the mark before.
    void print() const;

private:
    std::array<Mark, most_marks> marks_{};
    size_t count_ = 0;
};

} // namespace spillway::boot
