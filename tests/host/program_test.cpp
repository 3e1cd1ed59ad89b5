// SPDX-License-Identifier: BSD-2-Clause
// Programs of every form, and ELF headers that lie.
#include "boot/elf.h"
#include "boot/program.h"
#include "tests/host/elf_file.h"
#include "tests/host/fake_hypervisor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace spillway::boot {
namespace {

using Owner = MemoryMap::Owner;
using test::File;
using test::Format;
using test::formats;
using test::Segment;

constexpr uint64_t mib = 1 << 20;
constexpr uint64_t ram_size = 64 * mib;
constexpr uint64_t image_start = 4 * mib;    ///< where QEMU puts programs
constexpr uint64_t load_address = 0x2000000; ///< free RAM
constexpr size_t code_size = 64;

/// As a linker makes it: text with a tail of zeroes, then data. Not what QEMU would have placed.
File good_file(Format format) {
    File file{format};
    file.entry = load_address;
    file.segments = {{0x200, load_address, load_address, code_size, code_size, 5},
                     {0x300, load_address + 0x10000, load_address + 0x10000, 0x20, 0x2000, 6}};
    file.size = 0x400;
    return file;
}

class Programs : public testing::Test {
protected:
    Programs() {
        EXPECT_TRUE(memory.add_ram({{0}, ram_size}));
        EXPECT_TRUE(memory.claim({{0}, mib}, Owner::firmware));
    }

    /// Puts the image where QEMU does, and reserves what QEMU says it has.
    void place(const std::vector<std::byte>& bytes, std::optional<uint64_t> said_size = {}) {
        image = {{image_start}, said_size.value_or(bytes.size())};
        std::memcpy(machine.pointer(image.start), bytes.data(), bytes.size());
        EXPECT_TRUE(memory.claim(image, Owner::loaded));
    }
    Result<Program> prepare(bool little_endian = false) {
        return prepare_program(image, little_endian, memory);
    }

    /// Refused with these words, and everything is free that was.
    void expect_refused(std::string_view words) {
        const auto claims = owned_claims();
        const auto program = prepare();
        ASSERT_FALSE(program) << "runs it as " << program->format;
        EXPECT_NE(std::string_view{program.error().message}.find(words), std::string::npos)
            << program.error().message;
        EXPECT_EQ(owned_claims(), claims);
    }
    void expect_refused(const File& file, std::string_view words) {
        place(file.bytes());
        expect_refused(words);
    }

    std::vector<std::tuple<uint64_t, uint64_t, Owner>> owned_claims() const {
        std::vector<std::tuple<uint64_t, uint64_t, Owner>> result;
        for (const auto& claim : memory.claims())
            result.emplace_back(claim.range.start.value, claim.range.size, claim.owner);
        return result;
    }
    bool filled(uint64_t address, uint64_t size, int value) const {
        const auto* bytes = machine.pointer({address});
        return std::all_of(bytes, bytes + size,
                           [&](std::byte b) { return b == static_cast<std::byte>(value); });
    }

    test::FakeHypervisor machine{ram_size};
    MemoryMap memory;
    PhysicalRange image;
};

// --- flat images

TEST_F(Programs, FlatBigEndian) {
    place(std::vector(64, std::byte{0x60}));
    const auto program = prepare(false);
    ASSERT_TRUE(program);
    EXPECT_EQ(program->entry.value, image_start);
    EXPECT_EQ(program->mode, Mode::big_32);
    EXPECT_STREQ(program->format, "flat big-endian image");
}

TEST_F(Programs, FlatLittleEndian) {
    place(std::vector(4, std::byte{0x60}));
    const auto program = prepare(true);
    ASSERT_TRUE(program);
    EXPECT_EQ(program->mode, Mode::little_64);
    EXPECT_STREQ(program->format, "flat little-endian image");
}

TEST_F(Programs, FlatOfZeroes) {
    place(std::vector(64, std::byte{0}));
    expect_refused("nothing to run at 0x400000");
}

TEST_F(Programs, FlatOfThreeBytes) {
    place(std::vector(3, std::byte{0x60}));
    expect_refused("nothing to run at 0x400000");
}

TEST_F(Programs, MagicNumberAlone) {
    place({std::byte{0x7F}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}});
    expect_refused("ELF: 4 bytes are less than a header");
}

