// SPDX-License-Identifier: BSD-2-Clause
// The typed verbs: what they put into registers, and what they make of the answers.
#include "base/endian.h"
#include "hcall/cache_inhibited.h"
#include "hcall/console.h"
#include "hcall/device_tree.h"
#include "hcall/dma_bypass.h"
#include "hcall/tce.h"
#include "tests/host/fake_hypervisor.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace spillway::hcall {
namespace {

constexpr Liobn window{0x80000000};

class Hcall : public testing::Test {
protected:
    /// Records the registers of each call of `number`, and answers `status`.
    void record(Number number, Status status = Status::success) {
        machine.handlers[number] = [this, status](Registers& registers) {
            seen.push_back(registers);
            return status;
        };
    }

    test::FakeHypervisor machine;
    std::vector<Registers> seen;
};

//------------------------------------------------------------------------------ console

TEST_F(Hcall, TextGoesOutSixteenCharactersACall) {
    const std::string text(50, 'x');
    EXPECT_EQ(put_characters(Terminal::standard, text), 50u);
    EXPECT_EQ(machine.console, text);
    EXPECT_EQ(machine.call_count(Number::put_term_char), 4u);
}

TEST_F(Hcall, CharactersLieInRegistersFirstOneHighest) {
    record(Number::put_term_char);
    put_characters(Terminal{0x71000000}, "ABCDEFGHI");
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].r4, 0x71000000u);
    EXPECT_EQ(seen[0].r5, 9u);
    EXPECT_EQ(seen[0].r6, 0x4142434445464748u);
    EXPECT_EQ(seen[0].r7 >> 56, uint64_t{'I'});
}

TEST_F(Hcall, EmptyTextIsNoCall) {
    EXPECT_EQ(put_characters(Terminal::standard, ""), 0u);
    EXPECT_EQ(machine.call_count(Number::put_term_char), 0u);
}

TEST_F(Hcall, ATerminalThatIsNotThereTakesNothing) {
    record(Number::put_term_char, Status::parameter);
    EXPECT_EQ(put_characters(Terminal::standard, "hello"), 0u);
    EXPECT_EQ(seen.size(), 1u);
}

TEST_F(Hcall, ABusyTerminalIsAskedAgain) {
    int busy = 3;
    machine.handlers[Number::put_term_char] = [&](Registers&) {
        return busy-- > 0 ? Status::busy : Status::success;
    };
    EXPECT_EQ(put_characters(Terminal::standard, "hello"), 5u);
}

