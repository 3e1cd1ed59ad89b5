// SPDX-License-Identifier: BSD-2-Clause
#include "hcall/dma_bypass.h"

namespace spillway::hcall {
namespace {

enum class Action : uint64_t { off = 0, on = 1, query = 2 };

DmaBypass act(Buid buid, ConfigAddress function, Action action) {
    Registers registers{static_cast<uint64_t>(buid), function.value, static_cast<uint64_t>(action)};
    const Status status = call(Number::pci_dma_bypass, registers);
    if (status != Status::success) return {status, false, {}};
    return {status, registers.r4 != 0, {registers.r5}};
}

} // namespace

DmaBypass query_dma_bypass(Buid buid, ConfigAddress function) {
    return act(buid, function, Action::query);
}
DmaBypass enable_dma_bypass(Buid buid, ConfigAddress function) {
    return act(buid, function, Action::on);
}
DmaBypass disable_dma_bypass(Buid buid, ConfigAddress function) {
    return act(buid, function, Action::off);
}

} // namespace spillway::hcall
