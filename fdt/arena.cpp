// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/arena.h"

#include "base/heap.h"

#include <bit>
#include <new>
#include <utility>

namespace spillway::fdt {

static_assert(Arena::largest_piece == 256 << 3);

Arena::~Arena() {
    while (blocks_ != nullptr) {
        give_to_heap(std::exchange(blocks_, blocks_->next));
    }
}

size_t Arena::rounded(size_t size) {
    if (size > largest_piece) return size;
    if (size > largest_step) return std::bit_ceil(size);
    return size <= step ? step : (size + step - 1) & ~(step - 1);
}

size_t Arena::list_of(size_t rounded_size) {
    if (rounded_size <= largest_step) return rounded_size / step - 1;
    return largest_step / step - 1 +
           static_cast<size_t>(std::countr_zero(rounded_size) - std::countr_zero(largest_step));
}

void* Arena::allocate(size_t size) {
    if (size > largest_piece) return take_from_heap(size);
    const size_t size_to_cut = rounded(size);
    Piece*& list = free_[list_of(size_to_cut)];
    if (list == nullptr) return cut(size_to_cut);
    return std::exchange(list, list->next);
}

void Arena::release(void* piece, size_t size) {
    if (size > largest_piece) {
        give_to_heap(piece);
    } else if (piece != nullptr) {
        Piece*& list = free_[list_of(rounded(size))];
        list = new (piece) Piece{list};
    }
}

void* Arena::cut(size_t rounded_size) {
    if (rounded_size > unused_size_) {
        void* const block = take_from_heap(block_size);
        if (block == nullptr) return nullptr;
        blocks_ = new (block) Piece{blocks_};
        unused_ = static_cast<std::byte*>(block) + sizeof(Piece);
        unused_size_ = block_size - sizeof(Piece);
    }
    void* const piece = unused_;
    unused_ += rounded_size;
    unused_size_ -= rounded_size;
    return piece;
}

} // namespace spillway::fdt
