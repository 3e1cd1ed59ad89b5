// SPDX-License-Identifier: BSD-2-Clause
#include "pci/capability.h"

namespace spillway::pci {

Result<CapabilityList> CapabilityList::read(const Config& config) {
    CapabilityList list;
    const uint16_t status = config.read(Register16::status);
    if (status == 0xFFFF) return fail(ErrorCode::device, "status register reads all ones");
    if ((status & status_capability_list) == 0) return list;

    constexpr uint8_t first_offset = 0x40;
    uint64_t visited = 0; // one bit for each of the 64 words of config space
    unsigned offset = config.read(Register8::capabilities_pointer);
    // Not the word at 0xFC: who is gone would seem to have no capability at all.
    if (offset == 0xFF) return fail(ErrorCode::device, "capability pointer reads all ones");
    offset &= 0xFC;
    while (offset != 0) {
        if (offset < first_offset) {
            return fail(ErrorCode::malformed, "capability pointer is 0x%02x, below 0x40", offset);
        }
        const uint64_t bit = uint64_t{1} << (offset / 4);
        if ((visited & bit) != 0) {
            return fail(ErrorCode::malformed, "capability list loops at 0x%02x", offset);
        }
        visited |= bit;
        const uint16_t id_and_next = config.read(Register16(static_cast<uint16_t>(offset)));
        if (id_and_next == 0xFFFF) {
            return fail(ErrorCode::device, "capability at 0x%02x reads all ones", offset);
        }
        // Offsets are distinct words of 0x40..0xFC, so there is always an entry left.
        list.entries_[list.count_++] = {CapabilityId(id_and_next & 0xFF),
                                        static_cast<uint8_t>(offset)};
        offset = id_and_next >> 8 & 0xFC;
    }
    return list;
}

} // namespace spillway::pci
