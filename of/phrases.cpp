// SPDX-License-Identifier: BSD-2-Clause
// The few sentences of Forth that clients use. There is no interpreter behind them.
#include "of/client.h"

#include <algorithm>

namespace spillway::of {
namespace {

enum class Meaning : uint8_t { nothing, restart, stop };

struct Phrase {
    const char* text;
    Meaning meaning;
};

constexpr Phrase phrases[] = {
    {"reset-all", Meaning::restart},
    {"power-off", Meaning::stop},
    {"poweroff", Meaning::stop},
    {"shut-down", Meaning::stop},
    // Of a display that there is not.
    {"cursor-on", Meaning::nothing},
    {"cursor-off", Meaning::nothing},
    {"output-device output", Meaning::nothing},
};

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' '))
        text.remove_prefix(1);
    while (text.ends_with(' '))
        text.remove_suffix(1);
    return text;
}

} // namespace

void Client::interpret(Call& call) {
    call.returns[0] = failure;
    Text<128> text;
    if (!border_.copy_string(call.arguments[0], text)) return;
    const auto* phrase = std::ranges::find(phrases, trimmed(text.view()), &Phrase::text);
    if (phrase == std::end(phrases)) return;
    if (phrase->meaning == Meaning::restart) platform_.restart();
    if (phrase->meaning == Meaning::stop) platform_.power_off();
    call.returns[0] = 0;
}

} // namespace spillway::of
