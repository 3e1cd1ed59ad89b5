// SPDX-License-Identifier: BSD-2-Clause
#include "base/clock.h"

namespace spillway::clock {
namespace {
constinit uint64_t ticks_per_second = 512'000'000;
}

void set_frequency(uint64_t value) {
    if (value != 0) ticks_per_second = value;
}

uint64_t frequency() {
    return ticks_per_second;
}

} // namespace spillway::clock
