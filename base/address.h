// SPDX-License-Identifier: BSD-2-Clause
// Addresses of different kinds are different types, and none is a pointer.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace spillway {

template<typename Kind> struct Address {
    uint64_t value = 0;

    constexpr auto operator<=>(const Address&) const = default;
    constexpr Address operator+(uint64_t bytes) const { return {value + bytes}; }
    constexpr uint64_t operator-(Address other) const { return value - other.value; }
};

/// Guest-physical address: what the CPU in real mode and the hypervisor see.
using PhysicalAddress = Address<struct PhysicalKind>;
/// Address on a PCI bus, as a device or a BAR sees it.
using BusAddress = Address<struct BusKind>;

/// Bytes [start, start + size). An empty range contains and overlaps nothing.
template<typename AddressType> struct Range {
    AddressType start;
    uint64_t size = 0;

    constexpr bool operator==(const Range&) const = default;

    /// A range whose end does not fit 64 bits is malformed; every other member assumes it is not.
    constexpr bool wraps() const { return start.value + size < start.value; }
    constexpr AddressType end() const { return start + size; }
    constexpr bool contains(AddressType address) const {
        return address >= start && address - start < size;
    }
    constexpr bool contains(Range other) const {
        return !other.wraps() && other.size != 0 && other.start >= start && other.end() <= end();
    }
    constexpr bool overlaps(Range other) const {
        return size != 0 && other.size != 0 && start < other.end() && other.start < end();
    }
};

using PhysicalRange = Range<PhysicalAddress>;
using BusRange = Range<BusAddress>;

constexpr bool is_power_of_two(uint64_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}
/// Alignments are powers of two.
constexpr uint64_t align_down(uint64_t value, uint64_t alignment) {
    return value & ~(alignment - 1);
}
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
    return align_down(value + alignment - 1, alignment);
}

/// How C++ reaches guest-physical memory. On target the two are the identity (boot/physical.cpp);
/// host tests link another definition over a simulated RAM (tests/host).
std::byte* to_pointer(PhysicalAddress address);
[[gnu::access(none, 1)]] PhysicalAddress to_physical(const void* pointer);

} // namespace spillway
