// SPDX-License-Identifier: BSD-2-Clause
// Every pointer that a service takes, times everything that can be wrong with a pointer.
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

#include <tuple>

namespace spillway::of::test {
namespace {

enum class Use : uint8_t { text, input, one_byte_input, output };

/// One pointer argument: a call that is good but for it.
struct Pointer {
    const char* name;
    const char* service;
    size_t index;
    Use use;
    std::vector<uint32_t> (*arguments)(Guest&);
    std::vector<uint32_t> refusal; ///< returns; without any, the call fails
};

uint32_t chosen(Guest& guest) {
    return guest.node("/chosen");
}
uint32_t terminal(Guest& guest) {
    return guest.open("/vdevice/vty");
}

const Pointer pointers[] = {
    {"finddevice_path",
     "finddevice",
     0,
     Use::text,
     [](Guest&) { return std::vector<uint32_t>{0}; },
     {failure}},
    {"getprop_name",
     "getprop",
     1,
     Use::text,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), 0, guest.buffer(64), 64};
     },
     {failure}},
    {"getprop_buffer",
     "getprop",
     2,
     Use::output,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), guest.text("bootargs"), 0, 64};
     },
     {failure}},
    {"getprop_buffer_of_name",
     "getprop",
     2,
     Use::output,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), guest.text("name"), 0, 64};
     },
     {failure}},
    {"getproplen_name",
     "getproplen",
     1,
     Use::text,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), 0};
     },
     {failure}},
    {"nextprop_previous",
     "nextprop",
     1,
     Use::text,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), 0, guest.buffer(64)};
     },
     {failure}},
    {"nextprop_buffer",
     "nextprop",
     2,
     Use::output,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), guest.text(""), 0};
     },
     {failure}},
    {"setprop_name",
     "setprop",
     1,
     Use::text,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), 0, guest.buffer(64), 64};
     },
     {failure}},
    {"setprop_value",
     "setprop",
     2,
     Use::input,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), guest.text("new"), 0, 64};
     },
     {failure}},
    {"package_to_path_buffer",
     "package-to-path",
     1,
     Use::output,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), 0, 64};
     },
     {failure}},
    {"instance_to_path_buffer",
     "instance-to-path",
     1,
     Use::output,
     [](Guest& guest) {
         return std::vector<uint32_t>{terminal(guest), 0, 64};
     },
     {failure}},
    {"canon_specifier",
     "canon",
     0,
     Use::text,
     [](Guest& guest) {
         return std::vector<uint32_t>{0, guest.buffer(64), 64};
     },
     {failure}},
    {"canon_buffer",
     "canon",
     1,
     Use::output,
     [](Guest& guest) {
         return std::vector<uint32_t>{guest.text("/memory"), 0, 64};
     },
     {failure}},
    {"open_specifier", "open", 0, Use::text, [](Guest&) { return std::vector<uint32_t>{0}; }, {0}},
    {"read_buffer",
     "read",
     1,
     Use::output,
     [](Guest& guest) {
         guest.console.input = "typed";
         return std::vector<uint32_t>{terminal(guest), 0, 64};
     },
     {failure}},
    {"write_text",
     "write",
     1,
     Use::input,
     [](Guest& guest) {
         return std::vector<uint32_t>{terminal(guest), 0, 64};
     },
     {failure}},
    {"call_method_name",
     "call-method",
     0,
     Use::text,
     [](Guest& guest) {
         return std::vector<uint32_t>{0, terminal(guest), 0, 0};
     },
     {failure, 0}},
    {"write_method_text",
     "call-method",
     3,
     Use::input,
     [](Guest& guest) {
         return std::vector<uint32_t>{guest.text("write"), terminal(guest), 64, 0};
     },
     {0, failure}},
    {"read_method_buffer",
     "call-method",
     3,
     Use::output,
     [](Guest& guest) {
         guest.console.input = "typed";
         return std::vector<uint32_t>{guest.text("read"), terminal(guest), 64, 0};
     },
     {0, failure}},
    {"architecture_vectors",
     "call-method",
     2,
     Use::one_byte_input,
     [](Guest& guest) {
         return std::vector<uint32_t>{guest.text("ibm,client-architecture-support"),
                                      guest.open("/"), 0};
     },
     {0, failure}},
    {"rtas_base",
     "call-method",
     2,
     Use::output,
     [](Guest& guest) {
         return std::vector<uint32_t>{guest.text("instantiate-rtas"), guest.open("/rtas"), 0};
     },
     {failure, 0}},
    {"interpret_phrase",
     "interpret",
     0,
     Use::text,
     [](Guest&) { return std::vector<uint32_t>{0}; },
     {failure}},
    {"test_name", "test", 0, Use::text, [](Guest&) { return std::vector<uint32_t>{0}; }, {failure}},
    {"test_method_name",
     "test-method",
     1,
     Use::text,
     [](Guest& guest) {
         return std::vector<uint32_t>{chosen(guest), 0};
     },
     {failure}},
    {"boot_specifier", "boot", 0, Use::text, [](Guest&) { return std::vector<uint32_t>{0}; }, {}},
};

