// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/failure.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace spillway::fdt {

std::unexpected<Error> fail_at(const Tree& tree, const Node& node, ErrorCode code,
                               const char* format, ...) {
    char path[64];
    const size_t length = std::min(tree.path(node, path), sizeof path);
    auto failure = fail(code, "%.*s: ", static_cast<int>(length), path);
    char* const message = failure.error().message;
    const size_t used = std::strlen(message);
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message + used, sizeof failure.error().message - used, format, arguments);
    va_end(arguments);
    for (char* at = message; *at != '\0'; ++at) {
        if (*at < ' ' || *at > '~') *at = '?';
    }
    return failure;
}

} // namespace spillway::fdt
