// SPDX-License-Identifier: BSD-2-Clause
#include "boot/stop.h"

namespace spillway::boot {

void halt() {
    for (;;)
        asm volatile("" : : : "memory");
}

} // namespace spillway::boot
