// SPDX-License-Identifier: BSD-2-Clause
#include "hcall/rtas.h"

#include "base/address.h"
#include "base/endian.h"

#include <algorithm>
#include <cstddef>

namespace spillway::hcall {
namespace {

/// PAPR 7.2.7: token, counts, arguments, then returns with the status first; all 32-bit cells.
struct Block {
    Big32 token, argument_count, return_count;
    Big32 cells[10];
};

/// PAPR asks callers to repeat a busy call; ours never wait for anything slow.
constexpr int busy_limit = 1000;

RtasStatus call_rtas(RtasToken token, std::span<const uint32_t> arguments,
                     std::span<uint32_t> returns = {}) {
    if (token == RtasToken::none) return RtasStatus::parameter;
    Block block{};
    block.token = static_cast<uint32_t>(token);
    block.argument_count = static_cast<uint32_t>(arguments.size());
    block.return_count = static_cast<uint32_t>(1 + returns.size());
    std::copy(arguments.begin(), arguments.end(), block.cells);
    Big32* const results = block.cells + arguments.size();
    // An answer that nobody writes is not a success.
    results[0] = static_cast<uint32_t>(RtasStatus::hardware);
    auto status = RtasStatus::busy;
    for (int patience = busy_limit; status == RtasStatus::busy && patience > 0; --patience) {
        Registers registers{to_physical(&block).value};
        if (call(Number::rtas, registers) != Status::success) return RtasStatus::parameter;
        status = RtasStatus{static_cast<int32_t>(uint32_t{results[0]})};
    }
    std::copy_n(results + 1, returns.size(), returns.begin());
    return status;
}

RtasStatus transfer_nvram(RtasToken token, uint32_t offset, const std::byte* buffer, size_t size) {
    const uint32_t arguments[] = {offset, static_cast<uint32_t>(to_physical(buffer).value),
                                  static_cast<uint32_t>(size)};
    uint32_t transferred = 0;
    const RtasStatus status = call_rtas(token, arguments, {&transferred, 1});
    if (status == RtasStatus::success && transferred != size) return RtasStatus::hardware;
    return status;
}

constexpr uint32_t high(Buid buid) {
    return static_cast<uint32_t>(static_cast<uint64_t>(buid) >> 32);
}
constexpr uint32_t low(Buid buid) {
    return static_cast<uint32_t>(static_cast<uint64_t>(buid));
}

} // namespace

RtasStatus Rtas::read_pci_config(Buid buid, ConfigAddress address, unsigned size,
                                 uint32_t& value) const {
    const uint32_t arguments[] = {address.value, high(buid), low(buid), size};
    return call_rtas(tokens_.read_pci_config, arguments, {&value, 1});
}

RtasStatus Rtas::write_pci_config(Buid buid, ConfigAddress address, unsigned size,
                                  uint32_t value) const {
    const uint32_t arguments[] = {address.value, high(buid), low(buid), size, value};
    return call_rtas(tokens_.write_pci_config, arguments);
}

RtasStatus Rtas::fetch_nvram(uint32_t offset, std::span<std::byte> bytes) const {
    return transfer_nvram(tokens_.nvram_fetch, offset, bytes.data(), bytes.size());
}

RtasStatus Rtas::store_nvram(uint32_t offset, std::span<const std::byte> bytes) const {
    return transfer_nvram(tokens_.nvram_store, offset, bytes.data(), bytes.size());
}

void Rtas::terminate(const char* reason) const {
    const uint32_t arguments[] = {static_cast<uint32_t>(to_physical(reason).value)};
    call_rtas(tokens_.os_term, arguments);
}

void Rtas::power_off() const {
    const uint32_t no_wake_up_mask[] = {0, 0};
    call_rtas(tokens_.power_off, no_wake_up_mask);
}

void Rtas::system_reboot() const {
    call_rtas(tokens_.system_reboot, {});
}

} // namespace spillway::hcall
