// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/whole_boot.h"

#include "fdt/blob.h"
#include "fdt/cells.h"
#include "hcall/device_tree.h"
#include "tests/host/elf_file.h"
#include "tests/host/fake_clock.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/firmware_life.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include <libfdt.h>

namespace spillway::test {
namespace {

using hcall::Number;
using hcall::RtasStatus;
using hcall::Status;

constexpr uint64_t mib = 1 << 20;
constexpr uint64_t image_start = 4 * mib, image_size = mib;
constexpr uint64_t file_target = 32 * mib; ///< where a program that is a file wants to be
constexpr uint64_t entry_offset = 0x100;

[[noreturn]] void misuse(const std::string& what) {
    std::fprintf(stderr, "whole boot: %s\n", what.c_str());
    std::abort();
}

//------------------------------------------------------------------------------ the machine

struct BarPlan {
    unsigned index;
    FakeBar kind;
    uint64_t size;
};

/// One PCI function, as a node of QEMU's tree tells of it.
struct FunctionPlan {
    std::string path;
    size_t host;
    const FunctionPlan* bridge; ///< that it is behind
    uint8_t devfn, bus;
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_and_revision;
    uint8_t interrupt_pin;
    std::vector<BarPlan> bars;
    uint64_t features; ///< of a virtio device

