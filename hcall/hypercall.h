// SPDX-License-Identifier: BSD-2-Clause
// The one way out of the guest: `sc 1` with the opcode in r3 and arguments from r4 up.
#pragma once

#include "hcall/numbers.h"

#include <cstdint>

namespace spillway::hcall {

/// Registers r4 to r9: arguments on the way in, results on the way out.
struct Registers {
    uint64_t r4 = 0, r5 = 0, r6 = 0, r7 = 0, r8 = 0, r9 = 0;
};

/// hcall/stub.S on target; host tests link the fake hypervisor in its place.
extern "C" int64_t spillway_hypercall(uint64_t number, Registers* registers);

inline Status call(Number number, Registers& registers) {
    return Status{spillway_hypercall(static_cast<uint64_t>(number), &registers)};
}

} // namespace spillway::hcall
