// SPDX-License-Identifier: BSD-2-Clause
#include "boot/program.h"

#include "base/log.h"
#include "boot/elf.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace spillway::boot {
namespace {

using Long = unsigned long long;

/// QEMU places the segment with physical address p at (p & this) + the image's base.
constexpr uint64_t qemu_address_mask = 0x0FFFFFFF;
constexpr uint64_t client_limit = uint64_t{1} << 32;
constexpr char no_entry[] = "ELF: entry point 0x%llx is in no executable segment";

/// Segment sizes and file ranges that make sense, whichever way the program was brought here.
Result<void> check_segments(const Elf& elf) {
    for (size_t i = 0; i < elf.segment_count(); ++i) {
        const ElfSegment segment = elf.segment(i);
        if (segment.file_size > segment.memory_size) {
            return fail(ErrorCode::malformed, "ELF: segment %zu has 0x%llx bytes for 0x%llx", i,
                        Long{segment.file_size}, Long{segment.memory_size});
        }
        const PhysicalRange range{{segment.physical_address}, segment.memory_size};
        const PhysicalRange virtual_range{{segment.virtual_address}, segment.memory_size - 1};
        if (range.wraps() || virtual_range.wraps()) {
            return fail(ErrorCode::malformed, "ELF: segment %zu wraps around the address space", i);
        }
        for (size_t k = 0; k < i; ++k) {
            const ElfSegment other = elf.segment(k);
            if (range.overlaps({{other.physical_address}, other.memory_size})) {
                return fail(ErrorCode::malformed, "ELF: segments %zu and %zu overlap", k, i);
            }
        }
    }
    return {};
}

bool holds_entry(const ElfSegment& segment, uint64_t entry) {
    return segment.executable && entry >= segment.virtual_address &&
           entry - segment.virtual_address < segment.file_size;
}

bool qemu_placed(const Elf& elf, uint64_t image_size) {
    uint64_t total = 0;
    for (size_t i = 0; i < elf.segment_count(); ++i)
        total += elf.segment(i).memory_size; // without overflow: they do not overlap either
    return total == image_size && elf.segment(0).offset == 0;
}

/// Memory for the segments; given back unless all of them got theirs.
class Claims {
public:
    explicit Claims(MemoryMap& memory)
        : memory_(memory) {}
    ~Claims() {
        for (; count_ > 0; --count_)
            (void)memory_.release(ranges_[count_ - 1], MemoryMap::Owner::loaded);
    }
    Claims(const Claims&) = delete;
    Claims& operator=(const Claims&) = delete;

