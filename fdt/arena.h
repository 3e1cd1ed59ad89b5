// SPDX-License-Identifier: BSD-2-Clause
// Memory for many small pieces: cut from large blocks of the heap, kept in a list by size when
// given back. The heap itself searches a list at every free, which thousands of pieces would make
// slow.
#pragma once

#include <array>
#include <cstddef>

namespace spillway::fdt {

class Arena {
public:
    static constexpr size_t block_size = 32 << 10;
    static constexpr size_t largest_piece = 2048; ///< anything larger comes from the heap as it is

    Arena() = default;
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// What a request of `size` bytes really gets.
    static size_t rounded(size_t size);
    /// 8-byte aligned; nullptr when the heap has nothing left.
    void* allocate(size_t size);
    /// `size` is the size asked for, or rounded(size). Pieces larger than largest_piece must come
    /// back before the arena ends; the others need not.
    void release(void* piece, size_t size);

private:
    struct Piece {
        Piece* next;
    };
    static constexpr size_t step = 8;
    static constexpr size_t largest_step = 256; ///< from here on sizes are powers of two
    static constexpr size_t list_count = largest_step / step + 3;

    static size_t list_of(size_t rounded_size);
    void* cut(size_t rounded_size);

    std::array<Piece*, list_count> free_{};
    Piece* blocks_ = nullptr;
    std::byte* unused_ = nullptr;
    size_t unused_size_ = 0;
};

} // namespace spillway::fdt
