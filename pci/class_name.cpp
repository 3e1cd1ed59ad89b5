// SPDX-License-Identifier: BSD-2-Clause
#include "pci/class_name.h"

#include <array>

namespace spillway::pci {
namespace {

/// Names of whole base classes, for sub-classes that have none of their own.
constexpr std::array base_names = {
    "legacy-device",     "mass-storage",
    "network",           "display",
    "multimedia-device", "memory-controller",
    "unknown-bridge",    "communication-controller",
    "system-peripheral", "input-controller",
    "docking-station",   "cpu",
    "serial-bus",        "wireless-controller",
    "intelligent-io",    "satellite-device",
    "encryption",        "data-processing-controller",
};

struct Named {
    uint32_t class_code;
    const char* name;
};

/// By base class and sub-class.
constexpr Named sub_class_names[] = {
    {0x0001, "display"},
    {0x0100, "scsi"},
    {0x0101, "ide"},
    {0x0104, "raid"},
    {0x0105, "ata"},
    {0x0106, "sata"},
    {0x0107, "sas"},
    {0x0200, "ethernet"},
    {0x0300, "vga"},
    {0x0301, "xga"},
    {0x0302, "3d-controller"},
    {0x0400, "video"},
    {0x0401, "sound"},
    {0x0500, "memory"},
    {0x0501, "flash"},
    {0x0600, "host"},
    {0x0601, "isa"},
    {0x0604, "pci"},
    {0x0607, "cardbus"},
    {0x0700, "serial"},
    {0x0701, "parallel"},
    {0x0800, "interrupt-controller"},
    {0x0802, "timer"},
    {0x0803, "rtc"},
    {0x0805, "sd-host-controller"},
    {0x0900, "keyboard"},
    {0x0902, "mouse"},
    {0x0c00, "firewire"},
    {0x0c03, "usb"},
    {0x0c04, "fibre-channel"},
    {0x0c05, "smb"},
    {0x0c06, "infiniband"},
    {0x0c07, "ipmi"},
    {0x1000, "network-encryption"},
};

/// By the whole class code.
constexpr Named interface_names[] = {
    {0x0c0300, "usb-uhci"}, {0x0c0310, "usb-ohci"},    {0x0c0320, "usb-ehci"},
    {0x0c0330, "usb-xhci"}, {0x0c0380, "usb-unknown"}, {0x0c03fe, "usb-device"},
};

} // namespace

const char* class_name(uint32_t class_code) {
    for (const Named& named : interface_names) {
        if (named.class_code == class_code) return named.name;
    }
    for (const Named& named : sub_class_names) {
        if (named.class_code == class_code >> 8) return named.name;
    }
    const uint32_t base = class_code >> 16;
    return base < base_names.size() ? base_names[base] : "pci";
}

} // namespace spillway::pci
