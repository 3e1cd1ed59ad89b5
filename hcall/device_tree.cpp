// SPDX-License-Identifier: BSD-2-Clause
#include "hcall/device_tree.h"

namespace spillway::hcall {

Status client_architecture_support(PhysicalAddress vectors, std::span<std::byte> reply) {
    Registers registers{vectors.value, to_physical(reply.data()).value, reply.size()};
    return call(Number::client_architecture_support, registers);
}

Status update_dt(std::span<const std::byte> blob) {
    Registers registers{to_physical(blob.data()).value};
    return call(Number::update_dt, registers);
}

} // namespace spillway::hcall
