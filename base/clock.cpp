// SPDX-License-Identifier: BSD-2-Clause
#include "base/clock.h"

namespace spillway::clock {
namespace {
constinit uint64_t known_frequency = 512'000'000;
}

void set_frequency(uint64_t ticks_per_second) {
    if (ticks_per_second != 0) known_frequency = ticks_per_second;
}

uint64_t frequency() {
    return known_frequency;
}

} // namespace spillway::clock
