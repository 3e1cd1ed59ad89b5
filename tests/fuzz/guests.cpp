// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/guests.h"

#include "tests/fuzz/trees.h"

#include <sanitizer/asan_interface.h>

namespace spillway::fuzz {

using of::test::Guest;

GuardedGuest::GuardedGuest() {
    for (const PhysicalRange range : {image, stacks})
        ASAN_POISON_MEMORY_REGION(at(range.start.value), range.size);
}

GuardedGuest::~GuardedGuest() {
    for (const PhysicalRange range : {image, stacks})
        ASAN_UNPOISON_MEMORY_REGION(at(range.start.value), range.size);
}

void let_negotiate(Guest& guest) {
    guest.platform.negotiate = [&guest]() -> Result<void> {
        fdt::Tree newer;
        fdt::Node& root = *newer.root();
        of::test::set(newer, root, "model", "negotiated");
        of::test::set(newer, of::test::add_node(newer, root, "cpus"), "#size-cells", "\0\0\0\0");
        of::test::set(newer, of::test::add_node(newer, root, "memory@0"), "reg",
                      of::test::cells({0, 0, 0, static_cast<uint32_t>(Guest::ram_size)}));
        const std::vector<std::byte> blob = written(newer);
        return fdt::merge_blob(blob, guest.tree);
    };
}

void demand_available(Guest& guest) {
    fdt::Node* const memory = guest.tree.find("/memory@0");
    if (memory == nullptr) return;
    const fdt::Property* const available = guest.tree.property(*memory, "available");
    const fdt::Property* const reg = guest.tree.property(*memory, "reg");
    if (available == nullptr || guest.tree.origin(*available) != fdt::Origin::firmware) return;
    if (reg == nullptr || guest.tree.origin(*reg) != fdt::Origin::hypervisor) return;
    const fdt::Node& root = *guest.tree.root();
    if (guest.tree.cell(root, "#address-cells", 0) != 2) return;
    if (guest.tree.cell(root, "#size-cells", 0) != 2) return;
    const fdt::Bytes listed = guest.tree.value(*available);
    size_t at = 0;
    guest.memory.for_each_free([&](PhysicalRange free) {
        if (free.start.value >= Guest::ram_size) return;
        demand(at + 16 <= listed.size(), "every free stretch is listed");
        demand(load<Big64>(&listed[at]) == free.start.value &&
                   load<Big64>(&listed[at + 8]) == free.size,
               "as it is");
        at += 16;
    });
    demand(at == listed.size(), "and nothing else");
}

} // namespace spillway::fuzz
