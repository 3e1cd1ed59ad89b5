// SPDX-License-Identifier: BSD-2-Clause
#include "boot/console.h"

namespace spillway::boot {

size_t TerminalConsole::read(std::span<char> buffer) {
    size_t count = 0;
    while (count < buffer.size()) {
        if (next_ == end_) {
            next_ = 0;
            end_ = hcall::get_characters(terminal_, waiting_);
            if (end_ == 0) break;
        }
        buffer[count++] = waiting_[next_++];
    }
    return count;
}

} // namespace spillway::boot
