// SPDX-License-Identifier: BSD-2-Clause
#include "base/clock.h"

namespace spillway::clock {
namespace {
constinit uint64_t known_frequency = 512'000'000;
/// Deadlines are some seconds: they must stay far from where 64 bits end.
constexpr uint64_t highest_frequency = 4'000'000'000;
} // namespace

void set_frequency(uint64_t ticks_per_second) {
    if (ticks_per_second == 0 || ticks_per_second > highest_frequency) return;
    known_frequency = ticks_per_second;
}

uint64_t frequency() {
    return known_frequency;
}

} // namespace spillway::clock
