// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/elf.h"

namespace spillway::fuzz {

void run(Input input) {
    run_elf(input, 2);
}

} // namespace spillway::fuzz
