// SPDX-License-Identifier: BSD-2-Clause
// The one place where trees, and who works on them, get memory from, so that tests can make it run
// out.
#pragma once

#include <cstddef>

namespace spillway::fdt {

/// malloc(), unless another definition is linked.
void* take_from_heap(size_t size);
/// free().
void give_to_heap(void* memory);

} // namespace spillway::fdt
