// SPDX-License-Identifier: BSD-2-Clause
#include "virtio/device_type.h"

#include <algorithm>
#include <iterator>

namespace spillway::virtio {
namespace {

/// VIRTIO 1.3, chapter 5, by ascending ID; IDs that are missing here are reserved there.
constexpr DeviceType device_types[] = {
    {DeviceId{1}, "net", "network device"},
    {DeviceId{2}, "block", "block device"},
    {DeviceId{3}, "console", "console"},
    {DeviceId{4}, "entropy", "entropy source"},
    {DeviceId{5}, "balloon", "memory ballooning (traditional)"},
    {DeviceId{6}, "iomemory", "ioMemory"},
    {DeviceId{7}, "rpmsg", "rpmsg"},
    {DeviceId{8}, "scsi", "SCSI host"},
    {DeviceId{9}, "9p", "9P transport"},
    {DeviceId{10}, "mac80211-wlan", "mac80211 wlan"},
    {DeviceId{11}, "rproc-serial", "rproc serial"},
    {DeviceId{12}, "caif", "virtio CAIF"},
    {DeviceId{13}, "memory-balloon", "memory balloon"},
    {DeviceId{16}, "gpu", "GPU device"},
    {DeviceId{17}, "clock", "Timer/Clock device"},
    {DeviceId{18}, "input", "Input device"},
    {DeviceId{19}, "socket", "Socket device"},
    {DeviceId{20}, "crypto", "Crypto device"},
    {DeviceId{21}, "signal-distribution", "Signal Distribution Module"},
    {DeviceId{22}, "pstore", "pstore device"},
    {DeviceId{23}, "iommu", "IOMMU device"},
    {DeviceId{24}, "memory", "Memory device"},
    {DeviceId{25}, "sound", "Sound device"},
    {DeviceId{26}, "file-system", "file system device"},
    {DeviceId{27}, "pmem", "PMEM device"},
    {DeviceId{28}, "rpmb", "RPMB device"},
    {DeviceId{29}, "mac80211-hwsim", "mac80211 hwsim wireless simulation device"},
    {DeviceId{30}, "video-encoder", "Video encoder device"},
    {DeviceId{31}, "video-decoder", "Video decoder device"},
    {DeviceId{32}, "scmi", "SCMI device"},
    {DeviceId{33}, "nitro-secure-module", "NitroSecureModule"},
    {DeviceId{34}, "i2c", "I2C adapter"},
    {DeviceId{35}, "watchdog", "Watchdog"},
    {DeviceId{36}, "can", "CAN device"},
    {DeviceId{38}, "parameter-server", "Parameter Server"},
    {DeviceId{39}, "audio-policy", "Audio policy device"},
    {DeviceId{40}, "bluetooth", "Bluetooth device"},
    {DeviceId{41}, "gpio", "GPIO device"},
    {DeviceId{42}, "rdma", "RDMA device"},
    {DeviceId{43}, "camera", "Camera device"},
    {DeviceId{44}, "ism", "ISM device"},
    {DeviceId{45}, "spi", "SPI controller"},
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
