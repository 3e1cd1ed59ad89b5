// SPDX-License-Identifier: BSD-2-Clause
// The argument array, counts, dispatch, and the services that need no device.
#include "base/log.h"
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

namespace spillway::of::test {
namespace {

/// What every service needs at least. Independent of the table that it tests.
struct Signature {
    const char* service;
    uint32_t arguments, returns;
};

constexpr Signature signatures[] = {
    {"finddevice", 1, 1},
    {"getprop", 4, 1},
    {"getproplen", 2, 1},
    {"nextprop", 3, 1},
    {"setprop", 4, 1},
    {"peer", 1, 1},
    {"child", 1, 1},
    {"parent", 1, 1},
    {"package-to-path", 3, 1},
    {"instance-to-path", 3, 1},
    {"instance-to-package", 1, 1},
    {"canon", 3, 1},
    {"open", 1, 1},
    {"close", 1, 0},
    {"read", 3, 1},
    {"write", 3, 1},
    {"seek", 3, 1},
    {"claim", 3, 1},
    {"release", 2, 0},
    {"call-method", 2, 1},
    {"interpret", 1, 1},
    {"milliseconds", 0, 1},
    {"test", 1, 1},
    {"test-method", 2, 1},
    {"exit", 0, 0},
    {"enter", 0, 0},
    {"boot", 1, 0},
    {"quiesce", 0, 0},
};

void PrintTo(const Signature& signature, std::ostream* out) {
    *out << signature.service;
}

std::string name_of(const testing::TestParamInfo<Signature>& info) {
    std::string name;
    for (const char* c = info.param.service; *c != '\0'; ++c)
        name += *c == '-' ? '_' : *c;
    return name;
}

class OfService : public testing::TestWithParam<Signature> {
protected:
    Guest guest;
};

TEST_P(OfService, IsKnownToTest) {
    EXPECT_EQ(guest.ask("test", {guest.text(GetParam().service)}), 0U);
}

TEST_P(OfService, RefusesTooFewArguments) {
    const Signature& service = GetParam();
    for (uint32_t count = 0; count < service.arguments; ++count) {
        const auto answer =
            guest.call(service.service, std::vector<uint32_t>(count), service.returns);
        EXPECT_EQ(answer.status, -1) << count;
        EXPECT_EQ(answer.returns, std::vector<uint32_t>(service.returns, Guest::unanswered));
    }
    EXPECT_EQ(guest.platform.quiesced, 0U);
}

TEST_P(OfService, RefusesTooFewReturns) {
    const Signature& service = GetParam();
    if (service.returns == 0) return;
    EXPECT_EQ(guest.call(service.service, std::vector<uint32_t>(service.arguments), 0).status, -1);
}

TEST_P(OfService, RefusesMoreThanTenCells) {
    const Signature& service = GetParam();
    EXPECT_EQ(guest.call(service.service, std::vector<uint32_t>(11), service.returns).status, -1);
    EXPECT_EQ(guest.call(service.service, std::vector<uint32_t>(service.arguments), 11).status, -1);
}

TEST_P(OfService, RefusesCountsThatOverflow) {
    const Signature& service = GetParam();
    for (const uint32_t count : {0x3FFFFFFFU, 0x40000000U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
        guest.lay_out(Guest::array, guest.text(service.service), count, service.returns, {});
        EXPECT_EQ(guest.client.call({Guest::array}), -1);
        guest.lay_out(Guest::array, guest.text(service.service), service.arguments, count,
                      std::vector<uint32_t>(service.arguments));
        EXPECT_EQ(guest.client.call({Guest::array}), -1);
    }
}

TEST_P(OfService, ZeroArgumentsDoNotCrash) {
    const Signature& service = GetParam();
    const std::string name = service.service;
    if (name == "exit" || name == "enter") {
        EXPECT_THROW(guest.call(name, {}, 0), Left);
    } else {
        guest.call(name, std::vector<uint32_t>(service.arguments), service.returns);
    }
}

TEST_P(OfService, WildArgumentsDoNotCrash) {
    const Signature& service = GetParam();
    const std::string name = service.service;
    if (name == "exit" || name == "enter") return;
    for (const uint32_t wild : {1U, 0x1000U, 0x4800000U, 0x80000000U, 0xFFFFFFFEU, 0xFFFFFFFFU}) {
        guest.call(name, std::vector<uint32_t>(10, wild), 10);
    }
}

INSTANTIATE_TEST_SUITE_P(All, OfService, testing::ValuesIn(signatures), name_of);

class OfArray : public testing::Test {
protected:
    /// A call of "milliseconds" with its array at `address`.
    int32_t call_at(uint64_t address) {
        if (address <= Guest::ram_size - 16) {
            guest.lay_out(static_cast<uint32_t>(address), guest.text("milliseconds"), 0, 1, {});
        }
        return guest.client.call({address});
    }

    Guest guest;
};

TEST_F(OfArray, InTheProgramWorks) {
    guest.platform.clock = 77;
    EXPECT_EQ(call_at(0x480010), 0);
    EXPECT_EQ(guest.cell(0x480010 + 12), 77U);
}

TEST_F(OfArray, InUnclaimedMemoryWorks) {
    EXPECT_EQ(call_at(32 * mib), 0);
}

TEST_F(OfArray, JustBelowTheFirmwareWorks) {
    EXPECT_EQ(call_at(Guest::stacks.start.value - 16), 0);
}

TEST_F(OfArray, JustAboveTheFirmwareWorks) {
    EXPECT_EQ(call_at(Guest::image.end().value), 0);
}

TEST_F(OfArray, NullIsRefused) {
    EXPECT_EQ(call_at(0), -1);
}

TEST_F(OfArray, OddIsRefused) {
    for (const uint64_t off : {1U, 2U, 3U})
        EXPECT_EQ(call_at(0x480000 + off), -1);
}

TEST_F(OfArray, InTheFirmwareIsRefusedAndUntouched) {
    EXPECT_EQ(call_at(0x8000), -1);
    EXPECT_EQ(guest.cell(0x800c), Guest::unanswered);
    EXPECT_EQ(call_at(Guest::stacks.start.value), -1);
}

TEST_F(OfArray, ReachingIntoTheFirmwareIsRefused) {
    for (const uint32_t reach : {4U, 8U, 12U}) {
        EXPECT_EQ(call_at(Guest::stacks.start.value - 16 + reach), -1) << reach;
    }
}

TEST_F(OfArray, ReachingOutOfTheFirmwareIsRefused) {
    EXPECT_EQ(call_at(Guest::image.end().value - 4), -1);
}

TEST_F(OfArray, PastTheEndOfRamIsRefused) {
    EXPECT_EQ(call_at(Guest::ram_size), -1);
    EXPECT_EQ(call_at(0x80000000), -1);
    EXPECT_EQ(call_at(0xFFFFFFFC), -1);
}

TEST_F(OfArray, Above4GiBIsRefused) {
    EXPECT_EQ(call_at(Guest::array), 0);
    EXPECT_EQ(call_at((uint64_t{1} << 32) + Guest::array), -1);
    EXPECT_EQ(call_at(0xFFFFFFFFFFFFFFFC), -1);
    ASSERT_TRUE(guest.memory.add_ram({{0x100000000}, mib}));
    EXPECT_EQ(guest.client.call({0x100000000}), -1);
}

TEST_F(OfArray, AcrossTheEndOfRamIsRefused) {
    EXPECT_TRUE(guest.memory.release(Guest::stacks, MemoryMap::Owner::firmware));
    EXPECT_EQ(call_at(Guest::ram_size - 16), 0);
    guest.lay_out(Guest::ram_size - 16, guest.text("getproplen"), 2, 1, {});
    EXPECT_EQ(guest.client.call({Guest::ram_size - 16}), -1);
    EXPECT_EQ(guest.client.call({Guest::ram_size - 8}), -1);
}

TEST_F(OfArray, FirmwareThatTookItDuringTheCallIsNotWritten) {
    const uint32_t vectors = guest.buffer(16);
    const uint32_t root = guest.open("/");
    const uint32_t loose = 32 * mib;
    guest.platform.negotiate = [&] {
        return guest.memory.claim({{loose}, 4096}, MemoryMap::Owner::firmware);
    };
    guest.lay_out(loose, guest.text("call-method"), 3, 2,
                  {guest.text("ibm,client-architecture-support"), root, vectors});
    EXPECT_EQ(guest.client.call({loose}), -1);
    EXPECT_EQ(guest.platform.vectors.size(), 1U);
    EXPECT_EQ(guest.cell(loose + 24), Guest::unanswered);
}

TEST_F(OfArray, TenArgumentsAndTenReturnsWork) {
    const auto answer = guest.call("milliseconds", std::vector<uint32_t>(10, 5), 10);
    EXPECT_EQ(answer.status, 0);
}

TEST_F(OfArray, ExtraReturnsAreZeroed) {
    guest.platform.clock = 9;
    EXPECT_EQ(guest.call("milliseconds", {}, 4).returns, (std::vector<uint32_t>{9, 0, 0, 0}));
}

TEST_F(OfArray, CellsAfterTheArrayAreUntouched) {
    guest.lay_out(Guest::array, guest.text("milliseconds"), 0, 1, {});
    const Big32 canary{0x12345678};
    std::memcpy(guest.at(Guest::array + 16), &canary, 4);
    EXPECT_EQ(guest.client.call({Guest::array}), 0);
    EXPECT_EQ(guest.cell(Guest::array + 16), 0x12345678U);
}

TEST_F(OfArray, HeaderIsUntouched) {
    const uint32_t name = guest.text("milliseconds");
    guest.lay_out(Guest::array, name, 0, 1, {});
    EXPECT_EQ(guest.client.call({Guest::array}), 0);
    EXPECT_EQ(guest.cell(Guest::array), name);
    EXPECT_EQ(guest.cell(Guest::array + 4), 0U);
    EXPECT_EQ(guest.cell(Guest::array + 8), 1U);
}

class OfDispatch : public testing::Test {
protected:
    Guest guest;
};

TEST_F(OfDispatch, UnknownServicesFail) {
    for (const char* name : {"", "f", "finddevic", "finddevice2", "Finddevice", "getprop ", "zzz",
                             "start-cpu", "chain", "set-callback", "map", "aaa", "\x01\x02"}) {
        const auto answer = guest.call(name, {guest.text("/")}, 1);
        EXPECT_EQ(answer.status, -1) << name;
        EXPECT_EQ(answer.returns[0], Guest::unanswered) << name;
    }
}

TEST_F(OfDispatch, ForthWordsAreNotServices) {
    for (const char* word : {"dup", "reset-all", "evaluate", "rl!", "@", "nvramrc"}) {
        EXPECT_EQ(guest.call(word, {0, 0}, 1).status, -1) << word;
    }
}

TEST_F(OfDispatch, LongServiceNameFails) {
    EXPECT_EQ(guest.call(std::string(63, 'x'), {}, 0).status, -1);
    EXPECT_EQ(guest.call(std::string(64, 'x'), {}, 0).status, -1);
    EXPECT_EQ(guest.call(std::string(5000, 'x'), {}, 0).status, -1);
}

TEST_F(OfDispatch, NothingIsSaidOfANameThatCannotBeRead) {
    log::set_level(log::Level::verbose);
    guest.lay_out(Guest::array, 0, 0, 0, {});
    EXPECT_EQ(guest.client.call({Guest::array}), -1);
    EXPECT_EQ(guest.machine.console, "");
    guest.tell("nonsense", {}, -1);
    EXPECT_EQ(guest.machine.console_count("no service \"nonsense\""), 1U);
    log::set_level(log::Level::normal);
}

TEST_F(OfDispatch, TestKnowsWhatThereIsNot) {
    EXPECT_EQ(guest.ask("test", {guest.text("start-cpu")}), failure);
    EXPECT_EQ(guest.ask("test", {guest.text("")}), failure);
    EXPECT_EQ(guest.ask("test", {0}), failure);
}

TEST_F(OfDispatch, MillisecondsFollowTheClock) {
    guest.platform.clock = 5;
    EXPECT_EQ(guest.ask("milliseconds", {}), 5U);
    guest.platform.clock = 0xFFFFFFFF;
    EXPECT_EQ(guest.ask("milliseconds", {}), 0xFFFFFFFFU);
}

TEST_F(OfDispatch, ExitLeaves) {
    try {
        guest.call("exit", {}, 0);
        FAIL();
    } catch (const Left& left) {
        EXPECT_EQ(left.how, "exit");
    }
}

TEST_F(OfDispatch, EnterLeaves) {
    try {
        guest.call("enter", {}, 0);
        FAIL();
    } catch (const Left& left) {
        EXPECT_EQ(left.how, "enter");
    }
}

TEST_F(OfDispatch, ExitTwiceLeavesTwice) {
    EXPECT_THROW(guest.call("exit", {}, 0), Left);
    EXPECT_THROW(guest.call("exit", {}, 0), Left);
}

TEST_F(OfDispatch, BootRestarts) {
    try {
        guest.call("boot", {guest.text("disk:1 quiet")}, 0);
        FAIL();
    } catch (const Left& left) {
        EXPECT_EQ(left.how, "restart");
    }
}

TEST_F(OfDispatch, BootWithBadPointerDoesNotRestart) {
    guest.tell("boot", {0x8000}, -1);
}

TEST_F(OfDispatch, QuiesceHappensOnce) {
    guest.tell("quiesce", {});
    EXPECT_EQ(guest.platform.quiesced, 1U);
    guest.tell("quiesce", {});
    EXPECT_EQ(guest.platform.quiesced, 1U);
}

TEST_F(OfDispatch, QuiesceWithExtraCells) {
    EXPECT_EQ(guest.call("quiesce", {1, 2}, 2).returns, (std::vector<uint32_t>{0, 0}));
    EXPECT_EQ(guest.platform.quiesced, 1U);
}

class OfAfterQuiesce : public OfDispatch {
protected:
    OfAfterQuiesce() {
        root = guest.open("/");
        guest.tell("quiesce", {});
    }

    uint32_t root = 0;
};

TEST_F(OfAfterQuiesce, TreeIsStillThere) {
    EXPECT_EQ(guest.path_of(guest.node("/memory")), "/memory@0");
    EXPECT_EQ(guest.property(guest.node("/"), "device_type"), terminated("chrp"));
}

TEST_F(OfAfterQuiesce, TextIsStillWritten) {
    // Linux says where it goes only after it has called quiesce.
    const uint32_t output = guest.cell_property("/chosen", "stdout");
    EXPECT_EQ(guest.ask("write", {output, guest.text("Booting"), 7}), 7U);
    EXPECT_EQ(guest.console.output, "Booting");
}

TEST_F(OfAfterQuiesce, PropertiesCanBeSet) {
    EXPECT_EQ(guest.ask("setprop", {guest.node("/chosen"), guest.text("late"), guest.text("x"), 2}),
              2U);
}

TEST_F(OfAfterQuiesce, MemoryCanBeClaimed) {
    EXPECT_EQ(guest.ask("claim", {0x2000000, 0x1000, 0}), 0x2000000U);
    guest.tell("release", {0x2000000, 0x1000});
}

TEST_F(OfAfterQuiesce, ArchitectureCannotBeNegotiated) {
    const auto answer = guest.call(
        "call-method", {guest.text("ibm,client-architecture-support"), root, guest.buffer(16)}, 2);
    EXPECT_EQ(answer.returns, (std::vector<uint32_t>{0, failure}));
    EXPECT_TRUE(guest.platform.vectors.empty());
}

TEST_F(OfAfterQuiesce, LeavingWorks) {
    EXPECT_THROW(guest.call("exit", {}, 0), Left);
    EXPECT_THROW(guest.call("interpret", {guest.text("reset-all")}, 1), Left);
}

} // namespace
} // namespace spillway::of::test
