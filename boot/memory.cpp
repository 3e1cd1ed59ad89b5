// SPDX-License-Identifier: BSD-2-Clause
#include "boot/memory.h"

#include "base/log.h"
#include "fdt/cells.h"

#include <libfdt.h>
#include <string_view>

extern "C" char memory_end[]; // linker/spillway.lds

namespace spillway::boot {
namespace {

constexpr uint64_t least_real_mode_area = 128 << 20;
/// Clients have 32-bit pointers and the firmware stays low, so higher RAM is nobody's concern.
constexpr uint64_t concern = uint64_t{1} << 32;

Result<void> add_node(const void* tree, int node, MemoryMap& memory) {
    int length = 0;
    const void* type = fdt_getprop(tree, node, "device_type", &length);
    constexpr std::string_view type_of_memory{"memory", sizeof "memory"};
    if (type == nullptr || std::string_view{static_cast<const char*>(type),
                                            static_cast<size_t>(length)} != type_of_memory) {
        return {};
    }
    const void* reg = fdt_getprop(tree, node, "reg", &length);
    if (reg == nullptr) return {};
    fdt::CellReader cells{{static_cast<const std::byte*>(reg), static_cast<size_t>(length)}};
    while (cells.cells_left() >= 4) {
        const PhysicalRange range{{*cells.number(2)}, *cells.number(2)};
        if (range.start.value >= concern || range.size == 0) continue;
        if (auto added = memory.add_ram(range); !added) return added;
    }
    return {};
}

struct Reservations {
    MemoryMap* memory;
    Result<void> result;
};

void claim_reservation(PhysicalRange range, void* context) {
    auto& reservations = *static_cast<Reservations*>(context);
    if (!reservations.result) return;
    if (auto claimed = reservations.memory->claim(range, MemoryMap::Owner::loaded); !claimed) {
        reservations.result =
            fail(claimed.error().code, "the tree's reservations: %s", claimed.error().message);
    }
}

} // namespace

Result<void> map_memory(fdt::Bytes blob, MemoryMap& memory) {
    int node = 0;
    fdt_for_each_subnode(node, blob.data(), 0) {
        if (auto added = add_node(blob.data(), node, memory); !added) return added;
    }
    const PhysicalRange low = real_mode_area(memory);
    if (low.start.value != 0 || low.size < least_real_mode_area) {
        return fail(ErrorCode::unsupported, "memory@0 has %llu MiB, needs 128 at least",
                    static_cast<unsigned long long>(low.size >> 20));
    }
    const PhysicalRange ours{{}, to_physical(memory_end).value};
    if (auto done = memory.claim(ours, MemoryMap::Owner::firmware); !done) return done;
    const PhysicalRange tree{to_physical(blob.data()), blob.size()};
    if (auto done = memory.claim(tree, MemoryMap::Owner::loaded); !done) return done;
    Reservations reservations{&memory, {}};
    fdt::for_each_reservation(blob, claim_reservation, &reservations);
    return reservations.result;
}

PhysicalRange real_mode_area(const MemoryMap& memory) {
    return memory.ram().empty() ? PhysicalRange{} : memory.ram().front();
}

} // namespace spillway::boot
