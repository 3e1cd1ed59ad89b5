// SPDX-License-Identifier: BSD-2-Clause
#include "hcall/console.h"

#include "base/endian.h"

#include <algorithm>
#include <cstring>

namespace spillway::hcall {
namespace {

constexpr size_t characters_per_call = 16;
/// A terminal whose reader is slow answers H_BUSY; one that never drains must not stop the boot,
/// nor make it wait again for each line.
constexpr int busy_limit = 100'000;
constinit int patience = busy_limit;

} // namespace

size_t put_characters(Terminal terminal, std::string_view text) {
    size_t written = 0;
    while (written < text.size()) {
        const std::string_view piece = text.substr(written, characters_per_call);
        Big64 packed[2];
        std::memcpy(packed, piece.data(), piece.size());
        Registers registers{static_cast<uint64_t>(terminal), piece.size(), packed[0], packed[1]};
        const Status status = call(Number::put_term_char, registers);
        if (status == Status::busy && patience > 0) {
            --patience;
            continue;
        }
        if (status != Status::success) break;
        patience = busy_limit;
        written += piece.size();
    }
    return written;
}

size_t get_characters(Terminal terminal, std::span<char, 16> buffer) {
    Registers registers{static_cast<uint64_t>(terminal)};
    if (call(Number::get_term_char, registers) != Status::success) return 0;
    const size_t count = std::min<uint64_t>(registers.r4, buffer.size());
    const Big64 packed[2] = {Big64{registers.r5}, Big64{registers.r6}};
    std::memcpy(buffer.data(), packed, count);
    return count;
}

} // namespace spillway::hcall