    uint64_t config_address() const { return uint64_t{bus} << 16 | uint64_t{devfn} << 8; }
    bool is_virtio() const { return vendor == virtio::vendor_id; }
    bool is_bridge() const { return class_and_revision >> 16 == 0x0604; }
    bool has_bar(unsigned index) const {
        return std::ranges::any_of(bars, [=](const BarPlan& bar) { return bar.index == index; });
    }
    /// Its DMA goes around the IOMMU for ever.
    bool is_fixed() const { return is_virtio() && (features & access_platform) == 0; }
    /// A hypervisor that has a switch has one for this function.
    bool is_switchable() const { return !is_fixed() && !is_bridge() && bridge == nullptr; }
};

struct HostPlan {
    unsigned index;
    std::vector<FakeHostBridge::Window> windows;
};

/// All that a shape says, made once.
struct Plan {
    std::vector<uint64_t> blob, answer; ///< QEMU's tree, and what it answers to H_CAS
    uint64_t ram_size;
    PhysicalAddress blob_address, entry;
    PhysicalRange initrd;
    std::vector<std::byte> image;
    std::vector<HostPlan> hosts;
    std::vector<std::unique_ptr<FunctionPlan>> functions; ///< a bridge before what is behind it
    uint32_t fetch_token, store_token, terminate_token;
    size_t nvram_size;
};

std::vector<uint64_t> read_tree(const char* name) {
    const std::string path = std::string{"tests/host/data/trees/"} + name + ".dtb";
    std::ifstream file{path, std::ios::binary | std::ios::ate};
    if (!file) misuse("no " + path);
    const auto size = static_cast<size_t>(file.tellg());
    std::vector<uint64_t> words(size / 8 + 512); // room for what is added to /chosen
    file.seekg(0).read(reinterpret_cast<char*>(words.data()), static_cast<std::streamsize>(size));
    if (fdt_open_into(words.data(), words.data(), static_cast<int>(8 * words.size())) != 0) {
        misuse(path + " is no tree");
    }
    return words;
}

/// Every second modern device offers bit 33. The low bits are such that reading them in place of
/// the high ones would make sense too.
uint64_t features_of(const FunctionPlan& function, size_t number) {
    constexpr uint64_t low[] = {0x3000'0000, 0x3000'6E54, 0x330B'F801};
    const bool is_modern = function.has_bar(FakeVirtio::register_bar);
    const uint64_t high = (is_modern ? version_1 : 0) | (number % 2 == 1 ? access_platform : 0);
    return low[number % std::size(low)] | (is_modern ? high : 0);
}

void plan_functions(Plan& plan, const fdt::Tree& tree, const fdt::Node& parent,
                    const FunctionPlan* bridge) {
    for (const fdt::Node* node = tree.first_child(parent); node != nullptr;
         node = tree.next_sibling(*node)) {
        auto function = std::make_unique<FunctionPlan>();
        function->path.resize(tree.path(*node, {}));
        tree.path(*node, function->path);
        function->host = plan.hosts.size() - 1;
        function->bridge = bridge;
        const auto number = [&](const char* name) { return tree.cell(*node, name, 0); };
        function->vendor = static_cast<uint16_t>(number("vendor-id"));
        function->device = static_cast<uint16_t>(number("device-id"));
        function->subsystem_vendor = static_cast<uint16_t>(number("subsystem-vendor-id"));
        function->subsystem = static_cast<uint16_t>(number("subsystem-id"));
        function->class_and_revision = number("class-code") << 8 | number("revision-id");
        function->interrupt_pin = static_cast<uint8_t>(number("interrupts"));
        fdt::CellReader reg{tree.value(*node, "reg")};
        function->bus = static_cast<uint8_t>(number("reg") >> 16);
        function->devfn = static_cast<uint8_t>(number("reg") >> 8);
        while (reg.cells_left() >= 5) {
            const uint32_t high = *reg.cell();
            reg.number(2);
            const uint64_t size = *reg.number(2);
            if (size == 0) continue;
            constexpr FakeBar kinds[] = {FakeBar::memory32, FakeBar::io, FakeBar::memory32,
                                         FakeBar::memory64_prefetchable};
            const uint32_t offset = high & 0xFF;
            function->bars.push_back(
                {offset >= 0x30 ? 6 : (offset - 0x10) / 4, kinds[high >> 24 & 3], size});
        }
        function->features = features_of(*function, plan.functions.size());
        const FunctionPlan* made = function.get();
        plan.functions.push_back(std::move(function));
        if (made->is_bridge()) plan_functions(plan, tree, *node, made);
    }
}

void plan_machine(Plan& plan, const fdt::Tree& tree) {
    constexpr uint64_t concern = uint64_t{1} << 32, highest_blob = 2048 * mib, blob_room = 2 * mib;
    for (const fdt::Node* node = tree.first_child(*tree.root()); node != nullptr;
         node = tree.next_sibling(*node)) {
        if (tree.text(*node, "device_type") == "memory") {
            fdt::CellReader reg{tree.value(*node, "reg")};
            const uint64_t start = *reg.number(2), size = *reg.number(2);
            if (start == 0) plan.blob_address = {std::min(size, highest_blob) - blob_room};
            if (start < concern) plan.ram_size = std::max(plan.ram_size, start + size);
        }
        if (tree.text(*node, "device_type") != "pci") continue;
        HostPlan host{static_cast<unsigned>(tree.cells64(*node, "reg", 0) & 0xFF), {}};
        fdt::CellReader ranges{tree.value(*node, "ranges")};
        while (ranges.cells_left() >= 7) {
            const uint32_t space = *ranges.cell() >> 24 & 3;
            const uint64_t bus = *ranges.number(2), cpu = *ranges.number(2);
            host.windows.push_back({space, bus, cpu, *ranges.number(2)});
        }
        plan.hosts.push_back(host);
        plan_functions(plan, tree, *node, nullptr);
    }
    const fdt::Node& rtas = *tree.find("/rtas");
    plan.fetch_token = tree.cell(rtas, "nvram-fetch", 0);
    plan.store_token = tree.cell(rtas, "nvram-store", 0);
    plan.terminate_token = tree.cell(rtas, "ibm,os-term", 0);
    const fdt::Node* nvram = tree.child(*tree.find("/vdevice"), "nvram");
    plan.nvram_size = nvram == nullptr ? 0 : tree.cell(*nvram, "#bytes", 0);
}

/// The program, and where it starts.
void plan_program(Plan& plan, ProgramForm form) {
    const auto placed = [](const Format& format, uint64_t load, uint64_t offset) {
        File file{format};
        file.segments = {{offset, load, load, 0x1000, image_size, 5}};
        file.entry = load + entry_offset;
        file.size = offset == 0 ? 0x1000 : image_size;
        return file.bytes();
    };
    plan.entry = {image_start + entry_offset};
    switch (form) {
    case ProgramForm::flat_little:
    case ProgramForm::flat_big:
        plan.entry = {image_start};
        plan.image.assign(entry_offset, std::byte{0x60});
        break;
    case ProgramForm::elf32_big:
        plan.image = placed(formats[0], 0, 0);
        break;
    case ProgramForm::elf64_big:
        plan.image = placed(formats[1], 0, 0);
        break;
    case ProgramForm::elf64_little:
        plan.image = placed(formats[2], 0, 0);
        break;
    case ProgramForm::elf64_file:
        plan.image = placed(formats[2], file_target, 0x1000);
        plan.entry = {file_target + entry_offset};
        break;
    }
}

/// In /chosen.
int set_text(void* blob, const char* name, std::string_view text) {
    return fdt_setprop(blob, fdt_path_offset(blob, "/chosen"), name, std::string{text}.c_str(),
                       static_cast<int>(text.size() + 1));
}

/// What QEMU adds to the tree for -kernel, -initrd and -append.
void add_program(Plan& plan, const Shape& shape) {
    void* blob = plan.blob.data();
    const int chosen = fdt_path_offset(blob, "/chosen");
    const auto must = [](int result) {
        if (result < 0) misuse(fdt_strerror(result));
    };
    const Big64 kernel[] = {Big64{image_start}, Big64{image_size}};
    must(fdt_setprop(blob, chosen, "qemu,boot-kernel", kernel, sizeof kernel));
    if (shape.form == ProgramForm::flat_little || shape.form == ProgramForm::elf64_little) {
        must(fdt_setprop(blob, chosen, "qemu,boot-kernel-le", nullptr, 0));
    }
    must(set_text(blob, "bootargs", shape.words));
    must(fdt_add_mem_rsv(blob, image_start, image_size));
    if (shape.initrd_size != 0) {
        plan.initrd = {{image_start + image_size + 0x10000}, shape.initrd_size};
        const auto start = static_cast<uint32_t>(plan.initrd.start.value);
        must(fdt_setprop_u32(blob, chosen, "linux,initrd-start", start));
        must(fdt_setprop_u32(blob, chosen, "linux,initrd-end",
                             static_cast<uint32_t>(plan.initrd.end().value)));
        must(fdt_add_mem_rsv(blob, start, shape.initrd_size));
    }
    must(fdt_pack(blob));
}

Plan make_plan(const Shape& shape) {
    Plan plan{};
    plan.blob = read_tree(shape.tree);
    plan.answer = plan.blob;
    fdt::Tree tree;
    const auto* blob = reinterpret_cast<const std::byte*>(plan.blob.data());
    if (const auto read = fdt::read_blob({blob, fdt_totalsize(blob)}, tree); !read) {
        misuse(read.error().message);
    }
    plan_machine(plan, tree);
    plan_program(plan, shape.form);
    add_program(plan, shape);
    void* answer = plan.answer.data();
    set_text(answer, "ibm,architecture-vec-5", "negotiated");
    fdt_pack(answer);
    return plan;
}

const Plan& plan_of(const Shape& shape) {
    static std::map<std::string, Plan> plans;
    auto found = plans.find(shape.name);
    if (found == plans.end()) found = plans.emplace(shape.name, make_plan(shape)).first;
    return found->second;
}

/// Thrown when a boot does not end.
struct Runaway {};
/// Thrown by the services that end the machine.
struct Ended {
    Ending ending;
};

/// A fault may make the driver seem to break a rule, so a boot's breaches are judged at its end.
class SilentPolice {
public:
    SilentPolice() {
        VirtioPolice::report = [](const std::string&) {};
    }
    ~SilentPolice() { VirtioPolice::report = report_; }
    SilentPolice(const SilentPolice&) = delete;
    SilentPolice& operator=(const SilentPolice&) = delete;

private:
    void (*report_)(const std::string&) = VirtioPolice::report;
};

class Machine final : public FakeHypervisor {
public:
    Machine(const Plan& plan, bool has_switch, std::span<const Fault> faults, Outcome& outcome)
        : FakeHypervisor(plan.ram_size)
        , plan_(plan)
        , has_switch_(has_switch)
        , faults_(faults)
        , outcome_(outcome) {
        add_functions();
        add_services();
        std::memcpy(pointer(plan.blob_address), plan.blob.data(), fdt_totalsize(plan.blob.data()));
        std::memcpy(pointer({image_start}), plan.image.data(), plan.image.size());
    }

    hcall::Status call(uint64_t raw_number, hcall::Registers& registers) override {
        if (++outcome_.hypercalls > most_hypercalls) throw Runaway{};
        const Number number{raw_number};
        if (number == Number::rtas) return call_rtas(registers);
        const std::pair function{registers.r4, registers.r5}; // of H_PCI_DMA_BYPASS
        const Status status = answer_or_fail(number, registers);
        if (number == Number::pci_dma_bypass && status == Status::success) {
            offered_.insert(function);
        }
        return status;
    }

    /// Counts one more of this channel: how it fails, if it does.
    const Failure* failure(Channel channel) {
        const size_t number = outcome_.counts[static_cast<size_t>(channel)]++;
        const auto fault = std::ranges::find_if(
            faults_, [=](const Fault& each) { return each.strikes(channel, number); });
        return fault == faults_.end() ? nullptr : fault->failure;
    }

    /// The hypervisor has said that this function can be switched.
    bool has_offered(const FunctionPlan& function) const {
        return offered_.contains(
            {static_cast<uint64_t>(host_bridges[function.host]->buid), function.config_address()});
    }
    bool can_switch(const FunctionPlan& function) const {
        return has_switch_ && function.is_switchable();
    }
    FakeFunction& function(size_t index) const { return *functions_[index]; }
    /// What was read of its config space was not what is there.
    bool has_lied_about(const FunctionPlan& plan) const {
        const auto same = [&plan](const auto& each) { return each.get() == &plan; };
        const auto index = std::ranges::find_if(plan_.functions, same) - plan_.functions.begin();
        return lied_about_.contains(functions_[static_cast<size_t>(index)]);
    }

    std::vector<std::byte> told; ///< by H_UPDATE_DT

private:
    SilentPolice police_;
    static constexpr uint64_t nonsense = 0xA5A5'A5A5'A5A5'A5A5;
    static constexpr size_t most_hypercalls = 20'000'000;

    void add_functions() {
        std::map<const FunctionPlan*, FakeBus*> buses;
        for (const HostPlan& host : plan_.hosts)
            add_host_bridge(host.index).windows = host.windows;
        for (const auto& plan : plan_.functions) {
            FakeBus& bus =
                plan->bridge == nullptr ? host_bridges[plan->host]->bus : *buses.at(plan->bridge);
            functions_.push_back(&add_function(bus, *plan));
            buses[plan.get()] = functions_.back()->secondary();
        }
        for (const auto& host : host_bridges)
            host->number_buses();
    }

    static FakeFunction& add_function(FakeBus& bus, const FunctionPlan& plan) {
        const unsigned device = plan.devfn / 8u, function = plan.devfn % 8u;
        const auto finish = [&](FakeFunction& made) -> FakeFunction& {
            made.set32(0x08, plan.class_and_revision);
            made.set_interrupt_pin(plan.interrupt_pin);
            if (!plan.is_bridge()) made.set_subsystem(plan.subsystem_vendor, plan.subsystem);
            for (const BarPlan& bar : plan.bars) {
                if (bar.index == 6) {
                    made.add_rom(static_cast<uint32_t>(bar.size));
                } else {
                    made.add_bar(bar.index, bar.kind, bar.size);
                }
            }
            return made;
        };
        if (plan.is_bridge()) return finish(bus.add<FakeBridge>(device, function));
        if (!plan.is_virtio()) {
            return finish(
                bus.add(device, function, plan.vendor, plan.device, plan.class_and_revision >> 8));
        }
        const auto low = static_cast<uint32_t>(plan.features);
        FakeVirtio& virtio =
            plan.has_bar(0)
                ? bus.add<FakeLegacyVirtio>(device, function, plan.subsystem, low, plan.device)
                : bus.add<FakeVirtio>(device, function, plan.subsystem, low, plan.device);
        virtio.offered = plan.features;
        if (plan.has_bar(FakeVirtio::register_bar)) virtio.add_structures();
        return finish(virtio);
    }

    void add_services() {
        const auto ends = [this](uint32_t token, Ending ending) {
            rtas_handlers[token] = [ending](auto, auto) -> RtasStatus { throw Ended{ending}; };
        };
        ends(token_power_off, Ending::powered_off);
        ends(token_system_reboot, Ending::restarted);
        ends(plan_.terminate_token, Ending::crashed);
        nvram_.resize(plan_.nvram_size);
        serve_nvram(plan_.fetch_token, false);
        serve_nvram(plan_.store_token, true);
        if (has_switch_) {
            handlers[Number::pci_dma_bypass] = [this](auto& registers) {
                return bypass(registers);
            };
        }
        handlers[Number::client_architecture_support] = [this](auto& registers) {
            const uint32_t version = 1;
            std::byte* reply = pointer({registers.r5});
            std::memcpy(reply, &version, sizeof version);
            std::memcpy(reply + hcall::cas_reply_header, plan_.answer.data(),
                        fdt_totalsize(plan_.answer.data()));
            return Status::success;
        };
        handlers[Number::update_dt] = [this](auto& registers) {
            const auto blob = fdt::check_blob(pointer({registers.r4}), fdt::largest_blob);
            if (!blob) return Status::parameter;
            told.assign(blob->begin(), blob->end());
            return Status::success;
        };
    }

    /// A service on (offset, 32-bit buffer, length).
    void serve_nvram(uint32_t token, bool store) {
        rtas_handlers[token] = [this, store](std::span<const uint32_t> arguments,
                                             std::span<uint32_t> returns) {
            const uint32_t offset = arguments[0], length = arguments[2];
            if (offset + length > nvram_.size()) return RtasStatus::parameter;
            std::byte* buffer = object_on_stack(arguments[1]);
            if (store) {
                std::memcpy(&nvram_[offset], buffer, length);
            } else {
                std::memcpy(buffer, &nvram_[offset], length);
            }
            returns[0] = length;
            return RtasStatus::success;
        };
    }

    /// H_PCI_DMA_BYPASS (docs/dma-bypass.md, 2.2).
    Status bypass(hcall::Registers& registers) {
        const auto host = std::ranges::find(host_bridges, hcall::Buid{registers.r4},
                                            [](const auto& h) { return h->buid; });
        if (host == host_bridges.end()) return Status::parameter;
        const auto index = static_cast<size_t>(host - host_bridges.begin());
        for (const auto& plan : plan_.functions) {
            if (plan->host != index || plan->config_address() != registers.r5) continue;
            if (!plan->is_switchable()) return Status::unsupported;
            registers.r4 = 0;
            registers.r5 = uint64_t{1} << 59;
            return Status::success;
        }
        return Status::p2;
    }

    Status answer(Number number, hcall::Registers& registers) {
        return FakeHypervisor::call(static_cast<uint64_t>(number), registers);
    }

    Status answer_or_fail(Number number, hcall::Registers& registers) {
        const bool is_console = number == Number::put_term_char;
        const Failure* struck = failure(is_console ? Channel::console : Channel::hypercall);
        if (struck == nullptr) return answer(number, registers);
        switch (struck->kind) {
        case Failure::Kind::status:
            return Status{struck->value};
        case Failure::Kind::garbage: {
            const Status status = answer(number, registers);
            registers = {nonsense, nonsense, nonsense, nonsense, nonsense, nonsense};
            return status;
        }
        default:
            return Status::success;
        }
    }

    /// The function that a config access is about; nullptr: there is none.
    FakeFunction* accessed(uint32_t address, uint32_t buid_high, uint32_t buid_low) {
        const pci::Location location{static_cast<uint8_t>(address >> 16),
                                     static_cast<uint8_t>(address >> 11 & 31),
                                     static_cast<uint8_t>(address >> 8 & 7)};
        return find_function(hcall::Buid{uint64_t{buid_high} << 32 | buid_low}, location);
    }

    /// What a device makes of accesses to its registers is its own word about itself: there are no
    /// lies about it. (It may be gone.)
    static bool reaches_virtio_registers(const FakeFunction* function, uint32_t address) {
        const auto* device = dynamic_cast<const FakeVirtio*>(function);
        constexpr uint32_t first = 4, end = 20; // of the access capability: BAR to data
        const uint32_t offset = address & 0xFF;
        return device != nullptr && device->access != 0 && offset >= device->access + first &&
               offset < device->access + end;
    }

    Status call_rtas(hcall::Registers& registers) {
        std::byte* block = pointer({registers.r4});
        const auto cell = [block](size_t index) {
            return uint32_t{load<Big32>(block + 4 * index)};
        };
        const auto set = [block](size_t index, uint32_t value) {
            const Big32 big{value};
            std::memcpy(block + 4 * index, &big, sizeof big);
        };
        const uint32_t token = cell(0);
        const size_t status_cell = 3 + cell(1);
        if (const Failure* struck = failure(Channel::rtas)) {
            if (struck->kind == Failure::Kind::status) return Status{struck->value};
            if (struck->kind == Failure::Kind::service) {
                set(status_cell, static_cast<uint32_t>(struck->value));
            }
            return Status::success;
        }
        const auto is_own_word = [&] {
            return reaches_virtio_registers(accessed(cell(3), cell(4), cell(5)), cell(3));
        };
        if (token == token_write_pci_config) {
            const Failure* struck = failure(Channel::config_write);
            if (struck != nullptr && !is_own_word()) {
                if (struck->kind == Failure::Kind::untouched) {
                    set(status_cell, 0);
                    return Status::success;
                }
                set(status_cell - 1, static_cast<uint32_t>(struck->value));
            }
        }
        const Status status = answer(Number::rtas, registers);
        if (token == token_read_pci_config) {
            const Failure* struck = failure(Channel::config_read);
            if (struck != nullptr && (struck->value == -1 || !is_own_word())) {
                set(status_cell, 0);
                set(status_cell + 1, static_cast<uint32_t>(struck->value));
                lied_about_.insert(accessed(cell(3), cell(4), cell(5)));
            }
        }
        return status;
    }

    const Plan& plan_;
    bool has_switch_;
    std::span<const Fault> faults_;
    Outcome& outcome_;
    std::vector<FakeFunction*> functions_;
    std::vector<std::byte> nvram_;
    std::set<std::pair<uint64_t, uint64_t>> offered_; ///< BUID and config address
    std::set<const FakeFunction*> lied_about_;
};

//------------------------------------------------------------------------------ the program

/// The calls that Linux makes until quiesce, in its order, from within its image. Says what it saw
/// of the DMA properties.
class Program {
public:
    Program(FirmwareLife& life, Machine& machine)
        : life_(life)
        , machine_(machine) {}

    void run() {
        const uint32_t chosen = ask("finddevice", {text("/chosen")});
        const uint32_t stdout_handle = cell_of(chosen, "stdout");
        print(stdout_handle, "Preparing to boot Linux\r\n");
        const uint32_t root = ask("open", {text("/")});
        call("call-method", {text("ibm,client-architecture-support"), root, buffer(64)}, 2);
        call("close", {root}, 0);
        instantiate_rtas();
        claimed = ask("claim", {0, claimed_size, claimed_size});
        call("close", {cell_of(chosen, "stdin")}, 0);
    }
    /// `qemu,dma-bypass` of a node; nothing when it is absent. "?" when there is no such node.
    std::string dma_of(const std::string& path) {
        const uint32_t node = ask("finddevice", {text(path)});
        if (node == failure) return "?";
        const uint32_t room = buffer(16);
        const uint32_t size = ask("getprop", {node, text("qemu,dma-bypass"), room, 16});
        return size == failure ? "" : reinterpret_cast<const char*>(at(room));
    }
    void quiesce() { call("quiesce", {}, 0); }

    static constexpr uint32_t failure = UINT32_MAX;
    static constexpr uint32_t claimed_size = 1 << 16;
    uint32_t claimed = failure;

private:
    static constexpr uint32_t array = image_start + 0x8'0000, scratch = image_start + 0x9'0000,
                              scratch_end = image_start + image_size - 0x1'0000;

    std::byte* at(uint32_t address) const { return machine_.pointer({address}); }

    std::array<uint32_t, 2> call(std::string_view service, std::initializer_list<uint32_t> in,
                                 uint32_t returns) {
        std::vector<Big32> cells{Big32{text(service)}, Big32{static_cast<uint32_t>(in.size())},
                                 Big32{returns}};
        for (const uint32_t cell : in)
            cells.emplace_back(cell);
        const size_t first = cells.size();
        cells.resize(first + returns, Big32{failure});
        std::memcpy(at(array), cells.data(), sizeof(Big32) * cells.size());
        life_.call_client_interface({array});
        std::array<uint32_t, 2> answers{};
        for (uint32_t i = 0; i < returns; ++i) {
            answers[i] = load<Big32>(at(array) + sizeof(Big32) * (first + i));
        }
        return answers;
    }
    uint32_t ask(std::string_view service, std::initializer_list<uint32_t> in) {
        return call(service, in, 1)[0];
    }

    uint32_t buffer(size_t size) {
        if (next_ + size > scratch_end) next_ = scratch;
        const uint32_t address = next_;
        next_ += static_cast<uint32_t>(align_up(size, 4));
        return address;
    }
    uint32_t text(std::string_view text) {
        const uint32_t address = buffer(text.size() + 1);
        std::memcpy(at(address), text.data(), text.size());
        at(address)[text.size()] = {};
        return address;
    }
    uint32_t cell_of(uint32_t node, std::string_view name) {
        const uint32_t room = buffer(4);
        return ask("getprop", {node, text(name), room, 4}) == 4 ? uint32_t{load<Big32>(at(room))}
                                                                : 0;
    }
    void print(uint32_t handle, std::string_view words) {
        ask("write", {handle, text(words), static_cast<uint32_t>(words.size())});
    }
    void instantiate_rtas() {
        const uint32_t node = ask("finddevice", {text("/rtas")});
        const auto size = static_cast<uint32_t>(align_up(cell_of(node, "rtas-size"), 0x1000));
        const uint32_t base = ask("claim", {0, size, 0x1'0000});
        if (base == failure) return;
        const uint32_t rtas = ask("open", {text("/rtas")});
        call("call-method", {text("instantiate-rtas"), rtas, base}, 2);
        const uint32_t cell = buffer(4);
        const Big32 big{base};
        std::memcpy(at(cell), &big, sizeof big);
        ask("setprop", {node, text("linux,rtas-base"), cell, 4});
    }

    FirmwareLife& life_;
    Machine& machine_;
    uint32_t next_ = scratch;
};

//------------------------------------------------------------------------------ what must hold

/// Everything that the program may rely on when it is entered.
std::string problem_at_entry(const Plan& plan, const Entered& entered, const MemoryMap& memory) {
    constexpr uint64_t stack_size = 64 << 10;
    if (entered.program.entry != plan.entry) return "entered at a wrong address";
    if (entered.initrd != plan.initrd) return "another initrd was told";
    const PhysicalRange stack{{entered.stack_top.value - stack_size}, stack_size};
    if (!memory.is_ram(stack)) return "the stack is not in RAM";
    for (const MemoryMap::Owner owner : {MemoryMap::Owner::firmware, MemoryMap::Owner::loaded}) {
        if (memory.touches(stack, owner)) return "the stack lies where something else is";
    }
    return {};
}

using Faults = std::span<const Fault>;

bool has(Faults faults, std::initializer_list<Channel> channels) {
    return std::ranges::any_of(faults, [channels](const Fault& fault) {
        return std::ranges::find(channels, fault.channel) != channels.end();
    });
}

/// A transitional device that lies about its capabilities is a legacy one to everybody.
bool turns_legacy(const FunctionPlan& plan, const Machine& machine) {
    return plan.is_virtio() && plan.has_bar(0) && machine.has_lied_about(plan);
}

/// What the tree says of a function's DMA is true, or not said.
std::string problem_of_verdict(const FunctionPlan& plan, const Machine& machine,
                               const std::string& stated) {
    const bool is_true = stated.empty() ||
                         (stated == "fixed" && (plan.is_fixed() || turns_legacy(plan, machine))) ||
                         (stated == "switchable" && machine.has_offered(plan));
    return is_true ? "" : plan.path + ": DMA is said to be \"" + stated + "\"";
}

/// Devices are quiet after quiesce, and none was treated as VIRTIO forbids.
std::string problem_of_devices(const Plan& plan, const Machine& machine) {
    for (size_t i = 0; i < plan.functions.size(); ++i) {
        const std::string& path = plan.functions[i]->path;
        if (machine.function(i).bus_master()) return path + ": still masters the bus";
        const auto* device = dynamic_cast<const FakeVirtio*>(&machine.function(i));
        if (device == nullptr) continue;
        if (device->status != 0) return path + ": is not reset";
        if (device->police.breaches != 0) return path + ": the driver broke a rule of VIRTIO";
    }
    return {};
}

/// The tree that the hypervisor got says the same as the one that the program read.
std::string problem_of_told_tree(const std::vector<std::byte>& told,
                                 const std::map<std::string, std::string>& stated, Faults faults) {
    if (told.empty()) {
        const bool may_be = has(faults, {Channel::hypercall, Channel::allocation, Channel::claim});
        return may_be ? "" : "the hypervisor was told nothing";
    }
    size_t count = 0;
    for (int node = 0; node >= 0; node = fdt_next_node(told.data(), node, nullptr)) {
        const void* value = fdt_getprop(told.data(), node, "qemu,dma-bypass", nullptr);
        if (value == nullptr) continue;
        char path[512];
        if (fdt_get_path(told.data(), node, path, sizeof path) != 0) return "no path";
        const auto found = stated.find(path);
        if (found == stated.end() || found->second != static_cast<const char*>(value)) {
            return std::string{path} + ": the hypervisor was told otherwise";
        }
        ++count;
    }
    const auto said =
        std::ranges::count_if(stated, [](const auto& s) { return !s.second.empty(); });
    return count == static_cast<size_t>(said) ? "" : "the hypervisor was told less";
}

/// A machine that stops says why: one line more than that it stops.
std::string problem_of_stop(const std::string& console) {
    constexpr std::string_view start = "error: ";
    for (size_t at = console.find(start); at != std::string::npos;
         at = console.find(start, at + 1)) {
        const std::string_view line{console.data() + at + start.size()};
        if (!line.starts_with("the boot cannot go on") && !line.starts_with("halted")) return {};
    }
    return "it stopped without a word";
}

/// A device that gets less than it should is named, or whoever is to blame is.
bool complains(const std::string& console) {
    return console.find("warning: ") != std::string::npos ||
           console.find("error: ") != std::string::npos;
}

std::string run_program(const Plan& plan, Faults faults, const Entered& entered, FirmwareLife& life,
                        Machine& machine, Outcome& outcome) {
    if (auto problem = problem_at_entry(plan, entered, life.memory()); !problem.empty()) {
        return problem;
    }
    Program program{life, machine};
    program.run();
    const PhysicalRange claimed{{program.claimed}, Program::claimed_size};
    if (program.claimed != Program::failure &&
        (!life.memory().is_ram(claimed) ||
         life.memory().touches(claimed, MemoryMap::Owner::firmware))) {
        return "a claim was given what is not free";
    }
    std::map<std::string, std::string> stated;
    for (const auto& function : plan.functions) {
        const std::string dma = stated[function->path] = program.dma_of(function->path);
        if (auto problem = problem_of_verdict(*function, machine, dma); !problem.empty()) {
            return problem;
        }
        outcome.unstated += dma.empty() && (function->is_fixed() || machine.can_switch(*function));
    }
    // What the hypervisor refuses and what a device pretends to be are no mistakes.
    const bool must_say_why =
        !has(faults, {Channel::console, Channel::hypercall, Channel::config_read});
    if (outcome.unstated != 0 && must_say_why && !complains(machine.console)) {
        return "the verdict on a device is missing, and nobody says why";
    }
    program.quiesce();
    if (auto problem = problem_of_told_tree(machine.told, stated, faults); !problem.empty()) {
        return problem;
    }
    // A fault on the way to the devices may keep them from being quiet.
    const bool must_be_quiet = !has(
        faults, {Channel::hypercall, Channel::rtas, Channel::config_read, Channel::config_write});
    return must_be_quiet ? problem_of_devices(plan, machine) : "";
}

} // namespace

Outcome boot(const Shape& shape, Faults faults) {
    const Plan& plan = plan_of(shape);
    FakeClock::now = 0;
    FakeClock::step = 51'200'000; // 0.1 s, so that waiting for a silent device is short
    Outcome outcome{};
    Machine machine{plan, shape.has_switch, faults, outcome};
    FirmwareLife life;
    life.refuse_allocation = [&] { return machine.failure(Channel::allocation) != nullptr; };
    life.refuse_claim = [&] { return machine.failure(Channel::claim) != nullptr; };
    try {
        try {
            life.start(plan.blob_address);
        } catch (const Entered& entered) {
            outcome.problem = run_program(plan, faults, entered, life, machine, outcome);
            outcome.ending = Ending::booted;
        }
    } catch (const Ended& ended) {
        outcome.ending = ended.ending;
    } catch (const Halted&) {
        outcome.ending = Ending::halted;
    } catch (const Runaway&) {
        outcome.ending = Ending::runaway;
        outcome.problem = "it does not end";
    }
    FakeClock::step = 512;
    outcome.console = machine.console;
    if (outcome.ending == Ending::restarted) outcome.problem = "it restarted the machine";
    const bool stopped = outcome.ending != Ending::booted && outcome.ending != Ending::runaway;
    if (stopped && outcome.problem.empty() && !has(faults, {Channel::console})) {
        outcome.problem = problem_of_stop(outcome.console);
    }
    return outcome;
}

} // namespace spillway::test
