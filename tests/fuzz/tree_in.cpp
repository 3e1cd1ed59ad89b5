// SPDX-License-Identifier: BSD-2-Clause
// A tree as the hypervisor hands it over: any bytes. A blob that is accepted is a tree that can be
// walked, found, written and read again, and whose numbers can be asked for.
#include "base/clock.h"
#include "boot/machine.h"
#include "tests/fuzz/trees.h"

namespace spillway::fuzz {

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
    return mutate_blob(data, size, most, seed);
}

void run(Input input) {
    AlignedCopy copy{input.bytes()};
    const auto blob = fdt::check_blob(copy.data(), copy.size());
    if (!blob) return;
    demand(blob->data() == copy.data() && blob->size() <= copy.size(),
           "the blob is what was given");

    boot::find_rtas_tokens(*blob);
    fdt::blob_property(*blob, "/chosen", "bootargs");
    size_t reservations = 0;
    fdt::for_each_reservation(
        *blob, [](PhysicalRange, void* count) { ++*static_cast<size_t*>(count); }, &reservations);
    demand(reservations * 16 <= blob->size(), "reservations lie in the blob");

    fdt::Tree tree;
    const bool read = fdt::read_blob(*blob, tree).has_value();
    demand_round_trip(tree);
    if (!read) return;
    boot::find_timebase_frequency(tree);
    boot::find_kernel(tree);
    const PhysicalRange initrd = boot::find_initrd(tree);
    demand(!initrd.wraps(), "the initrd ends behind its start");
}

} // namespace spillway::fuzz