TEST_F(Hcall, ATerminalThatIsBusyForEverIsGivenUp) {
    record(Number::put_term_char, Status::busy);
    for (int line = 0; line < 10; ++line)
        EXPECT_EQ(put_characters(Terminal::standard, "hello"), 0u);
    EXPECT_LE(seen.size(), 100'010u) << "once, not for each line";
    machine.handlers.clear();
    EXPECT_EQ(put_characters(Terminal::standard, "hello"), 5u);
    int busy = 3;
    machine.handlers[Number::put_term_char] = [&](Registers&) {
        return busy-- > 0 ? Status::busy : Status::success;
    };
    EXPECT_EQ(put_characters(Terminal::standard, "hello"), 5u) << "it drains again";
}

TEST_F(Hcall, InputIsReadInOrder) {
    machine.input = "0123456789abcdefgh";
    std::array<char, 16> buffer{};
    ASSERT_EQ(get_characters(Terminal::standard, buffer), 16u);
    EXPECT_EQ(std::string(buffer.data(), 16), "0123456789abcdef");
    ASSERT_EQ(get_characters(Terminal::standard, buffer), 2u);
    EXPECT_EQ(std::string(buffer.data(), 2), "gh");
    EXPECT_EQ(get_characters(Terminal::standard, buffer), 0u);
}

TEST_F(Hcall, AnInputLengthThatIsTooLargeIsCut) {
    machine.handlers[Number::get_term_char] = [](Registers& registers) {
        registers.r4 = ~uint64_t{0};
        return Status::success;
    };
    std::array<char, 16> buffer{};
    EXPECT_EQ(get_characters(Terminal::standard, buffer), 16u);
}

TEST_F(Hcall, ATerminalThatIsNotThereGivesNothing) {
    machine.handlers[Number::get_term_char] = [](Registers& registers) {
        registers.r4 = 16;
        return Status::parameter;
    };
    std::array<char, 16> buffer{};
    EXPECT_EQ(get_characters(Terminal::standard, buffer), 0u);
}

//------------------------------------------------------------------------------ TCEs

TEST_F(Hcall, AnEntryThatIsPutIsRead) {
    machine.add_host_bridge(0);
    const Tce entry = Tce::map({0x12345000}, TceAccess::both);
    EXPECT_EQ(entry.value, 0x12345003u);
    ASSERT_EQ(put_tce(window, {0x8000}, entry), Status::success);
    Tce found;
    ASSERT_EQ(get_tce(window, {0x8000}, found), Status::success);
    EXPECT_EQ(found.value, entry.value);
    EXPECT_EQ(machine.translate(0x80000000, 0x8123, true), PhysicalAddress{0x12345123});
}

TEST_F(Hcall, DirectionsAreKeptApart) {
    machine.add_host_bridge(0);
    put_tce(window, {0}, Tce::map({0x1000}, TceAccess::device_reads));
    EXPECT_TRUE(machine.translate(0x80000000, 0, false));
    EXPECT_FALSE(machine.translate(0x80000000, 0, true));
}

TEST_F(Hcall, AListOfEntriesIsPutAtOnce) {
    machine.add_host_bridge(0);
    auto* list = reinterpret_cast<Big64*>(to_pointer({0x10000}));
    for (uint64_t i = 0; i < 512; ++i) {
        list[i] = Big64{Tce::map({0x100000 + 0x1000 * i}, TceAccess::both).value};
    }
    ASSERT_EQ(put_tce_indirect(window, {0x20000}, {0x10000}, 512), Status::success);
    EXPECT_EQ(machine.translate(0x80000000, 0x20000 + 511 * 0x1000, true),
              PhysicalAddress{0x100000 + 511 * 0x1000});
}

TEST_F(Hcall, EntriesAreStuffedWithOneValue) {
    machine.add_host_bridge(0);
    ASSERT_EQ(stuff_tce(window, {0}, Tce::map({0x7000}, TceAccess::both), 4), Status::success);
    EXPECT_EQ(machine.translate(0x80000000, 0x3001, true), PhysicalAddress{0x7001});
    ASSERT_EQ(stuff_tce(window, {0}, {}, 4), Status::success);
    EXPECT_FALSE(machine.translate(0x80000000, 0x3001, true));
}

TEST_F(Hcall, ATableThatIsNotThereIsAParameterError) {
    EXPECT_EQ(put_tce(Liobn{7}, {0}, {}), Status::parameter);
    Tce entry{42};
    EXPECT_EQ(get_tce(Liobn{7}, {0}, entry), Status::parameter);
    EXPECT_EQ(entry.value, 42u) << "an answer that failed is not stored";
}

//------------------------------------------------------------------------------ device registers

TEST_F(Hcall, RegisterValuesAreLittleEndianOnTheDevice) {
    machine.handlers[Number::logical_ci_load] = [](Registers& registers) {
        registers.r4 = registers.r4 == 4 ? 0x44332211 : 0x2211; // as a big-endian load sees it
        return Status::success;
    };
    EXPECT_EQ(ci_load<uint32_t>({0x1000}), 0x11223344u);
    EXPECT_EQ(ci_load<uint16_t>({0x1000}), 0x1122u);
    record(Number::logical_ci_store);
    EXPECT_EQ(ci_store<uint32_t>({0x1000}, 0x11223344), Status::success);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].r4, 4u);
    EXPECT_EQ(seen[0].r5, 0x1000u);
    EXPECT_EQ(seen[0].r6, 0x44332211u);
}

TEST_F(Hcall, AFailedLoadReadsAsAllOnes) {
    record(Number::logical_ci_load, Status::parameter);
    EXPECT_EQ(ci_load<uint8_t>({0}), 0xFFu);
    EXPECT_EQ(ci_load<uint32_t>({0}), 0xFFFFFFFFu);
    EXPECT_EQ(ci_load<uint64_t>({0}), ~uint64_t{0});
}

//------------------------------------------------------------------------------ DMA bypass

constexpr Buid buid{0x800000020000001};
constexpr ConfigAddress function{0x00011800};

TEST_F(Hcall, BypassCallsCarryBuidAddressAndAction) {
    record(Number::pci_dma_bypass);
    query_dma_bypass(buid, function);
    enable_dma_bypass(buid, function);
    disable_dma_bypass(buid, function);
    ASSERT_EQ(seen.size(), 3u);
    for (const Registers& registers : seen) {
        EXPECT_EQ(registers.r4, 0x800000020000001u);
        EXPECT_EQ(registers.r5, 0x00011800u);
    }
    EXPECT_EQ(seen[0].r6, 2u);
    EXPECT_EQ(seen[1].r6, 1u);
    EXPECT_EQ(seen[2].r6, 0u);
}

TEST_F(Hcall, BypassStateAndBaseAreTheAnswer) {
    machine.handlers[Number::pci_dma_bypass] = [](Registers& registers) {
        registers.r4 = 1;
        registers.r5 = uint64_t{1} << 60;
        return Status::success;
    };
    const DmaBypass answer = enable_dma_bypass(buid, function);
    EXPECT_EQ(answer.status, Status::success);
    EXPECT_TRUE(answer.on);
    EXPECT_EQ(answer.base, BusAddress{uint64_t{1} << 60});
}

