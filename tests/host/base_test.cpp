// SPDX-License-Identifier: BSD-2-Clause
#include "base/address.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <type_traits>
#include <vector>

namespace spillway {
namespace {

constexpr uint64_t top = UINT64_MAX;

// --- endian.h

TEST(Endian, SwapBytes) {
    static_assert(swap_bytes(uint8_t{0x12}) == 0x12);
    static_assert(swap_bytes(uint16_t{0x1234}) == 0x3412);
    static_assert(swap_bytes(uint32_t{0x12345678}) == 0x78563412);
    static_assert(swap_bytes(uint64_t{0x0123456789abcdef}) == 0xefcdab8967452301);
}

template<typename Ordered> std::vector<int> bytes_of(Ordered value) {
    std::vector<int> result;
    for (size_t i = 0; i < sizeof value; ++i)
        result.push_back(reinterpret_cast<const uint8_t*>(&value)[i]);
    return result;
}

TEST(Endian, BigStoresTheHighestByteFirst) {
    EXPECT_EQ(bytes_of(Big16{0x1234}), (std::vector{0x12, 0x34}));
    EXPECT_EQ(bytes_of(Big32{0x12345678}), (std::vector{0x12, 0x34, 0x56, 0x78}));
    EXPECT_EQ(bytes_of(Big64{0x0102030405060708}), (std::vector{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Endian, LittleStoresTheLowestByteFirst) {
    EXPECT_EQ(bytes_of(Little16{0x1234}), (std::vector{0x34, 0x12}));
    EXPECT_EQ(bytes_of(Little32{0x12345678}), (std::vector{0x78, 0x56, 0x34, 0x12}));
    EXPECT_EQ(bytes_of(Little64{0x0102030405060708}), (std::vector{8, 7, 6, 5, 4, 3, 2, 1}));
}

template<typename Ordered> class EndianTypes : public testing::Test {};
using AllOrders = testing::Types<Big16, Big32, Big64, Little16, Little32, Little64>;
TYPED_TEST_SUITE(EndianTypes, AllOrders);

TYPED_TEST(EndianTypes, ReadsBackWhatWasWritten) {
    using Integer = decltype(+TypeParam{});
    for (int shift = 0; shift < static_cast<int>(8 * sizeof(TypeParam)); ++shift) {
        const auto value = uint64_t{0x9d} << shift;
        TypeParam stored{};
        EXPECT_EQ(stored, Integer{0});
        if constexpr (sizeof(TypeParam) == 2) stored = static_cast<uint16_t>(value);
        if constexpr (sizeof(TypeParam) == 4) stored = static_cast<uint32_t>(value);
        if constexpr (sizeof(TypeParam) == 8) stored = value;
        const uint64_t mask = top >> (64 - 8 * sizeof(TypeParam));
        EXPECT_EQ(static_cast<uint64_t>(stored), value & mask);
    }
}

TYPED_TEST(EndianTypes, LoadsFromAnyAddress) {
    alignas(8) std::array<uint8_t, 24> buffer{};
    for (size_t i = 0; i < buffer.size(); ++i)
        buffer[i] = static_cast<uint8_t>(i + 1);
    for (size_t offset = 0; offset < 8; ++offset) {
        const auto loaded = bytes_of(load<TypeParam>(buffer.data() + offset));
        for (size_t i = 0; i < loaded.size(); ++i)
            EXPECT_EQ(loaded[i], static_cast<int>(offset + i + 1));
    }
}

TYPED_TEST(EndianTypes, NeedsNoAlignmentAndComesFromNoIntegerByAccident) {
    static_assert(alignof(TypeParam) == 1);
    static_assert(!std::is_convertible_v<uint16_t, TypeParam>);
}

// --- address.h

PhysicalRange range(uint64_t start, uint64_t size) {
    return {{start}, size};
}

TEST(Address, KindsDoNotMix) {
    static_assert(!std::is_convertible_v<PhysicalAddress, BusAddress>);
    static_assert(!std::is_convertible_v<PhysicalAddress, uint64_t>);
    static_assert(!std::is_convertible_v<uint64_t, PhysicalAddress>);
}

TEST(Address, Arithmetic) {
    const PhysicalAddress address{0x1000};
    EXPECT_EQ((address + 0x234).value, 0x1234u);
    EXPECT_EQ(PhysicalAddress{0x1234} - address, 0x234u);
    EXPECT_LT(address, address + 1);
}

TEST(Range, ContainsAddresses) {
    EXPECT_TRUE(range(16, 16).contains(PhysicalAddress{16}));
    EXPECT_TRUE(range(16, 16).contains(PhysicalAddress{31}));
    EXPECT_FALSE(range(16, 16).contains(PhysicalAddress{15}));
    EXPECT_FALSE(range(16, 16).contains(PhysicalAddress{32}));
    EXPECT_FALSE(range(16, 0).contains(PhysicalAddress{16}));
}

TEST(Range, ContainsAddressesAtTheEndOfTheAddressSpace) {
    EXPECT_TRUE(range(top - 15, 15).contains(PhysicalAddress{top - 1}));
    EXPECT_FALSE(range(top - 15, 15).contains(PhysicalAddress{top}));
    EXPECT_FALSE(range(top - 15, 15).contains(PhysicalAddress{0}));
}

TEST(Range, ContainsRanges) {
    const PhysicalRange outer = range(16, 16);
    EXPECT_TRUE(outer.contains(outer));
    EXPECT_TRUE(outer.contains(range(16, 1)));
    EXPECT_TRUE(outer.contains(range(31, 1)));
    EXPECT_FALSE(outer.contains(range(15, 2)));
    EXPECT_FALSE(outer.contains(range(31, 2)));
    EXPECT_FALSE(outer.contains(range(0, 64)));
    EXPECT_FALSE(outer.contains(range(20, 0))) << "nothing is not in anything";
}

TEST(Range, ContainsNoRangeThatWraps) {
    EXPECT_FALSE(range(16, 16).contains(range(20, top)));
    EXPECT_FALSE(range(16, 16).contains(range(top, 20)));
    EXPECT_FALSE(range(0, top).contains(range(top, 1)));
}

TEST(Range, Overlaps) {
    const PhysicalRange middle = range(16, 16);
    EXPECT_TRUE(middle.overlaps(middle));
    EXPECT_TRUE(middle.overlaps(range(0, 17)));
    EXPECT_TRUE(middle.overlaps(range(31, 100)));
    EXPECT_TRUE(middle.overlaps(range(0, 100)));
    EXPECT_TRUE(middle.overlaps(range(20, 1)));
    EXPECT_FALSE(middle.overlaps(range(0, 16)));
    EXPECT_FALSE(middle.overlaps(range(32, 16)));
    EXPECT_FALSE(middle.overlaps(range(20, 0)));
    EXPECT_FALSE(range(20, 0).overlaps(middle));
}

TEST(Range, Wraps) {
    EXPECT_FALSE(range(0, 0).wraps());
    EXPECT_FALSE(range(0, top).wraps());
    EXPECT_FALSE(range(top, 0).wraps());
    EXPECT_TRUE(range(top, 1).wraps()) << "its end has no address";
    EXPECT_TRUE(range(1, top).wraps());
    EXPECT_TRUE(range(top, top).wraps());
}

TEST(Alignment, PowersOfTwo) {
    for (int shift = 0; shift < 64; ++shift)
        EXPECT_TRUE(is_power_of_two(uint64_t{1} << shift));
    for (const uint64_t other : {uint64_t{0}, uint64_t{3}, uint64_t{6}, top, top - 1})
        EXPECT_FALSE(is_power_of_two(other));
}

TEST(Alignment, DownAndUp) {
    EXPECT_EQ(align_down(0x1fff, 0x1000), 0x1000u);
    EXPECT_EQ(align_down(0x1000, 0x1000), 0x1000u);
    EXPECT_EQ(align_up(0x1001, 0x1000), 0x2000u);
    EXPECT_EQ(align_up(0x1000, 0x1000), 0x1000u);
    EXPECT_EQ(align_up(0, 0x1000), 0u);
    EXPECT_EQ(align_up(5, 1), 5u);
    EXPECT_EQ(align_down(top, uint64_t{1} << 63), uint64_t{1} << 63);
}

// --- error.h

TEST(Errors, CarryCodeAndMessage) {
    const Result<int> result = fail(ErrorCode::device, "%s: BAR %d", "/pci@1/disk@2", 3);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::device);
    EXPECT_STREQ(result.error().message, "/pci@1/disk@2: BAR 3");
}

TEST(Errors, MessagesAreCutNotOverrun) {
    const std::string text(500, 'x');
    const Result<void> result = fail(ErrorCode::malformed, "%s", text.c_str());
    EXPECT_EQ(result.error().message, text.substr(0, sizeof(Error::message) - 1));
}

TEST(Errors, PassOnToAnotherType) {
    const Result<int> first = fail(ErrorCode::not_found, "no %s", "node");
    const Result<std::string> second = error_of(first);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::not_found);
    EXPECT_STREQ(second.error().message, "no node");
}

// --- log.h

class Log : public testing::Test {
protected:
    Log() {
        text.clear();
        log::set_writer([](std::string_view line) { text += line; });
    }
    ~Log() override {
        log::set_writer(nullptr);
        log::set_level(log::Level::normal);
    }
    static inline std::string text;
};

void say_everything() {
    log::error("e%d", 1);
    log::warning("w%d", 2);
    log::info("i%d", 3);
    log::verbose("v%d", 4);
}

TEST_F(Log, Quiet) {
    log::set_level(log::Level::quiet);
    say_everything();
    EXPECT_EQ(text, "error: e1\r\nwarning: w2\r\n");
}

TEST_F(Log, Normal) {
    log::set_level(log::Level::normal);
    say_everything();
    EXPECT_EQ(text, "error: e1\r\nwarning: w2\r\ni3\r\n");
}

TEST_F(Log, Verbose) {
    log::set_level(log::Level::verbose);
    say_everything();
    EXPECT_EQ(text, "error: e1\r\nwarning: w2\r\ni3\r\n  v4\r\n");
    EXPECT_EQ(log::level(), log::Level::verbose);
}

TEST_F(Log, SaysNothingWithoutAWriter) {
    log::set_writer(nullptr);
    say_everything();
    EXPECT_EQ(text, "");
}

TEST_F(Log, LongLinesAreCutButEnd) {
    for (size_t length = 230; length < 300; ++length) {
        text.clear();
        const std::string word(length, 'x');
        log::error("%s", word.c_str());
        ASSERT_LE(text.size(), 256u);
        ASSERT_TRUE(text.ends_with("x\r\n"));
        const std::string whole = "error: " + word + "\r\n";
        if (whole.size() < 256) {
            EXPECT_EQ(text, whole);
        }
        EXPECT_EQ(text.find('\0'), std::string::npos);
    }
}

TEST_F(Log, EmptyLine) {
    log::info("%s", "");
    EXPECT_EQ(text, "\r\n");
}

struct LevelCase {
    const char* command_line;
    log::Level level;
};
class LogLevel : public testing::TestWithParam<LevelCase> {};

TEST_P(LogLevel, FromCommandLine) {
    EXPECT_EQ(log::level_from_command_line(GetParam().command_line), GetParam().level);
}

using enum log::Level;
INSTANTIATE_TEST_SUITE_P(
    Words, LogLevel,
    testing::Values(
        LevelCase{"", normal}, LevelCase{"spillway.log=quiet", quiet},
        LevelCase{"spillway.log=normal", normal}, LevelCase{"spillway.log=verbose", verbose},
        LevelCase{"root=/dev/vda spillway.log=verbose quiet", verbose},
        LevelCase{"   spillway.log=quiet   ", quiet}, LevelCase{"a  b   spillway.log=quiet", quiet},
        LevelCase{"spillway.log=quiet spillway.log=verbose", verbose},
        LevelCase{"spillway.log=verbose spillway.log=loud", verbose},
        LevelCase{"spillway.log=", normal}, LevelCase{"spillway.log", normal},
        LevelCase{"spillway.log=quieter", normal}, LevelCase{"spillway.log=QUIET", normal},
        LevelCase{"xspillway.log=quiet", normal}, LevelCase{"quiet", normal},
        LevelCase{"spillway.log =quiet", normal}, LevelCase{" ", normal}));

} // namespace
} // namespace spillway
