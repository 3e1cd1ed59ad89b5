// SPDX-License-Identifier: BSD-2-Clause
// Programs: what -kernel put into memory, checked and made ready to be entered.
#pragma once

#include "base/memory_map.h"

#include <cstdint>

namespace spillway::boot {

/// The processor mode that a program starts in.
enum class Mode : uint8_t { big_32, big_64, little_64 };

struct Program {
    PhysicalAddress entry;
    Mode mode;
    const char* format; ///< for people: "ELF64 little-endian", "flat little-endian image"
};

/// Makes the program in `image` ready. Three forms are known:
///
/// - A flat image, entered at its first byte; `little_endian` says how. This is what a kernel whose
///   ELF header is not part of a segment looks like once QEMU has placed its segments.
/// - An ELF program (ELF64 of either byte order, ELF32 big-endian; System V ABI, chapters 4 and 5)
///   whose segments QEMU has placed, header included: `image` has the size of all its segments.
/// - An ELF file as it is on a disk: each segment is copied to its physical address, which must be
///   free RAM below 4 GiB, and is claimed.
///
/// Errors: malformed or truncated headers, segments that overlap each other or memory that is
/// taken, an entry point outside of them, another machine's program.
Result<Program> prepare_program(PhysicalRange image, bool little_endian, MemoryMap& memory);

/// Enters the program as a client of Open Firmware (IEEE 1275 PowerPC binding, 8.2): r3 and r4 tell
/// where the initrd is, r5 is the client interface, r1 a stack of its own.
[[noreturn]] void enter(const Program& program, PhysicalRange initrd, PhysicalAddress stack_top);

} // namespace spillway::boot
