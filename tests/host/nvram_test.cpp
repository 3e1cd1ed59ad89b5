// SPDX-License-Identifier: BSD-2-Clause
// Blank non-volatile memory becomes free space; anything else is left alone.
#include "boot/nvram.h"

#include "base/endian.h"
#include "boot/machine.h"
#include "tests/host/fake_hypervisor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace spillway {
namespace {

class Nvram : public testing::Test {
protected:
    void format(size_t size) {
        if (memory.empty()) memory.resize(size);
        tree.set_cells(**tree.add(**tree.add(*tree.root(), "vdevice", fdt::Origin::hypervisor),
                                  "nvram@71000001", fdt::Origin::hypervisor),
                       "#bytes", {static_cast<uint32_t>(size)}, fdt::Origin::hypervisor)
            .value();
        hcall::RtasTokens tokens;
        tokens.nvram_fetch = hcall::RtasToken{0x2012};
        tokens.nvram_store = hcall::RtasToken{0x2013};
        serve(0x2012, [](std::byte* in, std::byte* out, size_t n) { std::memcpy(out, in, n); });
        serve(0x2013, [this](std::byte* in, std::byte* out, size_t n) {
            ++stores;
            std::memcpy(in, out, n);
        });
        boot::format_blank_nvram(tree, hcall::Rtas{tokens});
    }
    /// A service on (offset, 32-bit buffer, length).
    void serve(uint32_t token, std::function<void(std::byte*, std::byte*, size_t)> copy) {
        machine.rtas_handlers[token] = [this, token, copy](std::span<const uint32_t> arguments,
                                                           std::span<uint32_t> returns) {
            returns[0] = arguments[2];
            if (bottomless && arguments[0] != 0) {
                return ++stores < 10'000 ? hcall::RtasStatus::success : hcall::RtasStatus::hardware;
            }
            if (arguments[0] + arguments[2] > memory.size() ||
                (token == 0x2013 && arguments[0] >= unwritable)) {
                return hcall::RtasStatus::parameter;
            }
            copy(memory.data() + arguments[0], machine.object_on_stack(arguments[1]), arguments[2]);
            return token == broken ? hcall::RtasStatus::hardware : hcall::RtasStatus::success;
        };
    }
    uint8_t at(size_t offset) const { return std::to_integer<uint8_t>(memory[offset]); }

    test::FakeHypervisor machine;
    fdt::Tree tree;
    std::vector<std::byte> memory;
    size_t stores = 0;
    uint32_t broken = 0;          ///< the service that fails after all
    size_t unwritable = SIZE_MAX; ///< stores at this offset and behind it fail
    bool bottomless = false; ///< what is stored beyond the memory is lost, but that is not said
};

TEST_F(Nvram, BlankMemoryBecomesOnePartitionOfFreeSpace) {
    format(64 << 10);
    EXPECT_EQ(stores, 1u);
    EXPECT_EQ(at(0), 0x7F);
    EXPECT_EQ(load<Big16>(&memory[2]), (64 << 10) / 16);
    EXPECT_EQ(at(4), 'w');
    EXPECT_EQ(at(15), 'w');
    unsigned sum = 0;
    for (size_t i = 0; i < 16; ++i) {
        if (i == 1) continue;
        sum += at(i);
        sum = (sum & 0xFF) + (sum >> 8);
    }
    EXPECT_EQ(at(1), sum);
    EXPECT_TRUE(std::all_of(memory.begin() + 16, memory.end(),
                            [](std::byte byte) { return byte == std::byte{}; }));
}

TEST_F(Nvram, TheLargestMemoryTakesTwoHeaders) {
    format(1 << 20);
    EXPECT_EQ(stores, 2u);
    EXPECT_EQ(at(512 << 10), 0x7F);
    EXPECT_EQ(load<Big16>(&memory[(512 << 10) + 2]), (512 << 10) / 16);
}

TEST_F(Nvram, ASizeUpToTheLastAddressComesToAnEnd) {
    memory.resize(16);
    bottomless = true;
    format(0xFFFF'FFFF);
    EXPECT_EQ(stores, 8192u);
}

TEST_F(Nvram, WhatIsNotBlankIsLeftAlone) {
    memory.resize(8 << 10);
    memory[9] = std::byte{1};
    format(8 << 10);
    EXPECT_EQ(stores, 0u);
}

TEST_F(Nvram, MemoryThatCannotBeReadIsLeftAlone) {
    broken = 0x2012;
    format(8 << 10);
    EXPECT_EQ(stores, 0u);
}

TEST_F(Nvram, MemoryThatCannotBeWrittenIsSaid) {
    boot::start_log();
    unwritable = 512 << 10;
    format(1 << 20);
    EXPECT_EQ(stores, 1u);
    EXPECT_EQ(machine.console, "warning: nvram: cannot be written at 0x80000\r\n");
}

TEST_F(Nvram, MemoryOfNoSizeIsNotAsked) {
    format(0);
    EXPECT_EQ(machine.call_count(hcall::Number::rtas), 0u);
}

TEST_F(Nvram, NoMemoryIsNothingToDo) {
    boot::format_blank_nvram(tree, hcall::Rtas{hcall::RtasTokens{}});
    EXPECT_EQ(machine.call_count(hcall::Number::rtas), 0u);
}

} // namespace
} // namespace spillway
