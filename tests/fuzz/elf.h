// SPDX-License-Identifier: BSD-2-Clause
// ELF programs of one class in a small machine: a program that is accepted can be entered, and
// loading it writes only what it then owns; one that is refused leaves no trace.
#pragma once

#include "tests/fuzz/fuzz.h"

namespace spillway::fuzz {

/// The input is: flags, size of the image, then its bytes, which get a header of this class.
void run_elf(Input& input, uint8_t file_class);

} // namespace spillway::fuzz
