// SPDX-License-Identifier: BSD-2-Clause
// What the tests of fdt/ share: blobs of any shape, a heap that runs out, pictures of trees.
#pragma once

#include "fdt/blob.h"
#include "fdt/tree.h"

#include <string>
#include <vector>

namespace spillway::fdt::test {

/// The bytes of a string without a NUL, or of numbers as cells.
std::vector<std::byte> bytes_of(std::string_view text);
std::vector<std::byte> cells_of(std::initializer_list<uint32_t> cells);
std::string to_string(Bytes bytes);

/// A blob in memory that begins 8-byte aligned.
class Blob {
public:
    explicit Blob(size_t size = 0)
        : words_((size + 7) / 8)
        , size_(size) {}

    std::byte* data() { return reinterpret_cast<std::byte*>(words_.data()); }
    size_t size() const { return size_; }
    Bytes bytes() { return {data(), size_}; }
    uint32_t cell(size_t offset) { return load<Big32>(data() + offset); }
    void set_cell(size_t offset, uint32_t value);

private:
    std::vector<uint64_t> words_;
    size_t size_;
};

/// Offsets of a blob's header.
enum HeaderField : size_t {
    header_magic = 0,
    header_total_size = 4,
    header_structure = 8,
    header_strings = 12,
    header_reservations = 16,
    header_version = 20,
    header_compatible = 24,
    header_boot_cpu = 28,
    header_strings_size = 32,
    header_structure_size = 36,
};

/// Writes blobs, good and bad: nothing is checked.
class BlobBuilder {
public:
    BlobBuilder& begin(std::string_view name);
    BlobBuilder& end();
    BlobBuilder& property(std::string_view name, Bytes value);
    BlobBuilder& text(std::string_view name, std::string_view value); ///< adds the NUL
    BlobBuilder& cells(std::string_view name, std::initializer_list<uint32_t> values);
    BlobBuilder& token(uint32_t value);
    BlobBuilder& reservation(uint64_t start, uint64_t size);
    /// Adds the end token if `complete`.
    Blob build(bool complete = true) const;

private:
    void raw(const void* data, size_t size, size_t alignment = 4);

    std::vector<std::byte> structure_;
    std::vector<std::byte> reservations_;
    std::string strings_;
};

/// A tree of the shape that QEMU makes: `functions` PCI functions of 17 properties, `cpus` CPUs,
/// and the nodes around them. After the answer to the client's architecture vectors it has another
/// interrupt controller and less in /chosen.
Blob machine_blob(unsigned functions, unsigned cpus, bool after_negotiation = false);

/// While it lives, allocations of fdt/ are counted and some of them fail.
class Heap {
public:
    static constexpr size_t never = ~size_t{0};

    Heap();
    ~Heap();
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    /// Of the allocations from now on, fails number `first` (from 0) and the `more` after it.
    void fail_from(size_t first, size_t more = 0);
    void fail_never() { fail_from(never); }
    size_t allocations() const;  ///< since fail_from
    size_t failures() const;     ///< since fail_from
    static size_t outstanding(); ///< allocations not given back, in the whole process
};

/// Everything about a tree that its accessors tell, as text.
std::string picture(const Tree& tree);
std::string path_of(const Tree& tree, const Node& node);
/// Every node and property can be found in every way that there is; else a message.
std::string unsoundness(const Tree& tree);

} // namespace spillway::fdt::test
