// SPDX-License-Identifier: BSD-2-Clause
// Boots of every shape with every fault.
#pragma once

#include "tests/host/whole_boot.h"

#include <functional>
#include <string>

namespace spillway::test {

/// Of all boots, numbered through, does number `first` and every `step`th after it.
using Visitor = std::function<void(const Shape&, const Fault&, const Outcome&)>;
void sweep(size_t first, size_t step, const Visitor& visit);

/// A boot for people: "mixed devices, RTAS call 17: H_BUSY".
std::string describe(const Shape& shape, const Fault& fault);

} // namespace spillway::test
