// SPDX-License-Identifier: BSD-2-Clause
// What happens when the processor interrupts: the context goes to the console, and either the
// interrupted code goes on (an injected NMI) or the machine stops.
#include "boot/machine.h"
#include "boot/stop.h"

#include "base/endian.h"
#include "base/log.h"
#include "hcall/console.h"
#include "linker/layout.h"

#include <cstddef>
#include <cstdint>

extern "C" {
extern const char text_end[];
extern const char main_stack_bottom[], main_stack_top[];
extern const char client_stack_bottom[], client_stack_top[];
}

namespace spillway::boot {
namespace {

/// As boot/vectors.S saves it.
struct Frame {
    Big64 general[32];
    Big64 srr0, srr1, link, count, xer, condition, dar, dsisr;
    Big64 msr; ///< at the vector, after the processor changed it
    Big64 vector;
};
static_assert(offsetof(Frame, srr0) == 256 && offsetof(Frame, vector) == 328);
static_assert(sizeof(Frame) <= LAYOUT_FRAME_SIZE);

constexpr uint64_t msr_recoverable = 2;
constexpr uint64_t msr_little_endian = 1;
/// Of SRR1 after a program interrupt (Power ISA, book III, 7.5.9).
constexpr uint64_t srr1_illegal = 0x80000;
constexpr uint64_t srr1_privileged = 0x40000;
constexpr uint64_t srr1_trap = 0x20000;

using Long = unsigned long long;

const char* cause(uint64_t vector, uint64_t srr1) {
    switch (vector) {
    case 0x100:
        return "system reset (NMI)";
    case 0x200:
        return "machine check";
    case 0x300:
        return "data storage";
    case 0x380:
        return "data segment";
    case 0x400:
        return "instruction storage";
    case 0x480:
        return "instruction segment";
    case 0x500:
        return "external interrupt";
    case 0x600:
        return "alignment";
    case 0x700:
        if (srr1 & srr1_trap) return "trap (a failed check, or the stack is used up)";
        if (srr1 & srr1_illegal) return "illegal instruction";
        if (srr1 & srr1_privileged) return "privileged instruction";
        return "program";
    case 0x800:
        return "floating point unavailable";
    case 0x900:
        return "decrementer";
    case 0xC00:
        return "system call";
    case 0xD00:
        return "trace";
    case 0xF20:
        return "vector unavailable";
    case 0xF40:
        return "VSX unavailable";
    case 0xF60:
        return "facility unavailable";
    default:
        return "interrupt";
    }
}

bool within(uint64_t address, const char* bottom, const char* top) {
    return address >= reinterpret_cast<uint64_t>(bottom) &&
           address <= reinterpret_cast<uint64_t>(top) - 24;
}

/// Return addresses along the chain of stack frames (ELFv2 ABI, 2.2.2), as far as it stays on one
/// of our stacks and climbs.
void print_backtrace(const Frame& frame) {
    constexpr int deepest = 32;
    log::error("called from, innermost first (resolve: addr2line -fipe build/spillway.elf):");
    log::error("  %08llx", Long{frame.srr0});
    log::error("  %08llx (link register)", Long{frame.link});
    uint64_t stack = frame.general[1];
    for (int depth = 0; depth < deepest; ++depth) {
        if (stack % 8 != 0 || (!within(stack, main_stack_bottom, main_stack_top) &&
                               !within(stack, client_stack_bottom, client_stack_top))) {
            break;
        }
        const auto* words = reinterpret_cast<const uint64_t*>(stack);
        const uint64_t caller = words[0];
        if (caller <= stack) break;
        stack = caller;
        if (!within(stack, main_stack_bottom, main_stack_top) &&
            !within(stack, client_stack_bottom, client_stack_top)) {
            break;
        }
        const uint64_t link = reinterpret_cast<const uint64_t*>(stack)[2];
        if (link != 0) log::error("  %08llx", Long{link});
    }
}

void print(const Frame& frame) {
    start_log(); // an NMI may come before the boot does it
    const uint64_t address = frame.srr0;
    const bool ours = address < reinterpret_cast<uint64_t>(text_end);
    log::error("%s, vector 0x%llx, at %016llx in %s", cause(frame.vector, frame.srr1),
               Long{frame.vector}, Long{address}, ours ? "the firmware" : "the program");
    log::error("  MSR %016llx  DAR %016llx  DSISR %08llx", Long{frame.srr1}, Long{frame.dar},
               Long{frame.dsisr});
    log::error("  LR  %016llx  CTR %016llx  CR %08llx  XER %08llx", Long{frame.link},
               Long{frame.count}, Long{frame.condition}, Long{frame.xer});
    for (int i = 0; i < 32; i += 4) {
        log::error("  r%-2d %016llx %016llx %016llx %016llx", i, Long{frame.general[i]},
                   Long{frame.general[i + 1]}, Long{frame.general[i + 2]},
                   Long{frame.general[i + 3]});
    }
    if (ours && (frame.srr1 & msr_little_endian)) print_backtrace(frame);
}

constinit int faults = 0;

} // namespace

/// An interrupt that nothing here expects. Each further one, while this is being done, does less.
extern "C" [[noreturn]] void exception(const Frame* frame) {
    ++faults;
    if (faults == 1) print(*frame);
    if (faults == 2) {
        hcall::put_characters(hcall::Terminal::standard,
                              "error: another fault while reporting one\r\n");
    }
    if (faults <= 3) stop_after_fault();
    for (;;) {}
}

/// An NMI: where the machine is goes to the console, and it goes on from there.
extern "C" void system_reset_interrupt(const Frame* frame) {
    print(*frame);
    if (frame->srr1 & msr_recoverable) {
        log::error("going on");
        return;
    }
    log::error("MSR[RI] is clear: the interrupted code cannot go on");
    stop_after_fault();
}

/// Address 0x100 was reached by a branch, over a running system.
extern "C" [[noreturn]] void reset_vector_entered() {
    log::error("the reset vector was entered by a branch; restarting the machine");
    restart_machine();
}

} // namespace spillway::boot
