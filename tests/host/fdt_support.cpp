// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/fdt_support.h"

#include "base/heap.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace spillway {

namespace {

struct {
    size_t outstanding = 0;
    size_t allocations = 0;
    size_t failures = 0;
    size_t first_to_fail = fdt::test::Heap::never;
    size_t more_to_fail = 0;
} heap;

} // namespace

void* take_from_heap(size_t size) {
    const size_t number = heap.allocations++;
    if (number >= heap.first_to_fail && number - heap.first_to_fail <= heap.more_to_fail) {
        ++heap.failures;
        return nullptr;
    }
    ++heap.outstanding;
    return std::malloc(size);
}

void give_to_heap(void* memory) {
    if (memory != nullptr) --heap.outstanding;
    std::free(memory);
}

} // namespace spillway

namespace spillway::fdt::test {

Heap::Heap() {
    fail_never();
}
Heap::~Heap() {
    fail_never();
}
void Heap::fail_from(size_t first, size_t more) {
    heap.allocations = 0;
    heap.failures = 0;
    heap.first_to_fail = first;
    heap.more_to_fail = more;
}
size_t Heap::allocations() const {
    return heap.allocations;
}
size_t Heap::failures() const {
    return heap.failures;
}
size_t Heap::outstanding() {
    return heap.outstanding;
}

std::vector<std::byte> bytes_of(std::string_view text) {
    const Bytes bytes = std::as_bytes(std::span{text});
    return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> cells_of(std::initializer_list<uint32_t> cells) {
    std::vector<std::byte> result;
    for (const uint32_t cell : cells) {
        const Big32 stored{cell};
        const Bytes bytes = std::as_bytes(std::span{&stored, 1});
        result.insert(result.end(), bytes.begin(), bytes.end());
    }
    return result;
}

std::string to_string(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void Blob::set_cell(size_t offset, uint32_t value) {
    const Big32 cell{value};
    std::memcpy(data() + offset, &cell, sizeof cell);
}

void BlobBuilder::raw(const void* data, size_t size, size_t alignment) {
    const std::byte* const from = static_cast<const std::byte*>(data);
    structure_.insert(structure_.end(), from, from + size);
    structure_.resize((structure_.size() + alignment - 1) / alignment * alignment);
}

BlobBuilder& BlobBuilder::token(uint32_t value) {
    const Big32 cell{value};
    raw(&cell, sizeof cell);
    return *this;
}
BlobBuilder& BlobBuilder::begin(std::string_view name) {
    token(1);
    raw(std::string{name}.c_str(), name.size() + 1);
    return *this;
}
BlobBuilder& BlobBuilder::end() {
    return token(2);
}
BlobBuilder& BlobBuilder::property(std::string_view name, Bytes value) {
    const std::string text = std::string{name} + '\0';
    size_t offset = strings_.find(text);
    if (offset == std::string::npos) {
        offset = strings_.size();
        strings_ += text;
    }
    token(3).token(static_cast<uint32_t>(value.size())).token(static_cast<uint32_t>(offset));
    raw(value.data(), value.size());
    return *this;
}
BlobBuilder& BlobBuilder::text(std::string_view name, std::string_view value) {
    return property(name, bytes_of(std::string{value} + '\0'));
}
BlobBuilder& BlobBuilder::cells(std::string_view name, std::initializer_list<uint32_t> values) {
    return property(name, cells_of(values));
}
BlobBuilder& BlobBuilder::reservation(uint64_t start, uint64_t size) {
    for (const Big64 number : {Big64{start}, Big64{size}}) {
        const Bytes bytes = std::as_bytes(std::span{&number, 1});
        reservations_.insert(reservations_.end(), bytes.begin(), bytes.end());
    }
    return *this;
}

Blob BlobBuilder::build(bool complete) const {
    BlobBuilder copy = *this;
    if (complete) copy.token(9);
    copy.reservation(0, 0);
    const size_t structure = 40 + copy.reservations_.size();
    const size_t strings = structure + copy.structure_.size();
    Blob blob{strings + strings_.size()};
    const size_t fields[] = {
        0xd00dfeed, blob.size(), structure, strings,         40,
        17,         16,          0,         strings_.size(), copy.structure_.size()};
    for (size_t i = 0; i < std::size(fields); ++i) {
        blob.set_cell(4 * i, static_cast<uint32_t>(fields[i]));
    }
    std::memcpy(blob.data() + 40, copy.reservations_.data(), copy.reservations_.size());
    if (!copy.structure_.empty()) {
        std::memcpy(blob.data() + structure, copy.structure_.data(), copy.structure_.size());
    }
    if (!strings_.empty()) std::memcpy(blob.data() + strings, strings_.data(), strings_.size());
    return blob;
}

Blob machine_blob(unsigned functions, unsigned cpus, bool after_negotiation) {
    BlobBuilder blob;
    char name[32];
    blob.begin("").text("model", "IBM pSeries (emulated by qemu)").cells("#address-cells", {2});
    blob.begin("chosen").property("rng-seed", bytes_of("0123456789abcdef0123456789abcdef"));
    blob.property("ibm,architecture-vec-5", bytes_of(after_negotiation ? "abcd" : "ab"));
    if (!after_negotiation) blob.text("bootargs", "quiet").cells("linux,initrd-start", {0x3000000});
    blob.end();
    blob.begin("cpus").cells("#address-cells", {1}).cells("#size-cells", {0});
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
        std::snprintf(name, sizeof name, "PowerPC,POWER9@%x", cpu);
        blob.begin(name).text("device_type", "cpu").cells("reg", {cpu});
        blob.cells("ibm,ppc-interrupt-server#s", {cpu});
        blob.property("ibm,pa-features", bytes_of(std::string(after_negotiation ? 66 : 74, 'p')));
        blob.end();
    }
    blob.end();
    blob.begin("memory@0").text("device_type", "memory").cells("reg", {0, 0, 0, 0x20000000}).end();
    blob.begin("pci@800000020000000").text("device_type", "pci").cells("#address-cells", {3});
    for (unsigned function = 0; function < functions; ++function) {
        std::snprintf(name, sizeof name, "ethernet@%x,%x", function / 8, function % 8);
        blob.begin(name);
        for (const char* property :
             {"vendor-id", "device-id", "revision-id", "class-code", "interrupts", "subsystem-id",
              "subsystem-vendor-id", "cache-line-size", "devsel-speed", "min-grant", "max-latency",
              "ibm,my-drc-index", "ibm,req#msi-x", "#address-cells", "#size-cells"}) {
            blob.cells(property, {function});
        }
        blob.text("ibm,loc-code", "qemu_virtio-net-pci:0000:00:00.0");
        blob.cells("reg", {function << 8, 0, 0, 0, 0, 0x2000000 | function << 8, 0, 0, 0, 0x1000});
        blob.end();
    }
    blob.end();
    blob.begin(after_negotiation ? "interrupt-controller@60302031b0000" : "interrupt-controller");
    blob.cells("phandle", {0x1111}).cells("linux,phandle", {0x1111}).end();
    return blob.end().reservation(0x1000, 0x2000).build();
}

std::string path_of(const Tree& tree, const Node& node) {
    std::string path(tree.path(node, {}), '\0');
    tree.path(node, path);
    return path;
}

std::string picture(const Tree& tree) {
    std::string result;
    for (Node* node = tree.root(); node != nullptr; node = tree.next(*node, *tree.root())) {
        result += path_of(tree, *node) + " =" + std::to_string(int(tree.origin(*node))) + " <" +
                  std::to_string(uint32_t(tree.phandle(*node))) + ">\n";
        for (Property* property = tree.first_property(*node); property != nullptr;
             property = tree.next_property(*property)) {
            result += "  " + std::string{tree.name(*property)} + " =" +
                      std::to_string(int(tree.origin(*property))) + " ";
            for (const std::byte byte : tree.value(*property)) {
                result += "0123456789abcdef"[unsigned(byte) >> 4];
                result += "0123456789abcdef"[unsigned(byte) & 15];
            }
            result += '\n';
        }
    }
    return result;
}

std::string unsoundness(const Tree& tree) {
    size_t nodes = 0;
    size_t properties = 0;
    for (Node* node = tree.root(); node != nullptr; node = tree.next(*node, *tree.root())) {
        ++nodes;
        const std::string path = path_of(tree, *node);
        if (tree.find(tree.phandle(*node)) != node) return path + ": not found by phandle";
        if (tree.find(path) != node) return path + ": not found by path";
        const Node* const parent = tree.parent(*node);
        if ((parent == nullptr) != (node == tree.root())) return path + ": wrong parent";
        // The first child of a base name, unless one has it for its whole name.
        std::map<std::string_view, Node*> expected;
        for (Node* child = tree.first_child(*node); child != nullptr;
             child = tree.next_sibling(*child)) {
            if (tree.parent(*child) != node) return path + ": child of another parent";
            expected.try_emplace(tree.base_name(*child), child);
            if (tree.name(*child) == tree.base_name(*child)) expected[tree.name(*child)] = child;
        }
        for (const auto& [name, child] : expected) {
            if (tree.child(*node, name) != child) {
                return path + ": wrong child for " + std::string{name};
            }
        }
        for (Property* property = tree.first_property(*node); property != nullptr;
             property = tree.next_property(*property)) {
            ++properties;
            if (tree.property(*node, tree.name(*property)) != property) {
                return path + ": property " + std::string{tree.name(*property)} + " not found";
            }
        }
    }
    if (nodes != tree.node_count()) return "wrong node count";
    if (properties != tree.property_count()) return "wrong property count";
    return "";
}

} // namespace spillway::fdt::test
