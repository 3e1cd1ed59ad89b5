// SPDX-License-Identifier: BSD-2-Clause
#include "boot/steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "boot/stop.h"

#include <cstdarg>
#include <cstdio>

namespace spillway::boot {

Steps::Steps(Profile& profile)
    : profile_(profile)
    , step_started_(clock::ticks()) {
    profile_.mark("start");
}

void Steps::done(const char* name, const char* format, ...) {
    profile_.mark(name);
    const auto microseconds =
        static_cast<unsigned>(clock::microseconds(profile_.marks().back().ticks - step_started_));
    char text[160];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log::info("%-9s %4u.%03u ms  %s", name, microseconds / 1000, microseconds % 1000, text);
    step_started_ = clock::ticks();
}

void give_up(const Error& error) {
    log::error("%s", error.message);
    log::error("the boot cannot go on");
    stop_after_fault();
}

} // namespace spillway::boot
