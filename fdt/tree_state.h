// SPDX-License-Identifier: BSD-2-Clause
// What a tree is made of. For tree.cpp and properties.cpp only.
#pragma once

#include "fdt/arena.h"
#include "fdt/index.h"
#include "fdt/names.h"
#include "fdt/tree.h"

namespace spillway::fdt {

struct Property {
    /// Values up to this size, most of all, live in the property itself.
    static constexpr uint32_t small = 8;

    Node* owner;
    Property* next;
    Property* previous; ///< of the first: the last
    Name* name;
    union {
        std::byte* large_value;
        std::byte small_value[small];
    };
    uint32_t size;
    uint32_t capacity;
    Origin origin;

    std::byte* bytes() { return capacity == small ? small_value : large_value; }
    const std::byte* bytes() const { return capacity == small ? small_value : large_value; }
};

struct Node {
    Node* parent;
    Node* first_child;
    Node* next_sibling;
    Node* previous_sibling; ///< of the first: the last
    Node* next_alike;       ///< the next child of the same parent with the same base name
    Node* previous_alike;   ///< of the first: the last
    Property* first_property;
    Name* name;
    Name* key; ///< the name with a unit address in lower case
    Name* base_name;
    Phandle phandle;
    uint8_t depth; ///< components of its path
    Origin origin;
};

/// Doubly linked lists whose head is a plain pointer; the first item's `previous` is the last item,
/// so that appending and removing take constant time.
template<auto next, auto previous, typename Item> void append(Item*& head, Item* item) {
    item->*next = nullptr;
    if (head == nullptr) {
        head = item;
    } else {
        (head->*previous)->*next = item;
        item->*previous = head->*previous;
    }
    head->*previous = item;
}
template<auto next, auto previous, typename Item> void unlink(Item*& head, Item* item) {
    Item* const follower = item->*next;
    if (head == item) {
        head = follower;
    } else {
        (item->*previous)->*next = follower;
    }
    if (follower != nullptr) {
        follower->*previous = item->*previous;
    } else if (head != nullptr) {
        head->*previous = item->*previous;
    }
}

/// A text up to the first `end`, or all of it. (substr() needs exceptions.)
constexpr std::string_view until(std::string_view text, char end) {
    const size_t length = text.find(end);
    return length == std::string_view::npos ? text : std::string_view{text.data(), length};
}

/// Printable ASCII of acceptable length.
bool is_acceptable_name(std::string_view name);

struct Tree::State {
    Arena arena;
    Names names{arena};
    Index<Node> children; ///< by parent and key
    Index<Node> alikes;   ///< the first child of a base name, by parent and base name
    Index<Node> phandles; ///< by phandle; `reserved` stands for no node
    Index<Property> properties;
    Node* root = nullptr;
    Node reserved{};
    uint32_t last_phandle = 0;

    Node* make_node(Node* parent, std::string_view name, Origin origin);
    void free_node(Node* node);
    Node* child_of_key(const Node* parent, const Name* key) const;
    Node* first_alike(const Node* parent, const Name* base_name) const;
    Node* holder_of(Phandle phandle) const;
    Phandle unused_phandle();

    Property* find_property(const Node& node, std::string_view name) const;
    Property* make_property(Node& node, std::string_view name, size_t size);
    void free_property(Property* property);
    void release_value(Property* property);
};

} // namespace spillway::fdt
