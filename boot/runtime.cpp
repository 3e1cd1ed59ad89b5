// SPDX-License-Identifier: BSD-2-Clause
// What the C and C++ libraries expect of a system, and this one does not have.
#include "boot/stop.h"

#include "base/log.h"

extern "C" {

[[noreturn]] void abort() {
    spillway::log::error("abort() was called");
    spillway::boot::stop_after_fault();
}

[[noreturn]] void __cxa_pure_virtual() {
    abort();
}
}

namespace std {

/// What substr() calls for a start behind the end.
[[noreturn]] void __throw_out_of_range_fmt(const char*, ...) {
    abort();
}

} // namespace std
