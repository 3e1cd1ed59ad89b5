// SPDX-License-Identifier: BSD-2-Clause
// Whole boots: machines made from the trees that QEMU 7.2 gives to firmware (scripts/trees), the
// firmware on them from reset to the program, and a program that does what Linux does up to
// quiesce. Of the things that the firmware asks for, some may fail.
#pragma once

#include "tests/host/boot_fault.h"

#include <cstdint>
#include <span>
#include <string>

namespace spillway::test {

/// The forms that a program has when QEMU has placed it, and a file as it is on a disk.
enum class ProgramForm : uint8_t {
    flat_little,
    flat_big,
    elf64_little,
    elf64_big,
    elf32_big,
    elf64_file,
};

struct Shape {
    const char* name;
    const char* tree; ///< of tests/host/data/trees
    ProgramForm form = ProgramForm::flat_little;
    bool has_switch = false; ///< the hypervisor knows H_PCI_DMA_BYPASS
    uint64_t initrd_size = 0;
    const char* words = ""; ///< of the command line
};
std::span<const Shape> shapes();

/// How a boot ended.
enum class Ending : uint8_t {
    booted, ///< the program ran to its end
    powered_off,
    restarted,
    crashed, ///< ibm,os-term
    halted,
    runaway, ///< it did not end
};

struct Outcome {
    Ending ending;
    size_t unstated = 0; ///< functions whose DMA is not stated, although it might be
    std::string problem; ///< what must not happen; "" when all is well
    std::string console;
    size_t hypercalls = 0;
    Counts counts{};
};

/// Boots a machine of this shape, in which these things fail.
Outcome boot(const Shape& shape, std::span<const Fault> faults = {});

} // namespace spillway::test
