// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/elf.h"

namespace spillway::fuzz {

void run(Input input) {
    run_elf(input, 1);
}

} // namespace spillway::fuzz
