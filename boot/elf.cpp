// SPDX-License-Identifier: BSD-2-Clause
#include "boot/elf.h"

#include "base/endian.h"

namespace spillway::boot {
namespace {

constexpr std::byte magic[] = {std::byte{0x7F}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}};
constexpr uint8_t class_32 = 1, class_64 = 2;
constexpr uint8_t data_little = 1, data_big = 2;
constexpr uint16_t type_executable = 2, type_shared = 3;
constexpr uint16_t machine_ppc = 20, machine_ppc64 = 21;
constexpr uint32_t load_segment = 1;
constexpr uint32_t flag_executable = 1;

/// Offsets of the fields that differ between the classes.
struct Layout {
    uint64_t header_size, entry, header_table, entry_size, entry_count;
    uint64_t program_header_size, flags, offset, virtual_address, physical_address, file_size,
        memory_size;
};
constexpr Layout layout_32 = {52, 24, 28, 42, 44, 32, 24, 4, 8, 12, 16, 20};
constexpr Layout layout_64 = {64, 24, 32, 54, 56, 56, 4, 8, 16, 24, 32, 40};

constexpr const Layout& layout(bool is_64) {
    return is_64 ? layout_64 : layout_32;
}

} // namespace

bool Elf::has_magic(std::span<const std::byte> bytes) {
    return bytes.size() >= sizeof magic && std::memcmp(bytes.data(), magic, sizeof magic) == 0;
}

template<typename Integer> Integer Elf::read(uint64_t offset) const {
    Integer raw;
    std::memcpy(&raw, &bytes_[offset], sizeof raw);
    const bool swap = is_little_ != (std::endian::native == std::endian::little);
    return swap ? swap_bytes(raw) : raw;
}

uint64_t Elf::read_word(uint64_t offset) const {
    return is_64_ ? read<uint64_t>(offset) : read<uint32_t>(offset);
}

Result<Elf> Elf::open(std::span<const std::byte> bytes) {
    if (!has_magic(bytes)) return fail(ErrorCode::malformed, "ELF: no magic number");
    if (bytes.size() < layout_32.header_size) {
        return fail(ErrorCode::malformed, "ELF: %zu bytes are less than a header", bytes.size());
    }
    Elf elf{bytes};
    const auto file_class = std::to_integer<uint8_t>(bytes[4]);
    const auto data = std::to_integer<uint8_t>(bytes[5]);
    elf.is_64_ = file_class == class_64;
    elf.is_little_ = data == data_little;
    const bool known = (file_class == class_64 && (data == data_little || data == data_big)) ||
                       (file_class == class_32 && data == data_big);
    if (!known) {
        return fail(ErrorCode::unsupported, "ELF: class %u with byte order %u is not run here",
                    file_class, data);
    }
    const Layout& at = layout(elf.is_64_);
    if (bytes.size() < at.header_size) {
        return fail(ErrorCode::malformed, "ELF: %zu bytes are less than a header", bytes.size());
    }
    const auto type = elf.read<uint16_t>(16);
    const auto machine = elf.read<uint16_t>(18);
    if (machine != (elf.is_64_ ? machine_ppc64 : machine_ppc)) {
        return fail(ErrorCode::unsupported, "ELF: a program for machine %u, not PowerPC", machine);
    }
    if (type != type_executable && type != type_shared) {
        return fail(ErrorCode::unsupported, "ELF: type %u is not a program", type);
    }
    elf.entry_ = elf.read_word(at.entry);
    const uint64_t table = elf.read_word(at.header_table);
    const auto entry_size = elf.read<uint16_t>(at.entry_size);
    const auto entry_count = elf.read<uint16_t>(at.entry_count);
    if (entry_size != at.program_header_size) {
        return fail(ErrorCode::malformed, "ELF: program headers of %u bytes, not %u", entry_size,
                    static_cast<unsigned>(at.program_header_size));
    }
    const uint64_t table_size = uint64_t{entry_size} * entry_count;
    if (table > bytes.size() || table_size > bytes.size() - table) {
        return fail(ErrorCode::malformed,
                    "ELF: %u program headers at 0x%llx lie outside the %zu bytes there are",
                    entry_count, static_cast<unsigned long long>(table), bytes.size());
    }
    for (uint64_t header = table; header < table + table_size; header += entry_size) {
        if (elf.read<uint32_t>(header) != load_segment) continue;
        if (elf.read_word(header + at.memory_size) == 0) continue;
        if (elf.segment_count_ == most_segments) {
            return fail(ErrorCode::unsupported, "ELF: more than %zu loadable segments",
                        most_segments);
        }
        elf.segments_[elf.segment_count_++] = header;
    }
    if (elf.segment_count_ == 0) return fail(ErrorCode::malformed, "ELF: nothing to load");
    return elf;
}

ElfSegment Elf::segment(size_t index) const {
    const Layout& at = layout(is_64_);
    const uint64_t header = segments_[index];
    return {
        .offset = read_word(header + at.offset),
        .virtual_address = read_word(header + at.virtual_address),
        .physical_address = read_word(header + at.physical_address),
        .file_size = read_word(header + at.file_size),
        .memory_size = read_word(header + at.memory_size),
        .executable = (read<uint32_t>(header + at.flags) & flag_executable) != 0,
    };
}

} // namespace spillway::boot
