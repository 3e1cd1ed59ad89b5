// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/tree.h"

#include "base/heap.h"
#include "fdt/failure.h"
#include "fdt/tree_state.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace spillway::fdt {

namespace {

constexpr Phandle no_phandle_either{0xffffffff};

bool is_upper_hexadecimal(char character) {
    return character >= 'A' && character <= 'F';
}

/// A name as children are filed under it: the letters of its unit address in lower case.
class Key {
public:
    explicit Key(std::string_view name)
        : text_(name) {
        size_t at = name.find('@');
        while (at < name.size() && !is_upper_hexadecimal(name[at]))
            ++at;
        if (at >= name.size() || name.size() > sizeof folded_) return;
        std::memcpy(folded_, name.data(), name.size());
        for (; at < name.size(); ++at) {
            if (is_upper_hexadecimal(folded_[at]))
                folded_[at] = static_cast<char>(folded_[at] | 0x20);
        }
        text_ = {folded_, name.size()};
    }
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;

    std::string_view text() const { return text_; }

private:
    std::string_view text_;
    char folded_[longest_name];
};

uint32_t phandle_hash(Phandle phandle) {
    return hash_of(static_cast<uint32_t>(phandle));
}

} // namespace

bool is_acceptable_name(std::string_view name) {
    if (name.empty() || name.size() > longest_name) return false;
    for (const char character : name) {
        if (character < ' ' || character > '~') return false;
    }
    return true;
}

// --- State

/// nullptr when there is no memory; the caller has checked everything else.
Node* Tree::State::make_node(Node* parent, std::string_view name, Origin origin) {
    if (!children.make_room() || !alikes.make_room() || !phandles.make_room()) return nullptr;
    void* const memory = arena.allocate(sizeof(Node));
    if (memory == nullptr) return nullptr;
    Node* const node = new (memory) Node{};
    node->parent = parent;
    node->origin = origin;
    node->name = names.acquire(name);
    node->base_name = names.acquire(until(name, '@'));
    node->key = names.acquire(Key{name}.text());
    if (node->name == nullptr || node->base_name == nullptr || node->key == nullptr) {
        free_node(node);
        return nullptr;
    }
    node->phandle = unused_phandle();
    phandles.insert(phandle_hash(node->phandle), node);
    return node;
}

void Tree::State::free_node(Node* node) {
    names.release(node->name);
    names.release(node->base_name);
    names.release(node->key);
    arena.release(node, sizeof *node);
}

Node* Tree::State::child_of_key(const Node* parent, const Name* key) const {
    return children.find(hash_of(parent, key), [parent, key](const Node& child) {
        return child.key == key && child.parent == parent;
    });
}

Node* Tree::State::first_alike(const Node* parent, const Name* base_name) const {
    return alikes.find(hash_of(parent, base_name), [parent, base_name](const Node& child) {
        return child.base_name == base_name && child.parent == parent;
    });
}

/// The node of a phandle, `&reserved`, or nullptr. Different phandles have different hashes.
Node* Tree::State::holder_of(Phandle phandle) const {
    return phandles.find(phandle_hash(phandle), [](const Node&) { return true; });
}

/// Counts on even when a node is removed, so that a stale phandle finds nothing. The search ends
/// because there are far fewer nodes than numbers.
Phandle Tree::State::unused_phandle() {
    Phandle phandle;
    do {
        phandle = Phandle{++last_phandle};
    } while (phandle == Phandle::none || phandle == no_phandle_either ||
             holder_of(phandle) != nullptr);
    return phandle;
}

// --- Tree

Tree::Tree() {
    void* const memory = take_from_heap(sizeof(State));
    if (memory == nullptr) return;
    state_ = new (memory) State{};
    state_->root = state_->make_node(nullptr, "", Origin::hypervisor);
}

