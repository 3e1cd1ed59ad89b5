// SPDX-License-Identifier: BSD-2-Clause
// The live device tree: nodes and properties that answer by handle, path and name in constant time.
//
// IEEE 1275-1994, 3.2 (nodes, properties, paths) and the flattened format of the Devicetree
// Specification 0.4, chapter 5. Memory comes from the heap; every operation that needs some may
// answer ErrorCode::out_of_memory and then leaves the tree as it was.
#pragma once

#include "base/endian.h"
#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace spillway::fdt {

/// Identity of a node for clients and for references inside the tree; 0 and 0xffffffff name none.
enum class Phandle : uint32_t { none = 0 };

/// Who wrote a node or a property. A newer tree of the hypervisor replaces what is the hypervisor's
/// and leaves the rest alone.
enum class Origin : uint8_t { hypervisor, firmware, client };

using Bytes = std::span<const std::byte>;

/// Limits of every tree.
constexpr unsigned deepest_node = 64;       ///< components of the longest path
constexpr size_t longest_name = 255;        ///< characters of a node's or a property's name
constexpr size_t largest_value = 16u << 20; ///< bytes

struct Property; // opaque: see the accessors of Tree
struct Node;     // opaque

class Tree {
public:
    Tree();
    ~Tree();
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;

    /// --- nodes: walking. nullptr means "none". Children and siblings keep the blob's order.
    Node* root() const; ///< none only if there was no memory for it when the tree was made
    Node* parent(const Node& node) const;
    Node* first_child(const Node& node) const;
    Node* next_sibling(const Node& node) const;
    /// Depth-first successor of `node` in the subtree of `top`; starts with next(top, top).
    Node* next(const Node& node, const Node& top) const;

    /// --- nodes: finding, all in constant time (per path component).
    Node* find(Phandle phandle) const;
    /// Absolute path ("/", "/cpus/PowerPC,POWER9@0"). A component is the name of a child or,
    /// without unit address, its base name: the child of exactly this name comes first, so that
    /// every node's own path finds it, then the first child of this base name ("/memory" finds
    /// "/memory@0"). The letters A to F of unit addresses match in either case. A relative path, an
    /// empty component or more than deepest_node of them finds nothing.
    Node* find(std::string_view path) const;
    /// Child by name, by the same rule as a path component.
    Node* child(const Node& node, std::string_view name) const;

    /// --- nodes: what they are. Every name is followed by a NUL.
    std::string_view name(const Node& node) const;         ///< "memory@0"; "" for the root
    std::string_view base_name(const Node& node) const;    ///< "memory"; "" for the root
    std::string_view unit_address(const Node& node) const; ///< "0", or "" when there is none
    Phandle phandle(const Node& node) const;               ///< never none
    Origin origin(const Node& node) const;
    /// Writes the full path, without NUL, as far as it fits; returns the whole path's length.
    size_t path(const Node& node, std::span<char> buffer) const;

    /// --- nodes: changing.
    /// The new node comes last among its siblings. Its phandle is the lowest that is above all that
    /// add() gave before, is not in use and is not reserved. Fails when the name is longer than
    /// longest_name, has no base name, holds '/' or anything but printable ASCII, or exists
    /// already, and below deepest_node.
    Result<Node*> add(Node& parent, std::string_view name, Origin origin);
    /// Removes the node with all below it. The root cannot be removed.
    void remove(Node& top);
    /// Gives the node a phandle that another party chose; fails if another node has it.
    /// Its properties "phandle" and "linux,phandle", where stored, follow. Needs no memory.
    Result<void> set_phandle(Node& node, Phandle phandle);
    /// Gives the node another phandle, chosen as add() chooses. Needs no memory.
    void renew_phandle(Node& node);
    /// No node that is added gets this phandle; set_phandle still gives it. False when there is no
    /// memory to remember that.
    bool reserve(Phandle phandle);

    /// --- properties: in the blob's order, "name" and "phandle" not among them unless stored.
    Property* first_property(const Node& node) const;
    Property* next_property(const Property& property) const;
    Property* property(const Node& node, std::string_view name) const; ///< constant time
    std::string_view name(const Property& property) const;
    Bytes value(const Property& property) const;
    Origin origin(const Property& property) const;
    /// Shorthands: the bytes of a property, empty when it is absent (see also has()).
    Bytes value(const Node& node, std::string_view name) const;
    bool has(const Node& node, std::string_view name) const;
    /// The text of a NUL-terminated string property up to its first NUL; "" when absent or empty.
    std::string_view text(const Node& node, std::string_view name) const;
    /// The first cell(s) of a property, or `otherwise` when it is absent or too short.
    uint32_t cell(const Node& node, std::string_view name, uint32_t otherwise) const;
    uint64_t cells64(const Node& node, std::string_view name, uint64_t otherwise) const;

    /// Creates or replaces. A value that is not larger than what the property ever held reuses its
    /// memory, so a client that sets the same property for ever does not use memory up.
    /// `value` may lie inside this very property. Fails when the name is empty, longer than
    /// longest_name or not printable ASCII, and for more than largest_value bytes.
    Result<Property*> set(Node& node, std::string_view name, Bytes value, Origin origin);
    Result<Property*> set_text(Node& node, std::string_view name, std::string_view value,
                               Origin origin); ///< adds the NUL
    Result<Property*> set_cells(Node& node, std::string_view name,
                                std::initializer_list<uint32_t> cells, Origin origin);
    void remove(Node& node, Property& property);

    size_t node_count() const;
    size_t property_count() const;
    /// Bytes of all different names of nodes and properties, each with its NUL.
    size_t name_bytes() const;
    /// The most table entries that any look-up of something present examines: for tests.
    size_t longest_search() const;

private:
    struct State;
    void change_phandle(Node& node, Phandle phandle);
    /// Writes the `size` bytes of a value that is made of what `from` points to.
    using Fill = void (*)(std::byte* to, const void* from, size_t size);
    Result<Property*> set(Node& node, std::string_view name, size_t size, Fill fill,
                          const void* from, Origin origin);

    State* state_ = nullptr;
};

} // namespace spillway::fdt
