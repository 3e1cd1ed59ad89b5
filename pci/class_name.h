// SPDX-License-Identifier: BSD-2-Clause
// Names of nodes by class code (PCI Bus Binding to IEEE 1275, 2.1, 2.5, table 1; QEMU's spelling).
#pragma once

#include <cstdint>

namespace spillway::pci {

/// Base name of a function's node. `class_code` has 24 bits; one that has no name is "pci".
const char* class_name(uint32_t class_code);

} // namespace spillway::pci