struct Place {
    uint64_t start, size;
    const char* words;
};
class ImagePlaces : public Programs, public testing::WithParamInterface<Place> {};

TEST_P(ImagePlaces, Refused) {
    image = {{GetParam().start}, GetParam().size};
    expect_refused(GetParam().words);
}

INSTANTIATE_TEST_SUITE_P(All, ImagePlaces,
                         testing::Values(Place{image_start, 0, "is not in RAM"},
                                         Place{ram_size, 4096, "is not in RAM"},
                                         Place{ram_size - 4, 8, "is not in RAM"},
                                         Place{UINT64_MAX - 3, 4, "is not in RAM"},
                                         Place{image_start, UINT64_MAX, "is not in RAM"},
                                         Place{UINT64_MAX, UINT64_MAX, "is not in RAM"},
                                         Place{uint64_t{1} << 32, 4096, "is not in RAM"},
                                         Place{0, 4096, "covers the firmware"},
                                         Place{mib - 4, 8, "covers the firmware"}));

TEST_F(Programs, ImageBeyondFourGiB) {
    ASSERT_TRUE(memory.add_ram({{uint64_t{1} << 32}, mib}));
    image = {{uint64_t{1} << 32}, 4096};
    expect_refused("is not in RAM");
}

// --- ELF programs that QEMU has placed, and ELF files

class Elfs : public Programs, public testing::WithParamInterface<Format> {};
INSTANTIATE_TEST_SUITE_P(Formats, Elfs, testing::ValuesIn(formats), [](const auto& test) {
    return std::string{test.param.is_64 ? "Elf64" : "Elf32"} +
           (test.param.is_little ? "Little" : "Big");
});

/// One segment that begins with the ELF header, as QEMU puts it.
File placed_file(Format format, uint64_t physical, uint64_t memory_size = 0x1000) {
    File file{format};
    file.segments = {{0, 0x10000000, physical, 0x400, memory_size, 7}};
    file.entry = 0x10000000 + 0x200;
    file.size = 0x400;
    return file;
}

TEST_P(Elfs, PlacedByQemu) {
    place(placed_file(GetParam(), 0).bytes(), 0x1000);
    const auto claims = owned_claims();
    const auto program = prepare(!GetParam().is_little);
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->entry.value, image_start + 0x200);
    EXPECT_EQ(program->mode, GetParam().mode) << "the header decides, not the property";
    EXPECT_STREQ(program->format, GetParam().name);
    EXPECT_EQ(owned_claims(), claims);
}

TEST_P(Elfs, PlacedByQemuElsewhereThanAtItsPhysicalAddress) {
    place(placed_file(GetParam(), 0x30000000).bytes(), 0x1000);
    const auto program = prepare();
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->entry.value, image_start + 0x200);
}

TEST_P(Elfs, PlacedInTwoSegments) {
    File file = placed_file(GetParam(), 0x100000, 0x10000);
    file.segments[0].flags = 4;
    file.segments.push_back({0x1000, 0x20000000, 0x110000, 0x1000, 0x1000, 5});
    file.entry = 0x20000010;
    place(file.bytes(), 0x11000);
    const auto program = prepare();
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->entry.value, image_start + 0x10010);
}

/// QEMU says how much memory the segments take together, not how far they reach.
TEST_P(Elfs, PlacedWithAGap) {
    File file = placed_file(GetParam(), 0);
    file.segments.push_back({0x1000, 0x20000000, 0x110000, 0x1000, 0x3000, 6});
    place(file.bytes(), 0x4000);
    const auto program = prepare();
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->entry.value, image_start + 0x200);
    EXPECT_TRUE(memory.touches({{image_start + 0x110000}, 1}, Owner::loaded));
    EXPECT_TRUE(memory.touches({{image_start + 0x112fff}, 1}, Owner::loaded));
    EXPECT_FALSE(memory.touches({{image_start + 0x113000}, 1}, Owner::loaded));
    EXPECT_FALSE(memory.touches({{image_start + 0x4000}, 0x10c000}, Owner::loaded));
}

TEST_P(Elfs, PlacedOverTheInitrd) {
    File file = placed_file(GetParam(), 0);
    file.segments.push_back({0x1000, 0x20000000, 0x110000, 0x1000, 0x3000, 6});
    ASSERT_TRUE(memory.claim({{image_start + 0x112000}, 0x1000}, Owner::loaded));
    place(file.bytes(), 0x4000);
    expect_refused("segment 1 is at 0x510000 + 0x3000, which is not free RAM");
}

