// SPDX-License-Identifier: BSD-2-Clause
// Registers of a virtio device on PCI: modern (VIRTIO 1.3, 4.1.4) or legacy (4.1.4.10).
#pragma once

#include "base/error.h"
#include "pci/topology.h"

#include <cstdint>

namespace spillway::virtio {

/// Device status bits (VIRTIO 1.3, 2.1).
constexpr uint8_t status_acknowledge = 1;
constexpr uint8_t status_driver = 2;

/// Access to the common registers. Copyable; addresses were validated by open().
class Transport {
public:
    enum class Kind : uint8_t { modern, legacy };

    /// Finds and checks the register blocks: each capability structure inside its BAR, each BAR
    /// assigned, all that the standard requires present. Without modern structures a transitional
    /// function is opened through its I/O BAR.
    static Result<Transport> open(const pci::Topology& topology, const pci::Function& function,
                                  bool transitional);

    Kind kind() const { return kind_; }
    uint8_t status() const;
    void set_status(uint8_t status) const;
    /// Offered feature bits `32 * window` to `32 * window + 31`; legacy has window 0 only.
    uint32_t offered_features(unsigned window) const;

private:
    Transport(Kind kind, PhysicalAddress registers)
        : kind_(kind)
        , registers_(registers) {}

    Kind kind_;
    PhysicalAddress registers_; ///< modern: common configuration; legacy: the I/O BAR
};

} // namespace spillway::virtio
