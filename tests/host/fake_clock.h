// SPDX-License-Identifier: BSD-2-Clause
// The time base of host tests: it advances by a fixed step at each look, so that waiting ends.
#pragma once

#include <cstdint>

namespace spillway::test {

struct FakeClock {
    static inline uint64_t now = 0;
    static inline uint64_t step = 512; ///< a microsecond
};

} // namespace spillway::test
