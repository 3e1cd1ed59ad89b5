// SPDX-License-Identifier: BSD-2-Clause
#include "pci/topology.h"

#include <cstdio>

namespace spillway::pci {

Name name(const HostBridge& host, Location location) {
    Name name{};
    std::snprintf(name.text, sizeof name.text, "%04x:%02x:%02x.%u",
                  static_cast<unsigned>(static_cast<uint64_t>(host.buid) & 0xFFFF),
                  unsigned{location.bus}, unsigned{location.device} & 31,
                  unsigned{location.function} & 7);
    return name;
}

std::optional<PhysicalAddress> cpu_address(const Function& function, const Bar& bar,
                                           uint64_t offset, uint64_t length) {
    if (!bar.assigned) return std::nullopt;
    if (offset > bar.size || length > bar.size - offset) return std::nullopt;
    const BusRange wanted{bar.address + offset, length};
    for (const Space space : {Space::io, Space::memory32, Space::memory64}) {
        if ((space == Space::io) != (bar.space == Space::io)) continue;
        const Window& window = function.host->windows[static_cast<size_t>(space)];
        if (window.bus.contains(wanted)) return window.cpu + (wanted.start - window.bus.start);
    }
    return std::nullopt;
}

} // namespace spillway::pci
