// SPDX-License-Identifier: BSD-2-Clause
// A pseries machine for tests on the build machine: RAM, hypercalls, RTAS and PCI, all scripted.
//
// The hypercall stub and the two address conversions of the firmware are defined over the current
// FakeHypervisor, so that firmware code runs unchanged on top of it:
//
//     FakeHypervisor machine;
//     FakeHostBridge& host = machine.add_host_bridge(0);
//     auto& disk = host.bus.add<FakeFunction>(1, 0, 0x1af4, 0x1042, 0x010000);
//     disk.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
//     fdt::Tree tree;
//     machine.fill_tree(tree);
//     const hcall::Rtas rtas{machine.rtas_tokens()};
//     auto topology = pci::enumerate(tree, rtas);
//
// Whatever a test does not script behaves as QEMU 7.2 does; what QEMU does not know answers
// H_FUNCTION. Everything public is meant to be read and changed by tests at any time.
#pragma once

#include "base/address.h"
#include "fdt/tree.h"
#include "hcall/hypercall.h"
#include "hcall/rtas.h"
#include "pci/capability.h"
#include "pci/config.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace spillway::test {

class FakeBus;
class FakeHypervisor;

/// The kinds of base address registers that exist.
enum class FakeBar : uint8_t {
    io,
    memory32,
    memory32_prefetchable,
    memory64,
    memory64_prefetchable,
};

/// One PCI function: 256 bytes of config space with a write mask for each byte. Derive from it and
/// override read() and write() to give the BARs a content.
class FakeFunction {
public:
    /// `class_code` has 24 bits: base class, sub-class, programming interface.
    FakeFunction(uint16_t vendor, uint16_t device, uint32_t class_code);
    virtual ~FakeFunction() = default;
    FakeFunction(const FakeFunction&) = delete;
    FakeFunction& operator=(const FakeFunction&) = delete;

    /// --- set-up.
    /// BAR `index` 0..5; `size` a power of two, at least 16 for memory and 4 for I/O. A 64-bit BAR
    /// takes index + 1 too.
    void add_bar(unsigned index, FakeBar kind, uint64_t size);
    /// Expansion ROM, a power of two of at least 2 KiB.
    void add_rom(uint32_t size);
    /// Puts a capability in front of the list; `body` follows its id and next bytes. Returns its
    /// offset.
    uint8_t add_capability(pci::CapabilityId id, std::span<const uint8_t> body);
    /// A virtio vendor capability (virtio 1.2, 4.1.4): types 1 common, 2 notify, 3 ISR, 4 device,
    /// 5 config access. `notify_multiplier` is stored for type 2 only.
    uint8_t add_virtio_capability(uint8_t type, uint8_t bar, uint32_t offset, uint32_t length,
                                  uint32_t notify_multiplier = 0);
    void set_subsystem(uint16_t vendor, uint16_t device);
    void set_interrupt_pin(uint8_t pin) { config[0x3D] = pin; }

    /// --- raw config space. Offsets within 256; values are register values.
    uint8_t get8(unsigned offset) const { return config[offset]; }
    uint16_t get16(unsigned offset) const;
    uint32_t get32(unsigned offset) const;
    void set16(unsigned offset, uint16_t value);
    void set32(unsigned offset, uint32_t value);
    void set_mask16(unsigned offset, uint16_t mask);
    void set_mask32(unsigned offset, uint32_t mask);

    /// --- what a device does. The defaults implement config space and leave BARs empty.
    virtual uint32_t read_config(unsigned offset, unsigned size);
    virtual void write_config(unsigned offset, unsigned size, uint32_t value);
    /// A register of BAR `bar` (0..5, 6 is the ROM), as a register value.
    virtual uint64_t read(unsigned bar, uint64_t offset, unsigned size);
    virtual void write(unsigned bar, uint64_t offset, unsigned size, uint64_t value);
    /// nullptr unless the function is a bridge.
    virtual FakeBus* secondary() { return nullptr; }

    bool is_bridge() const { return (config[0x0E] & 0x7F) == 1; }
    bool bus_master() const { return (config[0x04] & pci::command_bus_master) != 0; }
    /// The BAR's address as a decoder sees it, type bits removed.
    uint64_t bar_address(unsigned bar) const;
    /// BAR `bar` claims this access: it is implemented, its space is decoded (command register,
    /// ROM enable) and contains all bytes.
    bool claims(unsigned bar, bool io, uint64_t address, unsigned size) const;

