// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace spillway::of::test {
namespace {

void add_terminal(fdt::Tree& tree, fdt::Node& bus, std::string_view name, uint32_t reg) {
    fdt::Node& node = add_node(tree, bus, name);
    set(tree, node, "reg", cells({reg}));
    set(tree, node, "device_type", terminated("serial"));
    set(tree, node, "compatible", terminated("hvterm1"));
}

void add_cpu(fdt::Tree& tree, fdt::Node& cpus, std::string_view name, uint32_t reg) {
    fdt::Node& node = add_node(tree, cpus, name);
    set(tree, node, "device_type", terminated("cpu"));
    set(tree, node, "reg", cells({reg}));
    set(tree, node, "ibm,ppc-interrupt-server#s", cells({reg}));
}

void fill(fdt::Tree& tree, Guest::Terminals terminals) {
    fdt::Node& root = *tree.root();
    set(tree, root, "device_type", terminated("chrp"));
    set(tree, root, "model", terminated("IBM pSeries (emulated by qemu)"));
    set(tree, root, "#address-cells", cells({2}));
    set(tree, root, "#size-cells", cells({2}));
    fdt::Node& chosen = add_node(tree, root, "chosen");
    set(tree, chosen, "bootargs", terminated("console=hvc0"));
    fdt::Node& memory = add_node(tree, root, "memory@0");
    set(tree, memory, "device_type", terminated("memory"));
    set(tree, memory, "reg", cells({0, 0, 0, static_cast<uint32_t>(Guest::ram_size)}));
    fdt::Node& cpus = add_node(tree, root, "cpus");
    set(tree, cpus, "#address-cells", cells({1}));
    add_cpu(tree, cpus, "PowerPC,POWER9@0", 0);
    add_cpu(tree, cpus, "PowerPC,POWER9@8", 8);
    fdt::Node& rtas = add_node(tree, root, "rtas");
    set(tree, rtas, "rtas-size", cells({Guest::rtas_size}));
    set(tree, rtas, "ibm,hypertas-functions", terminated("hcall-pft"));
    set(tree, rtas, "ibm,query-interrupt-source-number", cells({0x2016}));
    fdt::Node& bus = add_node(tree, root, "vdevice");
    set(tree, bus, "device_type", terminated("vdevice"));
    if (terminals == Guest::Terminals::three) {
        add_terminal(tree, bus, "vty@71000005", 0x71000005);
        add_terminal(tree, bus, "vty@71000002", 0x71000002);
        add_terminal(tree, bus, "vty@71000009", 0x71000009);
    } else if (terminals == Guest::Terminals::one) {
        add_terminal(tree, bus, "vty@71000000", 0x71000000);
    }
    fdt::Node& nvram = add_node(tree, bus, "nvram@71000001");
    set(tree, nvram, "device_type", terminated("nvram"));
    fdt::Node& pci = add_node(tree, root, "pci@800000020000000");
    set(tree, pci, "device_type", terminated("pci"));
    fdt::Node& scsi = add_node(tree, pci, "scsi@0");
    set(tree, scsi, "class-code", cells({0x010000}));
    set(tree, scsi, "empty", "");
    add_node(tree, pci, "ethernet@1F");
    fdt::Node& controller = add_node(tree, root, "interrupt-controller");
    set(tree, controller, "phandle", cells({0x1111}));
    EXPECT_TRUE(tree.set_phandle(controller, fdt::Phandle{0x1111}));
}

} // namespace

size_t FakeConsole::write(std::string_view text) {
    const size_t taken = std::min(text.size(), most_taken);
    output += text.substr(0, taken);
    return taken;
}

size_t FakeConsole::read(std::span<char> buffer) {
    const size_t size = std::min(buffer.size(), input.size());
    std::copy_n(input.begin(), size, buffer.begin());
    input.erase(0, size);
    return size;
}

Result<void> FakePlatform::client_architecture_support(PhysicalAddress address) {
    vectors.push_back(address.value);
    if (negotiate) return negotiate();
    return {};
}

Guest::Guest(Terminals terminals, bool prepared) {
    fill(tree, terminals);
    EXPECT_TRUE(memory.add_ram({{0}, ram_size}));
    EXPECT_TRUE(memory.add_ram(island));
    EXPECT_TRUE(memory.claim(image, MemoryMap::Owner::firmware));
    EXPECT_TRUE(memory.claim(stacks, MemoryMap::Owner::firmware));
    EXPECT_TRUE(memory.claim(program, MemoryMap::Owner::loaded));
    if (!prepared) return;
    EXPECT_TRUE(client.prepare(8, "1.2"));
}

