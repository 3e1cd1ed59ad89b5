// SPDX-License-Identifier: BSD-2-Clause
// On target, in real mode, a pointer is a guest-physical address.
#include "base/address.h"

namespace spillway {

std::byte* to_pointer(PhysicalAddress address) {
    return reinterpret_cast<std::byte*>(address.value);
}

PhysicalAddress to_physical(const void* pointer) {
    return {reinterpret_cast<uint64_t>(pointer)};
}

} // namespace spillway
