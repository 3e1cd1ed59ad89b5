// SPDX-License-Identifier: BSD-2-Clause
// Run-time abstraction services (PAPR chapter 7), reached through QEMU's private hypercall H_RTAS.
#pragma once

#include "base/error.h"
#include "hcall/hypercall.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace spillway::hcall {

/// Value of a property of /rtas that bears a service's name; 0 when the service does not exist.
enum class RtasToken : uint32_t { none = 0 };

struct RtasTokens {
    RtasToken read_pci_config = RtasToken::none;  ///< "ibm,read-pci-config"
    RtasToken write_pci_config = RtasToken::none; ///< "ibm,write-pci-config"
    RtasToken power_off = RtasToken::none;        ///< "power-off"
    RtasToken system_reboot = RtasToken::none;    ///< "system-reboot"
    RtasToken os_term = RtasToken::none;          ///< "ibm,os-term"
    RtasToken nvram_fetch = RtasToken::none;      ///< "nvram-fetch"
    RtasToken nvram_store = RtasToken::none;      ///< "nvram-store"
};

/// RTAS status words (PAPR 7.2.8).
enum class RtasStatus : int32_t {
    success = 0,
    hardware = -1,
    busy = -2,
    parameter = -3,
};

/// Bus unit identifier of a PCI host bridge: `reg` of its node.
enum class Buid : uint64_t {};

/// `bus << 16 | device << 11 | function << 8 | register`, the form of PAPR 7.3.4; register bits 8
/// to 11 travel in bits 28 to 31.
struct ConfigAddress {
    uint32_t value = 0;
};

class Rtas {
public:
    constexpr explicit Rtas(RtasTokens tokens)
        : tokens_(tokens) {}

    /// Config space of one function. `size` is 1, 2 or 4 bytes; values are register values, in the
    /// CPU's order. A function that is not there answers RtasStatus::hardware.
    RtasStatus read_pci_config(Buid buid, ConfigAddress address, unsigned size,
                               uint32_t& value) const;
    RtasStatus write_pci_config(Buid buid, ConfigAddress address, unsigned size,
                                uint32_t value) const;

    /// Non-volatile memory, `bytes` from `offset` on (PAPR 7.3.1). All of them, or an error.
    RtasStatus fetch_nvram(uint32_t offset, std::span<std::byte> bytes) const;
    RtasStatus store_nvram(uint32_t offset, std::span<const std::byte> bytes) const;

    /// ibm,os-term: the guest cannot go on, for the reason given. Returns when QEMU is told to go
    /// on.
    void terminate(const char* reason) const;

    /// Both return only when the hypervisor refuses (power-off) or has yet to act (system-reboot).
    void power_off() const;
    void system_reboot() const;

private:
    RtasTokens tokens_;
};

} // namespace spillway::hcall
