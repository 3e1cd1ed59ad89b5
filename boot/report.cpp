// SPDX-License-Identifier: BSD-2-Clause
#include "boot/report.h"

#include "base/log.h"

#include <cstdio>

namespace spillway::boot {
namespace {

/// "virtio net", "virtio net (legacy)", or the node's name for what is not virtio.
void describe_type(const virtio::Finding& finding, std::span<char> buffer) {
    if (finding.device) {
        const bool legacy = finding.device->transport.kind() == virtio::Transport::Kind::legacy;
        std::snprintf(buffer.data(), buffer.size(), "virtio %s%s", finding.device->type_name(),
                      legacy ? " (legacy)" : "");
    } else if (finding.is_virtio) {
        std::snprintf(buffer.data(), buffer.size(), "virtio, broken");
    } else {
        std::snprintf(buffer.data(), buffer.size(), "class %06x%s",
                      static_cast<unsigned>(finding.function->class_code),
                      finding.function->is_bridge ? " (bridge)" : "");
    }
}

const char* offers_bit_33(const virtio::Finding& finding) {
    if (!finding.device) return "-";
    return finding.device->features.has(virtio::feature_access_platform) ? "yes" : "no";
}

void print_function(const virtio::Finding& finding) {
    const pci::Function& function = *finding.function;
    char type[32];
    describe_type(finding, type);
    const char* dma = virtio::property_value(finding.verdict);
    log::info("  %s %04x:%04x %-23s %-6s %-10s %s", pci::name(function).text, function.vendor_id,
              function.device_id, type, offers_bit_33(finding), dma != nullptr ? dma : "-",
              finding.reason);
}

} // namespace

void print_functions(const virtio::Findings& findings) {
    if (findings.begin() == findings.end()) return;
    log::info("  address      IDs       type                    bit 33 DMA        because");
    for (const virtio::Finding& finding : findings)
        print_function(finding);
}

} // namespace spillway::boot
