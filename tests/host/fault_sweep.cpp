// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/fault_sweep.h"

namespace spillway::test {

void sweep(size_t first, size_t step, const Visitor& visit) {
    size_t number = 0;
    for (const Shape& shape : shapes()) {
        for (const Fault& fault : faults(boot(shape).counts)) {
            if (number++ % step == first) visit(shape, fault, boot(shape, {&fault, 1}));
        }
    }
}

std::string describe(const Shape& shape, const Fault& fault) {
    return std::string{shape.name} + ", " + name(fault.channel) + " " +
           std::to_string(fault.first) + (fault.for_ever ? " and all after it: " : ": ") +
           fault.failure->name;
}

} // namespace spillway::test
