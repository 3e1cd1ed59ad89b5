// SPDX-License-Identifier: BSD-2-Clause
// One console line a step of the boot, with the time that the step took.
#pragma once

#include "base/error.h"
#include "boot/profile.h"

#include <cstdint>
#include <type_traits>

namespace spillway::boot {

class Steps {
public:
    /// Marks the start.
    explicit Steps(Profile& profile);

    /// Ends the current step: prints its name, its milliseconds and the text; starts the next one.
    /// What is printed is not in the step's own time, but in the next mark of the profile.
    [[gnu::format(printf, 3, 4)]] void done(const char* name, const char* format, ...);

private:
    Profile& profile_;
    uint64_t step_started_;
};

/// The value, or an end to the boot: says what was wrong and stops the machine.
[[noreturn]] void give_up(const Error& error);
template<typename Value> Value need(Result<Value> result) {
    if (!result) give_up(result.error());
    if constexpr (!std::is_void_v<Value>) return *result;
}

} // namespace spillway::boot
