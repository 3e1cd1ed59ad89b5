// SPDX-License-Identifier: BSD-2-Clause
// The hypervisor beneath the firmware: what a test program reaches without the client interface, in
// all three modes.
#pragma once

#include "tests/client/client.h"

#include <bit>

namespace client {

using spillway::Big64;

struct Registers {
    uint64_t r3, r4, r5, r6, r7 = 0;
};

/// Makes the call in r3 and leaves in the registers what the hypervisor did. A 32-bit program has
/// 64-bit registers too.
inline void hypercall(Registers& registers) {
    asm volatile(".machine push\n\t.machine power8\n\t"
                 "ld 3, 0(%0)\n\tld 4, 8(%0)\n\tld 5, 16(%0)\n\tld 6, 24(%0)\n\tld 7, 32(%0)\n\t"
                 "sc 1\n\t"
                 "std 3, 0(%0)\n\tstd 4, 8(%0)\n\tstd 5, 16(%0)\n\tstd 6, 24(%0)\n\t"
                 ".machine pop"
                 :
                 : "b"(&registers)
                 : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "ctr",
                   "xer", "cr0", "cr1", "cr5", "cr6", "cr7", "memory");
}

inline Cell rtas_token(const char* service) {
    return get_cell(find("/rtas"), service);
}

/// Calls a service of RTAS by the hypercall behind it; returns its last result.
template<typename... Cells> Cell rtas(Cell token, Cell returns, Cells... arguments) {
    constexpr uint64_t rtas_number = 0xF000;
    struct {
        Big32 token, arguments, returns;
        Big32 cells[8];
    } block;
    block.token = token;
    block.arguments = sizeof...(arguments);
    block.returns = returns;
    Cell index = 0;
    ((block.cells[index++] = static_cast<Cell>(arguments)), ...);
    Registers registers{rtas_number, address(&block), 0, 0};
    hypercall(registers);
    return block.cells[index + returns - 1];
}

/// The hypervisor's default terminal. What is written appears at the end of a line.
class Terminal {
public:
    void text(const char* text) {
        for (; *text != '\0'; ++text) {
            line_[size_++] = *text;
            if (size_ == sizeof line_ || *text == '\n') flush();
        }
    }
    void hex(Cell value) {
        char digits[9];
        digits[8] = '\0';
        for (int i = 8; i-- > 0; value >>= 4)
            digits[i] = "0123456789abcdef"[value & 15];
        text("0x");
        text(digits);
    }
    void decimal(Cell value) {
        char digits[11];
        int i = 10;
        digits[i] = '\0';
        do {
            digits[--i] = static_cast<char>('0' + value % 10);
            value /= 10;
        } while (value != 0);
        text(digits + i);
    }

    /// Waits for a line to be typed; what does not fit is lost.
    void read_line(char* line, Cell room) {
        constexpr uint64_t get_term_char = 0x54;
        for (Cell size = 0;;) {
            Registers registers{get_term_char, 0, 0, 0};
            hypercall(registers); // r4: how many characters are in the two that follow
            const Big64 typed[] = {Big64{registers.r5}, Big64{registers.r6}};
            for (Cell i = 0; i < registers.r4 && i < sizeof typed; ++i) {
                const char c = reinterpret_cast<const char*>(typed)[i];
                if (c == '\n') return;
                if (size + 1 == room) continue;
                line[size++] = c;
                line[size] = '\0';
            }
        }
    }

private:
    void flush() {
        constexpr uint64_t put_term_char = 0x58;
        Registers registers{put_term_char, 0, size_, spillway::load<Big64>(line_),
                            spillway::load<Big64>(line_ + 8)};
        hypercall(registers);
        size_ = 0;
    }

    char line_[16] = {}; ///< as much as one call takes
    Cell size_ = 0;
};

} // namespace client
