// SPDX-License-Identifier: BSD-2-Clause
#include "boot/emulator.h"

#include "base/address.h"

namespace spillway::boot {
namespace {

constexpr uint64_t page = 4 << 10;
constexpr uint64_t first_entries = 256;
constexpr uint64_t wanted_entries = 2048;
/// Where QEMU loads programs: RAM that the host has given already.
constexpr PhysicalAddress touched{4 << 20};

void flush_translations() {
    asm volatile("slbia; isync" : : : "memory");
}

} // namespace

void enlarge_emulator_tlb() {
    const auto* bytes = reinterpret_cast<const volatile std::byte*>(to_pointer(touched));
    for (uint64_t entries = first_entries; entries < wanted_entries; entries *= 2) {
        for (uint64_t i = 0; i < entries; ++i)
            (void)bytes[i * page];
        flush_translations();
    }
}

} // namespace spillway::boot
