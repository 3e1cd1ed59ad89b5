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

/// VIRTIO 1.3, 4.1.4.9: the access capability, struct virtio_pci_cap and four bytes of data.
constexpr uint8_t access_type = 5;
constexpr uint8_t access_length = 20;
constexpr unsigned access_data = 16;

/// VIRTIO 1.3, 4.1.4.3: struct virtio_pci_common_cfg up to and including queue_device.
constexpr uint32_t common_length = 56;
constexpr uint32_t common_device_feature_select = 0;
constexpr uint32_t common_device_feature = 4;
constexpr uint32_t common_device_status = 20;

/// VIRTIO 1.3, 4.1.4.10: the legacy header in the I/O BAR, without the MSI-X fields.
constexpr uint32_t legacy_length = 20;
constexpr uint32_t legacy_device_features = 0;
constexpr uint32_t legacy_device_status = 18;

/// The structures that every modern device has (4.1.4.2), with the least length and the alignment
/// of each (4.1.4.3 to 4.1.4.5).
struct Structure {
    uint8_t type;
    const char* name;
    uint32_t least_length;
    uint32_t alignment;
};
constexpr std::array required_structures = {
    Structure{1, "common configuration", common_length, 4},
    Structure{2, "notification", 2, 2},
    Structure{3, "ISR status", 1, 1},
};

/// Where a capability says that its structure lies.
struct Area {
    uint8_t bar;
    uint32_t offset;
    uint32_t length;
};

std::unexpected<Error> wrong(const pci::Function& function, const char* name, const char* what) {
    return fail(ErrorCode::device, "virtio %s: %s %s", pci::name(function).text, name, what);
}

constexpr char unwritable[] = "cannot be written";

uint32_t read_word(const pci::Config& config, const pci::Capability& capability, unsigned offset) {
    return config.read(pci::Register32(capability.offset + offset));
}

} // namespace

/// What the capability list says. The first structure of a type counts; types and BAR numbers that
/// the standard reserves are passed over, as 4.1.4.1 demands.
struct Structures {
    std::array<std::optional<Area>, required_structures.size()> areas;
    uint8_t access = 0; ///< config offset of the access capability; 0: none
    bool any = false;   ///< not for the legacy interface

    Structures(const pci::Config& config, const pci::CapabilityList& capabilities) {
        for (const pci::Capability& capability : capabilities) {
            if (capability.id != pci::CapabilityId::vendor_specific) continue;
            const uint32_t head = read_word(config, capability, 0);
            const auto length = static_cast<uint8_t>(head >> 16);
            const auto type = static_cast<uint8_t>(head >> 24);
            // Gone is not the same as legacy, and drivers there are do not look at the length.
            any = any || head == hcall::all_ones<uint32_t> || index_of(type) < areas.size();
            if (length < smallest_capability || capability.offset > 256 - length) continue;
            if (type == access_type && length >= access_length && access == 0) {
                access = capability.offset;
            }
            const size_t index = index_of(type);
            if (index < areas.size() && !areas[index]) read(config, capability, index);
        }
    }

private:
    static size_t index_of(uint8_t type) {
        size_t index = 0;
        while (index < required_structures.size() && required_structures[index].type != type)
            ++index;
        return index;
    }

    void read(const pci::Config& config, const pci::Capability& capability, size_t index) {
        const uint32_t bar = read_word(config, capability, capability_bar_word) & 0xFF;
        if (bar > 5) return;
        areas[index] =
            Area{static_cast<uint8_t>(bar), read_word(config, capability, capability_offset_word),
                 read_word(config, capability, capability_length_word)};
    }
};

namespace {

/// The structure lies inside its BAR.
Result<void> check(const pci::Function& function, const Structure& structure,
                   const std::optional<Area>& area) {
    if (!area) return wrong(function, structure.name, "is missing");
    const pci::Bar& bar = function.bars[area->bar];
    if (area->length < structure.least_length) {
        return fail(ErrorCode::device, "virtio %s: %s has %u bytes, needs %u",
                    pci::name(function).text, structure.name, area->length, structure.least_length);
    }
    if (area->offset % structure.alignment != 0)
        return wrong(function, structure.name, "is not aligned");
    if (bar.size == 0) return wrong(function, structure.name, "names a BAR that does not exist");
    if (area->length > bar.size || area->offset > bar.size - area->length) {
        return fail(ErrorCode::device, "virtio %s: %s at 0x%x + 0x%x is outside BAR %u (0x%llx)",
                    pci::name(function).text, structure.name, area->offset, area->length, area->bar,
                    static_cast<unsigned long long>(bar.size));
    }
    return {};
}

/// Lets the function answer in its BARs, and the bridges on the way pass that on.
bool decode(const pci::Topology& topology, const pci::Function& function, pci::Space space) {
    constexpr uint16_t both = pci::command_io | pci::command_memory;
    const uint16_t bit = space == pci::Space::io ? pci::command_io : pci::command_memory;
    for (const pci::Function* on = &function; on != nullptr; on = on->bridge) {
        const pci::Config config = topology.config(*on);
        const uint16_t command = config.read(pci::Register16::command);
        const auto decoding = static_cast<uint16_t>((command & both) | bit);
        if (!config.write(pci::Register16::command, decoding)) return false;
    }
    return true;
}

} // namespace

