// SPDX-License-Identifier: BSD-2-Clause
// Errors about a node of a tree.
#pragma once

#include "fdt/tree.h"

namespace spillway::fdt {

/// Like fail(), with the path of the node before the message. What is not printable ASCII, as in a
/// name that is refused, shows as '?'.
[[gnu::format(printf, 4, 5), gnu::cold]] std::unexpected<Error>
fail_at(const Tree& tree, const Node& node, ErrorCode code, const char* format, ...);

/// For "%.*s" in a message: as much of a name as should go into one.
constexpr int shown(std::string_view name) {
    return static_cast<int>(name.size() < 32 ? name.size() : 32);
}

} // namespace spillway::fdt
