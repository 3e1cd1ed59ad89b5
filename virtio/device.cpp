// SPDX-License-Identifier: BSD-2-Clause
#include "virtio/device.h"

#include "base/clock.h"
#include "hcall/cache_inhibited.h"

namespace spillway::virtio {
namespace {

std::unexpected<Error> wrong(const pci::Function& function, const char* what) {
    return fail(ErrorCode::device, "virtio %s: %s", pci::name(function).text, what);
}

/// VIRTIO 1.3, 2.4: the device is reset when its status reads 0.
bool reset(const Transport& transport, Patience& patience) {
    transport.set_status(0);
    if (transport.status() == 0) return true;
    const uint64_t start = clock::ticks();
    bool done = false;
    while (!done && clock::ticks() - start < patience.left())
        done = transport.status() == 0;
    patience.spend(clock::ticks() - start);
    return done;
}

uint64_t read_features(const Transport& transport, unsigned window) {
    return transport.offered_features(window) | uint64_t{transport.offered_features(window + 1)}
                                                    << 32;
}

/// A device that goes away in between has one half that it never offered.
bool has_half_of_ones(uint64_t features) {
    constexpr auto ones = hcall::all_ones<uint32_t>;
    return (features & ones) == ones || features >> 32 == ones;
}

} // namespace

const char* Device::type_name() const {
    const DeviceType* type = find_device_type(identity.id);
    return type != nullptr ? type->name : "unknown";
}

Result<Device> recognise(const pci::Topology& topology, const pci::Function& function,
                         const Identity& identity, Patience& patience) {
    const auto transport = Transport::open(topology, function, identity.transitional);
    if (!transport) return error_of(transport);

    if (transport->status() == hcall::all_ones<uint8_t>) {
        return wrong(function, "device status reads as all ones");
    }
    if (!reset(*transport, patience)) {
        return wrong(function, "device status does not become 0 after a reset");
    }
    transport->set_status(status_acknowledge);
    transport->set_status(status_acknowledge | status_driver);
    const Features features{read_features(*transport, 0), read_features(*transport, 2)};
    if (!reset(*transport, patience)) {
        return wrong(function, "device status does not become 0 after features were read");
    }
    if (has_half_of_ones(features.low)) {
        return wrong(function, "offered features read as all ones");
    }
    if (transport->kind() == Transport::Kind::modern && !features.has(feature_version_1)) {
        return wrong(function, "modern registers, but VIRTIO_F_VERSION_1 is not offered");
    }
    return Device{identity, *transport, features};
}

} // namespace spillway::virtio