    bool add(PhysicalRange range) {
        if (!memory_.claim(range, MemoryMap::Owner::loaded)) return false;
        ranges_[count_++] = range;
        return true;
    }
    void keep() { count_ = 0; }

private:
    MemoryMap& memory_;
    PhysicalRange ranges_[Elf::most_segments];
    size_t count_ = 0;
};

/// Where QEMU has put a segment: the first one, with the header, is at the image's start.
PhysicalRange placed_segment(const Elf& elf, size_t index, PhysicalRange image) {
    const ElfSegment segment = elf.segment(index);
    const uint64_t first = elf.segment(0).physical_address & qemu_address_mask;
    const uint64_t offset = (segment.physical_address & qemu_address_mask) - first;
    return {image.start + offset, segment.memory_size};
}

/// The size that QEMU gives and reserves is the sum of the segments' sizes: when there are gaps
/// between them, the last ones lie behind it.
Result<void> claim_behind(const Elf& elf, PhysicalRange image, MemoryMap& memory) {
    Claims claims{memory};
    for (size_t i = 0; i < elf.segment_count(); ++i) {
        const PhysicalRange whole = placed_segment(elf, i, image);
        if (image.contains(whole)) continue;
        PhysicalRange rest = whole;
        if (image.contains(whole.start)) rest = {image.end(), whole.end() - image.end()};
        if (!claims.add(rest)) {
            return fail(ErrorCode::out_of_range,
                        "ELF: segment %zu is at 0x%llx + 0x%llx, which is not free RAM", i,
                        Long{whole.start.value}, Long{whole.size});
        }
    }
    claims.keep();
    return {};
}

/// QEMU has laid the segments out from the image's start: only the entry point is to be found.
Result<PhysicalAddress> use_in_place(const Elf& elf, PhysicalRange image, MemoryMap& memory) {
    for (size_t i = 0; i < elf.segment_count(); ++i) {
        const ElfSegment segment = elf.segment(i);
        if (!holds_entry(segment, elf.entry())) continue;
        if (auto claimed = claim_behind(elf, image, memory); !claimed) return error_of(claimed);
        return placed_segment(elf, i, image).start + (elf.entry() - segment.virtual_address);
    }
    return fail(ErrorCode::malformed, no_entry, Long{elf.entry()});
}

/// One segment of a file: its bytes are there, and the memory that it wants is free.
Result<void> claim_segment(const ElfSegment& segment, size_t index, PhysicalRange image,
                           Claims& claims) {
    if (segment.offset > image.size || segment.file_size > image.size - segment.offset) {
        return fail(ErrorCode::malformed,
                    "ELF: segment %zu ends at 0x%llx of a file of 0x%llx bytes", index,
                    Long{segment.offset} + Long{segment.file_size}, Long{image.size});
    }
    const PhysicalRange target{{segment.physical_address}, segment.memory_size};
    if (target.end().value > client_limit) {
        return fail(ErrorCode::out_of_range, "ELF: segment %zu wants 0x%llx, beyond 4 GiB", index,
                    Long{target.start.value});
    }
    if (!claims.add(target)) {
        return fail(ErrorCode::out_of_range,
                    "ELF: segment %zu wants 0x%llx + 0x%llx, which is not free RAM", index,
                    Long{target.start.value}, Long{target.size});
    }
    return {};
}

/// Copies each segment of a file to its physical address, once all of them have their memory. Not
/// inlined: so it gives its stack frame back.
[[gnu::noinline]] Result<PhysicalAddress> load_file(const Elf& elf, PhysicalRange image,
                                                    MemoryMap& memory) {
    std::optional<PhysicalAddress> entry;
    Claims claims{memory};
    for (size_t i = 0; i < elf.segment_count(); ++i) {
        const ElfSegment segment = elf.segment(i);
        if (auto claimed = claim_segment(segment, i, image, claims); !claimed) {
            return error_of(claimed);
        }
        if (holds_entry(segment, elf.entry())) {
            entry = {segment.physical_address + (elf.entry() - segment.virtual_address)};
        }
    }
    if (!entry) return fail(ErrorCode::malformed, no_entry, Long{elf.entry()});
    for (size_t i = 0; i < elf.segment_count(); ++i) {
        const ElfSegment segment = elf.segment(i);
        std::byte* to = to_pointer({segment.physical_address});
        std::memcpy(to, to_pointer(image.start + segment.offset), segment.file_size);
        std::memset(to + segment.file_size, 0, segment.memory_size - segment.file_size);
    }
    claims.keep();
    return *entry;
}

Result<Program> prepare_flat(PhysicalRange image, bool little_endian) {
    // The first instruction of a program is not 0: QEMU has put the segments elsewhere.
    const std::byte* first = to_pointer(image.start);
    if (image.size < 4 ||
        std::all_of(first, first + 4, [](std::byte b) { return b == std::byte{}; })) {
        return fail(ErrorCode::malformed,
                    "nothing to run at 0x%llx: QEMU placed the program's segments elsewhere "
                    "(link it at physical address 0)",
                    Long{image.start.value});
    }
    if (little_endian) return Program{image.start, Mode::little_64, "flat little-endian image"};
    return Program{image.start, Mode::big_32, "flat big-endian image"};
}

} // namespace

Result<Program> prepare_program(PhysicalRange image, bool little_endian, MemoryMap& memory) {
    if (!memory.is_ram(image) || image.end().value > client_limit) {
        return fail(ErrorCode::out_of_range, "the program at 0x%llx + 0x%llx is not in RAM",
                    Long{image.start.value}, Long{image.size});
    }
    if (memory.touches(image, MemoryMap::Owner::firmware)) {
        return fail(ErrorCode::out_of_range, "the program at 0x%llx + 0x%llx covers the firmware",
                    Long{image.start.value}, Long{image.size});
    }
    const std::span bytes{to_pointer(image.start), image.size};
    if (!Elf::has_magic(bytes)) return prepare_flat(image, little_endian);

    const auto elf = Elf::open(bytes);
    if (!elf) return error_of(elf);
    if (auto checked = check_segments(*elf); !checked) return error_of(checked);
    const auto entry = qemu_placed(*elf, image.size) ? use_in_place(*elf, image, memory)
                                                     : load_file(*elf, image, memory);
    if (!entry) return error_of(entry);
    if (!elf->is_64()) return Program{*entry, Mode::big_32, "ELF32 big-endian"};
    if (!elf->is_little()) return Program{*entry, Mode::big_64, "ELF64 big-endian"};
    return Program{*entry, Mode::little_64, "ELF64 little-endian"};
}

} // namespace spillway::boot