TEST_F(Hcall, AHypervisorThatNeverHeardOfBypassAnswersCleanly) {
    for (const DmaBypass& answer :
         {query_dma_bypass(buid, function), enable_dma_bypass(buid, function),
          disable_dma_bypass(buid, function)}) {
        EXPECT_EQ(answer.status, Status::function);
        EXPECT_FALSE(answer.on);
        EXPECT_EQ(answer.base, BusAddress{});
    }
}

//------------------------------------------------------------------------------ RTAS

TEST_F(Hcall, NvramIsFetchedAndStored) {
    constexpr RtasToken fetch{0x2012}, store{0x2013};
    RtasTokens tokens;
    tokens.nvram_fetch = fetch;
    tokens.nvram_store = store;
    const Rtas rtas{tokens};
    uint32_t short_by = 0;
    machine.rtas_handlers[0x2012] = [&](std::span<const uint32_t> arguments,
                                        std::span<uint32_t> returns) {
        EXPECT_EQ(arguments.size(), 3u);
        EXPECT_EQ(arguments[0], 64u);
        returns[0] = arguments[2] - short_by;
        return RtasStatus::success;
    };
    std::array<std::byte, 16> bytes{};
    EXPECT_EQ(rtas.fetch_nvram(64, bytes), RtasStatus::success);
    short_by = 1;
    EXPECT_EQ(rtas.fetch_nvram(64, bytes), RtasStatus::hardware) << "not all bytes is an error";
    machine.rtas_handlers[0x2013] = [](std::span<const uint32_t>, std::span<uint32_t>) {
        return RtasStatus::parameter;
    };
    EXPECT_EQ(rtas.store_nvram(0, bytes), RtasStatus::parameter);
}

TEST_F(Hcall, AServiceThatDoesNotExistIsAParameterErrorWithoutACall) {
    const Rtas none{RtasTokens{}};
    uint32_t value = 7;
    EXPECT_EQ(none.read_pci_config(buid, function, 4, value), RtasStatus::parameter);
    none.power_off();
    EXPECT_EQ(machine.call_count(Number::rtas), 0u);
}

TEST_F(Hcall, AnAnswerThatNobodyWritesIsNoSuccess) {
    record(Number::rtas);
    uint32_t value = 0;
    EXPECT_EQ(Rtas{machine.rtas_tokens()}.read_pci_config(buid, function, 4, value),
              RtasStatus::hardware);
}

TEST_F(Hcall, AServiceThatCannotBeCalledIsAParameterError) {
    record(Number::rtas, Status::parameter);
    const Rtas rtas{machine.rtas_tokens()};
    uint32_t value = 7;
    EXPECT_EQ(rtas.read_pci_config(buid, function, 4, value), RtasStatus::parameter);
    EXPECT_EQ(value, 7u);
    EXPECT_EQ(seen.size(), 1u) << "is not tried again";
}

TEST_F(Hcall, AServiceThatIsBusyForEverIsGivenUp) {
    size_t calls = 0;
    machine.rtas_handlers[test::FakeHypervisor::token_read_pci_config] =
        [&](std::span<const uint32_t>, std::span<uint32_t>) {
            ++calls;
            return RtasStatus::busy;
        };
    const Rtas rtas{machine.rtas_tokens()};
    uint32_t value = 0;
    EXPECT_EQ(rtas.read_pci_config(buid, function, 4, value), RtasStatus::busy);
    EXPECT_LE(calls, 1000u);
}

//------------------------------------------------------------------------------ trees

TEST_F(Hcall, TreesAreNamedByTheirPhysicalAddress) {
    record(Number::update_dt);
    update_dt({to_pointer({0x4000}), 64});
    record(Number::client_architecture_support);
    client_architecture_support({0x5000}, {to_pointer({0x8000}), 0x1000});
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].r4, 0x4000u);
    EXPECT_EQ(seen[1].r4, 0x5000u);
    EXPECT_EQ(seen[1].r5, 0x8000u);
    EXPECT_EQ(seen[1].r6, 0x1000u);
}

TEST(HcallNames, EveryStatusHasItsOwn) {
    constexpr std::pair<Status, const char*> names[] = {
        {Status::success, "H_SUCCESS"},
        {Status::busy, "H_BUSY"},
        {Status::hardware, "H_HARDWARE"},
        {Status::function, "H_FUNCTION"},
        {Status::privilege, "H_PRIVILEGE"},
        {Status::parameter, "H_PARAMETER"},
        {Status::p2, "H_P2"},
        {Status::p3, "H_P3"},
        {Status::state, "H_STATE"},
        {Status::unsupported, "H_UNSUPPORTED"},
    };
    for (const auto& [status, text] : names)
        EXPECT_STREQ(name(status), text);
    EXPECT_STREQ(name(Status{-9999}), "H_?");
}

} // namespace
} // namespace spillway::hcall
