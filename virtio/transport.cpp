// SPDX-License-Identifier: BSD-2-Clause
#include "virtio/transport.h"

#include "hcall/cache_inhibited.h"
#include "pci/capability.h"

#include <array>
#include <optional>

namespace spillway::virtio {
namespace {

/// VIRTIO 1.3, 4.1.4: struct virtio_pci_cap, read as four 32-bit words:
/// [type, length, next, ID], [padding, id, BAR], offset, length.
constexpr uint8_t smallest_capability = 16;
constexpr unsigned capability_bar_word = 4;
constexpr unsigned capability_offset_word = 8;
constexpr unsigned capability_length_word = 12;

/// VIRTIO 1.3, 4.1.4.3: struct virtio_pci_common_cfg up to and including queue_device.
constexpr uint32_t common_length = 56;
constexpr uint64_t common_device_feature_select = 0;
constexpr uint64_t common_device_feature = 4;
constexpr uint64_t common_device_status = 20;

/// VIRTIO 1.3, 4.1.4.10: the legacy header in the I/O BAR, without the MSI-X fields.
constexpr uint32_t legacy_length = 20;
constexpr uint64_t legacy_device_features = 0;
constexpr uint64_t legacy_device_status = 18;

/// The structures that every modern device has (4.1.4.2), with the least length of each.
struct Structure {
    uint8_t type;
    const char* name;
    uint32_t least_length;
};
constexpr std::array required_structures = {
    Structure{1, "common configuration", common_length},
    Structure{2, "notification", 2},
    Structure{3, "ISR status", 1},
};

/// Where a capability says that its structure lies.
struct Area {
    uint8_t bar;
    uint32_t offset;
    uint32_t length;
};
using Areas = std::array<std::optional<Area>, required_structures.size()>;

std::unexpected<Error> wrong(const pci::Function& function, const char* what) {
    const pci::Location& at = function.location;
    return fail(ErrorCode::device, "virtio %02x:%02x.%x: %s", at.bus, at.device, at.function, what);
}

uint32_t read_word(const pci::Config& config, const pci::Capability& capability, unsigned offset) {
    return config.read(pci::Register32(capability.offset + offset));
}

/// The first structure of a type counts; types and BAR numbers that the standard reserves are
/// passed over, as 4.1.4.1 demands. `any` tells whether there were virtio structures at all.
Areas read_areas(const pci::Config& config, const pci::CapabilityList& capabilities, bool& any) {
    Areas areas;
    any = false;
    for (const pci::Capability& capability : capabilities) {
        if (capability.id != pci::CapabilityId::vendor_specific) continue;
        const uint32_t head = read_word(config, capability, 0);
        const auto length = static_cast<uint8_t>(head >> 16);
        const auto type = static_cast<uint8_t>(head >> 24);
        if (length < smallest_capability || capability.offset > 256 - smallest_capability) continue;
        for (size_t i = 0; i < areas.size(); ++i) {
            if (required_structures[i].type != type || areas[i]) continue;
            const uint32_t bar = read_word(config, capability, capability_bar_word) & 0xFF;
            any = true;
            if (bar > 5) continue;
            areas[i] = Area{static_cast<uint8_t>(bar),
                            read_word(config, capability, capability_offset_word),
                            read_word(config, capability, capability_length_word)};
        }
    }
    return areas;
}

/// Where the CPU sees the structure, once it is known to lie inside an assigned memory BAR.
Result<PhysicalAddress> locate(const pci::Function& function, const Structure& structure,
                               const std::optional<Area>& area) {
    const pci::Location& at = function.location;
    const auto complain = [&](const char* what) {
        return fail(ErrorCode::device, "virtio %02x:%02x.%x: %s structure %s", at.bus, at.device,
                    at.function, structure.name, what);
    };
    if (!area) return complain("is missing");
    const pci::Bar& bar = function.bars[area->bar];
    if (area->length < structure.least_length) {
        return fail(ErrorCode::device, "virtio %02x:%02x.%x: %s structure has %u bytes, needs %u",
                    at.bus, at.device, at.function, structure.name, area->length,
                    structure.least_length);
    }
    if (area->offset % 4 != 0) return complain("is not aligned");
    if (bar.size == 0) return complain("names a BAR that does not exist");
    if (area->length > bar.size || area->offset > bar.size - area->length) {
        return fail(ErrorCode::device,
                    "virtio %02x:%02x.%x: %s structure at 0x%x + 0x%x is outside BAR %u (0x%llx)",
                    at.bus, at.device, at.function, structure.name, area->offset, area->length,
                    area->bar, static_cast<unsigned long long>(bar.size));
    }
    const auto address = pci::cpu_address(function, bar, area->offset, area->length);
    if (!address) return complain("is in a BAR that has no address");
    return *address;
}

} // namespace

Result<Transport> Transport::open(const pci::Topology& topology, const pci::Function& function,
                                  bool transitional) {
    const pci::Config config = topology.config(function);
    const auto capabilities = pci::CapabilityList::read(config);
    if (!capabilities) return error_of(capabilities);

    bool any = false;
    const Areas areas = read_areas(config, *capabilities, any);
    if (any || !transitional) {
        std::optional<PhysicalAddress> common;
        for (size_t i = 0; i < areas.size(); ++i) {
            const auto address = locate(function, required_structures[i], areas[i]);
            if (!address) return error_of(address);
            if (!common) common = *address;
        }
        return Transport{Kind::modern, *common};
    }

    const pci::Bar& bar = function.bars[0];
    if (bar.size < legacy_length || bar.space != pci::Space::io) {
        return wrong(function, "neither modern structures nor a legacy I/O BAR");
    }
    const auto registers = pci::cpu_address(function, bar, 0, legacy_length);
    if (!registers) return wrong(function, "the legacy I/O BAR has no address");
    return Transport{Kind::legacy, *registers};
}

uint8_t Transport::status() const {
    const bool modern = kind_ == Kind::modern;
    return hcall::ci_load<uint8_t>(registers_ +
                                   (modern ? common_device_status : legacy_device_status));
}

void Transport::set_status(uint8_t status) const {
    const bool modern = kind_ == Kind::modern;
    hcall::ci_store<uint8_t>(registers_ + (modern ? common_device_status : legacy_device_status),
                             status);
}

uint32_t Transport::offered_features(unsigned window) const {
    if (kind_ == Kind::legacy) {
        return window == 0 ? hcall::ci_load<uint32_t>(registers_ + legacy_device_features) : 0;
    }
    hcall::ci_store<uint32_t>(registers_ + common_device_feature_select, window);
    return hcall::ci_load<uint32_t>(registers_ + common_device_feature);
}

} // namespace spillway::virtio
