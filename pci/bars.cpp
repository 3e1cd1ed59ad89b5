// SPDX-License-Identifier: BSD-2-Clause
#include "pci/bars.h"

#include "base/log.h"

namespace spillway::pci {
namespace {

constexpr uint32_t io_bit = 1 << 0;
constexpr uint32_t io_reserved_bit = 1 << 1;
constexpr uint32_t memory_type = 3 << 1;
constexpr uint32_t memory_type_32 = 0 << 1;
constexpr uint32_t memory_type_64 = 2 << 1;
constexpr uint32_t prefetchable_bit = 1 << 3;
constexpr uint32_t io_mask = ~uint32_t{3};
constexpr uint32_t memory_mask = ~uint32_t{15};
constexpr uint32_t rom_mask = ~uint32_t{0x7FF};
constexpr uint32_t rom_enable = 1 << 0;

uint32_t write_ones(const Config& config, Register32 where, uint32_t ones) {
    config.write(where, ones);
    return config.read(where);
}

/// The size that a mask of address bits stands for: all bits from one up to the top must be set.
/// 0 when they are not.
uint64_t size_of_mask(uint64_t mask) {
    const uint64_t size = mask & (~mask + 1);
    return mask == ~(size - 1) ? size : 0;
}
uint64_t size_of_mask(uint32_t mask) {
    return mask == 0 ? 0 : size_of_mask(uint64_t{mask} | ~uint64_t{0xFFFF'FFFF});
}

void complain(const Function& function, Register32 where, uint32_t low, uint32_t high) {
    log::warning("pci %s: BAR at 0x%02x is malformed (0x%08x, 0x%08x after writing ones): not used",
                 name(function).text, static_cast<unsigned>(where), unsigned{low}, unsigned{high});
}

/// One register, or two for a 64-bit BAR. Returns how many. `left` counts this one too.
unsigned size_bar(const Config& config, const Function& function, Register32 where, unsigned left,
                  Bar& bar) {
    const uint32_t low = write_ones(config, where, ~uint32_t{0});
    if (low == 0) return 1; // not implemented
    uint32_t high = 0;
    unsigned registers = 1;
    Bar found;
    found.config_offset = static_cast<uint8_t>(where);
    if ((low & io_bit) != 0) {
        found.space = Space::io;
        uint32_t mask = low & io_mask;
        // Devices may hardwire the upper half of an I/O address to 0 (6.2.5.1).
        if ((mask & 0xFFFF'0000) == 0) mask |= mask == 0 ? 0 : 0xFFFF'0000;
        if ((low & io_reserved_bit) == 0) found.size = size_of_mask(mask);
    } else {
        found.prefetchable = (low & prefetchable_bit) != 0;
        const uint32_t mask = low & memory_mask;
        if ((low & memory_type) == memory_type_32) {
            found.space = Space::memory32;
            found.size = size_of_mask(mask);
        } else if ((low & memory_type) == memory_type_64 && left >= 2) {
            found.space = Space::memory64;
            high = write_ones(config, where + 4, ~uint32_t{0});
            registers = 2;
            found.size = size_of_mask(uint64_t{high} << 32 | mask);
        }
    }
    if (found.size == 0) {
        complain(function, where, low, high);
        config.write(where, 0);
        if (registers == 2) config.write(where + 4, 0);
    } else {
        bar = found;
    }
    return registers;
}

void size_rom(const Config& config, const Function& function, Bar& bar) {
    const auto where = function.is_bridge ? Register32::bridge_rom : Register32::rom;
    const uint32_t value = write_ones(config, where, rom_mask);
    if (value == 0) return;
    Bar found;
    found.rom = true;
    found.config_offset = static_cast<uint8_t>(where);
    if ((value & rom_enable) == 0) found.size = size_of_mask(value & rom_mask);
    if (found.size == 0) {
        complain(function, where, value, 0);
        config.write(where, 0);
    } else {
        bar = found;
    }
}

} // namespace

void size_bars(const Config& config, Function& function) {
    const unsigned count = function.is_bridge ? 2 : 6;
    for (unsigned index = 0; index < count;) {
        index += size_bar(config, function, Register32::bar0 + 4 * index, count - index,
                          function.bars[index]);
    }
    size_rom(config, function, function.bars[rom_bar]);
}

} // namespace spillway::pci
