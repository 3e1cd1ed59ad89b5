// SPDX-License-Identifier: BSD-2-Clause
#include "boot/program.h"

#include "linker/layout.h"

namespace spillway::boot {
namespace {

/// As boot/entry.S loads them.
struct ProgramRegisters {
    uint64_t r1, r3, r4, r5, r6, r7, link, entry, msr;
};
extern "C" [[noreturn]] void enter_program(const ProgramRegisters* registers);

/// Interrupts and translation off, floating point on (PowerPC binding to IEEE 1275, 8.2.1).
constexpr uint64_t msr_base = 0x2000 | 0x1000 | 0x2; // FP, ME, RI
constexpr uint64_t msr_64_bit = uint64_t{1} << 63;
constexpr uint64_t msr_little_endian = 1;

constexpr uint64_t msr(Mode mode) {
    switch (mode) {
    case Mode::big_32:
        return msr_base;
    case Mode::big_64:
        return msr_base | msr_64_bit;
    case Mode::little_64:
        break;
    }
    return msr_base | msr_64_bit | msr_little_endian;
}

/// Room above the first frame, as the ABIs of both widths want it.
constexpr uint64_t first_frame = 512;

/// What was just copied are instructions: data to memory, old instructions out of the caches.
void synchronise_caches() {
    asm volatile("sync; icbi 0, %0; sync; isync" : : "r"(to_pointer({})) : "memory");
}

} // namespace

void enter(const Program& program, PhysicalRange initrd, PhysicalAddress stack_top) {
    const ProgramRegisters registers = {
        .r1 = stack_top.value - first_frame,
        .r3 = initrd.size != 0 ? initrd.start.value : 0,
        .r4 = initrd.size,
        .r5 = LAYOUT_CLIENT_ENTRY,
        .r6 = 0,
        .r7 = 0,
        .link = LAYOUT_PROGRAM_RETURN,
        .entry = program.entry.value,
        .msr = msr(program.mode),
    };
    *reinterpret_cast<volatile uint64_t*>(to_pointer({registers.r1})) = 0; // end of the back chain
    synchronise_caches();
    enter_program(&registers);
}

} // namespace spillway::boot