TEST_P(Elfs, PlacedWithTheEntryOutside) {
    for (const uint64_t entry : {0x0fffffffu, 0x10000400u, 0x10000fffu, 0u, 0xfffffffcu}) {
        memory = {};
        ASSERT_TRUE(memory.add_ram({{0}, ram_size}));
        File file = placed_file(GetParam(), 0);
        file.entry = entry;
        place(file.bytes(), 0x1000);
        expect_refused("is in no executable segment");
    }
}

TEST_P(Elfs, PlacedWithTheEntryInData) {
    File file = placed_file(GetParam(), 0);
    file.segments[0].flags = 6;
    place(file.bytes(), 0x1000);
    expect_refused("entry point 0x10000200 is in no executable segment");
}

TEST_P(Elfs, File) {
    auto bytes = good_file(GetParam()).bytes();
    std::fill_n(&bytes[0x200], code_size, std::byte{0x11});
    std::fill_n(&bytes[0x300], 0x20, std::byte{0x22});
    place(bytes);
    std::memset(machine.pointer({load_address - 16}), 0xee, 0x20000);
    const auto program = prepare();
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->entry.value, load_address);
    EXPECT_EQ(program->mode, GetParam().mode);
    EXPECT_STREQ(program->format, GetParam().name);

    const uint64_t data = load_address + 0x10000;
    EXPECT_TRUE(filled(load_address - 16, 16, 0xee));
    EXPECT_TRUE(filled(load_address, code_size, 0x11));
    EXPECT_TRUE(filled(load_address + code_size, 0x10000 - code_size, 0xee));
    EXPECT_TRUE(filled(data, 0x20, 0x22));
    EXPECT_TRUE(filled(data + 0x20, 0x2000 - 0x20, 0));
    EXPECT_TRUE(filled(data + 0x2000, 16, 0xee));
    EXPECT_TRUE(memory.touches({{load_address}, 1}, Owner::loaded));
    EXPECT_TRUE(memory.touches({{data + 0x1fff}, 1}, Owner::loaded));
    EXPECT_FALSE(memory.touches({{data + 0x2000}, 1}, Owner::loaded));
}

TEST_P(Elfs, FileWhoseVirtualAddressesAreOthers) {
    File file = good_file(GetParam());
    file.segments[0].address = 0xc0000000;
    file.entry = 0xc0000010;
    place(file.bytes());
    const auto program = prepare();
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->entry.value, load_address + 0x10);
}

TEST_P(Elfs, SharedObjectIsRun) {
    File file = good_file(GetParam());
    file.type = 3;
    place(file.bytes());
    EXPECT_TRUE(prepare());
}

TEST_P(Elfs, OtherHeadersAreIgnored) {
    File file = good_file(GetParam());
    file.segments.insert(file.segments.begin(), {UINT64_MAX, 1, 2, 3, 1, 7, 4}); // a note
    file.segments.push_back({UINT64_MAX, 1, UINT64_MAX, UINT64_MAX, 1, 7, 3});   // an interpreter
    file.segments.push_back({UINT64_MAX, 1, UINT64_MAX, UINT64_MAX, 0, 7, 1});   // takes no memory
    place(file.bytes());
    const auto program = prepare();
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->entry.value, load_address);
}

TEST_P(Elfs, AdjacentSegmentsAndTheLastByteOfRam) {
    File file = good_file(GetParam());
    file.segments[1].physical = load_address + code_size;
    file.segments.push_back({0x300, 0x50000000, ram_size - 0x100, 0x10, 0x100, 6});
    place(file.bytes());
    const auto program = prepare();
    EXPECT_TRUE(program) << program.error().message;
}

TEST_P(Elfs, AsManySegmentsAsAreAllowed) {
    File file = good_file(GetParam());
    for (uint64_t i = file.segments.size(); i < Elf::most_segments; ++i)
        file.segments.push_back({0x300, 0x50000000, load_address + i * 0x100000, 4, 4, 6});
    file.size = 0x800;
    place(file.bytes());
    const auto program = prepare();
    EXPECT_TRUE(program) << program.error().message;
}

