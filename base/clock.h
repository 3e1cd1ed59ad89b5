// SPDX-License-Identifier: BSD-2-Clause
// The time base (Power ISA, book II, chapter 6): it always runs, at a rate that the tree tells.
#pragma once

#include <cstdint>

namespace spillway::clock {

/// Time base ticks. On target the register; host tests link another definition.
uint64_t ticks();

/// Ticks a second: `timebase-frequency` of the first processor in the tree. Until it is known, or
/// when it is 0 or above 4 GHz, 512 MHz, the rate of every POWER processor since POWER5.
void set_frequency(uint64_t ticks_per_second);
uint64_t frequency();

inline uint64_t microseconds(uint64_t ticks) {
    const uint64_t per_second = frequency();
    return ticks / per_second * 1'000'000 + ticks % per_second * 1'000'000 / per_second;
}

} // namespace spillway::clock
