// SPDX-License-Identifier: BSD-2-Clause
// What Linux does on its way in: negotiate, claim, instantiate RTAS, copy the whole tree, quiesce.
// And what a program that has gone mad does.
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

#include <random>

namespace spillway::of::test {
namespace {

/// A tree without its form: what a copy must agree on.
struct Copy {
    struct Property {
        std::string name, value;
        bool operator==(const Property&) const = default;
    };
    struct Node {
        std::string path;
        uint32_t phandle;
        std::vector<Property> properties;
        bool operator==(const Node&) const = default;
    };
    std::vector<Node> nodes; ///< depth first
};

Copy copy_of(const fdt::Tree& tree) {
    Copy copy;
    const fdt::Node* root = tree.root();
    for (const fdt::Node* node = root; node != nullptr; node = tree.next(*node, *root)) {
        char path[1024];
        const size_t size = tree.path(*node, path);
        Copy::Node made{{path, size}, static_cast<uint32_t>(tree.phandle(*node)), {}};
        for (const fdt::Property* property = tree.first_property(*node); property != nullptr;
             property = tree.next_property(*property)) {
            const fdt::Bytes value = tree.value(*property);
            made.properties.push_back(
                {std::string{tree.name(*property)},
                 {reinterpret_cast<const char*>(value.data()), value.size()}});
        }
        copy.nodes.push_back(std::move(made));
    }
    return copy;
}

constexpr uint32_t step = mib;

/// The kernel's side. Its texts lie in its image, as real ones do.
class Kernel {
public:
    explicit Kernel(Guest& guest)
        : guest_(guest) {}

    uint32_t allocate_down(uint32_t size, uint32_t alignment) {
        for (uint32_t address = (top_ - size) & ~(alignment - 1); address > bottom_;
             address = (address - step) & ~(alignment - 1)) {
            if (guest_.ask("claim", {address, size, 0}) != failure) {
                top_ = address;
                return address;
            }
        }
        return 0;
    }
    uint32_t allocate_up(uint32_t size) {
        for (uint32_t address = bottom_; address + size <= top_; address += step) {
            if (guest_.ask("claim", {address, size, 0}) != failure) {
                bottom_ = address + size;
                return address;
            }
        }
        return 0;
    }

    void start() {
        chosen_ = guest_.node("/chosen");
        const uint32_t cell = guest_.buffer(4);
        ASSERT_EQ(guest_.ask("getprop", {chosen_, guest_.text("stdout"), cell, 4}), 4U);
        stdout_ = guest_.cell(cell);
        const uint32_t path = guest_.buffer(256, '\0');
        ASSERT_NE(guest_.ask("instance-to-path", {stdout_, path, 255}), failure);
        const auto size = static_cast<uint32_t>(guest_.string(path).size() + 1);
        ASSERT_EQ(guest_.ask("setprop", {chosen_, guest_.text("linux,stdout-path"), path, size}),
                  size);
        const uint32_t package = guest_.ask("instance-to-package", {stdout_});
        ASSERT_NE(package, failure);
        EXPECT_EQ(guest_.property(package, "device_type"), terminated("serial"));
        print("Detected machine type: 0000000000000101\r\n");
    }

    void negotiate() {
        const uint32_t root = guest_.open("/");
        ASSERT_NE(root, 0U);
        const auto answer = guest_.call(
            "call-method",
            {guest_.text("ibm,client-architecture-support"), root, guest_.buffer(256)}, 2);
        ASSERT_EQ(answer.returns, (std::vector<uint32_t>{0, 0}));
        guest_.tell("close", {root});
    }

    void find_cpu(uint32_t expected) {
        const uint32_t cpu =
            guest_.ask("instance-to-package", {guest_.cell_property("/chosen", "cpu")});
        ASSERT_NE(cpu, failure);
        const uint32_t reg = guest_.buffer(4);
        ASSERT_EQ(guest_.ask("getprop", {cpu, guest_.text("reg"), reg, 4}), 4U);
        EXPECT_EQ(guest_.cell(reg), expected);
    }

