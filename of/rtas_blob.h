// SPDX-License-Identifier: BSD-2-Clause
// The code that an operating system calls for run-time services (PAPR 7.2.3, B.6.3.1).
#pragma once

#include <cstddef>
#include <span>

namespace spillway::of {

/// Bytes of code. The rest of the area ("rtas-size") is the hypervisor's: it saves registers and
/// error logs there from byte 48 on.
constexpr size_t rtas_code_size = 20;

/// Writes the code, position-independent and big-endian, and makes it visible to instruction fetch.
void write_rtas_code(std::span<std::byte, rtas_code_size> area);

} // namespace spillway::of
