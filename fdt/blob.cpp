// SPDX-License-Identifier: BSD-2-Clause
// Checking and reading blobs; blob_merge.cpp and blob_write.cpp have the rest of blob.h.
#include "fdt/blob.h"

#include "fdt/failure.h"

#include <algorithm>
#include <bit>
#include <libfdt.h>

namespace spillway::fdt {

namespace {

constexpr std::string_view phandle_name = "phandle";
constexpr std::string_view old_phandle_name = "linux,phandle";

/// The tokens of a checked blob's structure, one after the other. libfdt has found every one whole
/// and within its block, so nothing is checked again.
class Tokens {
public:
    explicit Tokens(Bytes blob)
        : at_(blob.data() + fdt_off_dt_struct(blob.data()))
        , strings_(blob.data() + fdt_off_dt_strings(blob.data())) {}

    /// FDT_BEGIN_NODE, FDT_PROP, FDT_END_NODE or FDT_END.
    uint32_t next() {
        uint32_t tag;
        do {
            tag = cell();
        } while (tag == FDT_NOP);
        if (tag == FDT_BEGIN_NODE) {
            name_ = text(at_);
            pass(name_.size() + 1);
        } else if (tag == FDT_PROP) {
            const uint32_t size = cell();
            name_ = text(strings_ + cell());
            value_ = {at_, size};
            pass(size);
        }
        return tag;
    }
    std::string_view name() const { return name_; } ///< of the node or property
    Bytes value() const { return value_; }          ///< of the property

private:
    static std::string_view text(const std::byte* at) { return reinterpret_cast<const char*>(at); }
    uint32_t cell() {
        const uint32_t value = load<Big32>(at_);
        at_ += sizeof(Big32);
        return value;
    }
    void pass(size_t size) { at_ += align_up(size, sizeof(Big32)); }

