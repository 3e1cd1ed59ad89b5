// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/trees.h"

#include "tests/host/fdt_support.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

namespace spillway::fuzz {
namespace {

using fdt::Node;
using fdt::Property;
using fdt::Tree;

bool same(fdt::Bytes one, fdt::Bytes two) {
    return std::ranges::equal(one, two);
}

/// `copy` was read from what `tree` wrote: the same but for origins, and each node has "phandle".
void demand_same(const Tree& tree, const Tree& copy) {
    demand(copy.node_count() == tree.node_count(), "as many nodes");
    const Node* twin = copy.root();
    for (const Node* node = tree.root(); node != nullptr; node = tree.next(*node, *tree.root())) {
        demand(twin != nullptr && tree.name(*node) == copy.name(*twin), "the same node");
        demand(tree.phandle(*node) == copy.phandle(*twin), "the same phandle");
        const Property* other = copy.first_property(*twin);
        for (const Property* property = tree.first_property(*node); property != nullptr;
             property = tree.next_property(*property)) {
            demand(other != nullptr && tree.name(*property) == copy.name(*other), "a property");
            demand(tree.name(*property) == "phandle" ||
                       same(tree.value(*property), copy.value(*other)),
                   "its value");
            other = copy.next_property(*other);
        }
        if (!tree.has(*node, "phandle")) {
            demand(other != nullptr && copy.name(*other) == "phandle", "its phandle, last");
            other = copy.next_property(*other);
        }
        demand(other == nullptr, "no other property");
        twin = copy.next(*twin, *copy.root());
    }
}

} // namespace

std::vector<std::byte> written(const Tree& tree) {
    std::vector<std::byte> bytes(fdt::blob_size_bound(tree, 1));
    const PhysicalRange reservation{{0x1000}, 0x2000};
    const auto blob = fdt::write_blob(tree, {&reservation, 1}, 7, bytes);
    demand(blob.has_value(), "the bound of the blob's size holds");
    bytes.resize(blob->size());
    return bytes;
}

void demand_sound(const Tree& tree) {
    const std::string unsoundness = fdt::test::unsoundness(tree);
    demand(unsoundness.empty(), unsoundness.c_str());
}

void demand_round_trip(const Tree& tree) {
    demand_sound(tree);
    const std::vector<std::byte> bytes = written(tree);
    const auto blob = fdt::check_blob(bytes.data(), bytes.size());
    demand(blob && blob->size() == bytes.size(), "what is written passes every check");
    demand(fdt::blob_boot_cpu(*blob) == 7, "the boot CPU is kept");
    Tree copy;
    const auto read = fdt::read_blob(*blob, copy);
    demand(read.has_value(), read ? "" : read.error().message);
    demand_same(tree, copy);
    demand(written(copy) == bytes, "the copy writes the same bytes");
}

uint64_t fingerprint(const Tree& tree) {
    uint64_t hash = 0;
    const auto add = [&hash](std::string_view text, unsigned number) {
        hash = (hash ^ std::hash<std::string_view>{}(text) ^ number) * 0x9E37'79B9'7F4A'7C15;
        hash ^= hash >> 29;
    };
    for (const Node* node = tree.root(); node != nullptr; node = tree.next(*node, *tree.root())) {
        const Node* const parent = tree.parent(*node);
        add(tree.name(*node), static_cast<unsigned>(tree.origin(*node)));
        add("phandle", static_cast<unsigned>(tree.phandle(*node)));
        add("parent", parent == nullptr ? 0 : static_cast<unsigned>(tree.phandle(*parent)));
        for (const Property* property = tree.first_property(*node); property != nullptr;
             property = tree.next_property(*property)) {
            const fdt::Bytes value = tree.value(*property);
            add(tree.name(*property), static_cast<unsigned>(tree.origin(*property)));
            add({reinterpret_cast<const char*>(value.data()), value.size()}, 0);
        }
    }
    return hash;
}

size_t mutate_blob(uint8_t* data, size_t size, size_t most, unsigned seed) {
    using namespace fdt::test;
    constexpr size_t header_size = 40, room = 64; // for what alignment adds
    fdt::test::Blob blob{std::max(size, header_size)};
    std::memcpy(blob.data(), data, size);
    const size_t structure = blob.cell(header_structure), strings = blob.cell(header_strings);
    const size_t reservations = blob.cell(header_reservations);
    const bool in_order = header_size <= reservations && reservations <= structure &&
                          structure <= strings && strings <= size;
    if (!in_order || seed % 8 == 0 || most <= size + room)
        return LLVMFuzzerMutate(data, size, most);

    // One of the three blocks changes; then they are put together again.
    std::array<std::vector<uint8_t>, 3> blocks{{{data + reservations, data + structure},
                                                {data + structure, data + strings},
                                                {data + strings, data + size}}};
    std::vector<uint8_t>& block = blocks[std::array{1u, 1u, 2u, 1u, 1u, 2u, 1u, 0u}[seed / 8 % 8]];
    const size_t old_size = block.size();
    block.resize(old_size + most - size - room);
    block.resize(LLVMFuzzerMutate(block.data(), old_size, block.size()));
    blocks[0].resize(align_up(blocks[0].size(), 8));
    blocks[1].resize(align_up(blocks[1].size(), 4));

    std::array<size_t, 3> offsets{};
    size_t end = header_size;
    for (size_t i = 0; i < blocks.size(); ++i) {
        offsets[i] = end;
        std::copy(blocks[i].begin(), blocks[i].end(), data + end);
        end += blocks[i].size();
    }
    const size_t fields[] = {0xd00dfeed,
                             end,
                             offsets[1],
                             offsets[2],
                             offsets[0],
                             17,
                             16,
                             blob.cell(header_boot_cpu),
                             blocks[2].size(),
                             blocks[1].size()};
    for (size_t i = 0; i < std::size(fields); ++i) {
        const Big32 field{static_cast<uint32_t>(fields[i])};
        std::memcpy(data + 4 * i, &field, sizeof field);
    }
    return end;
}

} // namespace spillway::fuzz
