// SPDX-License-Identifier: BSD-2-Clause
// A client of the client interface: a machine with a tree like QEMU's, and a program in it that
// makes calls. The program has the area of the loaded image to itself.
#pragma once

#include "base/endian.h"
#include "base/memory_map.h"
#include "fdt/tree.h"
#include "of/client.h"
#include "tests/host/fake_hypervisor.h"

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::of::test {

constexpr uint64_t mib = 1 << 20;
constexpr uint32_t failure = 0xffffffff;
constexpr uint32_t nothing_yet = static_cast<uint32_t>(-2);

/// How the program left.
struct Left {
    std::string how;
};

class FakeConsole final : public Console {
public:
    size_t write(std::string_view text) override;
    size_t read(std::span<char> buffer) override;

    std::string output;
    std::string input;
    size_t most_taken = SIZE_MAX; ///< by one write
};

class FakePlatform final : public Platform {
public:
    uint32_t milliseconds() override { return clock; }
    Result<void> client_architecture_support(PhysicalAddress vectors) override;
    void quiesce() override { ++quiesced; }
    [[noreturn]] void leave(const char* how) override { throw Left{how}; }
    [[noreturn]] void power_off() override { throw Left{"power-off"}; }
    [[noreturn]] void restart() override { throw Left{"restart"}; }

    uint32_t clock = 0;
    unsigned quiesced = 0;
    std::vector<uint64_t> vectors;           ///< of every negotiation
    std::function<Result<void>()> negotiate; ///< what the hypervisor does about it
};

class Guest {
public:
    static constexpr uint64_t ram_size = 64 * mib;                ///< of the first block
    static constexpr PhysicalRange island{{80 * mib}, 4 * mib};   ///< more RAM, behind a hole
    static constexpr PhysicalRange image{{0}, mib};               ///< the firmware's
    static constexpr PhysicalRange stacks{{ram_size - mib}, mib}; ///< the firmware's
    static constexpr PhysicalRange program{{4 * mib}, 8 * mib};   ///< what was loaded
    static constexpr uint32_t array = 0x480000;                   ///< of arguments
    static constexpr uint32_t scratch = 0x500000;                 ///< texts and buffers
    static constexpr uint32_t rtas_size = 0x82c;
    static constexpr uint32_t unanswered = 0xA5A5A5A5; ///< return slots before the call

    enum class Terminals : uint8_t { none, one, three };

    explicit Guest(Terminals terminals = Terminals::one, bool prepared = true);

    /// --- calls.
    struct Answer {
        int32_t status;
        std::vector<uint32_t> returns;
    };
    Answer call(std::string_view service, const std::vector<uint32_t>& arguments, unsigned returns);
    /// A call that succeeds and has one return.
    uint32_t ask(std::string_view service, const std::vector<uint32_t>& arguments);
    /// A call that answers this status.
    void tell(std::string_view service, const std::vector<uint32_t>& arguments, int32_t status = 0);
    /// Lays the array out at `address`, without calling.
    void lay_out(uint32_t address, uint32_t service, uint32_t argument_count, uint32_t return_count,
                 const std::vector<uint32_t>& arguments);
    size_t calls = 0;

    /// --- the program's memory.
    uint32_t text(std::string_view text); ///< with a NUL
    uint32_t buffer(size_t size, char fill = '#');
    std::string bytes(uint32_t address, size_t size) const;
    std::string string(uint32_t address) const;
    uint32_t cell(uint32_t address) const;
    std::byte* at(uint64_t address) const { return machine.pointer({address}); }

    /// --- short forms.
    uint32_t node(std::string_view path) { return ask("finddevice", {text(path)}); }
    uint32_t open(std::string_view path) { return ask("open", {text(path)}); }
    std::string path_of(uint32_t phandle);
    /// Value of a property as the client sees it; nothing when there is none.
    std::optional<std::string> property(uint32_t phandle, std::string_view name);
    uint32_t cell_property(std::string_view path, std::string_view name);
    std::vector<std::string> property_names(uint32_t phandle);
    /// Content of "available".
    std::vector<PhysicalRange> available();
    std::vector<PhysicalRange> free();

    spillway::test::FakeHypervisor machine{96 * mib};
    fdt::Tree tree;
    MemoryMap memory;
    FakeConsole console;
    FakePlatform platform;
    Client client{tree, memory, console, platform};

private:
    uint32_t next_ = scratch;
};

/// Values of properties.
std::string cells(std::initializer_list<uint32_t> values);
/// With a NUL.
std::string terminated(std::string_view text);
fdt::Bytes as_bytes(std::string_view text);
fdt::Node& add_node(fdt::Tree& tree, fdt::Node& parent, std::string_view name);
void set(fdt::Tree& tree, fdt::Node& node, std::string_view name, std::string_view value);

} // namespace spillway::of::test
