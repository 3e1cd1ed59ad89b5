// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/fake_clock.h"

#include "base/clock.h"

namespace spillway::clock {

uint64_t ticks() {
    return test::FakeClock::now += test::FakeClock::step;
}

} // namespace spillway::clock
