// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/blob.h"

namespace spillway::fdt {

namespace {

bool has_phandle_of_its_own(const Tree& tree, const Node& node) {
    return tree.has(node, "phandle") || tree.has(node, "linux,phandle");
}

/// A child by its whole name only.
Node* exact_child(const Tree& tree, const Node& parent, std::string_view name) {
    Node* const child = tree.child(parent, name);
    return child != nullptr && tree.name(*child).size() == name.size() ? child : nullptr;
}

/// Walks the nodes of a tree, parents first, and knows for each the node of the same path in
/// another tree, its twin.
class PairedWalk {
public:
    PairedWalk(const Tree& tree, const Tree& other)
        : tree_(tree)
        , other_(other)
        , node_(tree.root())
        , deepest_twin_(other.root()) {}

    Node* node() const { return node_; }
    Node* twin() const { return levels_without_ == 0 ? deepest_twin_ : nullptr; }
    bool in_chosen() const { return in_chosen_; }

    void next() {
        if (Node* const child = tree_.first_child(*node_)) {
            arrive(child);
        } else {
            next_outside();
        }
    }
    /// The next node that is not below this one.
    void next_outside() {
        while (Node* const parent = tree_.parent(*node_)) {
            if (levels_without_ > 0) {
                --levels_without_;
            } else {
                deepest_twin_ = other_.parent(*deepest_twin_);
            }
            if (Node* const sibling = tree_.next_sibling(*node_)) return arrive(sibling);
            node_ = parent;
        }
        node_ = nullptr;
    }
    /// Gives the node, whose parent has a twin, one too.
    Result<void> add_twin(Tree& other) {
        const Result<Node*> added =
            other.add(*deepest_twin_, tree_.name(*node_), Origin::hypervisor);
        if (!added) return error_of(added);
        deepest_twin_ = *added;
        levels_without_ = 0;
        return {};
    }

private:
    void arrive(Node* node) {
        node_ = node;
        Node* const twin =
            levels_without_ == 0 ? exact_child(other_, *deepest_twin_, tree_.name(*node)) : nullptr;
        if (twin != nullptr) {
            deepest_twin_ = twin;
        } else {
            ++levels_without_;
        }
        if (tree_.parent(*node) == tree_.root()) in_chosen_ = tree_.name(*node) == "chosen";
    }

    const Tree& tree_;
    const Tree& other_;
    Node* node_;
    Node* deepest_twin_;          ///< the node's, or that of its nearest ancestor that has one
    unsigned levels_without_ = 0; ///< from that one down to the node
    bool in_chosen_ = false;
};

void remove_what_vanished(Tree& tree, const Tree& newer) {
    PairedWalk walk{tree, newer};
    while (Node* const node = walk.node()) {
        const Node* const twin = walk.twin();
        if (walk.in_chosen()) {
            walk.next_outside();
        } else if (twin == nullptr && tree.origin(*node) == Origin::hypervisor) {
            walk.next_outside();
            tree.remove(*node);
        } else {
            for (Property* property = tree.first_property(*node); property != nullptr;) {
                Property* const candidate = property;
                property = tree.next_property(*property);
                if (tree.origin(*candidate) != Origin::hypervisor) continue;
                if (twin != nullptr && newer.has(*twin, tree.name(*candidate))) continue;
                tree.remove(*node, *candidate);
            }
            walk.next();
        }
    }
}

/// So that no node which is added takes the number of another. False when there is no memory.
bool reserve_phandles(Tree& tree, const Tree& newer) {
    const Node& top = *newer.root();
    for (const Node* node = &top; node != nullptr; node = newer.next(*node, top)) {
        if (!has_phandle_of_its_own(newer, *node)) continue;
        if (!tree.reserve(newer.phandle(*node))) return false;
    }
    return true;
}

Result<void> copy_properties(const Tree& newer, const Node& from, Tree& tree, Node& to) {
    if (has_phandle_of_its_own(newer, from) && tree.phandle(to) != newer.phandle(from)) {
        if (Result<void> set = tree.set_phandle(to, newer.phandle(from)); !set) return set;
    }
    for (const Property* property = newer.first_property(from); property != nullptr;
         property = newer.next_property(*property)) {
        const Property* const old = tree.property(to, newer.name(*property));
        if (old != nullptr && tree.origin(*old) != Origin::hypervisor) continue;
        const Result<Property*> set =
            tree.set(to, newer.name(*property), newer.value(*property), Origin::hypervisor);
        if (!set) return error_of(set);
    }
    return {};
}

Result<void> add_what_is_there(Tree& tree, const Tree& newer) {
    for (PairedWalk walk{newer, tree}; walk.node() != nullptr; walk.next()) {
        if (walk.twin() == nullptr) {
            if (Result<void> added = walk.add_twin(tree); !added) return added;
        }
        if (Result<void> copied = copy_properties(newer, *walk.node(), tree, *walk.twin());
            !copied) {
            return copied;
        }
    }
    return {};
}

} // namespace

Result<void> merge_blob(Bytes blob, Tree& tree) {
    Tree newer;
    if (Result<void> read = read_blob(blob, newer); !read) return read;
    if (tree.root() == nullptr || !reserve_phandles(tree, newer)) {
        return fail(ErrorCode::out_of_memory, "no memory to merge a device tree");
    }
    remove_what_vanished(tree, newer);
    return add_what_is_there(tree, newer);
}

} // namespace spillway::fdt
