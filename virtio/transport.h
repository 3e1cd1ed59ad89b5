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

struct Structures; // transport.cpp

/// Access to the common registers. Copyable; addresses were validated by open().
///
/// Modern registers are reached through the PCI configuration access capability (4.1.4.9), which
/// works without any BAR being decoded. A device that lacks it, and a legacy one, is made to decode
/// the BAR that its registers are in, as are the bridges on the way.
class Transport {
public:
    enum class Kind : uint8_t { modern, legacy };

    /// Finds and checks the register blocks: all that the standard requires present, each structure
    /// inside its BAR. Without modern structures a transitional function is opened through its I/O
    /// BAR.
    static Result<Transport> open(const pci::Topology& topology, const pci::Function& function,
                                  bool transitional);

    Kind kind() const { return kind_; }
    uint8_t status() const;
    void set_status(uint8_t status) const;
    /// Offered feature bits `32 * window` to `32 * window + 31`; legacy has window 0 only. All ones
    /// when the device or the hypervisor does not answer.
    uint32_t offered_features(unsigned window) const;

private:
    Transport(Kind kind, const pci::Config& config)
        : kind_(kind)
        , config_(config) {}
    static Result<Transport> open_modern(const pci::Topology& topology,
                                         const pci::Function& function,
                                         const Structures& structures);
    static Result<Transport> open_legacy(const pci::Topology& topology,
                                         const pci::Function& function);

    template<typename Integer> Integer read(uint32_t offset) const;
    template<typename Integer> bool write(uint32_t offset, Integer value) const;
    bool point_at(uint32_t offset, uint32_t size) const;

    Kind kind_;
    pci::Config config_;
    uint8_t access_ = 0;     ///< config offset of the access capability; 0: through mapped_
    uint32_t offset_ = 0;    ///< of the common configuration in its BAR
    PhysicalAddress mapped_; ///< where the CPU sees the registers, without access capability
};

} // namespace spillway::virtio