struct Defect {
    const char* name;
    uint32_t (*address)(Guest&);
    bool (*applies)(const Pointer&);
};

bool always(const Pointer&) {
    return true;
}
bool to_more_than_a_byte(const Pointer& pointer) {
    return pointer.use != Use::one_byte_input;
}

const Defect defects[] = {
    // A null "previous" means the first property (6.3.2.1).
    {"null", [](Guest&) { return 0U; },
     [](const Pointer& pointer) { return std::string_view{pointer.name} != "nextprop_previous"; }},
    {"one", [](Guest&) { return 1U; }, always},
    {"vectors", [](Guest&) { return 0x100U; }, always},
    {"image", [](Guest&) { return 0x8000U; }, always},
    {"odd_in_image", [](Guest&) { return 0x8001U; }, always},
    {"last_byte_of_image", [](Guest&) { return 0xFFFFFU; }, always},
    {"stacks", [](Guest&) { return static_cast<uint32_t>(Guest::stacks.start.value); }, always},
    {"last_byte_of_stacks", [](Guest&) { return static_cast<uint32_t>(Guest::ram_size - 1); },
     always},
    {"reaching_into_stacks",
     [](Guest& guest) {
         const auto address = static_cast<uint32_t>(Guest::stacks.start.value - 1);
         *guest.at(address) = std::byte{'x'};
         return address;
     },
     to_more_than_a_byte},
    {"hole", [](Guest&) { return static_cast<uint32_t>(70 * mib); }, always},
    {"reaching_out_of_hole",
     [](Guest&) { return static_cast<uint32_t>(Guest::island.start.value - 1); }, always},
    {"end_of_ram", [](Guest&) { return static_cast<uint32_t>(Guest::island.end().value); }, always},
    {"reaching_past_ram",
     [](Guest& guest) {
         const auto address = static_cast<uint32_t>(Guest::island.end().value - 2);
         std::memset(guest.at(address), 'x', 2);
         return address;
     },
     [](const Pointer& pointer) { return to_more_than_a_byte(pointer); }},
    {"half_of_the_space", [](Guest&) { return 0x80000000U; }, always},
    {"minus_sixteen", [](Guest&) { return 0xFFFFFFF0U; }, always},
    {"minus_one", [](Guest&) { return 0xFFFFFFFFU; }, always},
    {"unterminated", [](Guest& guest) { return guest.buffer(4096, 'x'); },
     [](const Pointer& pointer) { return pointer.use == Use::text; }},
    {"own_array", [](Guest&) { return Guest::array + 8; },
     [](const Pointer& pointer) { return pointer.use == Use::output; }},
    {"last_cell_of_own_array",
     [](Guest&) { return Guest::array + 12 + 4; }, // at least two cells follow the header
     [](const Pointer& pointer) { return pointer.use == Use::output; }},
};

using Case = std::tuple<const Pointer*, const Defect*>;

std::vector<Case> cases() {
    std::vector<Case> result;
    for (const Pointer& pointer : pointers) {
        for (const Defect& defect : defects) {
            if (defect.applies(pointer)) result.emplace_back(&pointer, &defect);
        }
    }
    return result;
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
    return std::string{std::get<0>(info.param)->name} + "_" + std::get<1>(info.param)->name;
}

class OfPointer : public testing::TestWithParam<Case> {};

TEST_P(OfPointer, IsRefused) {
    const Pointer& pointer = *std::get<0>(GetParam());
    Guest guest;
    std::memset(guest.at(0), 0xEE, Guest::image.size);
    std::memset(guest.at(Guest::stacks.start.value), 0xEE, Guest::stacks.size);
    std::vector<uint32_t> arguments = pointer.arguments(guest);
    arguments[pointer.index] = std::get<1>(GetParam())->address(guest);
    const size_t properties = guest.tree.property_count();

    const auto answer =
        guest.call(pointer.service, arguments, static_cast<unsigned>(pointer.refusal.size()));

    EXPECT_EQ(answer.status, pointer.refusal.empty() ? -1 : 0);
    EXPECT_EQ(answer.returns, pointer.refusal);
    EXPECT_EQ(guest.tree.property_count(), properties);
    EXPECT_TRUE(guest.console.output.empty());
    EXPECT_TRUE(guest.platform.vectors.empty());
    const std::string canary(mib, '\xEE');
    EXPECT_TRUE(guest.bytes(0, mib) == canary);
    EXPECT_TRUE(guest.bytes(static_cast<uint32_t>(Guest::stacks.start.value), mib) == canary);
}

