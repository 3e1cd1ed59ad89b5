// SPDX-License-Identifier: BSD-2-Clause
// QEMU's two private hypercalls that exchange device trees: H_CAS and H_UPDATE_DT.
#pragma once

#include "base/address.h"
#include "hcall/hypercall.h"

#include <span>

namespace spillway::hcall {

/// Bytes before the tree in a reply of H_CAS: a version word in the *hypervisor's* byte order.
constexpr size_t cas_reply_header = 4;
/// QEMU exits when its tree does not fit the reply buffer, and allocates as much: its own limit.
constexpr size_t cas_reply_size = 2 << 20;

/// Hands the client's architecture vectors (PAPR B.6.2.3) to the hypervisor. On success `reply`
/// holds the header and then a whole flattened tree. `reply` is cas_reply_size bytes.
Status client_architecture_support(PhysicalAddress vectors, std::span<std::byte> reply);

/// Tells the hypervisor which tree the operating system received. It refuses (H_PARAMETER) a
/// malformed one and one larger than twice the last tree that it built itself.
Status update_dt(std::span<const std::byte> blob);

} // namespace spillway::hcall
