// SPDX-License-Identifier: BSD-2-Clause
#include "of/instances.h"

namespace spillway::of {
namespace {

/// A handle has bit 30 set and bit 31 clear (clients test it as a signed number), then the
/// generation, then the index of the slot.
constexpr uint32_t mark = uint32_t{1} << 30;
constexpr unsigned index_bits = 8;
constexpr uint32_t index_mask = (uint32_t{1} << index_bits) - 1;
constexpr uint32_t generation_mask = (mark >> index_bits) - 1;

static_assert(Instances::most_instances <= index_mask + 1);

constexpr Ihandle handle(size_t index, uint32_t generation) {
    return Ihandle{mark | generation << index_bits | static_cast<uint32_t>(index)};
}

} // namespace

Ihandle Instances::open(Instance instance) {
    for (size_t i = 0; i < slots_.size(); ++i) {
        Slot& slot = slots_[i];
        if (slot.generation % 2 != 0) continue;
        slot.generation = (slot.generation + 1) & generation_mask;
        slot.instance = instance;
        return handle(i, slot.generation);
    }
    return Ihandle::none;
}

bool Instances::close(Ihandle ihandle) {
    if (find(ihandle) == nullptr) return false;
    Slot& slot = slots_[static_cast<uint32_t>(ihandle) & index_mask];
    slot.generation = (slot.generation + 1) & generation_mask;
    return true;
}

const Instance* Instances::find(Ihandle ihandle) const {
    const size_t index = static_cast<uint32_t>(ihandle) & index_mask;
    if (index >= slots_.size()) return nullptr;
    const Slot& slot = slots_[index];
    if (slot.generation % 2 == 0 || handle(index, slot.generation) != ihandle) return nullptr;
    return &slot.instance;
}

} // namespace spillway::of
