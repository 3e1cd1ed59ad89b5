// SPDX-License-Identifier: BSD-2-Clause
#include "base/error.h"

#include <cstdarg>
#include <cstdio>

namespace spillway {

std::unexpected<Error> fail(ErrorCode code, const char* format, ...) {
    std::unexpected<Error> result{Error{code, {}}};
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(result.error().message, sizeof result.error().message, format, arguments);
    va_end(arguments);
    return result;
}

} // namespace spillway
