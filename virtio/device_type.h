// SPDX-License-Identifier: BSD-2-Clause
// The device types of VIRTIO 1.3, chapter 5, and the PCI identities they go by (4.1.2).
#pragma once

#include <cstdint>
#include <optional>

namespace spillway::virtio {

/// A virtio device ID; any 16-bit value may turn up, named or not.
enum class DeviceId : uint16_t {};

struct DeviceType {
    DeviceId id;
    const char* name; ///< one word, lower case: the value of `spillway,virtio-device`
};

/// The type with this ID, or nullptr when VIRTIO 1.3 reserves or does not assign it.
const DeviceType* find_device_type(DeviceId id);

constexpr uint16_t vendor_id = 0x1AF4;

/// How a function presents itself, from its PCI IDs alone.
struct Identity {
    DeviceId id;
    bool transitional; ///< device IDs 0x1000..0x103F: has, or may have, the legacy interface
};

/// The virtio device ID behind PCI IDs: `0x1040 + n`, or a transitional ID whose type stands in the
/// subsystem device ID. Nothing when the IDs are not virtio's.
std::optional<Identity> identify(uint16_t vendor, uint16_t device, uint16_t subsystem_device);

} // namespace spillway::virtio
