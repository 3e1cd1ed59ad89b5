// SPDX-License-Identifier: BSD-2-Clause
// A virtio device on PCI, as far as the DMA contract needs it: what it offers, and that it obeys.
#pragma once

#include "base/error.h"
#include "pci/topology.h"
#include "virtio/device_type.h"
#include "virtio/transport.h"

#include <cstdint>

namespace spillway::virtio {

/// Feature bits by number (VIRTIO 1.3, chapter 6).
constexpr unsigned feature_version_1 = 32;
constexpr unsigned feature_access_platform = 33;

struct Features {
    uint64_t low = 0;  ///< bits 0 to 63
    uint64_t high = 0; ///< bits 64 to 127; none are assigned in VIRTIO 1.3

    constexpr bool has(unsigned bit) const {
        return ((bit < 64 ? low >> bit : high >> (bit - 64)) & 1) != 0;
    }
};

struct Device {
    Identity identity;
    Transport transport;
    Features features;

    /// "net"; "unknown" for an ID that the standard does not assign.
    const char* type_name() const;
};

/// How long devices may stay in reset, all devices of a boot together, be they slow or silent.
class Patience {
public:
    explicit Patience(uint64_t ticks)
        : left_(ticks) {}
    uint64_t left() const { return left_; }
    void spend(uint64_t ticks) { left_ -= ticks < left_ ? ticks : left_; }

private:
    uint64_t left_;
};

/// Resets the device, reads the features it offers (VIRTIO 1.3, 3.1.1, steps 1 to 4) and resets it
/// again. `function` is one that identify() knows. Errors, each naming the function and the
/// register: capability structures that are malformed or lie outside their BAR, a BAR without an
/// address, registers that read as all ones, a device that does not leave reset.
Result<Device> recognise(const pci::Topology& topology, const pci::Function& function,
                         const Identity& identity, Patience& patience);

} // namespace spillway::virtio
