// SPDX-License-Identifier: BSD-2-Clause
// ELF headers of either class and byte order (System V ABI, chapters 4 and 5), read with bounds.
#pragma once

#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace spillway::boot {

struct ElfSegment {
    uint64_t offset, virtual_address, physical_address, file_size, memory_size;
    bool executable;
};

/// The loadable part of an ELF program. A view: the bytes must stay where they are.
class Elf {
public:
    static bool has_magic(std::span<const std::byte> bytes);

    /// Checks identification, machine (PowerPC of the right width), type (executable or shared),
    /// and that the program headers lie within `bytes`. Segment contents are not looked at.
    static Result<Elf> open(std::span<const std::byte> bytes);

    bool is_64() const { return is_64_; }
    bool is_little() const { return is_little_; }
    uint64_t entry() const { return entry_; }

    /// The index-th PT_LOAD segment that takes memory. Their number is bounded by the file's.
    size_t segment_count() const { return segment_count_; }
    ElfSegment segment(size_t index) const;

    /// The most loadable segments that a program may have.
    static constexpr size_t most_segments = 16;

private:
    explicit Elf(std::span<const std::byte> bytes)
        : bytes_(bytes) {}
    template<typename Integer> Integer read(uint64_t offset) const;
    uint64_t read_word(uint64_t offset) const; ///< an address or size of the file's class

    std::span<const std::byte> bytes_;
    bool is_64_ = false, is_little_ = false;
    uint64_t entry_ = 0;
    uint64_t segments_[most_segments] = {}; ///< file offsets of their program headers
    size_t segment_count_ = 0;
};

} // namespace spillway::boot