Result<Transport> Transport::open(const pci::Topology& topology, const pci::Function& function,
                                  bool transitional) {
    const pci::Config config = topology.config(function);
    const auto capabilities = pci::CapabilityList::read(config);
    if (!capabilities) {
        return fail(capabilities.error().code, "virtio %s: %s", pci::name(function).text,
                    capabilities.error().message);
    }
    const Structures structures{config, *capabilities};
    if (structures.any || !transitional) return open_modern(topology, function, structures);
    return open_legacy(topology, function);
}

Result<Transport> Transport::open_modern(const pci::Topology& topology,
                                         const pci::Function& function,
                                         const Structures& structures) {
    const pci::Config config = topology.config(function);
    for (size_t i = 0; i < required_structures.size(); ++i) {
        auto checked = check(function, required_structures[i], structures.areas[i]);
        if (!checked) return error_of(checked);
    }
    const Area& common = *structures.areas[0];
    Transport transport{Kind::modern, config};
    if (structures.access != 0) {
        transport.access_ = structures.access;
        transport.offset_ = common.offset;
        if (!config.write(pci::Register8(structures.access + capability_bar_word), common.bar)) {
            return wrong(function, "the access capability", unwritable);
        }
        return transport;
    }
    const pci::Bar& bar = function.bars[common.bar];
    const auto mapped = pci::cpu_address(function, bar, common.offset, common.length);
    if (!mapped) return wrong(function, required_structures[0].name, "is in a BAR without address");
    transport.mapped_ = *mapped;
    if (!decode(topology, function, bar.space)) {
        return wrong(function, "the command register", unwritable);
    }
    return transport;
}

Result<Transport> Transport::open_legacy(const pci::Topology& topology,
                                         const pci::Function& function) {
    const pci::Bar& bar = function.bars[0];
    if (bar.size < legacy_length || bar.space != pci::Space::io) {
        return wrong(function, "neither modern structures", "nor a legacy I/O BAR");
    }
    const auto mapped = pci::cpu_address(function, bar, 0, legacy_length);
    if (!mapped) return wrong(function, "the legacy I/O BAR", "has no address");
    Transport transport{Kind::legacy, topology.config(function)};
    transport.mapped_ = *mapped;
    if (!decode(topology, function, bar.space)) {
        return wrong(function, "the command register", unwritable);
    }
    return transport;
}

template<typename Integer> Integer Transport::read(uint32_t offset) const {
    if (access_ == 0) return hcall::ci_load<Integer>(mapped_ + offset);
    if (!point_at(offset, sizeof(Integer))) return hcall::all_ones<Integer>;
    if constexpr (sizeof(Integer) == 1) {
        return config_.read(pci::Register8(access_ + access_data));
    } else {
        return config_.read(pci::Register32(access_ + access_data));
    }
}

template<typename Integer> bool Transport::write(uint32_t offset, Integer value) const {
    if (access_ == 0) {
        return hcall::ci_store<Integer>(mapped_ + offset, value) == hcall::Status::success;
    }
    if (!point_at(offset, sizeof(Integer))) return false;
    if constexpr (sizeof(Integer) == 1) {
        return config_.write(pci::Register8(access_ + access_data), value);
    } else {
        return config_.write(pci::Register32(access_ + access_data), value);
    }
}

/// The next access to the capability's data is one to this register.
bool Transport::point_at(uint32_t offset, uint32_t size) const {
    return config_.write(pci::Register32(access_ + capability_offset_word), offset_ + offset) &&
           config_.write(pci::Register32(access_ + capability_length_word), size);
}

uint8_t Transport::status() const {
    return read<uint8_t>(kind_ == Kind::modern ? common_device_status : legacy_device_status);
}

void Transport::set_status(uint8_t status) const {
    write(kind_ == Kind::modern ? common_device_status : legacy_device_status, status);
}

uint32_t Transport::offered_features(unsigned window) const {
    if (kind_ == Kind::legacy) return window == 0 ? read<uint32_t>(legacy_device_features) : 0;
    // Without the selection, another window's bits would be taken for this one's.
    if (!write(common_device_feature_select, uint32_t{window})) return hcall::all_ones<uint32_t>;
    return read<uint32_t>(common_device_feature);
}

} // namespace spillway::virtio
