// SPDX-License-Identifier: BSD-2-Clause
// Blank non-volatile memory becomes free space; anything else is left alone.
#include "boot/nvram.h"

#include "base/endian.h"
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
    /// A service on (offset, 32-bit buffer, length). Objects on the host's stack have addresses of
    /// more than 32 bits, of which RTAS sees the low half.
    void serve(uint32_t token, std::function<void(std::byte*, std::byte*, size_t)> copy) {
        machine.rtas_handlers[token] = [this, copy](std::span<const uint32_t> arguments,
                                                    std::span<uint32_t> returns) {
            if (broken || arguments[0] + arguments[2] > memory.size()) {
                return hcall::RtasStatus::parameter;
            }
            const auto here = reinterpret_cast<uintptr_t>(&arguments);
            auto* buffer =
                reinterpret_cast<std::byte*>((here & ~uintptr_t{0xFFFFFFFF}) | arguments[1]);
            copy(memory.data() + arguments[0], buffer, arguments[2]);
            returns[0] = arguments[2];
            return hcall::RtasStatus::success;
        };
    }
    uint8_t at(size_t offset) const { return std::to_integer<uint8_t>(memory[offset]); }

    test::FakeHypervisor machine;
    fdt::Tree tree;
    std::vector<std::byte> memory;
    size_t stores = 0;
    bool broken = false;
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

TEST_F(Nvram, WhatIsNotBlankIsLeftAlone) {
    memory.resize(8 << 10);
    memory[9] = std::byte{1};
    format(8 << 10);
    EXPECT_EQ(stores, 0u);
}

TEST_F(Nvram, MemoryThatCannotBeReadIsLeftAlone) {
    broken = true;
    format(8 << 10);
    EXPECT_EQ(stores, 0u);
}

TEST_F(Nvram, NoMemoryIsNothingToDo) {
    boot::format_blank_nvram(tree, hcall::Rtas{hcall::RtasTokens{}});
    EXPECT_EQ(machine.call_count(hcall::Number::rtas), 0u);
}

} // namespace
} // namespace spillway
