// SPDX-License-Identifier: BSD-2-Clause
// ELF files for tests, good ones and ones that lie.
#pragma once

#include "boot/program.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <ostream>
#include <vector>

namespace spillway::test {

/// One of the three formats that are run.
struct Format {
    const char* name;
    bool is_64, is_little;
    boot::Mode mode;
};
inline constexpr Format formats[] = {
    {"ELF32 big-endian", false, false, boot::Mode::big_32},
    {"ELF64 big-endian", true, false, boot::Mode::big_64},
    {"ELF64 little-endian", true, true, boot::Mode::little_64},
};
inline std::ostream& operator<<(std::ostream& stream, const Format& format) {
    return stream << format.name;
}

struct Segment {
    uint64_t offset, address, physical, file_size, memory_size;
    uint32_t flags = 5, type = 1;
};

/// An ELF file, field by field; what is not set is right.
struct File {
    explicit File(Format format_)
        : format(format_)
        , machine(format_.is_64 ? 21 : 20)
        , header_size(format_.is_64 ? 64 : 52)
        , entry_size(format_.is_64 ? 56 : 32)
        , table(header_size) {}

    Format format;
    uint8_t file_class = 0, data = 0; ///< 0: the format's
    uint16_t type = 2, machine;
    size_t header_size;
    uint16_t entry_size;
    uint64_t table; ///< offset of the program headers
    std::optional<uint16_t> entry_count;
    uint64_t entry = 0;
    std::vector<Segment> segments;
    size_t size = 0; ///< of the file, when more than headers

    void put(std::vector<std::byte>& to, size_t offset, uint64_t value, size_t width) const {
        if (to.size() < offset + width) to.resize(offset + width);
        for (size_t i = 0; i < width; ++i) {
            const size_t shift = 8 * (format.is_little ? i : width - 1 - i);
            to[offset + i] = static_cast<std::byte>(value >> shift);
        }
    }

    std::vector<std::byte> bytes() const {
        const size_t word = format.is_64 ? 8 : 4;
        std::vector<std::byte> file(std::max(size, header_size));
        const uint8_t magic[] = {0x7F, 'E', 'L', 'F'};
        std::memcpy(file.data(), magic, sizeof magic);
        file[4] = std::byte{file_class != 0 ? file_class : uint8_t(format.is_64 ? 2 : 1)};
        file[5] = std::byte{data != 0 ? data : uint8_t(format.is_little ? 1 : 2)};
        file[6] = std::byte{1};
        put(file, 16, type, 2);
        put(file, 18, machine, 2);
        put(file, 20, 1, 4);
        put(file, 24, entry, word);
        put(file, format.is_64 ? 32 : 28, table, word);
        put(file, format.is_64 ? 54 : 42, entry_size, 2);
        put(file, format.is_64 ? 56 : 44,
            entry_count.value_or(static_cast<uint16_t>(segments.size())), 2);
        for (size_t i = 0; i < segments.size(); ++i) {
            const Segment& segment = segments[i];
            const size_t at = header_size + i * (format.is_64 ? 56 : 32);
            put(file, at, segment.type, 4);
            if (format.is_64) {
                put(file, at + 4, segment.flags, 4);
                put(file, at + 8, segment.offset, 8);
                put(file, at + 16, segment.address, 8);
                put(file, at + 24, segment.physical, 8);
                put(file, at + 32, segment.file_size, 8);
                put(file, at + 40, segment.memory_size, 8);
            } else {
                put(file, at + 4, segment.offset, 4);
                put(file, at + 8, segment.address, 4);
                put(file, at + 12, segment.physical, 4);
                put(file, at + 16, segment.file_size, 4);
                put(file, at + 20, segment.memory_size, 4);
                put(file, at + 24, segment.flags, 4);
            }
        }
        return file;
    }
};

} // namespace spillway::test
