// SPDX-License-Identifier: BSD-2-Clause
// One console line a step of the boot, with the time that the step took.
#pragma once

#include "base/error.h"

#include <cstdint>
#include <type_traits>

namespace spillway::boot {

class Steps {
public:
    Steps();

    uint64_t started() const { return started_; } ///< time base ticks
    /// Ends the current step: prints its name, its milliseconds and the text; starts the next one.
    [[gnu::format(printf, 3, 4)]] void done(const char* name, const char* format, ...);

private:
    uint64_t started_;
    uint64_t step_started_;
};

/// The value, or an end to the boot: says what was wrong and stops the machine.
[[noreturn]] void give_up(const Error& error);
template<typename Value> Value need(Result<Value> result) {
    if (!result) give_up(result.error());
    if constexpr (!std::is_void_v<Value>) return *result;
}

} // namespace spillway::boot
