// SPDX-License-Identifier: BSD-2-Clause
// What probing found: host bridges, functions, their BARs and the windows of bridges. Plain data.
#pragma once

#include "base/address.h"
#include "fdt/tree.h"
#include "pci/config.h"

#include <array>
#include <cstdint>
#include <optional>

namespace spillway::pci {

/// The kinds of address space that a window passes on and that a BAR asks for.
enum class Space : uint8_t { io, memory32, memory64 };
constexpr size_t space_count = 3;

/// A piece of PCI address space and where the CPU sees it. Size 0: there is none.
struct Window {
    BusRange bus;
    PhysicalAddress cpu;
};

/// One base address register or expansion ROM.
struct Bar {
    Space space = Space::memory32; ///< what the register can hold: memory64 is a pair
    bool prefetchable = false;
    bool rom = false;
    bool assigned = false;
    uint8_t config_offset = 0; ///< 0x10..0x24, 0x30 or 0x38
    uint64_t size = 0;         ///< bytes, a power of two; 0: not implemented
    BusAddress address;        ///< when assigned
};
/// Six registers, then the expansion ROM. The upper half of a 64-bit pair has size 0.
constexpr size_t bar_count = 7;
constexpr size_t rom_bar = 6;

struct HostBridge;

/// A function, linked in depth-first order of discovery.
struct Function {
    Function* next = nullptr;   ///< of the whole topology
    Function* bridge = nullptr; ///< the bridge it is behind; nullptr on a root bus
    HostBridge* host = nullptr;
    fdt::Node* node = nullptr; ///< never nullptr after enumeration
    Location location;
    uint16_t vendor_id = 0;
    uint16_t device_id = 0;
    uint32_t class_code = 0; ///< 24 bits: base class, sub-class, programming interface
    uint8_t revision = 0;
    bool is_bridge = false; ///< PCI-to-PCI, header type 1
    bool listed = false;    ///< the hypervisor's tree had a node for it
    std::array<Bar, bar_count> bars;

    /// Bridges only. `windows` is what the bridge forwards, indexed by Space; memory64 is its
    /// prefetchable window.
    uint8_t secondary_bus = 0; ///< 0: nothing behind the bridge is used
    uint8_t subordinate_bus = 0;
    bool has_io_window = false;
    bool io_32 = false; ///< its I/O window has 32 address bits, not 16
    bool has_prefetchable_window = false;
    bool prefetchable_64 = false; ///< its prefetchable window has 64 address bits
    std::array<BusRange, space_count> windows;
};

struct HostBridge {
    HostBridge* next = nullptr;
    hcall::Buid buid{};
    fdt::Node* node = nullptr;
    std::array<Window, space_count> windows; ///< indexed by Space
    uint8_t first_bus = 0, last_bus = 255;
    bool numbered = false; ///< the hypervisor gave bus numbers (`qemu,phb-enumerated`)
};

/// Owner of all of the above for as long as the firmware runs.
struct Topology {
    const hcall::Rtas* rtas = nullptr;
    HostBridge* hosts = nullptr;
    Function* functions = nullptr;
    size_t function_count = 0;

    Config config(const Function& function) const {
        return {*rtas, function.host->buid, function.location};
    }
};

/// What messages call a function, as Linux names it: "0000:01:02.0". The domain is the low half
/// word of the host bridge's buid.
struct Name {
    char text[16];
};
Name name(const HostBridge& host, Location location);
inline Name name(const Function& function) {
    return name(*function.host, function.location);
}

/// Where the CPU sees `length` bytes (at least one) from byte `offset` of an assigned BAR; nothing
/// when they lie outside the BAR or the host bridge's windows.
std::optional<PhysicalAddress> cpu_address(const Function& function, const Bar& bar,
                                           uint64_t offset, uint64_t length);

} // namespace spillway::pci