/// The file may be cut anywhere: it is refused, or what is missing was not needed.
TEST_P(Elfs, TruncatedAtEveryByte) {
    const auto whole = good_file(GetParam()).bytes();
    const size_t needed = 0x320; // the end of the last segment
    for (size_t size = 4; size < whole.size(); ++size) {
        SCOPED_TRACE(size);
        MemoryMap fresh;
        ASSERT_TRUE(fresh.add_ram({{0}, ram_size}));
        memory = fresh;
        // Right before the end of RAM, so that reading on would be noticed.
        image = {{ram_size - size}, size};
        std::memcpy(machine.pointer(image.start), whole.data(), size);
        ASSERT_TRUE(memory.claim(image, Owner::loaded));
        if (size < needed) {
            expect_refused("ELF: ");
        } else {
            EXPECT_TRUE(prepare());
        }
        if (HasFatalFailure()) break;
    }
}

/// Any bytes at all: nothing crashes, nothing is claimed without being run.
TEST_P(Elfs, RandomDamage) {
    std::mt19937_64 random{20240607};
    const auto whole = good_file(GetParam()).bytes();
    size_t runs = 0;
    for (int i = 0; i < 20000; ++i) {
        memory = {};
        ASSERT_TRUE(memory.add_ram({{0}, ram_size}));
        ASSERT_TRUE(memory.claim({{0}, mib}, Owner::firmware));
        auto bytes = whole;
        for (uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
            // The interesting bytes: identification, headers; and the interesting values.
            const std::byte values[] = {std::byte{0}, std::byte{1}, std::byte{0x7f},
                                        std::byte{0xff}, static_cast<std::byte>(random())};
            bytes[4 + random() % 172] = values[random() % std::size(values)];
        }
        place(bytes);
        const auto claims = owned_claims();
        if (const auto program = prepare()) {
            ++runs;
            EXPECT_TRUE(memory.is_ram({program->entry, 1}));
            EXPECT_FALSE(memory.touches({program->entry, 1}, Owner::firmware));
            EXPECT_TRUE(memory.touches({program->entry, 1}, Owner::loaded));
        } else {
            ASSERT_EQ(owned_claims(), claims) << program.error().message;
        }
    }
    EXPECT_TRUE(filled(0, mib, 0)) << "the firmware was written to";
    EXPECT_GT(runs, 100u);
    EXPECT_LT(runs, 19900u);
}

TEST(ElfHeader, NeedsTheMagicNumber) {
    std::vector<std::byte> bytes = good_file(formats[1]).bytes();
    bytes[3] = std::byte{'f'};
    const auto elf = Elf::open(bytes);
    ASSERT_FALSE(elf);
    EXPECT_STREQ(elf.error().message, "ELF: no magic number");
}

TEST(ElfHeader, OfSixtyFourBitsIsLongerThanOfThirtyTwo) {
    std::vector<std::byte> bytes = good_file(formats[1]).bytes();
    bytes.resize(56);
    const auto elf = Elf::open(bytes);
    ASSERT_FALSE(elf);
    EXPECT_STREQ(elf.error().message, "ELF: 56 bytes are less than a header");
}

// --- headers that lie

struct Lie {
    const char* name;
    std::function<void(File&)> tell;
    const char* words;
    bool only_64 = false; ///< needs more than 32 bits
};
std::ostream& operator<<(std::ostream& stream, const Lie& lie) {
    return stream << lie.name;
}

class Lies : public Programs, public testing::WithParamInterface<std::tuple<Format, Lie>> {};

TEST_P(Lies, AreRefused) {
    const auto& [format, lie] = GetParam();
    File file = good_file(format);
    lie.tell(file);
    expect_refused(file, lie.words);
}

constexpr uint64_t high = uint64_t{1} << 32;

