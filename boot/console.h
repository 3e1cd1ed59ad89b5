// SPDX-License-Identifier: BSD-2-Clause
// The machine's terminal, for the log and for clients.
#pragma once

#include "hcall/console.h"
#include "of/platform.h"

#include <array>

namespace spillway::boot {

class TerminalConsole final : public of::Console {
public:
    constexpr explicit TerminalConsole(hcall::Terminal terminal)
        : terminal_(terminal) {}

    size_t write(std::string_view text) override { return hcall::put_characters(terminal_, text); }
    size_t read(std::span<char> buffer) override;

private:
    hcall::Terminal terminal_;
    std::array<char, 16> waiting_{};
    size_t next_ = 0, end_ = 0; ///< what of `waiting_` no client has read yet
};

} // namespace spillway::boot
