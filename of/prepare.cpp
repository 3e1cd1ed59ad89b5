// SPDX-License-Identifier: BSD-2-Clause
// What a program expects to find in the tree when it starts.
#include "of/client.h"

#include <cstdio>

namespace spillway::of {
namespace {

/// Adds what is missing to a tree; the first error makes it stop: a node can be missing only then.
class Furnisher {
public:
    explicit Furnisher(fdt::Tree& tree)
        : tree_(tree) {}

    fdt::Node* node(fdt::Node* parent, std::string_view name) {
        if (!result_) return nullptr;
        if (fdt::Node* child = tree_.child(*parent, name)) return child;
        return keep(tree_.add(*parent, name, fdt::Origin::firmware));
    }
    void text(fdt::Node* node, std::string_view name, std::string_view value) {
        if (!result_ || tree_.has(*node, name)) return;
        keep(tree_.set_text(*node, name, value, fdt::Origin::firmware));
    }
    void flag(fdt::Node* node, std::string_view name) {
        if (!result_ || tree_.has(*node, name)) return;
        keep(tree_.set(*node, name, {}, fdt::Origin::firmware));
    }
    /// Handles are ours to say, whatever there was.
    void handle(fdt::Node* node, std::string_view name, Ihandle ihandle) {
        if (!result_) return;
        keep(tree_.set_cells(*node, name, {static_cast<uint32_t>(ihandle)}, fdt::Origin::firmware));
    }
    const Result<void>& result() const { return result_; }

private:
    template<typename Thing> Thing* keep(const Result<Thing*>& made) {
        if (made) return *made;
        if (result_) result_ = error_of(made);
        return nullptr;
    }

    fdt::Tree& tree_;
    Result<void> result_;
};

struct FixedText {
    const char* node;
    const char* name;
    const char* value;
};

constexpr FixedText fixed_texts[] = {
    {"options", "real-mode?", "true"},
    {"options", "little-endian?", "false"},
    {"options", "screen-#columns", "80"},
    {"options", "screen-#rows", "24"},
};

bool has_type(const fdt::Tree& tree, const fdt::Node& node, std::string_view type) {
    return tree.text(node, "device_type") == type;
}

constexpr uint64_t no_reg = UINT64_MAX;

/// The virtual terminal with the lowest address: the hypervisor's default.
const fdt::Node* find_lowest_terminal(const fdt::Tree& tree, const fdt::Node& bus) {
    const fdt::Node* found = nullptr;
    uint64_t lowest = no_reg;
    for (const fdt::Node* node = tree.first_child(bus); node != nullptr;
         node = tree.next_sibling(*node)) {
        if (!has_type(tree, *node, "serial")) continue;
        const uint64_t reg = tree.has(*node, "reg") ? tree.cell(*node, "reg", 0) : no_reg;
        if (found != nullptr && reg >= lowest) continue;
        found = node;
        lowest = reg;
    }
    return found;
}

/// The node of the CPU with this `reg`, or else the first CPU's.
const fdt::Node* find_cpu(const fdt::Tree& tree, uint32_t reg) {
    const fdt::Node* cpus = tree.find("/cpus");
    if (cpus == nullptr) return nullptr;
    const fdt::Node* first = nullptr;
    for (const fdt::Node* node = tree.first_child(*cpus); node != nullptr;
         node = tree.next_sibling(*node)) {
        if (!has_type(tree, *node, "cpu")) continue;
        if (tree.has(*node, "reg") && tree.cell(*node, "reg", 0) == reg) return node;
        if (first == nullptr) first = node;
    }
    return first;
}

} // namespace

const fdt::Node* Client::find_console() const {
    const fdt::Node* bus = tree_.find("/vdevice");
    const fdt::Node* chosen = tree_.find("/chosen");
    if (bus == nullptr) return nullptr;
    if (chosen != nullptr) {
        const fdt::Node* wanted = find_device(tree_.text(*chosen, "stdout-path")).node;
        if (wanted != nullptr && tree_.parent(*wanted) == bus &&
            has_type(tree_, *wanted, "serial")) {
            return wanted;
        }
    }
    return find_lowest_terminal(tree_, *bus);
}

Result<void> Client::prepare(uint32_t boot_cpu, std::string_view version) {
    Furnisher furnish{tree_};
    fdt::Node* root = tree_.root();
    fdt::Node* chosen = furnish.node(root, "chosen");
    fdt::Node* aliases = furnish.node(root, "aliases");
    fdt::Node* packages = furnish.node(root, "packages");

    for (const FixedText& text : fixed_texts) {
        furnish.text(furnish.node(root, text.node), text.name, text.value);
    }
    char model[48];
    std::snprintf(model, sizeof model, "Spillway,%.*s", static_cast<int>(version.size()),
                  version.data());
    fdt::Node* openprom = furnish.node(root, "openprom");
    furnish.text(openprom, "model", model);
    furnish.flag(openprom, "relative-addressing");

    const fdt::Node* console = find_console();
    if (console != nullptr) {
        terminal_ = tree_.phandle(*console);
        char path[256];
        const size_t size = tree_.path(*console, path);
        if (size <= sizeof path) {
            for (const char* name : {"stdout-path", "linux,stdout-path"}) {
                furnish.text(chosen, name, {path, size});
            }
            for (const char* name : {"vty", "serial"}) {
                furnish.text(aliases, name, {path, size});
            }
        }
    } else {
        // Without an output a kernel stops before it can say why.
        console = furnish.node(packages, "null-console");
    }
    if (console != nullptr) {
        furnish.handle(chosen, "stdin", open_node(*console));
        furnish.handle(chosen, "stdout", open_node(*console));
    }
    if (const fdt::Node* cpu = find_cpu(tree_, boot_cpu)) {
        furnish.handle(chosen, "cpu", open_node(*cpu));
    }
    if (!furnish.result()) return furnish.result();
    return update_available();
}

} // namespace spillway::of
