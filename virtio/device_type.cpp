// SPDX-License-Identifier: BSD-2-Clause
#include "virtio/device_type.h"

#include <algorithm>
#include <iterator>

namespace spillway::virtio {
namespace {

/// VIRTIO 1.3, chapter 5, by ascending ID; IDs that are missing here are reserved there.
constexpr DeviceType device_types[] = {
    {DeviceId{1}, "net"},
    {DeviceId{2}, "block"},
    {DeviceId{3}, "console"},
    {DeviceId{4}, "entropy"},
    {DeviceId{5}, "balloon"},
    {DeviceId{6}, "iomemory"},
    {DeviceId{7}, "rpmsg"},
    {DeviceId{8}, "scsi"},
    {DeviceId{9}, "9p"},
    {DeviceId{10}, "mac80211-wlan"},
    {DeviceId{11}, "rproc-serial"},
    {DeviceId{12}, "caif"},
    {DeviceId{13}, "memory-balloon"},
    {DeviceId{16}, "gpu"},
    {DeviceId{17}, "clock"},
    {DeviceId{18}, "input"},
    {DeviceId{19}, "socket"},
    {DeviceId{20}, "crypto"},
    {DeviceId{21}, "signal-distribution"},
    {DeviceId{22}, "pstore"},
    {DeviceId{23}, "iommu"},
    {DeviceId{24}, "memory"},
    {DeviceId{25}, "sound"},
    {DeviceId{26}, "file-system"},
    {DeviceId{27}, "pmem"},
    {DeviceId{28}, "rpmb"},
    {DeviceId{29}, "mac80211-hwsim"},
    {DeviceId{30}, "video-encoder"},
    {DeviceId{31}, "video-decoder"},
    {DeviceId{32}, "scmi"},
    {DeviceId{33}, "nitro-secure-module"},
    {DeviceId{34}, "i2c"},
    {DeviceId{35}, "watchdog"},
    {DeviceId{36}, "can"},
    {DeviceId{38}, "parameter-server"},
    {DeviceId{39}, "audio-policy"},
    {DeviceId{40}, "bluetooth"},
    {DeviceId{41}, "gpio"},
    {DeviceId{42}, "rdma"},
    {DeviceId{43}, "camera"},
    {DeviceId{44}, "ism"},
    {DeviceId{45}, "spi"},
};
static_assert(std::ranges::is_sorted(device_types, {}, &DeviceType::id));

constexpr uint16_t first_transitional = 0x1000;
constexpr uint16_t first_modern = 0x1040;
constexpr uint16_t last_modern = 0x107F;

} // namespace

const DeviceType* find_device_type(DeviceId id) {
    const auto* found = std::ranges::lower_bound(device_types, id, {}, &DeviceType::id);
    return found != std::end(device_types) && found->id == id ? found : nullptr;
}

std::optional<Identity> identify(uint16_t vendor, uint16_t device, uint16_t subsystem_device) {
    if (vendor != vendor_id || device < first_transitional || device > last_modern) {
        return std::nullopt;
    }
    if (device < first_modern) return Identity{DeviceId{subsystem_device}, true};
    return Identity{DeviceId{static_cast<uint16_t>(device - first_modern)}, false};
}

} // namespace spillway::virtio