const Lie lies[] = {
    {"Class0", [](File& f) { f.file_class = 0x80; }, "ELF: class 128 with byte order"},
    {"Class3", [](File& f) { f.file_class = 3; }, "is not run here"},
    {"OtherClass", [](File& f) { f.file_class = f.format.is_64 ? 1 : 2; }, "ELF: "},
    {"ByteOrder3", [](File& f) { f.data = 3; }, "with byte order 3 is not run here"},
    {"OtherByteOrder", [](File& f) { f.data = f.format.is_little ? 2 : 1; }, "ELF: "},
    {"MachineX86", [](File& f) { f.machine = 62; }, "ELF: a program for machine 62, not PowerPC"},
    {"MachineOfTheOtherClass", [](File& f) { f.machine = f.format.is_64 ? 20 : 21; },
     "not PowerPC"},
    {"TypeNone", [](File& f) { f.type = 0; }, "ELF: type 0 is not a program"},
    {"TypeRelocatable", [](File& f) { f.type = 1; }, "ELF: type 1 is not a program"},
    {"TypeCore", [](File& f) { f.type = 4; }, "ELF: type 4 is not a program"},
    {"TypeProcessor", [](File& f) { f.type = 0xff00; }, "ELF: type 65280 is not a program"},

    {"EntrySize0", [](File& f) { f.entry_size = 0; }, "ELF: program headers of 0 bytes"},
    {"EntrySizeLess", [](File& f) { f.entry_size -= 1; }, "ELF: program headers of "},
    {"EntrySizeMore", [](File& f) { f.entry_size += 8; }, "ELF: program headers of "},
    {"EntrySizeMost", [](File& f) { f.entry_size = 0xffff; }, "ELF: program headers of 65535"},
    {"NoHeaders", [](File& f) { f.entry_count = 0; }, "ELF: nothing to load"},
    {"MoreHeadersThanBytes", [](File& f) { f.entry_count = 100; },
     "ELF: 100 program headers at 0x"},
    {"MostHeaders", [](File& f) { f.entry_count = 0xffff; }, "ELF: 65535 program headers at 0x"},
    {"TableAtTheEnd", [](File& f) { f.table = f.size; }, "lie outside the 1024 bytes"},
    {"TableBeyond", [](File& f) { f.table = f.size + 1; }, "lie outside the 1024 bytes"},
    {"TableFar", [](File& f) { f.table = 0xfffffff0; }, "at 0xfffffff0 lie outside"},
    {"TableWraps", [](File& f) { f.table = UINT64_MAX - 55; }, "lie outside"},
    {"TableInData", [](File& f) { f.table = 0x300; }, "ELF: nothing to load"},

    {"NothingToLoad",
     [](File& f) {
         f.segments = {{0, 0, 0, 4, 4, 7, 4}};
     },
     "ELF: nothing to load"},
    {"OnlyEmptySegments",
     [](File& f) {
         for (Segment& segment : f.segments)
             segment.file_size = segment.memory_size = 0;
     },
     "ELF: nothing to load"},
    {"TooManySegments",
     [](File& f) {
         for (uint64_t i = f.segments.size(); i <= Elf::most_segments; ++i)
             f.segments.push_back({0x300, 0x50000000, load_address + i * 0x100000, 4, 4, 6});
         f.size = 0x800;
     },
     "ELF: more than 16 loadable segments"},

    {"MoreFileThanMemory", [](File& f) { f.segments[0].file_size = code_size + 1; },
     "ELF: segment 0 has 0x41 bytes for 0x40"},
    {"FileWithoutEnd", [](File& f) { f.segments[1].file_size = UINT64_MAX; },
     "ELF: segment 1 has 0x"},
    {"OffsetAtTheEnd", [](File& f) { f.segments[0].offset = f.size; }, "ELF: segment 0 ends at"},
    {"OffsetBeyond", [](File& f) { f.segments[0].offset = 0xfffffff0; }, "ELF: segment 0 ends at"},
    {"LastByteBeyond", [](File& f) { f.segments[1].offset = f.size - 0x1f; },
     "ELF: segment 1 ends at 0x401 of a file of 0x400 bytes"},
    {"OffsetWraps", [](File& f) { f.segments[0].offset = UINT64_MAX - 0xf; },
     "ELF: segment 0 ends at"},

    {"OverTheFirmware", [](File& f) { f.segments[1].physical = 0; },
     "ELF: segment 1 wants 0x0 + 0x2000, which is not free RAM"},
    {"OverTheFirmwaresEnd", [](File& f) { f.segments[1].physical = mib - 1; },
     "ELF: segment 1 wants 0xfffff + 0x2000, which is not free RAM"},
    {"OverTheImage", [](File& f) { f.segments[1].physical = image_start; },
     "ELF: segment 1 wants 0x400000 + 0x2000, which is not free RAM"},
    {"OverTheImagesStart", [](File& f) { f.segments[1].physical = image_start - 0x1fff; },
     "ELF: segment 1 wants 0x3fe001"},
    {"OverTheImagesEnd", [](File& f) { f.segments[1].physical = image_start + 0x3ff; },
     "ELF: segment 1 wants 0x4003ff"},
    {"BeyondRam", [](File& f) { f.segments[1].physical = ram_size; },
     "ELF: segment 1 wants 0x4000000"},
    {"AcrossTheEndOfRam", [](File& f) { f.segments[1].physical = ram_size - 0x1fff; },
     "ELF: segment 1 wants 0x3ffe001"},
    {"AllMemory", [](File& f) { f.segments[1].memory_size = 0xf0000000; }, "ELF: segment 1 wants"},
    {"BeyondFourGiB", [](File& f) { f.segments[1].physical = high; },
     "ELF: segment 1 wants 0x100000000, beyond 4 GiB", true},
    {"AcrossFourGiB", [](File& f) { f.segments[1].physical = high - 0x1000; },
     "ELF: segment 1 wants 0xfffff000"},
    {"FarBeyond", [](File& f) { f.segments[1].physical = uint64_t{1} << 63; }, "beyond 4 GiB",
     true},
    {"PhysicalWraps", [](File& f) { f.segments[1].physical = UINT64_MAX - 0xfff; },
     "ELF: segment 1 wraps around the address space", true},
    {"MemoryWithoutEnd", [](File& f) { f.segments[1].memory_size = UINT64_MAX; },
     "ELF: segment 1 wraps around the address space", true},
    {"VirtualWraps", [](File& f) { f.segments[1].address = UINT64_MAX - 0xfff; },
     "ELF: segment 1 wraps around the address space", true},

    {"SegmentsOverlap", [](File& f) { f.segments[1].physical = load_address; },
     "ELF: segments 0 and 1 overlap"},
    {"SegmentsOverlapByAByte",
     [](File& f) { f.segments[1].physical = load_address + code_size - 1; },
     "ELF: segments 0 and 1 overlap"},
    {"SegmentInSegment", [](File& f) { f.segments[1].physical = load_address - 0x1000; },
     "ELF: segments 0 and 1 overlap"},
    {"ThirdOverlaps",
     [](File& f) {
         f.segments.push_back({0x300, 0x50000000, load_address + 0x11fff, 4, 4, 6});
     },
     "ELF: segments 1 and 2 overlap"},
    {"ThirdOverTheFirmware",
     [](File& f) {
         f.segments.push_back({0x300, 0x50000000, 0x100, 4, 4, 6});
     },
     "ELF: segment 2 wants 0x100"},

    {"EntryBefore", [](File& f) { f.entry = load_address - 1; },
     "entry point 0x1ffffff is in no executable segment"},
    {"EntryBehind", [](File& f) { f.entry = load_address + code_size; },
     "entry point 0x2000040 is in no executable segment"},
    {"EntryInData", [](File& f) { f.entry = load_address + 0x10000; },
     "is in no executable segment"},
    {"EntryInZeroes",
     [](File& f) {
         f.segments[1].flags = 7;
         f.entry = load_address + 0x10020;
     },
     "is in no executable segment"},
    {"Entry0", [](File& f) { f.entry = 0; }, "entry point 0x0 is in no executable segment"},
    {"EntryMost", [](File& f) { f.entry = UINT64_MAX; }, "is in no executable segment"},
    {"NothingExecutable", [](File& f) { f.segments[0].flags = 6; }, "is in no executable segment"},
};

std::string name_of(const testing::TestParamInfo<std::tuple<Format, Lie>>& test) {
    const Format& format = std::get<0>(test.param);
    return std::string{format.is_64 ? "Elf64" : "Elf32"} + (format.is_little ? "Little" : "Big") +
           std::get<1>(test.param).name;
}

std::vector<std::tuple<Format, Lie>> all_lies() {
    std::vector<std::tuple<Format, Lie>> all;
    for (const Format& format : formats) {
        for (const Lie& lie : lies) {
            if (format.is_64 || !lie.only_64) all.emplace_back(format, lie);
        }
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(All, Lies, testing::ValuesIn(all_lies()), name_of);

} // namespace
} // namespace spillway::boot