    std::array<uint8_t, 256> config{};
    std::array<uint8_t, 256> writable{};
    /// Sizes as given to add_bar and add_rom (index 6); 0: none. Only decoding uses them.
    std::array<uint64_t, 7> bar_sizes{};
    /// Base name of the node in the tree; "" takes QEMU's name for the class.
    std::string node_name;
    bool in_tree = true; ///< fill_tree() writes a node for it
    uint8_t devfn = 0;   ///< device << 3 | function; set by FakeBus
    bool present = true; ///< false: config space answers nothing, as after a surprise removal

private:
    uint8_t free_config_ = 0x40;
};

/// One PCI bus: up to 256 functions, owned.
class FakeBus {
public:
    /// Sets the multi-function bit of function 0 when `function` is not 0.
    template<typename Type = FakeFunction, typename... Arguments>
    Type& add(unsigned device, unsigned function, Arguments&&... arguments) {
        auto made = std::make_unique<Type>(std::forward<Arguments>(arguments)...);
        Type& result = *made;
        put(device, function, std::move(made));
        return result;
    }
    void put(unsigned device, unsigned function, std::unique_ptr<FakeFunction> made);
    void remove(unsigned device, unsigned function);
    /// nullptr when the slot is empty.
    FakeFunction* at(unsigned device, unsigned function) const {
        return functions_[device * 8 + function].get();
    }
    /// All functions, by device and function.
    const std::vector<FakeFunction*>& members() const { return members_; }

private:
    void collect();
    std::array<std::unique_ptr<FakeFunction>, 256> functions_;
    std::vector<FakeFunction*> members_;
};

/// A PCI-to-PCI bridge like QEMU's pci-bridge: 16-bit I/O and 64-bit prefetchable window, no BAR.
/// It routes by its own registers, as real ones do.
class FakeBridge : public FakeFunction {
public:
    explicit FakeBridge(uint16_t vendor = 0x1B36, uint16_t device = 0x0001);
    FakeBus* secondary() override { return &bus; }

    void set_io_32(bool wide);           ///< I/O window decodes 32 or 16 address bits
    void set_prefetchable_64(bool wide); ///< prefetchable window decodes 64 or 32 address bits
    void remove_io_window();             ///< not implemented: reads 0, refuses writes
    void remove_prefetchable_window();

    uint8_t secondary_number() const { return config[0x19]; }
    uint8_t subordinate_number() const { return config[0x1A]; }
    bool forwards_bus(unsigned number) const {
        return number >= secondary_number() && number <= subordinate_number();
    }
    bool forwards(bool io, uint64_t address, unsigned size) const;
    /// Start and end (exclusive) of a window; start >= end when closed.
    struct Span {
        uint64_t start, end;
    };
    Span io_window() const;
    Span memory_window() const;
    Span prefetchable_window() const;

    FakeBus bus;
};

/// A PCI host bridge as QEMU makes them: windows placed by index.
struct FakeHostBridge {
    struct Window {
        uint32_t space; ///< 1 I/O, 2 32-bit memory, 3 64-bit memory: bits 24 and 25 of phys.hi
        uint64_t bus, cpu, size;
    };

    explicit FakeHostBridge(unsigned index);
    /// Writes bus numbers into the bridges as QEMU does; fill_tree() does it when `enumerated`.
    void number_buses();

    hcall::Buid buid;
    std::vector<Window> windows;
    uint32_t first_bus = 0, last_bus = 255;
    bool enumerated = true; ///< QEMU's `qemu,phb-enumerated`
    uint32_t liobn;
    FakeBus bus;
};

/// One config space access, as the hypervisor sees it.
struct ConfigAccess {
    size_t index; ///< counts reads and writes apart, from 0
    bool is_write;
    hcall::Buid buid;
    pci::Location location;
    unsigned offset, size;
    uint32_t value; ///< what is written; of reads 0 in a hook, what was read in the log
    bool answered;  ///< a function was there (log only)
};

enum class ConfigFault : uint8_t { none, all_ones, rtas_error };

/// The TCE table of a DMA window. Bus addresses are below `size`.
struct FakeTceTable {
    uint64_t size = 0x4000'0000;
    std::unordered_map<uint64_t, uint64_t> entries; ///< by page number (4 KiB)
};