    void instantiate_rtas() {
        const uint32_t node = guest_.node("/rtas");
        const uint32_t cell = guest_.buffer(4);
        ASSERT_EQ(guest_.ask("getprop", {node, guest_.text("rtas-size"), cell, 4}), 4U);
        const uint32_t base = allocate_down(guest_.cell(cell), 0x10000);
        ASSERT_NE(base, 0U);
        const uint32_t instance = guest_.open("/rtas");
        const auto answer =
            guest_.call("call-method", {guest_.text("instantiate-rtas"), instance, base}, 2);
        ASSERT_EQ(answer.returns, (std::vector<uint32_t>{0, base}));
        for (const char* name : {"linux,rtas-base", "linux,rtas-entry"}) {
            const Big32 big{base};
            std::memcpy(guest_.at(cell), &big, 4);
            ASSERT_EQ(guest_.ask("setprop", {node, guest_.text(name), cell, 4}), 4U);
        }
    }

    Copy flatten() {
        const uint32_t memory = allocate_up(mib);
        EXPECT_NE(memory, 0U);
        const uint32_t root = guest_.ask("peer", {0});
        name_room_ = memory;
        collect_names(root);
        for (const std::string& name : names_)
            texts_.push_back(guest_.text(name));
        Copy copy;
        copy_nodes(root, copy);
        return copy;
    }

    void finish() {
        guest_.tell("close", {guest_.cell_property("/chosen", "stdin")});
        print("Quiescing Open Firmware ...\r\n");
        guest_.tell("quiesce", {});
        print("Booting Linux\r\n");
    }

    void print(std::string_view text) {
        EXPECT_EQ(
            guest_.ask("write", {stdout_, guest_.text(text), static_cast<uint32_t>(text.size())}),
            text.size());
    }

private:
    /// The first pass: every property name once.
    void collect_names(uint32_t node) {
        uint32_t previous = guest_.text("");
        while (guest_.ask("nextprop", {node, previous, name_room_}) == 1) {
            const std::string name = guest_.string(name_room_);
            EXPECT_LT(name.size(), 64U);
            if (name != "name" && index_of(name) == names_.size()) names_.push_back(name);
            previous = guest_.text(name);
        }
        for (uint32_t child = guest_.ask("child", {node}); child != 0;
             child = guest_.ask("peer", {child})) {
            collect_names(child);
        }
    }

    /// The second pass: names looked up, values copied.
    void copy_nodes(uint32_t node, Copy& copy) {
        uint32_t room = 255;
        uint32_t size = guest_.ask("package-to-path", {node, name_room_, room});
        if (size >= room) {
            room = size;
            size = guest_.ask("package-to-path", {node, name_room_, room});
        }
        Copy::Node made{guest_.bytes(name_room_, size), node, {}};
        uint32_t previous = guest_.text("");
        while (guest_.ask("nextprop", {node, previous, name_room_}) == 1) {
            const std::string name = guest_.string(name_room_);
            if (name == "name") {
                previous = guest_.text(name);
                continue;
            }
            const size_t index = index_of(name);
            EXPECT_LT(index, names_.size()) << name;
            if (index == names_.size()) break;
            previous = texts_[index];
            const uint32_t length = guest_.ask("getproplen", {node, previous});
            if (length == failure) continue;
            const uint32_t value = name_room_ + 64;
            EXPECT_EQ(guest_.ask("getprop", {node, previous, value, length}), length);
            made.properties.push_back({name, guest_.bytes(value, length)});
        }
        copy.nodes.push_back(std::move(made));
        for (uint32_t child = guest_.ask("child", {node}); child != 0;
             child = guest_.ask("peer", {child})) {
            copy_nodes(child, copy);
        }
    }

    size_t index_of(const std::string& name) const {
        size_t index = 0;
        while (index < names_.size() && names_[index] != name)
            ++index;
        return index;
    }