INSTANTIATE_TEST_SUITE_P(All, OfPointer, testing::ValuesIn(cases()), name_of);

class OfGoodPointer : public testing::Test {
protected:
    Guest guest;
};

TEST_F(OfGoodPointer, TextsMayBeOdd) {
    guest.buffer(1 + guest.buffer(0) % 2);
    const uint32_t odd = guest.text("/memory") | 1;
    std::memcpy(guest.at(odd), "/memory", 8);
    EXPECT_EQ(guest.path_of(guest.ask("finddevice", {odd})), "/memory@0");
}

TEST_F(OfGoodPointer, BuffersMayBeOdd) {
    const uint32_t odd = guest.buffer(64) | 1;
    EXPECT_EQ(guest.ask("getprop", {guest.node("/"), guest.text("device_type"), odd, 5}), 5U);
    EXPECT_EQ(guest.string(odd), "chrp");
}

TEST_F(OfGoodPointer, TextMayEndAtTheFirmware) {
    const auto address = static_cast<uint32_t>(Guest::stacks.start.value - 8);
    std::memcpy(guest.at(address), "/memory", 8);
    EXPECT_NE(guest.ask("finddevice", {address}), failure);
}

TEST_F(OfGoodPointer, TextMayEndAtTheEndOfRam) {
    const auto address = static_cast<uint32_t>(Guest::island.end().value - 8);
    std::memcpy(guest.at(address), "/memory", 8);
    EXPECT_NE(guest.ask("finddevice", {address}), failure);
}

TEST_F(OfGoodPointer, BufferMayEndAtTheFirmware) {
    const auto address = static_cast<uint32_t>(Guest::stacks.start.value - 5);
    EXPECT_EQ(guest.ask("getprop", {guest.node("/"), guest.text("device_type"), address, 5}), 5U);
    EXPECT_EQ(guest.bytes(address, 5), terminated("chrp"));
}

TEST_F(OfGoodPointer, BufferMayStartBehindTheFirmware) {
    const auto address = static_cast<uint32_t>(Guest::image.end().value);
    EXPECT_EQ(guest.ask("getprop", {guest.node("/"), guest.text("device_type"), address, 5}), 5U);
}

TEST_F(OfGoodPointer, BufferMayBeBehindAHole) {
    const auto address = static_cast<uint32_t>(Guest::island.start.value);
    EXPECT_EQ(guest.ask("getprop", {guest.node("/"), guest.text("device_type"), address, 5}), 5U);
}

TEST_F(OfGoodPointer, OnlyWhatIsStoredNeedsRoom) {
    // A client may claim to have more room than there is.
    const auto address = static_cast<uint32_t>(Guest::stacks.start.value - 5);
    EXPECT_EQ(guest.ask("getprop", {guest.node("/"), guest.text("device_type"), address, 4096}),
              5U);
    EXPECT_EQ(guest.ask("getprop", {guest.node("/"), guest.text("device_type"), address, failure}),
              5U);
}

TEST_F(OfGoodPointer, TextMayLieInOwnArray) {
    // Arguments beyond what the service needs hold the text.
    const auto answer = guest.call("finddevice", {Guest::array + 16, 0x2f63686f, 0x73656e00}, 1);
    EXPECT_EQ(answer.returns[0], guest.node("/chosen"));
}

TEST_F(OfGoodPointer, MemoryThatTheFirmwareTakesTurnsBad) {
    const uint32_t loose = 32 * mib;
    const uint32_t root = guest.node("/");
    EXPECT_EQ(guest.ask("getprop", {root, guest.text("device_type"), loose, 5}), 5U);
    EXPECT_TRUE(guest.memory.claim({{loose}, 4096}, MemoryMap::Owner::firmware));
    EXPECT_EQ(guest.ask("getprop", {root, guest.text("device_type"), loose, 5}), failure);
    EXPECT_TRUE(guest.memory.release({{loose}, 4096}, MemoryMap::Owner::firmware));
    EXPECT_EQ(guest.ask("getprop", {root, guest.text("device_type"), loose, 5}), 5U);
}

TEST_F(OfGoodPointer, NothingAbove4GiBIsReachedByWrapping) {
    EXPECT_TRUE(guest.memory.add_ram({{0xFFFF0000}, 0x20000}));
    EXPECT_EQ(guest.ask("setprop", {guest.node("/chosen"), guest.text("x"), 0xFFFFFFF0, 0x20}),
              failure);
    EXPECT_EQ(guest.ask("package-to-path", {guest.node("/chosen"), 0xFFFFFFFE, 64}), failure);
}

} // namespace
} // namespace spillway::of::test
