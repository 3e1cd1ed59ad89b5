// SPDX-License-Identifier: BSD-2-Clause
// The live tree under edits of every kind, some of them without memory: it stays sound, refuses
// without a trace, and gives all memory back.
#include "tests/fuzz/trees.h"
#include "tests/host/fdt_support.h"

namespace spillway::fuzz {
namespace {

using fdt::Node;
using fdt::Origin;
using fdt::Property;

class Editor {
public:
    explicit Editor(Input& input)
        : input_(input) {}

    void edit() {
        enum Edit : uint8_t {
            add,
            set,
            text,
            cells,
            overlap,
            drop_property,
            drop_node,
            number,
            renew,
            reserve,
            find,
            count
        };
        Node& node = some_node();
        switch (static_cast<Edit>(input_.below(count))) {
        case add:
            (void)tree.add(node, name(), origin());
            break;
        case set:
            if (const auto chosen = name(); is_free(chosen)) {
                const size_t size = input_.below(256);
                (void)tree.set(node, chosen, input_.bytes(size), origin());
            }
            break;
        case text:
            if (const auto chosen = name(); is_free(chosen)) {
                (void)tree.set_text(node, chosen, input_.text(40), origin());
            }
            break;
        case cells:
            if (const auto chosen = name(); is_free(chosen)) {
                (void)tree.set_cells(node, chosen, {input_.number<uint32_t>(), 7}, origin());
            }
            break;
        case overlap:
            if (const Property* property = some_property(node)) {
                const fdt::Bytes value = tree.value(*property);
                const size_t from = input_.below(256) % (value.size() + 1);
                (void)tree.set(node, tree.name(*property), value.subspan(from), origin());
            }
            break;
        case drop_property:
            if (Property* property = some_property(node)) tree.remove(node, *property);
            break;
        case drop_node:
            tree.remove(node);
            break;
        case number: {
            const fdt::Phandle phandle{input_.number<uint32_t>()};
            if (tree.set_phandle(node, phandle)) {
                demand(tree.find(phandle) == &node, "a phandle that was set finds the node");
            }
            break;
        }
        case renew:
            tree.renew_phandle(node);
            break;
        case reserve:
            (void)tree.reserve(fdt::Phandle{uint32_t{input_.byte()}});
            break;
        case find:
            (void)tree.find(input_.text(input_.below(64)));
            break;
        case count:
            break;
        }
    }

    fdt::Tree tree;

private:
    Origin origin() { return static_cast<Origin>(input_.below(3)); }
    Node& some_node() {
        size_t left = input_.byte() % tree.node_count();
        Node* node = tree.root();
        for (; left > 0; --left)
            node = tree.next(*node, *tree.root());
        return *node;
    }
    Property* some_property(const Node& node) {
        size_t left = input_.below(8);
        Property* property = tree.first_property(node);
        for (; property != nullptr && left > 0; --left)
            property = tree.next_property(*property);
        return property;
    }
    std::string_view name() {
        static constexpr std::string_view usual[] = {
            "a", "b", "memory@0", "memory", "pci@1F", "pci@1f", "reg", "name", "c@0,1", "c",
        };
        const size_t choice = input_.below(16);
        return choice < std::size(usual) ? usual[choice] : input_.text(input_.below(256));
    }
    /// Phandles are set by set_phandle.
    static bool is_free(std::string_view name) {
        return name != "phandle" && name != "linux,phandle";
    }

    Input& input_;
};

} // namespace

void run(Input input) {
    const size_t outstanding = fdt::test::Heap::outstanding();
    {
        fdt::test::Heap heap;
        Editor editor{input};
        for (int edits = 0; !input.empty() && edits < 200; ++edits) {
            const uint8_t control = input.byte();
            const bool starved = control < 16;
            if (!starved) {
                editor.edit();
                continue;
            }
            const uint64_t before = fingerprint(editor.tree);
            heap.fail_from(control % 4, control / 4);
            editor.edit();
            if (heap.failures() != 0) {
                demand(fingerprint(editor.tree) == before, "without memory nothing changes");
            }
            heap.fail_never();
        }
        demand_round_trip(editor.tree);
    }
    demand(fdt::test::Heap::outstanding() == outstanding, "all memory is given back");
}

} // namespace spillway::fuzz
