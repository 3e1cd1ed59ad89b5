// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/elf.h"

#include "boot/program.h"
#include "tests/host/fake_hypervisor.h"

#include <array>
#include <cstring>
#include <vector>

#include <sanitizer/asan_interface.h>

namespace spillway::fuzz {
namespace {

using Owner = MemoryMap::Owner;

constexpr uint64_t ram_size = 0x4000;
constexpr PhysicalRange firmware{{0}, 0x1000};
constexpr PhysicalRange stacks{{ram_size - 0x1000}, 0x1000};
constexpr PhysicalRange open_memory{firmware.end(), stacks.start - firmware.end()};
constexpr PhysicalAddress image_start{0x1800};
constexpr uint64_t largest_image = 0x400;

/// What free memory holds before a run.
constexpr auto fresh = [] {
    std::array<std::byte, open_memory.size> bytes{};
    bytes.fill(std::byte{0x5A});
    return bytes;
}();

/// Small, so that a run is short; what the firmware owns cannot be touched.
class Machine : public test::FakeHypervisor {
public:
    Machine()
        : FakeHypervisor(ram_size) {
        for (const PhysicalRange range : {firmware, stacks})
            ASAN_POISON_MEMORY_REGION(pointer(range.start), range.size);
    }
};

bool is_fresh(std::span<const std::byte> bytes) {
    return std::memcmp(bytes.data(), fresh.data(), bytes.size()) == 0;
}

} // namespace

void run_elf(Input& input, uint8_t file_class) {
    static Machine machine;
    const auto bytes = [](PhysicalRange range) {
        return std::span{machine.pointer(range.start), range.size};
    };
    const uint8_t flags = input.byte();
    const PhysicalRange image{image_start, input.number<uint16_t>() % largest_image + 1};
    std::memcpy(bytes(open_memory).data(), fresh.data(), fresh.size());
    std::vector<std::byte> file(image.size);
    std::ranges::copy(input.bytes(image.size), file.begin());
    const std::byte head[] = {std::byte{0x7F}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'},
                              std::byte{file_class}};
    if ((flags & 0xF0) != 0) std::copy_n(head, std::min(file.size(), sizeof head), file.begin());
    std::memcpy(bytes(image).data(), file.data(), file.size());

    MemoryMap memory;
    demand(memory.add_ram({{0}, ram_size}) && memory.claim(firmware, Owner::firmware) &&
               memory.claim(stacks, Owner::firmware) && memory.claim(image, Owner::loaded),
           "the machine is set up");
    const auto program = boot::prepare_program(image, (flags & 1) != 0, memory);
    demand(std::memcmp(bytes(image).data(), file.data(), file.size()) == 0,
           "the image is unchanged");
    size_t free = 0;
    memory.for_each_free([&](PhysicalRange range) {
        free += range.size;
        demand(is_fresh(bytes(range)), "what is free has not been written to");
    });
    if (program) {
        demand(memory.touches({program->entry, 1}, Owner::loaded), "the entry is in the program");
    } else {
        demand(free + image.size == open_memory.size, "a refused program claims nothing");
    }
}

} // namespace spillway::fuzz
