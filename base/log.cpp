// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace spillway::log {
namespace {

constinit Writer current_writer = nullptr;
constinit Level current_level = Level::normal;

void print(const char* prefix, const char* format, std::va_list arguments) {
    if (current_writer == nullptr) return;
    char line[256];
    constexpr size_t room = sizeof line - 2;
    auto used = static_cast<size_t>(std::snprintf(line, room, "%s", prefix));
    const int wanted = std::vsnprintf(line + used, room - used, format, arguments);
    if (wanted > 0) used = std::min(used + static_cast<size_t>(wanted), room - 1);
    line[used++] = '\r';
    line[used++] = '\n';
    current_writer({line, used});
}

} // namespace

void set_writer(Writer writer) {
    current_writer = writer;
}

void set_level(Level level) {
    current_level = level;
}

Level level() {
    return current_level;
}

Level level_from_command_line(std::string_view command_line) {
    constexpr std::string_view key = "spillway.log=";
    Level found = Level::normal;
    while (!command_line.empty()) {
        const std::string_view word = command_line.substr(0, command_line.find(' '));
        command_line.remove_prefix(std::min(word.size() + 1, command_line.size()));
        if (!word.starts_with(key)) continue;
        const std::string_view value = word.substr(key.size());
        if (value == "quiet") found = Level::quiet;
        if (value == "normal") found = Level::normal;
        if (value == "verbose") found = Level::verbose;
    }
    return found;
}

void error(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    print("error: ", format, arguments);
    va_end(arguments);
}

void warning(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    print("warning: ", format, arguments);
    va_end(arguments);
}

void info(const char* format, ...) {
    if (current_level < Level::normal) return;
    std::va_list arguments;
    va_start(arguments, format);
    print("", format, arguments);
    va_end(arguments);
}

void verbose(const char* format, ...) {
    if (current_level < Level::verbose) return;
    std::va_list arguments;
    va_start(arguments, format);
    print("  ", format, arguments);
    va_end(arguments);
}

} // namespace spillway::log
