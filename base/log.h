// SPDX-License-Identifier: BSD-2-Clause
// What people see on the console: whole lines, plain text, no escape sequences.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway::log {

/// Chosen by `spillway.log=quiet|normal|verbose` in the kernel command line.
enum class Level : uint8_t {
    quiet,   ///< only what went wrong
    normal,  ///< banner, one line a step, the table of PCI functions
    verbose, ///< every decision
};

/// Where lines go. The writer gets the text with CR LF line ends, and may be called re-entrantly
/// only from the exception printer.
using Writer = void (*)(std::string_view text);

void set_writer(Writer writer);
void set_level(Level level);
Level level();
/// The level that a command line asks for; `normal` when it names none or one that does not exist.
Level level_from_command_line(std::string_view command_line);

/// Each call prints one line. Errors and warnings appear at every level.
[[gnu::format(printf, 1, 2), gnu::cold]] void error(const char* format, ...);
[[gnu::format(printf, 1, 2), gnu::cold]] void warning(const char* format, ...);
[[gnu::format(printf, 1, 2)]] void info(const char* format, ...);
[[gnu::format(printf, 1, 2)]] void verbose(const char* format, ...);

} // namespace spillway::log