void Guest::lay_out(uint32_t address, uint32_t service, uint32_t argument_count,
                    uint32_t return_count, const std::vector<uint32_t>& arguments) {
    std::vector<uint32_t> whole{service, argument_count, return_count};
    whole.insert(whole.end(), arguments.begin(), arguments.end());
    for (uint32_t i = 0; i < std::min<uint32_t>(return_count, 16); ++i)
        whole.push_back(unanswered);
    for (size_t i = 0; i < whole.size(); ++i) {
        const Big32 big{whole[i]};
        std::memcpy(at(address + 4 * i), &big, sizeof big);
    }
}

Guest::Answer Guest::call(std::string_view service, const std::vector<uint32_t>& arguments,
                          unsigned returns) {
    lay_out(array, text(service), static_cast<uint32_t>(arguments.size()), returns, arguments);
    ++calls;
    Answer answer{client.call({array}), {}};
    for (unsigned i = 0; i < returns; ++i) {
        answer.returns.push_back(
            cell(array + 12 + 4 * (static_cast<uint32_t>(arguments.size()) + i)));
    }
    return answer;
}

uint32_t Guest::ask(std::string_view service, const std::vector<uint32_t>& arguments) {
    const Answer answer = call(service, arguments, 1);
    EXPECT_EQ(answer.status, 0) << service;
    return answer.returns[0];
}

void Guest::tell(std::string_view service, const std::vector<uint32_t>& arguments, int32_t status) {
    EXPECT_EQ(call(service, arguments, 0).status, status) << service;
}

uint32_t Guest::buffer(size_t size, char fill) {
    if (next_ + size > program.end().value) next_ = scratch;
    const uint32_t address = next_;
    std::memset(at(address), fill, size);
    next_ += static_cast<uint32_t>(size);
    return address;
}

uint32_t Guest::text(std::string_view text) {
    const uint32_t address = buffer(text.size() + 1, 0);
    std::memcpy(at(address), text.data(), text.size());
    return address;
}

std::string Guest::bytes(uint32_t address, size_t size) const {
    return {reinterpret_cast<const char*>(at(address)), size};
}

std::string Guest::string(uint32_t address) const {
    return reinterpret_cast<const char*>(at(address));
}

uint32_t Guest::cell(uint32_t address) const {
    return load<Big32>(at(address));
}

std::string Guest::path_of(uint32_t phandle) {
    const uint32_t room = buffer(512);
    const uint32_t size = ask("package-to-path", {phandle, room, 512});
    return size == failure ? "" : bytes(room, size);
}

std::optional<std::string> Guest::property(uint32_t phandle, std::string_view name) {
    const uint32_t size = ask("getproplen", {phandle, text(name)});
    if (size == failure) return std::nullopt;
    const uint32_t room = buffer(size);
    EXPECT_EQ(ask("getprop", {phandle, text(name), room, size}), size);
    return bytes(room, size);
}

uint32_t Guest::cell_property(std::string_view path, std::string_view name) {
    const auto value = property(node(path), name);
    EXPECT_TRUE(value && value->size() == 4) << path << " " << name;
    return value && value->size() == 4 ? uint32_t{load<Big32>(value->data())} : 0;
}

std::vector<std::string> Guest::property_names(uint32_t phandle) {
    std::vector<std::string> names;
    uint32_t previous = 0;
    for (;;) {
        const uint32_t next = buffer(64);
        const uint32_t flag = ask("nextprop", {phandle, previous, next});
        if (flag != 1) {
            EXPECT_EQ(flag, 0U);
            return names;
        }
        names.push_back(string(next));
        previous = next;
    }
}

std::vector<PhysicalRange> Guest::available() {
    std::vector<PhysicalRange> ranges;
    const auto value = property(node("/memory@0"), "available");
    if (!value) return ranges;
    EXPECT_EQ(value->size() % 16, 0U);
    for (size_t i = 0; i + 16 <= value->size(); i += 16) {
        ranges.push_back({{load<Big64>(value->data() + i)}, load<Big64>(value->data() + i + 8)});
    }
    return ranges;
}

std::vector<PhysicalRange> Guest::free() {
    std::vector<PhysicalRange> ranges;
    memory.for_each_free([&](PhysicalRange range) { ranges.push_back(range); });
    return ranges;
}

std::string cells(std::initializer_list<uint32_t> values) {
    std::string result;
    for (const uint32_t value : values) {
        const Big32 big{value};
        result.append(reinterpret_cast<const char*>(&big), sizeof big);
    }
    return result;
}

std::string terminated(std::string_view text) {
    return std::string{text} + '\0';
}

fdt::Bytes as_bytes(std::string_view text) {
    return std::as_bytes(std::span{text});
}

fdt::Node& add_node(fdt::Tree& tree, fdt::Node& parent, std::string_view name) {
    const auto added = tree.add(parent, name, fdt::Origin::hypervisor);
    EXPECT_TRUE(added) << name;
    return **added;
}

void set(fdt::Tree& tree, fdt::Node& node, std::string_view name, std::string_view value) {
    EXPECT_TRUE(tree.set(node, name, as_bytes(value), fdt::Origin::hypervisor)) << name;
}

} // namespace spillway::of::test
