// SPDX-License-Identifier: BSD-2-Clause
// Virtual terminals: H_PUT_TERM_CHAR and H_GET_TERM_CHAR (PAPR 16.3).
#pragma once

#include "hcall/hypercall.h"

#include <cstddef>
#include <span>
#include <string_view>

namespace spillway::hcall {

/// `reg` of a /vdevice/vty node; 0 is the hypervisor's default terminal.
enum class Terminal : uint32_t { standard = 0 };

/// Writes all of `text`, 16 characters a call. Returns how many characters the terminal took.
size_t put_characters(Terminal terminal, std::string_view text);

/// Reads what waits, at most 16 characters. Returns how many were stored (0 when none waits).
size_t get_characters(Terminal terminal, std::span<char, 16> buffer);

} // namespace spillway::hcall
