// SPDX-License-Identifier: BSD-2-Clause
#include "boot/heap.h"

#include <cerrno>
#include <cstddef>

namespace spillway::boot {
namespace {

constexpr uint64_t piece = 1 << 20;

struct Heap {
    MemoryMap* memory = nullptr;
    PhysicalRange home;
    PhysicalAddress limit;
    PhysicalRange free; ///< claimed, not yet given out
};
constinit Heap heap;

/// Extends the free stretch, or starts a new one where there is room. What is left of the old one
/// is then lost: at most one piece each time the heap has to move.
bool grow(uint64_t bytes) {
    const uint64_t size = align_up(bytes, piece);
    const auto owner = MemoryMap::Owner::firmware;
    auto place = heap.memory->claim_lowest(size, piece, heap.home, owner);
    if (!place) place = heap.memory->claim_lowest(size, piece, {{}, heap.limit.value}, owner);
    if (!place) return false;
    if (heap.free.size != 0 && heap.free.end() == *place) {
        heap.free.size += size;
    } else {
        heap.free = {*place, size};
    }
    return true;
}

} // namespace

void start_heap(MemoryMap& memory, PhysicalRange home, PhysicalAddress limit) {
    heap = {&memory, home, limit, {}};
}

/// What picolibc's malloc calls. Never gives memory back; a request that does not fit what is left
/// of the last piece may be answered from another place.
extern "C" void* sbrk(ptrdiff_t increment) {
    const auto bytes = static_cast<uint64_t>(increment);
    const bool possible = heap.memory != nullptr && increment >= 0;
    if (!possible || (bytes > heap.free.size && !grow(bytes))) {
        errno = ENOMEM;
        return reinterpret_cast<void*>(-1);
    }
    void* start = to_pointer(heap.free.start);
    heap.free = {heap.free.start + bytes, heap.free.size - bytes};
    return start;
}

} // namespace spillway::boot
