// SPDX-License-Identifier: BSD-2-Clause
#include "boot/nvram.h"

#include "base/address.h"
#include "base/endian.h"
#include "base/log.h"

#include <algorithm>
#include <array>

namespace spillway::boot {
namespace {

constexpr uint32_t unit = 16; ///< partition lengths count these; a header is one
constexpr uint32_t largest_partition = 512 << 10;
constexpr uint8_t free_space = 0x7F;

struct PartitionHeader {
    uint8_t signature;
    uint8_t checksum;
    Big16 length;
    std::array<char, 12> name;
};
static_assert(sizeof(PartitionHeader) == unit);

/// The sum of all bytes but the checksum's, carries added back in.
uint8_t checksum(const PartitionHeader& header) {
    unsigned sum = header.signature;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
    for (size_t i = 2; i < sizeof header; ++i) {
        sum += bytes[i];
        sum = (sum & 0xFF) + (sum >> 8);
    }
    return static_cast<uint8_t>(sum);
}

uint32_t nvram_size(const fdt::Tree& tree) {
    const fdt::Node* devices = tree.find("/vdevice");
    const fdt::Node* nvram = devices != nullptr ? tree.child(*devices, "nvram") : nullptr;
    return nvram != nullptr ? tree.cell(*nvram, "#bytes", 0) : 0;
}

} // namespace

void format_blank_nvram(const fdt::Tree& tree, const hcall::Rtas& rtas) {
    const uint32_t size = nvram_size(tree);
    std::array<std::byte, unit> first;
    if (size < unit || rtas.fetch_nvram(0, first) != hcall::RtasStatus::success) return;
    if (std::ranges::any_of(first, [](std::byte byte) { return byte != std::byte{}; })) return;

    uint32_t length = 0;
    for (uint32_t at = 0; size - at >= unit; at += length) {
        length = std::min(static_cast<uint32_t>(align_down(size - at, unit)), largest_partition);
        PartitionHeader header{free_space, 0, Big16{static_cast<uint16_t>(length / unit)}, {}};
        header.name.fill('w');
        header.checksum = checksum(header);
        if (rtas.store_nvram(at, std::as_bytes(std::span{&header, 1})) !=
            hcall::RtasStatus::success) {
            log::warning("nvram: cannot be written at 0x%x", at);
            return;
        }
    }
    log::verbose("nvram: %u blank bytes made free space", size);
}

} // namespace spillway::boot