Tree::~Tree() {
    if (state_ == nullptr) return;
    if (state_->root != nullptr) {
        while (Node* const child = first_child(*state_->root))
            remove(*child);
        while (Property* const property = first_property(*state_->root)) {
            remove(*state_->root, *property);
        }
    }
    state_->~State();
    give_to_heap(state_);
}

Node* Tree::root() const {
    return state_ == nullptr ? nullptr : state_->root;
}
Node* Tree::parent(const Node& node) const {
    return node.parent;
}
Node* Tree::first_child(const Node& node) const {
    return node.first_child;
}
Node* Tree::next_sibling(const Node& node) const {
    return node.next_sibling;
}

Node* Tree::next(const Node& node, const Node& top) const {
    if (node.first_child != nullptr) return node.first_child;
    for (const Node* at = &node; at != &top; at = at->parent) {
        if (at->next_sibling != nullptr) return at->next_sibling;
    }
    return nullptr;
}

Node* Tree::find(Phandle phandle) const {
    if (state_ == nullptr) return nullptr;
    Node* const holder = state_->holder_of(phandle);
    return holder == &state_->reserved ? nullptr : holder;
}

Node* Tree::find(std::string_view path) const {
    Node* node = root();
    if (!path.starts_with('/')) return nullptr;
    if (path == "/") return node;
    while (!path.empty() && node != nullptr) {
        path.remove_prefix(1);
        const std::string_view component = until(path, '/');
        node = child(*node, component);
        path.remove_prefix(component.size());
    }
    return node;
}

Node* Tree::child(const Node& node, std::string_view name) const {
    const Name* const key = state_->names.find(Key{name}.text());
    if (key == nullptr) return nullptr;
    Node* const exact = state_->child_of_key(&node, key);
    return exact != nullptr ? exact : state_->first_alike(&node, key);
}

std::string_view Tree::name(const Node& node) const {
    return node.name->text();
}
std::string_view Tree::base_name(const Node& node) const {
    return node.base_name->text();
}
std::string_view Tree::unit_address(const Node& node) const {
    std::string_view address = name(node);
    address.remove_prefix(base_name(node).size());
    if (!address.empty()) address.remove_prefix(1);
    return address;
}
Phandle Tree::phandle(const Node& node) const {
    return node.phandle;
}
Origin Tree::origin(const Node& node) const {
    return node.origin;
}

size_t Tree::path(const Node& node, std::span<char> buffer) const {
    size_t length = node.parent == nullptr ? 1 : 0;
    for (const Node* at = &node; at->parent != nullptr; at = at->parent) {
        length += 1 + name(*at).size();
    }
    size_t end = length;
    const auto put = [buffer](size_t at, char character) {
        if (at < buffer.size()) buffer[at] = character;
    };
    put(0, '/');
    for (const Node* at = &node; at->parent != nullptr; at = at->parent) {
        const std::string_view component = name(*at);
        end -= component.size();
        for (size_t i = 0; i < component.size(); ++i)
            put(end + i, component[i]);
        put(--end, '/');
    }
    return length;
}

Result<Node*> Tree::add(Node& parent, std::string_view name, Origin origin) {
    if (!is_acceptable_name(name) || name.contains('/') || name.starts_with('@')) {
        return fail_at(*this, parent, ErrorCode::malformed, "a child cannot have the name \"%.*s\"",
                       shown(name), name.data());
    }
    if (parent.depth == deepest_node) {
        return fail_at(*this, parent, ErrorCode::out_of_range,
                       "nodes may be %u levels deep, not more", deepest_node);
    }
    const Node* const existing = child(parent, name);
    if (existing != nullptr && existing->name->text().size() == name.size()) {
        return fail_at(*this, *existing, ErrorCode::malformed, "there is such a node already");
    }
    Node* const node = state_->make_node(&parent, name, origin);
    if (node == nullptr) {
        return fail_at(*this, parent, ErrorCode::out_of_memory, "no memory for a child");
    }
    node->depth = static_cast<uint8_t>(parent.depth + 1);
    append<&Node::next_sibling, &Node::previous_sibling>(parent.first_child, node);
    state_->children.insert(hash_of(&parent, node->key), node);

    Node* first = state_->first_alike(&parent, node->base_name);
    if (first == nullptr) state_->alikes.insert(hash_of(&parent, node->base_name), node);
    append<&Node::next_alike, &Node::previous_alike>(first, node);
    return node;
}