    const std::byte* at_;
    const std::byte* strings_;
    std::string_view name_;
    Bytes value_;
};

/// `value` is one cell.
Phandle phandle_in(Bytes value) {
    return Phandle{uint32_t{load<Big32>(value.data())}};
}

/// Keeps the numbers that the blob gives to nodes from being given to others; the root has one from
/// the start. What is wrong with them is for read_phandle to say. False when there is no memory.
bool reserve_phandles(Bytes blob, Tree& tree) {
    Tokens tokens{blob};
    bool taken_from_root = false;
    for (uint32_t tag; (tag = tokens.next()) != FDT_END;) {
        if (tag != FDT_PROP) continue;
        const std::string_view name = tokens.name();
        if (name != phandle_name && name != old_phandle_name) continue;
        const Bytes value = tokens.value();
        if (value.size() != sizeof(Big32)) continue;
        if (!tree.reserve(phandle_in(value))) return false;
        taken_from_root |= phandle_in(value) == tree.phandle(*tree.root());
    }
    if (taken_from_root) tree.renew_phandle(*tree.root());
    return true;
}

Result<void> read_phandle(Tree& tree, Node& node, std::string_view name, Bytes value) {
    if (value.size() != sizeof(Big32)) {
        return fail_at(tree, node, ErrorCode::malformed, "%.*s has %zu bytes, not 4", shown(name),
                       name.data(), value.size());
    }
    const Phandle phandle = phandle_in(value);
    const std::string_view other = name == phandle_name ? old_phandle_name : phandle_name;
    if (tree.has(node, other) && tree.phandle(node) != phandle) {
        return fail_at(tree, node, ErrorCode::malformed, "phandle and linux,phandle differ");
    }
    return tree.set_phandle(node, phandle);
}

Result<void> read_property(Tree& tree, Node& node, std::string_view name, Bytes value) {
    if (tree.first_child(node) != nullptr) {
        return fail_at(tree, node, ErrorCode::malformed, "property %.*s comes after a child",
                       shown(name), name.data());
    }
    if (tree.has(node, name)) {
        return fail_at(tree, node, ErrorCode::malformed, "there are two properties %.*s",
                       shown(name), name.data());
    }
    if (name == phandle_name || name == old_phandle_name) {
        if (Result<void> read = read_phandle(tree, node, name, value); !read) return read;
    }
    const Result<Property*> set = tree.set(node, name, value, Origin::hypervisor);
    return set ? Result<void>{} : error_of(set);
}

} // namespace

Result<Bytes> check_blob(const std::byte* memory, size_t largest_possible) {
    if (std::bit_cast<uintptr_t>(memory) % 8 != 0) {
        return fail(ErrorCode::malformed, "device-tree blob at %p: not 8-byte aligned",
                    static_cast<const void*>(memory));
    }
    const size_t largest = std::min(largest_possible, largest_blob);
    if (largest < sizeof(fdt_header)) {
        return fail(ErrorCode::malformed, "device-tree blob: %zu bytes have no room for its header",
                    largest);
    }
    if (fdt_magic(memory) != FDT_MAGIC) {
        return fail(ErrorCode::malformed, "device-tree blob: magic number 0x%x, not 0x%x",
                    fdt_magic(memory), FDT_MAGIC);
    }
    if (fdt_version(memory) != 17 || fdt_last_comp_version(memory) != 16) {
        return fail(ErrorCode::unsupported,
                    "device-tree blob: version %u compatible with %u, not 17 with 16",
                    fdt_version(memory), fdt_last_comp_version(memory));
    }
    const size_t size = fdt_totalsize(memory);
    if (size > largest) {
        return fail(ErrorCode::malformed, "device-tree blob: %zu bytes, more than %zu", size,
                    largest);
    }
    if (fdt_off_dt_struct(memory) % 4 != 0 || fdt_off_mem_rsvmap(memory) % 8 != 0) {
        return fail(ErrorCode::malformed,
                    "device-tree blob: blocks at 0x%x and 0x%x, not 4- and 8-byte aligned",
                    fdt_off_dt_struct(memory), fdt_off_mem_rsvmap(memory));
    }
    if (const int error = fdt_check_full(memory, size); error != 0) {
        return fail(ErrorCode::malformed, "device-tree blob: %s", fdt_strerror(error));
    }
    return Bytes{memory, size};
}

Bytes blob_property(Bytes blob, const char* path, const char* name) {
    if (path[0] != '/') return {}; // libfdt would take it for an alias
    const int node = fdt_path_offset(blob.data(), path);
    int length = 0;
    const void* const value = fdt_getprop(blob.data(), node, name, &length);
    if (value == nullptr) return {}; // nor has a node that is not there
    return {static_cast<const std::byte*>(value), static_cast<size_t>(length)};
}

uint32_t blob_boot_cpu(Bytes blob) {
    return fdt_boot_cpuid_phys(blob.data());
}

void for_each_reservation(Bytes blob, void (*visit)(PhysicalRange, void* context), void* context) {
    const int count = fdt_num_mem_rsv(blob.data());
    for (int i = 0; i < count; ++i) {
        uint64_t start = 0;
        uint64_t size = 0;
        fdt_get_mem_rsv(blob.data(), i, &start, &size);
        visit({{start}, size}, context);
    }
}

Result<void> read_blob(Bytes blob, Tree& tree) {
    Node* const root = tree.root();
    if (root == nullptr || !reserve_phandles(blob, tree)) {
        return fail(ErrorCode::out_of_memory, "no memory for a device tree");
    }

    Tokens tokens{blob};
    Node* node = nullptr; // the one whose properties and children come next
    bool began = false;
    for (uint32_t tag; (tag = tokens.next()) != FDT_END;) {
        if (tag == FDT_BEGIN_NODE && !began) {
            began = true;
            node = root;
        } else if (node == nullptr) {
            return fail(ErrorCode::malformed, "device-tree blob: something outside of the root");
        } else if (tag == FDT_BEGIN_NODE) {
            const Result<Node*> child = tree.add(*node, tokens.name(), Origin::hypervisor);
            if (!child) return error_of(child);
            node = *child;
        } else if (tag == FDT_END_NODE) {
            node = tree.parent(*node);
        } else {
            Result<void> read = read_property(tree, *node, tokens.name(), tokens.value());
            if (!read) return read;
        }
    }
    if (!began) return fail(ErrorCode::malformed, "device-tree blob: it has no root");
    return {};
}

} // namespace spillway::fdt
