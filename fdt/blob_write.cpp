// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/blob.h"
#include "fdt/index.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>
#include <libfdt.h>

namespace spillway::fdt {

namespace {

constexpr std::string_view phandle_name = "phandle";

constexpr size_t padded(size_t size) {
    return align_up(size, FDT_TAGSIZE);
}

/// libfdt's sequential writer. libfdt finds a property's name among those already written by
/// comparing it with all of them; here an index of them does that.
class Writer {
public:
    explicit Writer(std::span<std::byte> buffer)
        : blob_(buffer.data())
        , end_(reinterpret_cast<char*>(buffer.data() + buffer.size()))
        , error_(fdt_create_with_flags(blob_, static_cast<int>(buffer.size()),
                                       FDT_CREATE_FLAG_NO_NAME_DEDUP)) {}

    void reservations(std::span<const PhysicalRange> ranges) {
        for (const PhysicalRange& range : ranges) {
            if (range.size == 0) continue; // would end the map
            if (error_ == 0) {
                error_ = fdt_add_reservemap_entry(blob_, range.start.value, range.size);
            }
        }
        if (error_ == 0) error_ = fdt_finish_reservemap(blob_);
    }

    void begin_node(const Tree& tree, const Node& node) {
        if (error_ == 0) error_ = fdt_begin_node(blob_, tree.name(node).data());
        const Big32 phandle{static_cast<uint32_t>(tree.phandle(node))};
        const Bytes phandle_value = std::as_bytes(std::span{&phandle, 1});
        bool has_phandle = false;
        for (const Property* at = tree.first_property(node); at != nullptr;
             at = tree.next_property(*at)) {
            const bool is_phandle = tree.name(*at) == phandle_name;
            property(tree.name(*at), is_phandle ? phandle_value : tree.value(*at));
            has_phandle |= is_phandle;
        }
        if (!has_phandle) property(phandle_name, phandle_value);
    }
    void end_node() {
        if (error_ == 0) error_ = fdt_end_node(blob_);
    }

    void finish(uint32_t boot_cpu) {
        if (error_ == 0) error_ = fdt_finish(blob_);
        if (error_ == 0) fdt_set_boot_cpuid_phys(blob_, boot_cpu);
    }

    /// 0, or what libfdt said first.
    int error() const { return error_; }
    bool out_of_memory() const { return out_of_memory_; }

private:
    void property(std::string_view name, Bytes value) {
        if (error_ != 0) return;
        if (!names_.make_room()) {
            out_of_memory_ = true;
            error_ = -FDT_ERR_NOSPACE;
            return;
        }
        const uint32_t hash = hash_of(name);
        const char* const known =
            names_.find(hash, [name](const char& written) { return name == &written; });
        const uint32_t strings_size = fdt_size_dt_strings(blob_);
        void* place = nullptr;
        error_ = fdt_property_placeholder(blob_, known == nullptr ? name.data() : "",
                                          static_cast<int>(value.size()), &place);
        if (error_ != 0) return;
        if (!value.empty()) std::memcpy(place, value.data(), value.size());
        if (known == nullptr) {
            names_.insert(hash, end_ - fdt_size_dt_strings(blob_));
            return;
        }
        // The empty string just written for it goes again. Until fdt_finish strings count from the
        // end of the buffer.
        const Big32 name_offset{static_cast<uint32_t>(known - end_)};
        std::memcpy(static_cast<std::byte*>(place) - sizeof name_offset, &name_offset,
                    sizeof name_offset);
        fdt_set_size_dt_strings(blob_, strings_size);
    }

    std::byte* blob_;
    char* end_;
    Index<char> names_; ///< in the buffer
    int error_;
    bool out_of_memory_ = false;
};

void write_nodes(const Tree& tree, Writer& writer) {
    const Node* node = tree.root();
    writer.begin_node(tree, *node);
    for (;;) {
        const Node* next = tree.first_child(*node);
        while (next == nullptr) {
            writer.end_node();
            next = tree.next_sibling(*node);
            node = tree.parent(*node);
            if (node == nullptr) return;
        }
        node = next;
        writer.begin_node(tree, *node);
    }
}

} // namespace

Result<std::span<std::byte>> write_blob(const Tree& tree,
                                        std::span<const PhysicalRange> reservations,
                                        uint32_t boot_cpu, std::span<std::byte> buffer) {
    if (tree.root() == nullptr) return fail(ErrorCode::out_of_memory, "there is no device tree");
    if (std::bit_cast<uintptr_t>(buffer.data()) % 8 != 0) {
        return fail(ErrorCode::malformed, "device-tree buffer at %p: not 8-byte aligned",
                    static_cast<void*>(buffer.data()));
    }
    Writer writer{buffer.first(std::min<size_t>(buffer.size(), INT_MAX & ~7))};
    writer.reservations(reservations);
    write_nodes(tree, writer);
    writer.finish(boot_cpu);
    if (writer.out_of_memory()) {
        return fail(ErrorCode::out_of_memory, "no memory for the names of the device-tree blob");
    }
    if (writer.error() != 0) {
        return fail(ErrorCode::out_of_range, "device-tree buffer of %zu bytes: %s", buffer.size(),
                    fdt_strerror(writer.error()));
    }
    return buffer.first(fdt_totalsize(buffer.data()));
}

size_t blob_size_bound(const Tree& tree, size_t reservation_count) {
    // libfdt aligns the end of the header to the size of a reservation.
    size_t size = align_up(sizeof(fdt_header), sizeof(fdt_reserve_entry)) +
                  (reservation_count + 1) * sizeof(fdt_reserve_entry) + FDT_TAGSIZE +
                  tree.name_bytes() + sizeof "phandle" + sizeof "";
    const Node* const root = tree.root();
    for (const Node* node = root; node != nullptr; node = tree.next(*node, *root)) {
        size += FDT_TAGSIZE + padded(tree.name(*node).size() + 1) + FDT_TAGSIZE;
        size += sizeof(struct fdt_property) + sizeof(Big32); // its phandle
        for (const Property* property = tree.first_property(*node); property != nullptr;
             property = tree.next_property(*property)) {
            size += sizeof(struct fdt_property) + padded(tree.value(*property).size());
        }
    }
    return align_up(size, 8);
}

} // namespace spillway::fdt
