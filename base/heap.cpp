// SPDX-License-Identifier: BSD-2-Clause
#include "base/heap.h"

#include <cstdlib>

namespace spillway {

[[gnu::weak]] void* take_from_heap(size_t size) {
    return std::malloc(size);
}

[[gnu::weak]] void give_to_heap(void* memory) {
    std::free(memory);
}

} // namespace spillway
