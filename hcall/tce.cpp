// SPDX-License-Identifier: BSD-2-Clause
#include "hcall/tce.h"

namespace spillway::hcall {

Status put_tce(Liobn liobn, BusAddress address, Tce entry) {
    Registers registers{static_cast<uint64_t>(liobn), address.value, entry.value};
    return call(Number::put_tce, registers);
}

Status put_tce_indirect(Liobn liobn, BusAddress address, PhysicalAddress list, uint64_t count) {
    Registers registers{static_cast<uint64_t>(liobn), address.value, list.value, count};
    return call(Number::put_tce_indirect, registers);
}

Status stuff_tce(Liobn liobn, BusAddress address, Tce entry, uint64_t count) {
    Registers registers{static_cast<uint64_t>(liobn), address.value, entry.value, count};
    return call(Number::stuff_tce, registers);
}

Status get_tce(Liobn liobn, BusAddress address, Tce& entry) {
    Registers registers{static_cast<uint64_t>(liobn), address.value};
    const Status status = call(Number::get_tce, registers);
    if (status == Status::success) entry = {registers.r4};
    return status;
}

} // namespace spillway::hcall
