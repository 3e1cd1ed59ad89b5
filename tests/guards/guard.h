// SPDX-License-Identifier: BSD-2-Clause
// What scripts/guards puts around each check of the firmware: switched off, a check never holds.
#pragma once

#include <type_traits>

namespace spillway::test {

/// The check that is switched off, from the environment (SPILLWAY_GUARD); 0: none.
extern const unsigned guard_off;
void guard_held(unsigned number);

constexpr bool guard(unsigned number, bool holds) {
    if (std::is_constant_evaluated() || !holds) return holds;
    guard_held(number);
    return number != guard_off;
}

} // namespace spillway::test
