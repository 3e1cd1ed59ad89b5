// SPDX-License-Identifier: BSD-2-Clause
#include "base/clock.h"

namespace spillway::clock {

uint64_t ticks() {
    return __builtin_ppc_get_timebase();
}

} // namespace spillway::clock
