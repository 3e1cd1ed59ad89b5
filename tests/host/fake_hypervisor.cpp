// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/fake_hypervisor.h"

#include "base/endian.h"
#include "base/log.h"
#include "boot/emulator.h"
#include "fdt/cells.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <sys/mman.h>

namespace spillway::test {
namespace {

FakeHypervisor* current_machine = nullptr;

[[noreturn]] void misuse(const char* what) {
    std::fprintf(stderr, "fake hypervisor: %s\n", what);
    std::abort();
}

uint32_t load_little(const uint8_t* from, unsigned size) {
    uint32_t value = 0;
    for (unsigned index = 0; index < size; ++index)
        value |= uint32_t{from[index]} << 8 * index;
    return value;
}

void store_little(uint8_t* to, unsigned size, uint32_t value) {
    for (unsigned index = 0; index < size; ++index)
        to[index] = static_cast<uint8_t>(value >> 8 * index);
}

uint64_t width_mask(unsigned size) {
    return size == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * size) - 1;
}

uint64_t swap(uint64_t value, unsigned size) {
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

bool within(uint64_t start, uint64_t size, uint64_t address, unsigned bytes) {
    return size >= bytes && address >= start && address - start <= size - bytes;
}

/// The space code of a BAR as QEMU writes it: 1 I/O, 2 memory, 3 64-bit memory.
uint32_t space_code(const FakeFunction& function, unsigned bar) {
    if (bar == 6) return 2;
    const uint32_t low = function.get32(0x10 + 4 * bar);
    if ((low & 1) != 0) return 1;
    return (low & 6) == 4 ? 3 : 2;
}

/// QEMU's names of the classes that its usual devices have (spapr_pci.c: dt_name_from_class).
const char* class_name(uint32_t class_code) {
    switch (class_code >> 8) {
    case 0x0100:
        return "scsi";
    case 0x0106:
        return "sata";
    case 0x0180:
        return "mass-storage";
    case 0x0200:
        return "ethernet";
    case 0x0300:
        return "vga";
    case 0x0380:
        return "display";
    case 0x0604:
        return "pci";
    case 0x0780:
        return "communication-controller";
    case 0x0c03:
        return (class_code & 0xFF) == 0x30 ? "usb-xhci" : "usb-ohci";
    case 0x00ff:
        return "legacy-device";
    default:
        return "pci";
    }
}

template<typename Type> void must(const Result<Type>& result) {
    if (!result) misuse(result.error().message);
}

class Cells {
public:
    void cell(uint32_t value) { cells_.emplace_back(value); }
    void number(uint64_t value) {
        cell(static_cast<uint32_t>(value >> 32));
        cell(static_cast<uint32_t>(value));
    }
    fdt::Bytes bytes() const { return std::as_bytes(std::span{cells_}); }

private:
    std::vector<Big32> cells_;
};

void set(fdt::Tree& tree, fdt::Node& node, const char* name, const Cells& cells) {
    must(tree.set(node, name, cells.bytes(), fdt::Origin::hypervisor));
}
void set(fdt::Tree& tree, fdt::Node& node, const char* name,
         std::initializer_list<uint32_t> cells) {
    must(tree.set_cells(node, name, cells, fdt::Origin::hypervisor));
}
void set(fdt::Tree& tree, fdt::Node& node, const char* name, std::string_view text) {
    must(tree.set_text(node, name, text, fdt::Origin::hypervisor));
}
fdt::Node& add_node(fdt::Tree& tree, fdt::Node& parent, std::string_view name) {
    const auto node = tree.add(parent, name, fdt::Origin::hypervisor);
    must(node);
    return **node;
}

FakeFunction* find_on(FakeBus& bus, unsigned number, pci::Location location) {
    if (number == location.bus) {
        FakeFunction* found = bus.at(location.device, location.function);
        return found != nullptr && found->present ? found : nullptr;
    }
    for (FakeFunction* function : bus.members()) {
        if (!function->is_bridge() || function->secondary() == nullptr || !function->present) {
            continue;
        }
        const unsigned secondary = function->get8(0x19);
        if (location.bus < secondary || location.bus > function->get8(0x1A)) continue;
        return find_on(*function->secondary(), secondary, location);
    }
    return nullptr;
}

std::optional<FakeHypervisor::Target> decode_on(FakeBus& bus, bool io, uint64_t address,
                                                unsigned size) {
    for (FakeFunction* function : bus.members()) {
        if (!function->present) continue;
        for (unsigned bar = 0; bar < 7; ++bar) {
            if (!function->claims(bar, io, address, size)) continue;
            return FakeHypervisor::Target{function, bar, address - function->bar_address(bar)};
        }
        auto* bridge = dynamic_cast<FakeBridge*>(function);
        if (bridge == nullptr || !bridge->forwards(io, address, size)) continue;
        if (auto target = decode_on(bridge->bus, io, address, size)) return target;
    }
    return std::nullopt;
}

void number_bus(FakeBus& bus, unsigned number, unsigned& last) {
    for (FakeFunction* function : bus.members()) {
        if (!function->is_bridge()) continue;
        function->config[0x18] = static_cast<uint8_t>(number);
        function->config[0x19] = function->config[0x1A] = static_cast<uint8_t>(++last);
        if (FakeBus* secondary = function->secondary(); secondary != nullptr) {
            number_bus(*secondary, last, last);
        }
        function->config[0x1A] = static_cast<uint8_t>(last);
    }
}

void add_function_nodes(fdt::Tree& tree, fdt::Node& parent, FakeBus& bus, unsigned number) {
    for (FakeFunction* function : bus.members()) {
        if (!function->in_tree) continue;
        const unsigned devfn = function->devfn;
        const uint32_t class_code = function->get32(0x08) >> 8;
        const char* base =
            function->node_name.empty() ? class_name(class_code) : function->node_name.c_str();
        char name[64];
        if (devfn % 8 != 0) {
            std::snprintf(name, sizeof name, "%s@%x,%x", base, devfn / 8, devfn % 8);
        } else {
            std::snprintf(name, sizeof name, "%s@%x", base, devfn / 8);
        }
        fdt::Node& node = add_node(tree, parent, name);
        set(tree, node, "vendor-id", {function->get16(0)});
        set(tree, node, "device-id", {function->get16(2)});
        set(tree, node, "revision-id", {function->get8(8)});
        set(tree, node, "class-code", {class_code});
        if (function->get8(0x3D) != 0) set(tree, node, "interrupts", {function->get8(0x3D)});
        if (function->get16(0x2E) != 0) set(tree, node, "subsystem-id", {function->get16(0x2E)});
        if (function->get16(0x2C) != 0) {
            set(tree, node, "subsystem-vendor-id", {function->get16(0x2C)});
        }
        set(tree, node, "cache-line-size", {function->get8(0x0C)});
        set(tree, node, "devsel-speed", {function->get16(0x06) & 0x600u});

        const uint32_t location = number << 16 | devfn << 8;
        Cells reg;
        reg.cell(location);
        reg.number(0);
        reg.number(0);
        for (unsigned bar = 0; bar < 7; ++bar) {
            if (function->bar_sizes[bar] == 0) continue;
            const uint32_t offset = bar < 6 ? 0x10 + 4 * bar : function->is_bridge() ? 0x38 : 0x30;
            reg.cell(space_code(*function, bar) << 24 | location | offset);
            reg.number(0);
            reg.number(function->bar_sizes[bar]);
        }
        set(tree, node, "reg", reg);
        if (!function->is_bridge()) {
            set(tree, node, "min-grant", {function->get8(0x3E)});
            set(tree, node, "max-latency", {function->get8(0x3F)});
        } else {
            set(tree, node, "#address-cells", {3});
            set(tree, node, "#size-cells", {2});
            if (FakeBus* secondary = function->secondary(); secondary != nullptr) {
                add_function_nodes(tree, node, *secondary, function->get8(0x19));
            }
        }
    }
}

} // namespace

// --- FakeFunction

FakeFunction::FakeFunction(uint16_t vendor, uint16_t device, uint32_t class_code) {
    set16(0x00, vendor);
    set16(0x02, device);
    set32(0x08, class_code << 8);
    set_mask16(0x04, 0x0547); // I/O, memory, master, parity, SERR, interrupt disable
    writable[0x0C] = writable[0x3C] = 0xFF;
}

void FakeFunction::add_bar(unsigned index, FakeBar kind, uint64_t size) {
    const bool io = kind == FakeBar::io;
    const bool wide = kind == FakeBar::memory64 || kind == FakeBar::memory64_prefetchable;
    const bool prefetchable =
        kind == FakeBar::memory32_prefetchable || kind == FakeBar::memory64_prefetchable;
    if (index + wide > 5 || !is_power_of_two(size) || size < (io ? 4u : 16u)) misuse("odd BAR");
    const uint64_t mask = ~(size - 1);
    const unsigned offset = 0x10 + 4 * index;
    bar_sizes[index] = size;
    set32(offset, (io ? 1u : 0u) | (wide ? 4u : 0u) | (prefetchable ? 8u : 0u));
    set_mask32(offset, static_cast<uint32_t>(mask));
    if (!wide) return;
    set32(offset + 4, 0);
    set_mask32(offset + 4, static_cast<uint32_t>(mask >> 32));
}

void FakeFunction::add_rom(uint32_t size) {
    if (!is_power_of_two(size) || size < 0x800) misuse("odd ROM");
    bar_sizes[6] = size;
    set_mask32(is_bridge() ? 0x38 : 0x30, ~(size - 1) | 1);
}

uint8_t FakeFunction::add_capability(pci::CapabilityId id, std::span<const uint8_t> body) {
    const uint8_t offset = free_config_;
    if (offset + 2 + body.size() > config.size()) misuse("no room for a capability");
    config[offset] = static_cast<uint8_t>(id);
    config[offset + 1u] = config[0x34];
    std::copy(body.begin(), body.end(), config.begin() + offset + 2);
    config[0x34] = offset;
    config[0x06] |= 0x10;
    free_config_ =
        static_cast<uint8_t>(std::min<size_t>(252, align_up(offset + 2 + body.size(), 4)));
    return offset;
}

uint8_t FakeFunction::add_virtio_capability(uint8_t type, uint8_t bar, uint32_t offset,
                                            uint32_t length, uint32_t notify_multiplier) {
    std::vector<uint8_t> body(14);
    body[1] = type;
    body[2] = bar;
    store_little(&body[6], 4, offset);
    store_little(&body[10], 4, length);
    if (type == 2 || type == 5) body.resize(18);
    if (type == 2) store_little(&body[14], 4, notify_multiplier);
    body[0] = static_cast<uint8_t>(body.size() + 2);
    return add_capability(pci::CapabilityId::vendor_specific, body);
}

void FakeFunction::set_subsystem(uint16_t vendor, uint16_t device) {
    set16(0x2C, vendor);
    set16(0x2E, device);
}

uint16_t FakeFunction::get16(unsigned offset) const {
    return static_cast<uint16_t>(load_little(&config[offset], 2));
}
uint32_t FakeFunction::get32(unsigned offset) const {
    return load_little(&config[offset], 4);
}
void FakeFunction::set16(unsigned offset, uint16_t value) {
    store_little(&config[offset], 2, value);
}
void FakeFunction::set32(unsigned offset, uint32_t value) {
    store_little(&config[offset], 4, value);
}
void FakeFunction::set_mask16(unsigned offset, uint16_t mask) {
    store_little(&writable[offset], 2, mask);
}
void FakeFunction::set_mask32(unsigned offset, uint32_t mask) {
    store_little(&writable[offset], 4, mask);
}

uint32_t FakeFunction::read_config(unsigned offset, unsigned size) {
    return load_little(&config[offset], size);
}

void FakeFunction::write_config(unsigned offset, unsigned size, uint32_t value) {
    for (unsigned index = 0; index < size; ++index) {
        uint8_t& byte = config[offset + index];
        const uint8_t mask = writable[offset + index];
        byte = static_cast<uint8_t>((byte & ~mask) | (value >> 8 * index & mask));
    }
}

uint64_t FakeFunction::read(unsigned, uint64_t, unsigned size) {
    return width_mask(size);
}
void FakeFunction::write(unsigned, uint64_t, unsigned, uint64_t) {}

uint64_t FakeFunction::bar_address(unsigned bar) const {
    if (bar == 6) return get32(is_bridge() ? 0x38 : 0x30) & ~0x7FFu;
    const uint32_t low = get32(0x10 + 4 * bar);
    if ((low & 1) != 0) return low & ~3u;
    const bool wide = (low & 6) == 4 && bar < 5;
    return (low & ~15u) | (wide ? uint64_t{get32(0x14 + 4 * bar)} << 32 : 0);
}

bool FakeFunction::claims(unsigned bar, bool io, uint64_t address, unsigned size) const {
    if (bar_sizes[bar] == 0) return false;
    const bool is_io = bar < 6 && (get32(0x10 + 4 * bar) & 1) != 0;
    if (is_io != io) return false;
    if ((config[0x04] & (io ? pci::command_io : pci::command_memory)) == 0) return false;
    if (bar == 6 && (config[is_bridge() ? 0x38 : 0x30] & 1) == 0) return false;
    return within(bar_address(bar), bar_sizes[bar], address, size);
}

// --- FakeBus, FakeBridge, FakeHostBridge

void FakeBus::put(unsigned device, unsigned function, std::unique_ptr<FakeFunction> made) {
    if (device > 31 || function > 7 || at(device, function) != nullptr) {
        misuse("slot does not exist or is taken");
    }
    made->devfn = static_cast<uint8_t>(device * 8 + function);
    functions_[device * 8 + function] = std::move(made);
    collect();
    FakeFunction* first = at(device, 0);
    for (unsigned other = 1; first != nullptr && other < 8; ++other) {
        if (at(device, other) != nullptr) first->config[0x0E] |= 0x80;
    }
}

void FakeBus::remove(unsigned device, unsigned function) {
    functions_[device * 8 + function].reset();
    collect();
}

void FakeBus::collect() {
    members_.clear();
    for (const auto& function : functions_) {
        if (function != nullptr) members_.push_back(function.get());
    }
}

FakeBridge::FakeBridge(uint16_t vendor, uint16_t device)
    : FakeFunction(vendor, device, 0x060400) {
    config[0x0E] = 1;
    writable[0x18] = writable[0x19] = writable[0x1A] = writable[0x1B] = 0xFF;
    set_mask16(0x1C, 0xF0F0);
    set_mask32(0x20, 0xFFF0'FFF0);
    set_mask32(0x24, 0xFFF0'FFF0);
    set_mask16(0x3E, 0x0FFF);
    set_prefetchable_64(true);
}

void FakeBridge::set_io_32(bool wide) {
    const auto type = static_cast<uint16_t>(wide ? 0x0101 : 0);
    set16(0x1C, static_cast<uint16_t>((get16(0x1C) & 0xF0F0) | type));
    set_mask32(0x30, wide ? ~0u : 0);
}

void FakeBridge::set_prefetchable_64(bool wide) {
    set32(0x24, (get32(0x24) & 0xFFF0'FFF0) | (wide ? 0x0001'0001u : 0));
    set_mask32(0x28, wide ? ~0u : 0);
    set_mask32(0x2C, wide ? ~0u : 0);
}

void FakeBridge::remove_io_window() {
    set16(0x1C, 0);
    set_mask16(0x1C, 0);
    set_mask32(0x30, 0);
}

void FakeBridge::remove_prefetchable_window() {
    set32(0x24, 0);
    set_mask32(0x24, 0);
    set_mask32(0x28, 0);
    set_mask32(0x2C, 0);
}

FakeBridge::Span FakeBridge::io_window() const {
    if (writable[0x1C] == 0) return {1, 0};
    uint64_t start = uint64_t{config[0x1C] & 0xF0u} << 8;
    uint64_t last = uint64_t{config[0x1D] & 0xF0u} << 8 | 0xFFF;
    if ((config[0x1C] & 15) == 1) {
        start |= uint64_t{get16(0x30)} << 16;
        last |= uint64_t{get16(0x32)} << 16;
    }
    return {start, last + 1};
}

FakeBridge::Span FakeBridge::memory_window() const {
    return {uint64_t{get16(0x20) & 0xFFF0u} << 16,
            (uint64_t{get16(0x22) & 0xFFF0u} << 16 | 0xF'FFFF) + 1};
}

FakeBridge::Span FakeBridge::prefetchable_window() const {
    if (writable[0x25] == 0) return {1, 0};
    uint64_t start = uint64_t{get16(0x24) & 0xFFF0u} << 16;
    uint64_t last = uint64_t{get16(0x26) & 0xFFF0u} << 16 | 0xF'FFFF;
    if ((config[0x24] & 15) == 1) {
        start |= uint64_t{get32(0x28)} << 32;
        last |= uint64_t{get32(0x2C)} << 32;
    }
    return {start, last + 1};
}

bool FakeBridge::forwards(bool io, uint64_t address, unsigned size) const {
    if ((config[0x04] & (io ? pci::command_io : pci::command_memory)) == 0) return false;
    const auto inside = [&](Span span) {
        return span.start < span.end && within(span.start, span.end - span.start, address, size);
    };
    return io ? inside(io_window()) : inside(memory_window()) || inside(prefetchable_window());
}

FakeHostBridge::FakeHostBridge(unsigned index)
    : buid{0x8000'0002'0000'000 + uint64_t{index}}
    , liobn(0x8000'0000 | index << 8) {
    constexpr uint64_t base = 0x2000'0000'0000;
    windows = {
        {1, 0, base + uint64_t{index} * 0x1'0000, 0x1'0000},
        {2, 0x8000'0000, base + (uint64_t{index} + 1) * 0x8000'0000, 0x8000'0000},
        {3, base + (uint64_t{index} + 1) * 0x100'0000'0000,
         base + (uint64_t{index} + 1) * 0x100'0000'0000, 0x100'0000'0000},
    };
}

void FakeHostBridge::number_buses() {
    unsigned last = first_bus;
    number_bus(bus, first_bus, last);
}

// --- FakeHypervisor: machine

FakeHypervisor::FakeHypervisor(uint64_t ram_size)
    : previous_(current_machine)
    , ram_size_(ram_size) {
    void* memory = mmap(nullptr, ram_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) misuse("no memory for the guest's RAM");
    ram_ = static_cast<std::byte*>(memory);
    current_machine = this;
    log::set_writer([](std::string_view text) {
        if (current_machine != nullptr) current_machine->console += text;
    });
}

FakeHypervisor::~FakeHypervisor() {
    current_machine = previous_;
    munmap(ram_, ram_size_);
}

FakeHypervisor& FakeHypervisor::current() {
    if (current_machine == nullptr) misuse("no machine");
    return *current_machine;
}

std::byte* FakeHypervisor::pointer(PhysicalAddress address) const {
    if (address.value < ram_size_) return ram_ + address.value;
    return reinterpret_cast<std::byte*>(address.value);
}

PhysicalAddress FakeHypervisor::physical(const void* pointer) const {
    const auto value = reinterpret_cast<uint64_t>(pointer);
    const auto start = reinterpret_cast<uint64_t>(ram_);
    return {value - start < ram_size_ ? value - start : value};
}

std::byte* FakeHypervisor::object_on_stack(uint32_t low_half) {
    const auto here = reinterpret_cast<uintptr_t>(&low_half);
    const auto distance = static_cast<int32_t>(low_half - static_cast<uint32_t>(here));
    return reinterpret_cast<std::byte*>(here + static_cast<uintptr_t>(intptr_t{distance}));
}

size_t FakeHypervisor::console_count(std::string_view text) const {
    size_t count = 0;
    for (size_t at = console.find(text); at != std::string::npos; at = console.find(text, at + 1)) {
        ++count;
    }
    return count;
}

// --- FakeHypervisor: hypercalls

size_t FakeHypervisor::call_count(hcall::Number number) const {
    const auto found = calls.find(static_cast<uint64_t>(number));
    return found == calls.end() ? 0 : found->second;
}

hcall::RtasTokens FakeHypervisor::rtas_tokens() const {
    return {hcall::RtasToken{token_read_pci_config}, hcall::RtasToken{token_write_pci_config},
            hcall::RtasToken{token_power_off}, hcall::RtasToken{token_system_reboot}};
}

hcall::Status FakeHypervisor::call(uint64_t raw_number, hcall::Registers& registers) {
    using hcall::Number;
    using hcall::Status;
    const Number number{raw_number};
    ++calls[raw_number];
    if (!handlers.empty()) {
        if (const auto handler = handlers.find(number); handler != handlers.end()) {
            return handler->second(registers);
        }
    }
    switch (number) {
    case Number::rtas:
        return rtas(registers);
    case Number::logical_ci_load:
        return cache_inhibited(false, registers);
    case Number::logical_ci_store:
        return cache_inhibited(true, registers);
    case Number::put_term_char: {
        if (registers.r5 > 16) return Status::parameter;
        const Big64 packed[2] = {Big64{registers.r6}, Big64{registers.r7}};
        char text[16];
        std::memcpy(text, packed, sizeof text);
        console.append(text, registers.r5);
        return Status::success;
    }
    case Number::get_term_char: {
        const size_t count = std::min<size_t>(input.size(), 16);
        char text[16] = {};
        std::memcpy(text, input.data(), count);
        input.erase(0, count);
        registers = {count, load<Big64>(text), load<Big64>(text + 8)};
        return Status::success;
    }
    case Number::put_tce:
    case Number::get_tce:
    case Number::stuff_tce:
    case Number::put_tce_indirect:
        return tce(number, registers);
    case Number::client_architecture_support:
    case Number::update_dt:
        return Status::parameter;
    default:
        return Status::function;
    }
}

hcall::Status FakeHypervisor::rtas(hcall::Registers& registers) {
    using hcall::RtasStatus;
    using hcall::Status;
    std::byte* block = pointer({registers.r4});
    const auto cell = [block](size_t index) { return uint32_t{load<Big32>(block + 4 * index)}; };
    const uint32_t token = cell(0), argument_count = cell(1), return_count = cell(2);
    if (argument_count > 16 || return_count == 0 || return_count > 16) return Status::parameter;
    uint32_t arguments[16] = {}, returns[16] = {};
    for (size_t index = 0; index < argument_count; ++index)
        arguments[index] = cell(3 + index);
    for (size_t index = 0; index < return_count; ++index) {
        returns[index] = cell(3 + argument_count + index);
    }
    const std::span in{arguments, argument_count};
    const std::span out{returns + 1, return_count - 1};

    auto status = RtasStatus::success;
    auto result = Status::success;
    const auto handler = rtas_handlers.find(token);
    if (handler != rtas_handlers.end()) {
        status = handler->second(in, out);
    } else if (token == token_read_pci_config || token == token_write_pci_config) {
        status = access_config(token == token_write_pci_config, in, out);
    } else if (token != token_power_off && token != token_system_reboot) {
        status = RtasStatus::parameter;
        result = Status::parameter;
    }
    returns[0] = static_cast<uint32_t>(status);
    for (size_t index = 0; index < return_count; ++index) {
        const Big32 value{returns[index]};
        std::memcpy(block + 4 * (3 + argument_count + index), &value, sizeof value);
    }
    return result;
}

hcall::RtasStatus FakeHypervisor::access_config(bool is_write, std::span<const uint32_t> arguments,
                                                std::span<uint32_t> returns) {
    using hcall::RtasStatus;
    if (arguments.size() != (is_write ? 5 : 4) || returns.size() != (is_write ? 0 : 1)) {
        return RtasStatus::parameter;
    }
    const uint32_t address = arguments[0], size = arguments[3];
    ConfigAccess access{};
    access.index = is_write ? config_writes++ : config_reads++;
    access.is_write = is_write;
    access.buid = hcall::Buid{uint64_t{arguments[1]} << 32 | arguments[2]};
    access.location = {static_cast<uint8_t>(address >> 16),
                       static_cast<uint8_t>(address >> 11 & 31),
                       static_cast<uint8_t>(address >> 8 & 7)};
    access.offset = (address & 0xFF) | (address >> 28) << 8;
    access.size = size;
    access.value = is_write ? arguments[4] : 0;

    const auto fault = config_hook ? config_hook(access) : ConfigFault::none;
    auto status = RtasStatus::success;
    FakeFunction* function = nullptr;
    if (fault == ConfigFault::all_ones) {
        if (!is_write) returns[0] = static_cast<uint32_t>(width_mask(std::min(size, 4u)));
    } else if (fault == ConfigFault::rtas_error || (size != 1 && size != 2 && size != 4) ||
               access.offset % size != 0 || access.offset + size > 256) {
        status = RtasStatus::hardware;
    } else {
        function = find_function(access.buid, access.location);
        if (function == nullptr) {
            status = RtasStatus::hardware;
        } else if (is_write) {
            function->write_config(access.offset, size, access.value);
        } else {
            returns[0] = function->read_config(access.offset, size);
        }
    }
    if (keep_config_log) {
        if (!is_write) access.value = returns[0];
        access.answered = function != nullptr;
        config_log.push_back(access);
    }
    return status;
}

void FakeHypervisor::fail_config_read(size_t n, ConfigFault fault) {
    config_hook = [target = config_reads + n, fault](const ConfigAccess& access) {
        return !access.is_write && access.index == target ? fault : ConfigFault::none;
    };
}

hcall::Status FakeHypervisor::cache_inhibited(bool is_store, hcall::Registers& registers) {
    const auto size = static_cast<unsigned>(std::min<uint64_t>(registers.r4, 16));
    const PhysicalAddress address{registers.r5};
    if (size != 1 && size != 2 && size != 4 && size != 8) return hcall::Status::parameter;
    if (within(0, ram_size_, address.value, size)) {
        auto* bytes = reinterpret_cast<uint8_t*>(ram_ + address.value);
        uint64_t value = 0;
        for (unsigned index = 0; index < size; ++index) {
            const unsigned shift = 8 * (size - 1 - index);
            if (is_store) bytes[index] = static_cast<uint8_t>(registers.r6 >> shift);
            value |= uint64_t{bytes[index]} << shift;
        }
        if (!is_store) registers.r4 = value;
        return hcall::Status::success;
    }
    const auto target = decode(address, size);
    if (is_store) {
        if (target) {
            target->function->write(target->bar, target->offset, size, swap(registers.r6, size));
        }
    } else {
        const uint64_t value =
            target ? target->function->read(target->bar, target->offset, size) : unmapped_value;
        registers.r4 = swap(value & width_mask(size), size);
    }
    return hcall::Status::success;
}

hcall::Status FakeHypervisor::tce(hcall::Number number, hcall::Registers& registers) {
    using hcall::Number;
    using hcall::Status;
    const auto table = tce_tables.find(static_cast<uint32_t>(registers.r4));
    if (registers.r4 >> 32 != 0 || table == tce_tables.end()) return Status::parameter;
    auto& [size, entries] = table->second;
    const uint64_t first = registers.r5 >> 12, last = size >> 12;
    const bool many = number == Number::stuff_tce || number == Number::put_tce_indirect;
    const uint64_t count = many ? registers.r7 : 1;
    if (first >= last || count == 0 || count > last - first) return Status::parameter;
    if (number == Number::get_tce) {
        const auto entry = entries.find(first);
        registers.r4 = entry == entries.end() ? 0 : entry->second;
        return Status::success;
    }
    if (number == Number::put_tce_indirect && (count > 512 || registers.r6 % 4096 != 0)) {
        return Status::parameter;
    }
    for (uint64_t index = 0; index < count; ++index) {
        entries[first + index] = number == Number::put_tce_indirect
                                     ? load<Big64>(pointer({registers.r6}) + 8 * index)
                                     : registers.r6;
    }
    return Status::success;
}

std::optional<PhysicalAddress> FakeHypervisor::translate(uint32_t liobn, uint64_t address,
                                                         bool is_write) const {
    const auto table = tce_tables.find(liobn);
    if (table == tce_tables.end()) return std::nullopt;
    const auto entry = table->second.entries.find(address >> 12);
    if (entry == table->second.entries.end() || (entry->second & (is_write ? 2 : 1)) == 0) {
        return std::nullopt;
    }
    return PhysicalAddress{(entry->second & ~uint64_t{0xFFF}) | (address & 0xFFF)};
}

// --- FakeHypervisor: PCI

FakeHostBridge& FakeHypervisor::add_host_bridge(unsigned index) {
    host_bridges.push_back(std::make_unique<FakeHostBridge>(index));
    tce_tables[host_bridges.back()->liobn] = {};
    return *host_bridges.back();
}

FakeHostBridge* FakeHypervisor::find_host(hcall::Buid buid) {
    for (const auto& host : host_bridges) {
        if (host->buid == buid) return host.get();
    }
    return nullptr;
}

FakeFunction* FakeHypervisor::find_function(hcall::Buid buid, pci::Location location) {
    FakeHostBridge* host = find_host(buid);
    return host == nullptr ? nullptr : find_on(host->bus, host->first_bus, location);
}

std::optional<FakeHypervisor::Target> FakeHypervisor::decode(PhysicalAddress address,
                                                             unsigned size) {
    for (const auto& host : host_bridges) {
        for (const FakeHostBridge::Window& window : host->windows) {
            if (!within(window.cpu, window.size, address.value, size)) continue;
            return decode_on(host->bus, window.space == 1, address.value - window.cpu + window.bus,
                             size);
        }
    }
    return std::nullopt;
}

// --- FakeHypervisor: device tree

fdt::Node& FakeHypervisor::add_host_node(fdt::Tree& tree, FakeHostBridge& host) {
    const auto buid = static_cast<uint64_t>(host.buid);
    char name[32];
    std::snprintf(name, sizeof name, "pci@%llx", static_cast<unsigned long long>(buid));
    fdt::Node& node = add_node(tree, *tree.root(), name);
    set(tree, node, "device_type", "pci");
    set(tree, node, "compatible", "IBM,Logical_PHB");
    set(tree, node, "#address-cells", {3});
    set(tree, node, "#size-cells", {2});
    set(tree, node, "#interrupt-cells", {1});
    must(tree.set(node, "used-by-rtas", {}, fdt::Origin::hypervisor));
    set(tree, node, "bus-range", {host.first_bus, host.last_bus});
    Cells reg;
    reg.number(buid);
    reg.number(0);
    set(tree, node, "reg", reg);
    set(tree, node, "ibm,pci-config-space-type", {1});
    set(tree, node, "ibm,pe-total-#msi", {0xD00});
    set(tree, node, "ibm,#dma-address-cells", {2});
    set(tree, node, "ibm,#dma-size-cells", {2});
    set(tree, node, "ibm,dma-window", {host.liobn, 0, 0, 0, 0x4000'0000});
    set(tree, node, "ibm,ddw-applicable", {0x2026, 0x2027, 0x2028});
    set(tree, node, "ibm,ddw-extensions", {2, 0x2029, 1});
    Cells ranges;
    for (const FakeHostBridge::Window& window : host.windows) {
        ranges.cell(window.space << 24);
        ranges.number(window.bus);
        ranges.number(window.cpu);
        ranges.number(window.size);
    }
    set(tree, node, "ranges", ranges);
    set(tree, node, "interrupt-map-mask", {0xF800, 0, 0, 0xFFFF'FFFF});
    Cells map;
    const auto index = static_cast<uint32_t>(buid & 0xFF);
    for (uint32_t slot = 0; slot < 32; ++slot) {
        for (uint32_t pin = 1; pin <= 4; ++pin) {
            map.cell(slot << 11);
            map.number(0);
            map.cell(pin);
            map.cell(interrupt_controller);
            map.cell(0x1200 + 4 * index + ((slot + pin - 1) & 3));
            map.cell(1);
        }
    }
    set(tree, node, "interrupt-map", map);
    if (host.enumerated) {
        host.number_buses();
        set(tree, node, "qemu,phb-enumerated", {1});
    }
    add_function_nodes(tree, node, host.bus, host.first_bus);
    return node;
}

void FakeHypervisor::fill_tree(fdt::Tree& tree) {
    fdt::Node& root = *tree.root();
    set(tree, root, "device_type", "chrp");
    set(tree, root, "model", "IBM pSeries (emulated by qemu)");
    set(tree, root, "compatible", "qemu,pseries");
    set(tree, root, "#address-cells", {2});
    set(tree, root, "#size-cells", {2});

    fdt::Node& memory = add_node(tree, root, "memory@0");
    set(tree, memory, "device_type", "memory");
    Cells reg;
    reg.number(0);
    reg.number(ram_size_);
    set(tree, memory, "reg", reg);

    fdt::Node& rtas = add_node(tree, root, "rtas");
    set(tree, rtas, "power-off", {token_power_off});
    set(tree, rtas, "system-reboot", {token_system_reboot});
    set(tree, rtas, "ibm,read-pci-config", {token_read_pci_config});
    set(tree, rtas, "ibm,write-pci-config", {token_write_pci_config});
    set(tree, rtas, "rtas-size", {0x83C});

    fdt::Node& chosen = add_node(tree, root, "chosen");
    set(tree, chosen, "linux,pci-probe-only", {0});
    set(tree, chosen, "stdout-path", "/vdevice/vty@71000000");

    fdt::Node& interrupts = add_node(tree, root, "interrupt-controller");
    set(tree, interrupts, "device_type", "PowerPC-External-Interrupt-Presentation");
    set(tree, interrupts, "compatible", "IBM,ppc-xicp");
    set(tree, interrupts, "#interrupt-cells", {2});
    set(tree, interrupts, "#address-cells", {0});
    must(tree.set(interrupts, "interrupt-controller", {}, fdt::Origin::hypervisor));
    must(tree.set_phandle(interrupts, fdt::Phandle{interrupt_controller}));

    for (const auto& host : host_bridges)
        add_host_node(tree, *host);
}

} // namespace spillway::test

// --- what the firmware links against

char memory_end[1];

namespace spillway {

std::byte* to_pointer(PhysicalAddress address) {
    return test::FakeHypervisor::current().pointer(address);
}

PhysicalAddress to_physical(const void* pointer) {
    constexpr PhysicalAddress end_of_firmware{0x40000};
    if (pointer == memory_end) return end_of_firmware;
    return test::FakeHypervisor::current().physical(pointer);
}

namespace boot {

void enlarge_emulator_tlb() {
    ++test::FakeHypervisor::current().tlb_enlargements;
}

} // namespace boot

namespace hcall {

extern "C" int64_t spillway_hypercall(uint64_t number, Registers* registers) {
    return static_cast<int64_t>(test::FakeHypervisor::current().call(number, *registers));
}

} // namespace hcall
} // namespace spillway