class FakeHypervisor {
public:
    using Handler = std::function<hcall::Status(hcall::Registers&)>;
    /// Gets the arguments, fills the returns (without the status) and answers the status.
    using RtasHandler =
        std::function<hcall::RtasStatus(std::span<const uint32_t>, std::span<uint32_t>)>;

    static constexpr uint32_t token_power_off = 0x2003, token_system_reboot = 0x2004,
                              token_read_pci_config = 0x2016, token_write_pci_config = 0x2017;
    static constexpr uint32_t interrupt_controller = 0x1111; ///< phandle

    /// Becomes the current machine until it is destroyed. RAM is guest-physical 0..ram_size, is
    /// all zeroes and costs nothing until touched. Log lines go to `console`.
    explicit FakeHypervisor(uint64_t ram_size = 64 << 20);
    virtual ~FakeHypervisor();
    FakeHypervisor(const FakeHypervisor&) = delete;
    FakeHypervisor& operator=(const FakeHypervisor&) = delete;
    static FakeHypervisor& current();

    /// --- memory. An address outside RAM is a pointer of the host, so that objects of the firmware
    /// on the test's stack and heap serve as hypercall buffers.
    std::byte* pointer(PhysicalAddress address) const;
    PhysicalAddress physical(const void* pointer) const;
    /// An object on the host's stack, by the low half of its address: all that RTAS sees of it.
    static std::byte* object_on_stack(uint32_t low_half);
    std::span<std::byte> ram() const { return {ram_, ram_size_}; }

    /// --- hypercalls.
    virtual hcall::Status call(uint64_t number, hcall::Registers& registers);
    std::map<hcall::Number, Handler> handlers;     ///< in place of the built-in answer
    std::map<uint32_t, RtasHandler> rtas_handlers; ///< by token, in place of the built-in ones
    std::unordered_map<uint64_t, size_t> calls;    ///< how often each number was called
    size_t call_count(hcall::Number number) const;
    hcall::RtasTokens rtas_tokens() const;

    size_t tlb_enlargements = 0; ///< boot::enlarge_emulator_tlb

    /// --- console.
    std::string console; ///< what was written
    std::string input;   ///< what waits to be read
    /// How often `text` occurs in the console's output.
    size_t console_count(std::string_view text) const;

    /// --- PCI.
    FakeHostBridge& add_host_bridge(unsigned index);
    std::vector<std::unique_ptr<FakeHostBridge>> host_bridges;
    FakeHostBridge* find_host(hcall::Buid buid);
    FakeFunction* find_function(hcall::Buid buid, pci::Location location);

    /// Asked before every config access; makes a read answer all ones, or the call fail.
    std::function<ConfigFault(const ConfigAccess&)> config_hook;
    /// The n-th config read from now on (0 is the next) misbehaves once.
    void fail_config_read(size_t n, ConfigFault fault);
    bool keep_config_log = false;
    std::vector<ConfigAccess> config_log;
    size_t config_reads = 0, config_writes = 0;

    /// Who answers a CPU access at `address`: function, BAR and offset in it.
    struct Target {
        FakeFunction* function;
        unsigned bar;
        uint64_t offset;
    };
    std::optional<Target> decode(PhysicalAddress address, unsigned size);
    uint64_t unmapped_value = 0; ///< what QEMU answers for a load that nobody claims

    /// --- DMA.
    std::map<uint32_t, FakeTceTable> tce_tables; ///< by LIOBN; add_host_bridge() adds window 0
    /// Where a device's access at a bus address lands; nothing when the entry does not allow it.
    std::optional<PhysicalAddress> translate(uint32_t liobn, uint64_t address, bool is_write) const;

    /// --- the device tree, as QEMU writes it.
    /// Root, /memory@0, /rtas, /chosen, the interrupt controller, and a node for each host bridge
    /// with all functions that are `in_tree`. The tree is empty.
    void fill_tree(fdt::Tree& tree);
    /// Only the node of one host bridge and what is below.
    fdt::Node& add_host_node(fdt::Tree& tree, FakeHostBridge& host);

private:
    hcall::Status rtas(hcall::Registers& registers);
    hcall::RtasStatus access_config(bool is_write, std::span<const uint32_t> arguments,
                                    std::span<uint32_t> returns);
    hcall::Status cache_inhibited(bool is_store, hcall::Registers& registers);
    hcall::Status tce(hcall::Number number, hcall::Registers& registers);

    FakeHypervisor* previous_;
    std::byte* ram_;
    uint64_t ram_size_;
};

} // namespace spillway::test
