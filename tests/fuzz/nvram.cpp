// SPDX-License-Identifier: BSD-2-Clause
// Non-volatile memory of any size and content, behind services that may fail: what is not blank is
// left alone, what is blank becomes a chain of partitions that covers it.
#include "boot/nvram.h"

#include "tests/fuzz/machines.h"

#include <array>
#include <cstring>

namespace spillway::fuzz {
namespace {

struct Device {
    uint32_t size = 0;
    std::array<std::byte, 16> first{};
    unsigned answers = 0; ///< one bit a call: it fails
    unsigned short_transfer = 0;
    uint32_t end = 0; ///< of the partitions written so far
    size_t stores = 0, failures = 0;

    hcall::RtasStatus access(bool is_store, std::span<const uint32_t> arguments,
                             std::span<uint32_t> returns) {
        demand(arguments.size() == 3 && returns.size() == 1, "the service's form");
        demand(arguments[2] == 16 && uint64_t{arguments[0]} + 16 <= size, "inside the memory");
        std::byte* const buffer = test::FakeHypervisor::object_on_stack(arguments[1]);
        if (is_store) {
            store(arguments[0], buffer);
        } else {
            demand(arguments[0] == 0, "only the first header is looked at");
            std::memcpy(buffer, first.data(), first.size());
        }
        const bool fails = (answers & 1) != 0, cut_off = (short_transfer & 1) != 0;
        answers >>= 1;
        short_transfer >>= 1;
        returns[0] = cut_off ? 15 : 16;
        if (fails || cut_off) ++failures;
        return fails ? hcall::RtasStatus::hardware : hcall::RtasStatus::success;
    }

private:
    void store(uint32_t offset, const std::byte* header) {
        demand(failures == 0, "nothing is written after a failure");
        demand(std::ranges::all_of(first, [](std::byte byte) { return byte == std::byte{}; }),
               "what is not blank is left alone");
        demand(offset == end && header[0] == std::byte{0x7F}, "free space, one behind the other");
        const uint32_t length = load<Big16>(header + 2);
        demand(length != 0, "a partition has a length");
        end += length * 16;
        unsigned sum = 0;
        for (size_t i = 0; i < 16; ++i) {
            if (i != 1) sum += std::to_integer<unsigned>(header[i]);
        }
        while (sum > 0xFF)
            sum = (sum & 0xFF) + (sum >> 8);
        demand(std::to_integer<unsigned>(header[1]) == sum, "the checksum");
        ++stores;
    }
};

} // namespace

void run(Input input) {
    static test::FakeHypervisor machine{0x1000};
    static Device* current;
    static hcall::RtasTokens tokens;
    if (tokens.nvram_fetch == hcall::RtasToken::none) {
        tokens.nvram_fetch = hcall::RtasToken{1};
        tokens.nvram_store = hcall::RtasToken{2};
        machine.rtas_handlers[1] = [](auto in, auto out) {
            return current->access(false, in, out);
        };
        machine.rtas_handlers[2] = [](auto in, auto out) { return current->access(true, in, out); };
    }
    machine.console.clear();

    Device device;
    current = &device;
    device.answers = input.byte();
    device.short_transfer = input.byte();
    device.size = input.number<uint32_t>();
    if (const uint8_t shift = input.byte(); shift != 0xFF) device.size >>= 12 + shift % 20;
    fdt::Tree tree;
    fdt::Node& bus = **tree.add(*tree.root(), "vdevice", fdt::Origin::hypervisor);
    fdt::Node& node = **tree.add(bus, "nvram@71000001", fdt::Origin::hypervisor);
    const Big32 cell{device.size};
    const auto width = input.below(6); // of "#bytes", mostly a cell
    const auto number = std::as_bytes(std::span{&cell, 1}).first(width == 5 ? 3 : 4);
    if (width == 5) device.size = 0;
    (void)tree.set(node, "#bytes", number, fdt::Origin::hypervisor);
    std::ranges::copy(input.bytes(16), device.first.begin());

    boot::format_blank_nvram(tree, hcall::Rtas{tokens});
    demand(device.stores <= device.size / (512u << 10) + 1, "as few headers as there can be");
    if (device.stores != 0 && device.failures == 0) {
        demand(device.end == device.size / 16 * 16, "the partitions cover all");
    }
}

} // namespace spillway::fuzz