void Tree::remove(Node& top) {
    Node* node = &top;
    if (node->parent == nullptr) return;
    for (;;) {
        while (node->first_child != nullptr)
            node = node->first_child;
        while (node->first_property != nullptr)
            remove(*node, *node->first_property);

        Node* const parent = node->parent;
        const uint32_t alike_hash = hash_of(parent, node->base_name);
        Node* const first = state_->first_alike(parent, node->base_name);
        Node* remaining = first;
        unlink<&Node::next_alike, &Node::previous_alike>(remaining, node);
        if (remaining == nullptr) {
            state_->alikes.remove(alike_hash, first);
        } else if (remaining != first) {
            state_->alikes.replace(alike_hash, first, remaining);
        }
        unlink<&Node::next_sibling, &Node::previous_sibling>(parent->first_child, node);
        state_->children.remove(hash_of(parent, node->key), node);
        state_->phandles.remove(phandle_hash(node->phandle), node);
        const bool was_top = node == &top;
        state_->free_node(node);
        if (was_top) return;
        node = parent;
    }
}

Result<void> Tree::set_phandle(Node& node, Phandle phandle) {
    if (phandle == Phandle::none || phandle == no_phandle_either) {
        return fail_at(*this, node, ErrorCode::malformed, "no node can have the phandle 0x%x",
                       static_cast<unsigned>(phandle));
    }
    Node* const holder = state_->holder_of(phandle);
    if (holder == &state_->reserved) {
        state_->phandles.remove(phandle_hash(phandle), holder);
    } else if (holder != nullptr && holder != &node) {
        return fail_at(*this, node, ErrorCode::malformed,
                       "the phandle 0x%x is that of another node, %.*s",
                       static_cast<unsigned>(phandle), shown(name(*holder)), name(*holder).data());
    }
    change_phandle(node, phandle);
    return {};
}

void Tree::renew_phandle(Node& node) {
    change_phandle(node, state_->unused_phandle());
}

void Tree::change_phandle(Node& node, Phandle phandle) {
    state_->phandles.remove(phandle_hash(node.phandle), &node);
    state_->phandles.insert(phandle_hash(phandle), &node);
    node.phandle = phandle;
    for (const std::string_view name : {"phandle", "linux,phandle"}) {
        Property* const stored = property(node, name);
        if (stored == nullptr || stored->size != sizeof(Big32)) continue;
        const Big32 cell{static_cast<uint32_t>(phandle)};
        std::memcpy(stored->bytes(), &cell, sizeof cell);
    }
}

bool Tree::reserve(Phandle phandle) {
    if (state_ == nullptr) return false;
    if (state_->holder_of(phandle) != nullptr) return true;
    if (!state_->phandles.make_room()) return false;
    state_->phandles.insert(phandle_hash(phandle), &state_->reserved);
    return true;
}

size_t Tree::node_count() const {
    return root() == nullptr ? 0 : state_->children.count() + 1;
}

size_t Tree::property_count() const {
    return state_ == nullptr ? 0 : state_->properties.count();
}

size_t Tree::name_bytes() const {
    return state_ == nullptr ? 0 : state_->names.bytes();
}

size_t Tree::longest_search() const {
    if (state_ == nullptr) return 0;
    return std::max({state_->names.longest_search(), state_->children.longest_search(),
                     state_->alikes.longest_search(), state_->phandles.longest_search(),
                     state_->properties.longest_search()});
}

} // namespace spillway::fdt
