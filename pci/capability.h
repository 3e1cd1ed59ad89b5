// SPDX-License-Identifier: BSD-2-Clause
// The capability list of a function (PCI Local Bus 3.0, 6.7), walked with bounds.
#pragma once

#include "base/error.h"
#include "pci/config.h"

#include <array>
#include <cstdint>

namespace spillway::pci {

enum class CapabilityId : uint8_t {
    msi = 0x05,
    vendor_specific = 0x09,
    pci_express = 0x10,
    msi_x = 0x11,
};

struct Capability {
    CapabilityId id;
    uint8_t offset; ///< of the capability's first byte in config space, 0x40..0xFC
};

/// A function has 192 bytes for capabilities of 4 bytes or more.
constexpr size_t most_capabilities = 48;

class CapabilityList {
public:
    /// Reads the list once. A pointer below 0x40 or a loop is malformed, a read of all ones an
    /// error of the device; a function without a list has an empty one.
    static Result<CapabilityList> read(const Config& config);

    const Capability* begin() const { return entries_.data(); }
    const Capability* end() const { return entries_.data() + count_; }

private:
    std::array<Capability, most_capabilities> entries_;
    size_t count_ = 0;
};

} // namespace spillway::pci
