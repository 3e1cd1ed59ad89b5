// SPDX-License-Identifier: BSD-2-Clause
#include "pci/config.h"

namespace spillway::pci {
namespace {

/// Register bits 8 to 11 travel apart from the rest (hcall::ConfigAddress).
hcall::ConfigAddress address_of(Location location, uint16_t offset) {
    return {location.config_address().value | (offset & 0xFFu) | uint32_t{offset} >> 8 << 28};
}

} // namespace

uint32_t Config::read(uint16_t offset, unsigned size) const {
    uint32_t value = 0;
    const auto status = rtas_->read_pci_config(buid_, address_of(location_, offset), size, value);
    return status == hcall::RtasStatus::success ? value : ~uint32_t{0};
}

bool Config::write(uint16_t offset, unsigned size, uint32_t value) const {
    const auto status = rtas_->write_pci_config(buid_, address_of(location_, offset), size, value);
    return status == hcall::RtasStatus::success;
}

} // namespace spillway::pci
