// SPDX-License-Identifier: BSD-2-Clause
// Device registers in memory space, one access a call: H_LOGICAL_CI_LOAD and _STORE
// (PAPR 14.5.4.4).
//
// Real mode under KVM does not reach MMIO by plain loads and stores; these calls work everywhere.
// The hypervisor answers as a big-endian load would, whatever MSR[LE] says, and PCI registers are
// little-endian: the verbs here swap, so that callers see register values.
#pragma once

#include "base/address.h"
#include "base/endian.h"
#include "hcall/hypercall.h"

#include <concepts>

namespace spillway::hcall {

/// The value that a function which is gone reads as, and that a failed call is mapped to.
template<std::unsigned_integral Integer>
constexpr Integer all_ones = static_cast<Integer>(~Integer{0});

/// Reads a little-endian device register of Integer's width.
template<std::unsigned_integral Integer> Integer ci_load(PhysicalAddress address) {
    Registers registers{sizeof(Integer), address.value};
    if (call(Number::logical_ci_load, registers) != Status::success) return all_ones<Integer>;
    return swap_bytes(static_cast<Integer>(registers.r4));
}

/// Writes a little-endian device register of Integer's width.
template<std::unsigned_integral Integer> Status ci_store(PhysicalAddress address, Integer value) {
    Registers registers{sizeof(Integer), address.value, swap_bytes(value)};
    return call(Number::logical_ci_store, registers);
}

} // namespace spillway::hcall