    Guest& guest_;
    uint32_t chosen_ = 0, stdout_ = 0;
    uint32_t bottom_ = static_cast<uint32_t>(Guest::program.end().value);
    uint32_t top_ = static_cast<uint32_t>(Guest::ram_size);
    uint32_t name_room_ = 0;
    std::vector<std::string> names_;
    std::vector<uint32_t> texts_;
};

/// Fills the tree up to `count` nodes, each with `properties` properties.
void grow(fdt::Tree& tree, size_t count, unsigned properties) {
    std::mt19937 random{42};
    std::vector<fdt::Node*> parents{tree.find("/pci")};
    while (tree.node_count() < count) {
        fdt::Node& parent = *parents[random() % parents.size()];
        fdt::Node& node = add_node(tree, parent, "device@" + std::to_string(tree.node_count()));
        if (random() % 3 == 0) parents.push_back(&node);
        for (unsigned i = 0; i < properties; ++i) {
            std::string value(random() % 80, '\0');
            for (char& c : value)
                c = static_cast<char>(random());
            set(tree, node, "property-" + std::to_string(random() % 30), value);
        }
    }
}

TEST(OfPromInit, CopiesATreeOf300Nodes) {
    Guest guest;
    grow(guest.tree, 300, 18);
    Kernel kernel{guest};
    kernel.start();
    kernel.negotiate();
    kernel.find_cpu(8);
    kernel.instantiate_rtas();

    const size_t before = guest.calls;
    const Copy copy = kernel.flatten();
    const size_t calls = guest.calls - before;
    kernel.finish();

    const Copy expected = copy_of(guest.tree);
    ASSERT_EQ(copy.nodes.size(), expected.nodes.size());
    for (size_t i = 0; i < copy.nodes.size(); ++i) {
        EXPECT_EQ(copy.nodes[i].path, expected.nodes[i].path);
        EXPECT_EQ(copy.nodes[i].phandle, expected.nodes[i].phandle);
        EXPECT_TRUE(copy.nodes[i] == expected.nodes[i]) << copy.nodes[i].path;
    }
    EXPECT_EQ(guest.platform.quiesced, 1U);
    EXPECT_TRUE(guest.console.output.ends_with("Booting Linux\r\n"));
    // Two passes: names, "name" and the end of the list; and lengths and values once.
    const size_t nodes = guest.tree.node_count();
    const size_t properties = guest.tree.property_count();
    EXPECT_GE(calls, 2 * (properties + 2 * nodes) + 2 * properties);
    EXPECT_LE(calls, 2 * (properties + 4 * nodes) + 2 * properties + 2 * nodes + 16);
    RecordProperty("calls", static_cast<int>(calls));
}

TEST(OfPromInit, CopiesWhatItSetItself) {
    Guest guest;
    Kernel kernel{guest};
    kernel.start();
    kernel.instantiate_rtas();
    bool found = false;
    for (const Copy::Node& node : kernel.flatten().nodes) {
        for (const Copy::Property& property : node.properties) {
            found = found || (node.path == "/rtas" && property.name == "linux,rtas-entry");
        }
    }
    EXPECT_TRUE(found);
}

TEST(OfPromInit, CopiesDeepTrees) {
    Guest guest;
    fdt::Node* node = guest.tree.find("/pci");
    for (int i = 0; i < 30; ++i) {
        node = &add_node(guest.tree, *node, "a-bridge-of-pci@" + std::to_string(i));
    }
    Kernel kernel{guest};
    kernel.start();
    const Copy copy = kernel.flatten();
    EXPECT_TRUE(copy.nodes == copy_of(guest.tree).nodes);
}

TEST(OfPromInit, SurvivesTheTreeChangingInBetween) {
    Guest guest;
    grow(guest.tree, 60, 4);
    guest.platform.negotiate = [&] {
        guest.tree.remove(*guest.tree.find("/pci"));
        return Result<void>{};
    };
    Kernel kernel{guest};
    kernel.start();
    kernel.negotiate();
    const Copy copy = kernel.flatten();
    EXPECT_TRUE(copy.nodes == copy_of(guest.tree).nodes);
}

TEST(OfMadProgram, DoesNoHarm) {
    constexpr int calls = 40000;
    Guest guest;
    grow(guest.tree, 40, 3);
    std::memset(guest.at(0), 0xEE, Guest::image.size);
    std::memset(guest.at(Guest::stacks.start.value), 0xEE, Guest::stacks.size);
    std::mt19937 random{99};
    const std::vector<std::string> services{"finddevice",
                                            "getprop",
                                            "getproplen",
                                            "nextprop",
                                            "setprop",
                                            "peer",
                                            "child",
                                            "parent",
                                            "package-to-path",
                                            "instance-to-path",
                                            "instance-to-package",
                                            "canon",
                                            "open",
                                            "close",
                                            "read",
                                            "write",
                                            "seek",
                                            "claim",
                                            "release",
                                            "call-method",
                                            "interpret",
                                            "milliseconds",
                                            "test",
                                            "test-method",
                                            "exit",
                                            "enter",
                                            "boot",
                                            "quiesce",
                                            "nothing"};
    const std::vector<std::string> texts{"/",
                                         "/chosen",
                                         "serial",
                                         "serial:x/y",
                                         "/pci/device@20",
                                         "name",
                                         "device_type",
                                         "reg",
                                         "phandle",
                                         "write",
                                         "read",
                                         "instantiate-rtas",
                                         "ibm,client-architecture-support",
                                         "reset-all",
                                         "cursor-on",
                                         "",
                                         ":",
                                         "//",
                                         "a/b",
                                         std::string(70, 'x'),
                                         "available"};
    std::vector<uint32_t> handles{0,
                                  failure,
                                  guest.node("/"),
                                  guest.node("/chosen"),
                                  guest.node("/memory"),
                                  guest.node("/rtas"),
                                  0x1111};
    const auto argument = [&]() -> uint32_t {
        switch (random() % 9) {
        case 0:
            return static_cast<uint32_t>(random());
        case 1:
            return static_cast<uint32_t>(random() % (100 * mib));
        case 2:
            return static_cast<uint32_t>(random() % 128);
        case 3:
            return guest.text(texts[random() % texts.size()]);
        case 4:
            return guest.buffer(256);
        case 5:
            return Guest::array + static_cast<uint32_t>(random() % 64);
        case 6:
            return uint32_t{1} << random() % 32;
        default:
            return handles[random() % handles.size()];
        }
    };
    for (int i = 0; i < calls; ++i) {
        std::vector<uint32_t> arguments(random() % 6);
        for (uint32_t& cell : arguments)
            cell = argument();
        // A value of many MiB is honest work, and slow.
        if (arguments.size() > 3) arguments[3] %= 4096;
        try {
            const auto& service = services[random() % services.size()];
            const auto answer = guest.call(service, arguments, random() % 4);
            if (answer.status == 0 && !answer.returns.empty() && handles.size() < 4000) {
                handles.push_back(answer.returns[0]);
            }
        } catch (const Left&) {}
    }
    const std::string canary(mib, '\xEE');
    EXPECT_TRUE(guest.bytes(0, mib) == canary);
    EXPECT_TRUE(guest.bytes(static_cast<uint32_t>(Guest::stacks.start.value), mib) == canary);
    EXPECT_TRUE(guest.memory.touches(Guest::image, MemoryMap::Owner::firmware));
    size_t nodes = 0;
    const fdt::Node* root = guest.tree.root();
    for (const fdt::Node* node = root; node != nullptr; node = guest.tree.next(*node, *root)) {
        ++nodes;
    }
    EXPECT_EQ(nodes, guest.tree.node_count());
    EXPECT_EQ(guest.node("/chosen"),
              static_cast<uint32_t>(guest.tree.phandle(*guest.tree.find("/chosen"))));
    EXPECT_LE(guest.platform.quiesced, 1U);
}

} // namespace
} // namespace spillway::of::test
