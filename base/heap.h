// SPDX-License-Identifier: BSD-2-Clause
// Where the rooms get memory from, so that tests can make it run out.
#pragma once

#include <cstddef>

namespace spillway {

/// malloc(), unless another definition is linked.
void* take_from_heap(size_t size);
/// free().
void give_to_heap(void* memory);

} // namespace spillway
