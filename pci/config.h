// SPDX-License-Identifier: BSD-2-Clause
// Configuration space of one function, by registers whose type carries their width.
//
// PCI Local Bus 3.0, 6.1 (header type 0); PCI-to-PCI Bridge 1.2, 3.2 (header type 1).
#pragma once

#include "hcall/rtas.h"

#include <cstdint>
#include <type_traits>

namespace spillway::pci {

/// Where a function sits: bus 0..255, device 0..31, function 0..7.
struct Location {
    uint8_t bus = 0;
    uint8_t device = 0;
    uint8_t function = 0;

    constexpr bool operator==(const Location&) const = default;
    /// The form that RTAS and H_PCI_DMA_BYPASS take, register bits 0.
    constexpr hcall::ConfigAddress config_address() const {
        return {uint32_t{bus} << 16 | uint32_t{device} << 11 | uint32_t{function} << 8};
    }
};

/// Byte offsets in config space. An offset's type is the width of its access.
enum class Register8 : uint16_t {
    revision = 0x08,
    cache_line_size = 0x0C,
    latency_timer = 0x0D,
    header_type = 0x0E,
    capabilities_pointer = 0x34,
    interrupt_line = 0x3C,
    interrupt_pin = 0x3D,
    primary_bus = 0x18,
    secondary_bus = 0x19,
    subordinate_bus = 0x1A,
    io_base = 0x1C,
    io_limit = 0x1D,
};
enum class Register16 : uint16_t {
    vendor_id = 0x00,
    device_id = 0x02,
    command = 0x04,
    status = 0x06,
    io_window = 0x1C, ///< limit << 8 | base
    memory_base = 0x20,
    memory_limit = 0x22,
    prefetchable_base = 0x24,
    prefetchable_limit = 0x26,
    io_base_upper = 0x30,
    io_limit_upper = 0x32,
    bridge_control = 0x3E,
    subsystem_vendor_id = 0x2C,
    subsystem_id = 0x2E,
};
enum class Register32 : uint16_t {
    ids = 0x00,                ///< device ID << 16 | vendor ID
    command_and_status = 0x04, ///< status << 16 | command; writing status bits of 1 clears them
    class_and_revision = 0x08, ///< class code << 8 | revision
    header = 0x0C,             ///< header type << 16 | latency timer << 8 | cache line size
    bar0 = 0x10,
    bus_numbers = 0x18,         ///< subordinate << 16 | secondary << 8 | primary
    memory_window = 0x20,       ///< limit << 16 | base
    prefetchable_window = 0x24, ///< limit << 16 | base
    prefetchable_base_upper = 0x28,
    prefetchable_limit_upper = 0x2C,
    subsystem = 0x2C, ///< subsystem ID << 16 | subsystem vendor ID
    rom = 0x30,
    io_window_upper = 0x30, ///< limit << 16 | base
    bridge_rom = 0x38,
    interrupt = 0x3C, ///< maximum latency << 24 | minimum grant << 16 | pin << 8 | line
};

/// Bits of Register16::command (PCI Local Bus 3.0, 6.2.2).
constexpr uint16_t command_io = 1 << 0;
constexpr uint16_t command_memory = 1 << 1;
constexpr uint16_t command_bus_master = 1 << 2;
/// Bit of Register16::status: the function has a capability list.
constexpr uint16_t status_capability_list = 1 << 4;

/// A function that is not there, or is gone, reads as all ones; so does a failed RTAS call. A write
/// says whether its call succeeded, for those whose next reads would not tell.
class Config {
public:
    constexpr Config(const hcall::Rtas& rtas, hcall::Buid buid, Location location)
        : rtas_(&rtas)
        , buid_(buid)
        , location_(location) {}

    uint8_t read(Register8 where) const { return static_cast<uint8_t>(read(offset(where), 1)); }
    uint16_t read(Register16 where) const { return static_cast<uint16_t>(read(offset(where), 2)); }
    uint32_t read(Register32 where) const { return read(offset(where), 4); }
    bool write(Register8 where, uint8_t value) const { return write(offset(where), 1, value); }
    bool write(Register16 where, uint16_t value) const { return write(offset(where), 2, value); }
    bool write(Register32 where, uint32_t value) const { return write(offset(where), 4, value); }

private:
    template<typename Register> static constexpr uint16_t offset(Register where) {
        return static_cast<uint16_t>(where);
    }
    uint32_t read(uint16_t offset, unsigned size) const;
    bool write(uint16_t offset, unsigned size, uint32_t value) const;

    const hcall::Rtas* rtas_;
    hcall::Buid buid_;
    Location location_;
};

/// The register `bytes` behind another one of the same width.
template<typename Register>
constexpr Register operator+(Register base,
                             unsigned bytes) requires(std::is_same_v<Register, Register8> ||
                                                      std::is_same_v<Register, Register16> ||
                                                      std::is_same_v<Register, Register32>) {
    return Register(static_cast<uint16_t>(base) + bytes);
}

} // namespace spillway::pci
