// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/index.h"
#include "tests/host/fdt_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

namespace spillway::fdt {

namespace {

using namespace test;

constexpr Origin any = Origin::hypervisor;

class FdtTree : public testing::Test {
protected:
    Node& add(Node& parent, std::string_view name, Origin origin = any) {
        const Result<Node*> added = tree.add(parent, name, origin);
        EXPECT_TRUE(added) << (added ? "" : added.error().message);
        return added ? **added : *tree.root();
    }
    Node& add(std::string_view name) { return add(root, name); }
    Property& set(Node& node, std::string_view name, std::string_view value, Origin origin = any) {
        const Result<Property*> set = tree.set(node, name, bytes_of(value), origin);
        EXPECT_TRUE(set);
        return **set;
    }
    std::string value(const Node& node, std::string_view name) {
        return to_string(tree.value(node, name));
    }
    std::vector<std::string> children(const Node& node) {
        std::vector<std::string> names;
        for (Node* at = tree.first_child(node); at != nullptr; at = tree.next_sibling(*at)) {
            names.emplace_back(tree.name(*at));
        }
        return names;
    }
    std::vector<std::string> properties(const Node& node) {
        std::vector<std::string> names;
        for (Property* at = tree.first_property(node); at != nullptr;
             at = tree.next_property(*at)) {
            names.emplace_back(tree.name(*at));
        }
        return names;
    }
    void TearDown() override { EXPECT_EQ(unsoundness(tree), ""); }

    Tree tree;
    Node& root = *tree.root();
};

using Names = std::vector<std::string>;

// --- an empty tree

TEST_F(FdtTree, IsARootAtFirst) {
    EXPECT_EQ(tree.node_count(), 1u);
    EXPECT_EQ(tree.property_count(), 0u);
    EXPECT_EQ(tree.find("/"), &root);
    EXPECT_EQ(tree.parent(root), nullptr);
    EXPECT_EQ(tree.first_child(root), nullptr);
    EXPECT_EQ(tree.next_sibling(root), nullptr);
    EXPECT_EQ(tree.first_property(root), nullptr);
    EXPECT_EQ(tree.next(root, root), nullptr);
}

TEST_F(FdtTree, RootHasAnEmptyNameAndAPhandle) {
    EXPECT_EQ(tree.name(root), "");
    EXPECT_EQ(tree.base_name(root), "");
    EXPECT_EQ(tree.unit_address(root), "");
    EXPECT_EQ(tree.phandle(root), Phandle{1});
    EXPECT_EQ(tree.find(Phandle{1}), &root);
    EXPECT_EQ(path_of(tree, root), "/");
}

TEST_F(FdtTree, RootStays) {
    add("a");
    tree.remove(root);
    EXPECT_EQ(tree.node_count(), 2u);
    EXPECT_EQ(tree.find("/a"), tree.first_child(root));
}

// --- adding and walking

TEST_F(FdtTree, ChildrenKeepTheirOrder) {
    add("c");
    add("a");
    add("b");
    EXPECT_EQ(children(root), (Names{"c", "a", "b"}));
}

TEST_F(FdtTree, ChildKnowsItsParentAndOrigin) {
    Node& a = add(root, "a", Origin::firmware);
    Node& b = add(a, "b", Origin::client);
    EXPECT_EQ(tree.parent(b), &a);
    EXPECT_EQ(tree.parent(a), &root);
    EXPECT_EQ(tree.origin(a), Origin::firmware);
    EXPECT_EQ(tree.origin(b), Origin::client);
}

TEST_F(FdtTree, NextVisitsParentsFirst) {
    Node& a = add("a");
    add(a, "a1");
    Node& a2 = add(a, "a2");
    add(a2, "a2x");
    add("b");
    std::string order;
    for (Node* node = &root; node != nullptr; node = tree.next(*node, root)) {
        order += std::string{tree.name(*node)} + ";";
    }
    EXPECT_EQ(order, ";a;a1;a2;a2x;b;");
}

TEST_F(FdtTree, NextStaysBelowItsTop) {
    Node& a = add("a");
    Node& a1 = add(a, "a1");
    add("b");
    EXPECT_EQ(tree.next(a, a), &a1);
    EXPECT_EQ(tree.next(a1, a), nullptr);
    EXPECT_EQ(tree.next(a1, a1), nullptr);
}

TEST_F(FdtTree, DifferentParentsMayHaveChildrenOfOneName) {
    Node& a = add("a");
    Node& b = add("b");
    Node& ax = add(a, "x");
    Node& bx = add(b, "x");
    EXPECT_EQ(tree.find("/a/x"), &ax);
    EXPECT_EQ(tree.find("/b/x"), &bx);
    EXPECT_EQ(tree.child(root, "x"), nullptr);
}

TEST_F(FdtTree, NamesComeApart) {
    Node& a = add("PowerPC,POWER9@1a");
    EXPECT_EQ(tree.name(a), "PowerPC,POWER9@1a");
    EXPECT_EQ(tree.base_name(a), "PowerPC,POWER9");
    EXPECT_EQ(tree.unit_address(a), "1a");
    EXPECT_EQ(tree.unit_address(add("x@")), "");
    EXPECT_EQ(tree.base_name(add("y@1@2")), "y");
    EXPECT_EQ(tree.unit_address(*tree.find("/y@1@2")), "1@2");
}

TEST_F(FdtTree, NamesEndInNul) {
    Node& a = add("memory@0");
    Property& p = set(a, "reg", "");
    EXPECT_STREQ(tree.name(a).data(), "memory@0");
    EXPECT_STREQ(tree.base_name(a).data(), "memory");
    EXPECT_STREQ(tree.name(p).data(), "reg");
}

struct BadName {
    const char* label;
    std::string name;
};
class FdtBadNodeName : public testing::TestWithParam<BadName> {};

TEST_P(FdtBadNodeName, IsRefused) {
    Tree tree;
    const std::string before = picture(tree);
    const Result<Node*> added = tree.add(*tree.root(), GetParam().name, any);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::malformed);
    EXPECT_EQ(std::string_view{added.error().message}.substr(0, 3), "/: ");
    EXPECT_EQ(picture(tree), before);
}
INSTANTIATE_TEST_SUITE_P(Names, FdtBadNodeName,
                         testing::Values(BadName{"Empty", ""}, BadName{"Slash", "a/b"},
                                         BadName{"OnlySlash", "/"},
                                         BadName{"Long", std::string(256, 'a')},
                                         BadName{"NoBaseName", "@0"}, BadName{"Newline", "a\nb"},
                                         BadName{"Nul", std::string("a\0b", 3)},
                                         BadName{"Delete", "a\x7f"}, BadName{"Escape", "\x1b[2J"},
                                         BadName{"HighByte", "caf\xe9"}),
                         [](const auto& each) { return each.param.label; });

TEST_F(FdtTree, RefusedNamesCannotControlTheConsole) {
    const Result<Node*> added = tree.add(root, "\x1b[2J\xff", any);
    ASSERT_FALSE(added);
    EXPECT_STREQ(added.error().message, "/: a child cannot have the name \"?[2J?\"");
}

TEST_F(FdtTree, LongestNameFits) {
    const std::string name = std::string(253, 'a') + "@F";
    Node& node = add(name);
    EXPECT_EQ(tree.name(node), name);
    EXPECT_EQ(tree.find("/" + std::string(253, 'a') + "@f"), &node);
    EXPECT_EQ(tree.find("/" + std::string(253, 'a')), &node);
    EXPECT_EQ(tree.find("/" + name + "0"), nullptr);
}

TEST_F(FdtTree, SecondChildOfANameIsRefused) {
    add("memory@a");
    for (const char* name : {"memory@a", "memory@A"}) {
        const Result<Node*> again = tree.add(root, name, any);
        ASSERT_FALSE(again);
        EXPECT_EQ(again.error().code, ErrorCode::malformed);
        EXPECT_STREQ(again.error().message, "/memory@a: there is such a node already");
    }
    EXPECT_EQ(tree.node_count(), 2u);
}

TEST_F(FdtTree, BaseNameAloneIsAnotherName) {
    add("memory@0");
    add("memory");
    EXPECT_EQ(children(root), (Names{"memory@0", "memory"}));
}

TEST_F(FdtTree, DepthIsLimited) {
    Node* node = &root;
    std::string path;
    for (unsigned depth = 0; depth < deepest_node; ++depth) {
        node = &add(*node, "d");
        path += "/d";
    }
    EXPECT_EQ(tree.find(path), node);
    EXPECT_EQ(tree.find(path + "/d"), nullptr);
    const Result<Node*> deeper = tree.add(*node, "d", any);
    ASSERT_FALSE(deeper);
    EXPECT_EQ(deeper.error().code, ErrorCode::out_of_range);
    EXPECT_EQ(tree.node_count(), deepest_node + 1);
}

// --- finding

struct Search {
    const char* label;
    const char* path;
    const char* found; ///< "" for nothing
};
class FdtSearch : public testing::TestWithParam<Search> {};

TEST_P(FdtSearch, FindsTheRightNode) {
    Tree tree;
    Node& root = *tree.root();
    for (const char* name :
         {"memory@10000000", "memory@0", "interrupt-controller@60302031b0000",
          "interrupt-controller", "vdevice", "pci@800000020000000", "Upper@AB"}) {
        ASSERT_TRUE(tree.add(root, name, any));
    }
    ASSERT_TRUE(tree.add(*tree.find("/vdevice"), "vty@71000000", any));
    ASSERT_TRUE(tree.add(*tree.find("/vdevice"), "l-lan@7100000b", any));
    const Node* const found = tree.find(GetParam().path);
    EXPECT_EQ(found == nullptr ? "" : path_of(tree, *found), GetParam().found);
}
INSTANTIATE_TEST_SUITE_P(
    Paths, FdtSearch,
    testing::Values(Search{"Root", "/", "/"}, Search{"Exact", "/memory@0", "/memory@0"},
                    Search{"BaseFindsFirst", "/memory", "/memory@10000000"},
                    Search{"WholeNameBeforeBase", "/interrupt-controller", "/interrupt-controller"},
                    Search{"ExactWithUnit", "/interrupt-controller@60302031B0000",
                           "/interrupt-controller@60302031b0000"},
                    Search{"BaseBelow", "/vdevice/vty", "/vdevice/vty@71000000"},
                    Search{"Below", "/vdevice/vty@71000000", "/vdevice/vty@71000000"},
                    Search{"UpperCaseAsked", "/vdevice/l-lan@7100000B", "/vdevice/l-lan@7100000b"},
                    Search{"UpperCaseStored", "/Upper@ab", "/Upper@AB"},
                    Search{"MixedCase", "/Upper@aB", "/Upper@AB"},
                    Search{"BaseNameHasCase", "/upper@ab", ""},
                    Search{"BaseKeepsCase", "/Upper", "/Upper@AB"}, Search{"Empty", "", ""},
                    Search{"Relative", "vdevice", ""}, Search{"RelativeDeep", "vdevice/vty", ""},
                    Search{"TrailingSlash", "/vdevice/", ""},
                    Search{"DoubleSlash", "//vdevice", ""},
                    Search{"InnerDoubleSlash", "/vdevice//vty", ""}, Search{"TwoSlashes", "//", ""},
                    Search{"Absent", "/nvram", ""}, Search{"AbsentBelow", "/vdevice/nvram", ""},
                    Search{"BelowAbsent", "/nvram/vty", ""}, Search{"WrongUnit", "/memory@1", ""},
                    Search{"PrefixOnly", "/mem", ""}, Search{"EmptyUnit", "/memory@", ""},
                    Search{"Longer", "/memory@00", ""}, Search{"NoBase", "/@0", ""}),
    [](const auto& each) { return each.param.label; });

TEST_F(FdtTree, FindsNothingForAnEndlessPath) {
    std::string path;
    for (int i = 0; i < 100000; ++i)
        path += "/a";
    EXPECT_EQ(tree.find(path), nullptr);
    EXPECT_EQ(tree.find("/" + std::string(1 << 20, 'a')), nullptr);
    EXPECT_EQ(tree.find("/" + std::string(1 << 20, '@')), nullptr);
}

TEST_F(FdtTree, FindsNothingForAnEndlessName) {
    EXPECT_EQ(tree.child(*tree.root(), "n@" + std::string(10000, 'A')), nullptr);
}

TEST_F(FdtTree, ChildFollowsTheRuleOfPaths) {
    Node& first = add("x@1");
    Node& second = add("x@2");
    EXPECT_EQ(tree.child(root, "x"), &first);
    EXPECT_EQ(tree.child(root, "x@2"), &second);
    EXPECT_EQ(tree.child(root, ""), nullptr);
    EXPECT_EQ(tree.child(root, "x@1/x"), nullptr);
    EXPECT_EQ(tree.child(first, "x"), nullptr);
}

TEST_F(FdtTree, BaseNameFindsTheFirstThatIsLeft) {
    Node& one = add("x@1");
    add("between");
    Node& two = add("x@2");
    Node& three = add("x@3");
    tree.remove(two);
    EXPECT_EQ(tree.find("/x"), &one);
    tree.remove(one);
    EXPECT_EQ(tree.find("/x"), &three);
    Node& again = add("x@1");
    EXPECT_EQ(tree.find("/x"), &three);
    tree.remove(three);
    EXPECT_EQ(tree.find("/x"), &again);
    tree.remove(again);
    EXPECT_EQ(tree.find("/x"), nullptr);
}

TEST_F(FdtTree, LastOfABaseNameMayGo) {
    Node& one = add("x@1");
    Node& two = add("x@2");
    tree.remove(two);
    Node& three = add("x@3");
    tree.remove(one);
    EXPECT_EQ(tree.find("/x"), &three);
}

TEST_F(FdtTree, PathGoesAsFarAsItFits) {
    Node& node = add(add("vdevice"), "vty@71000000");
    const std::string whole = "/vdevice/vty@71000000";
    for (size_t size = 0; size <= whole.size() + 2; ++size) {
        std::string buffer(size + 1, '#');
        EXPECT_EQ(tree.path(node, std::span{buffer}.first(size)), whole.size());
        const size_t written = std::min(size, whole.size());
        EXPECT_EQ(buffer.substr(0, written), whole.substr(0, written));
        EXPECT_EQ(buffer.substr(written), std::string(size + 1 - written, '#'));
    }
    char one = '#';
    EXPECT_EQ(tree.path(root, {&one, 1}), 1u);
    EXPECT_EQ(one, '/');
    EXPECT_EQ(tree.path(root, {}), 1u);
}

// --- phandles

TEST_F(FdtTree, PhandlesCountFromOne) {
    EXPECT_EQ(tree.phandle(add("a")), Phandle{2});
    EXPECT_EQ(tree.phandle(add("b")), Phandle{3});
    EXPECT_EQ(tree.find(Phandle{3}), tree.find("/b"));
}

TEST_F(FdtTree, PhandlesThatNameNoNodeFindNothing) {
    EXPECT_EQ(tree.find(Phandle::none), nullptr);
    EXPECT_EQ(tree.find(Phandle{0xffffffff}), nullptr);
    EXPECT_EQ(tree.find(Phandle{2}), nullptr);
}

TEST_F(FdtTree, PhandleOfARemovedNodeIsNotUsedAgain) {
    Node& a = add("a");
    const Phandle phandle = tree.phandle(a);
    tree.remove(a);
    EXPECT_EQ(tree.find(phandle), nullptr);
    EXPECT_NE(tree.phandle(add("a")), phandle);
}

TEST_F(FdtTree, SetPhandleMovesANode) {
    Node& a = add("a");
    ASSERT_TRUE(tree.set_phandle(a, Phandle{0x1111}));
    EXPECT_EQ(tree.find(Phandle{0x1111}), &a);
    EXPECT_EQ(tree.find(Phandle{2}), nullptr);
    EXPECT_EQ(tree.phandle(a), Phandle{0x1111});
    ASSERT_TRUE(tree.set_phandle(a, Phandle{0x1111})) << "the same again";
    ASSERT_TRUE(tree.set_phandle(root, Phandle{2})) << "free now";
}

TEST_F(FdtTree, SetPhandleRefusesWhatIsTakenOrNamesNone) {
    Node& a = add("a");
    for (const Phandle phandle : {Phandle::none, Phandle{0xffffffff}, tree.phandle(root)}) {
        const Result<void> set = tree.set_phandle(a, phandle);
        ASSERT_FALSE(set);
        EXPECT_EQ(set.error().code, ErrorCode::malformed);
        EXPECT_EQ(std::string_view{set.error().message}.substr(0, 4), "/a: ");
    }
    EXPECT_EQ(tree.phandle(a), Phandle{2});
}

TEST_F(FdtTree, NewNodesPassOverChosenPhandles) {
    ASSERT_TRUE(tree.set_phandle(add("a"), Phandle{4}));
    EXPECT_EQ(tree.phandle(add("b")), Phandle{3});
    EXPECT_EQ(tree.phandle(add("c")), Phandle{5});
}

TEST_F(FdtTree, ReservedPhandlesAreForSetPhandle) {
    ASSERT_TRUE(tree.reserve(Phandle{2}));
    ASSERT_TRUE(tree.reserve(Phandle{2})) << "twice is once";
    ASSERT_TRUE(tree.reserve(Phandle{1})) << "a node has it: nothing to do";
    EXPECT_EQ(tree.find(Phandle{2}), nullptr);
    Node& a = add("a");
    EXPECT_EQ(tree.phandle(a), Phandle{3});
    ASSERT_TRUE(tree.set_phandle(a, Phandle{2}));
    EXPECT_EQ(tree.find(Phandle{2}), &a);
    ASSERT_TRUE(tree.reserve(Phandle::none)) << "no node gets these anyway";
    ASSERT_TRUE(tree.reserve(Phandle{0xffffffff}));
    EXPECT_EQ(tree.find(Phandle::none), nullptr);
    EXPECT_EQ(tree.find(Phandle{0xffffffff}), nullptr);
}

TEST_F(FdtTree, TakingAReservedPhandleLeavesTheOthersReserved) {
    std::mt19937 random{1};
    std::vector<Phandle> reserved(400);
    for (Phandle& phandle : reserved) {
        phandle = Phandle{static_cast<uint32_t>(random()) | 1};
        ASSERT_TRUE(tree.reserve(phandle));
    }
    std::ranges::reverse(reserved); // those that came first are in the way of the others
    for (const Phandle phandle : reserved) {
        Node& node = add("n" + std::to_string(tree.node_count()));
        ASSERT_TRUE(tree.set_phandle(node, phandle));
        ASSERT_EQ(tree.find(phandle), &node);
    }
}

TEST_F(FdtTree, RenewPhandleChoosesLikeAdd) {
    Node& a = add("a");
    ASSERT_TRUE(tree.reserve(Phandle{3}));
    tree.renew_phandle(a);
    EXPECT_EQ(tree.phandle(a), Phandle{4});
    EXPECT_EQ(tree.find(Phandle{4}), &a);
    EXPECT_EQ(tree.find(Phandle{2}), nullptr);
}

TEST_F(FdtTree, StoredPhandlePropertiesFollow) {
    Node& a = add("a");
    ASSERT_TRUE(tree.set_cells(a, "phandle", {7}, any));
    ASSERT_TRUE(tree.set_cells(a, "linux,phandle", {7}, any));
    ASSERT_TRUE(tree.set_phandle(a, Phandle{9}));
    EXPECT_EQ(tree.cell(a, "phandle", 0), 9u);
    EXPECT_EQ(tree.cell(a, "linux,phandle", 0), 9u);
    set(a, "phandle", "odd");
    ASSERT_TRUE(tree.set_phandle(a, Phandle{10}));
    EXPECT_EQ(value(a, "phandle"), "odd") << "not a cell";
}

// --- removing nodes

TEST_F(FdtTree, RemovesFirstMiddleAndLastChild) {
    for (const char* name : {"a", "b", "c", "d"})
        add(name);
    tree.remove(*tree.find("/b"));
    EXPECT_EQ(children(root), (Names{"a", "c", "d"}));
    tree.remove(*tree.find("/a"));
    EXPECT_EQ(children(root), (Names{"c", "d"}));
    tree.remove(*tree.find("/d"));
    add("e");
    EXPECT_EQ(children(root), (Names{"c", "e"}));
    tree.remove(*tree.find("/c"));
    tree.remove(*tree.find("/e"));
    EXPECT_EQ(children(root), Names{});
    add("f");
    EXPECT_EQ(children(root), Names{"f"});
}

TEST_F(FdtTree, RemovesAllBelow) {
    Node& a = add("a");
    Node& b = add(a, "b");
    set(add(b, "c"), "p", "value of more than eight bytes");
    add(b, "d");
    add(a, "e");
    Node& other = add("other");
    tree.remove(a);
    EXPECT_EQ(tree.node_count(), 2u);
    EXPECT_EQ(tree.property_count(), 0u);
    EXPECT_EQ(tree.find("/a/b"), nullptr);
    EXPECT_EQ(tree.first_child(root), &other);
}

TEST_F(FdtTree, RemovesTheDeepestTree) {
    Node* node = &root;
    for (unsigned depth = 0; depth < deepest_node; ++depth)
        node = &add(*node, "d");
    tree.remove(*tree.find("/d"));
    EXPECT_EQ(tree.node_count(), 1u);
}

TEST_F(FdtTree, RemovedNodesTakeTheirNamesAlong) {
    const size_t before = tree.name_bytes();
    Node& a = add("some-name@AB");
    set(a, "some-property", "");
    EXPECT_GT(tree.name_bytes(), before);
    tree.remove(a);
    EXPECT_EQ(tree.name_bytes(), before);
}

// --- properties

TEST_F(FdtTree, PropertiesKeepTheirOrder) {
    set(root, "c", "1");
    set(root, "a", "2");
    set(root, "b", "3");
    set(root, "a", "4");
    EXPECT_EQ(properties(root), (Names{"c", "a", "b"}));
    EXPECT_EQ(value(root, "a"), "4");
    EXPECT_EQ(tree.property_count(), 3u);
}

TEST_F(FdtTree, RemovesFirstMiddleAndLastProperty) {
    for (const char* name : {"a", "b", "c", "d"})
        set(root, name, name);
    tree.remove(root, *tree.property(root, "b"));
    tree.remove(root, *tree.property(root, "a"));
    tree.remove(root, *tree.property(root, "d"));
    set(root, "e", "");
    EXPECT_EQ(properties(root), (Names{"c", "e"}));
    EXPECT_EQ(tree.property(root, "a"), nullptr);
    EXPECT_EQ(value(root, "c"), "c");
    EXPECT_EQ(tree.property_count(), 2u);
}

TEST_F(FdtTree, PropertyBelongsToOneNode) {
    Node& a = add("a");
    set(root, "p", "of the root");
    set(a, "p", "of a");
    EXPECT_EQ(value(root, "p"), "of the root");
    EXPECT_EQ(value(a, "p"), "of a");
    tree.remove(root, *tree.property(root, "p"));
    EXPECT_TRUE(tree.has(a, "p"));
    EXPECT_FALSE(tree.has(root, "p"));
}

TEST_F(FdtTree, NodesAndPropertiesShareNoNames) {
    add("reg");
    EXPECT_FALSE(tree.has(root, "reg"));
    set(root, "memory", "");
    EXPECT_EQ(tree.find("/memory"), nullptr);
}

TEST_F(FdtTree, EmptyValueIsNotAbsence) {
    set(root, "empty", "");
    EXPECT_TRUE(tree.has(root, "empty"));
    EXPECT_FALSE(tree.has(root, "absent"));
    EXPECT_TRUE(tree.value(root, "empty").empty());
    EXPECT_TRUE(tree.value(root, "absent").empty());
    EXPECT_EQ(tree.property(root, "absent"), nullptr);
}

TEST_F(FdtTree, SetSaysWhoWrote) {
    Property& p = set(root, "p", "1", Origin::hypervisor);
    EXPECT_EQ(tree.origin(p), Origin::hypervisor);
    EXPECT_EQ(&set(root, "p", "2", Origin::client), &p);
    EXPECT_EQ(tree.origin(p), Origin::client);
    EXPECT_EQ(tree.name(p), "p");
    EXPECT_EQ(to_string(tree.value(p)), "2");
}

class FdtValueSize : public testing::TestWithParam<size_t> {};

TEST_P(FdtValueSize, IsKeptThroughGrowthAndShrinking) {
    Tree tree;
    Node& root = *tree.root();
    const std::string text(GetParam(), 'v');
    ASSERT_TRUE(tree.set(root, "p", bytes_of(text), any));
    EXPECT_EQ(to_string(tree.value(root, "p")), text);
    ASSERT_TRUE(tree.set(root, "p", bytes_of(text + text + "x"), any));
    EXPECT_EQ(to_string(tree.value(root, "p")), text + text + "x");
    ASSERT_TRUE(tree.set(root, "p", bytes_of("s"), any));
    EXPECT_EQ(to_string(tree.value(root, "p")), "s");
    ASSERT_TRUE(tree.set(root, "p", bytes_of(text), any));
    EXPECT_EQ(to_string(tree.value(root, "p")), text);
    EXPECT_EQ(tree.property_count(), 1u);
}
INSTANTIATE_TEST_SUITE_P(Sizes, FdtValueSize,
                         testing::Values(0, 1, 4, 7, 8, 9, 15, 16, 17, 255, 256, 257, 511, 1024,
                                         2047, 2048, 2049, 4096, 70000, 1 << 20));

TEST_F(FdtTree, LargestValueFitsAndNothingLarger) {
    const std::vector<std::byte> large(largest_value + 1, std::byte{1});
    ASSERT_TRUE(tree.set(root, "p", std::span{large}.first(largest_value), any));
    const Result<Property*> larger = tree.set(root, "p", large, any);
    ASSERT_FALSE(larger);
    EXPECT_EQ(larger.error().code, ErrorCode::out_of_range);
    EXPECT_EQ(tree.value(root, "p").size(), largest_value);
    EXPECT_EQ(tree.set(root, "q", large, any).error().code, ErrorCode::out_of_range);
}

class FdtBadPropertyName : public testing::TestWithParam<BadName> {};

TEST_P(FdtBadPropertyName, IsRefused) {
    Tree tree;
    const Result<Property*> set = tree.set(*tree.root(), GetParam().name, {}, any);
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().code, ErrorCode::malformed);
    EXPECT_EQ(tree.property_count(), 0u);
}
INSTANTIATE_TEST_SUITE_P(Names, FdtBadPropertyName,
                         testing::Values(BadName{"Empty", ""},
                                         BadName{"Long", std::string(256, 'p')},
                                         BadName{"Tab", "a\tb"}, BadName{"HighByte", "\x80"},
                                         BadName{"Nul", std::string(1, '\0')}),
                         [](const auto& each) { return each.param.label; });

TEST_F(FdtTree, OddPropertyNamesFit) {
    for (const char* name : {"#address-cells", "64-bit", "ibm,ppc-interrupt-server#s", "/", "@"}) {
        set(root, name, name);
    }
    set(root, std::string(longest_name, 'n'), "long");
    EXPECT_EQ(value(root, "/"), "/");
    EXPECT_EQ(value(root, std::string(longest_name, 'n')), "long");
    EXPECT_FALSE(tree.has(root, std::string(100000, 'n')));
}

TEST_F(FdtTree, SetTextAddsTheNul) {
    ASSERT_TRUE(tree.set_text(root, "model", "IBM pSeries", any));
    EXPECT_EQ(value(root, "model"), std::string("IBM pSeries\0", 12));
    EXPECT_EQ(tree.text(root, "model"), "IBM pSeries");
    ASSERT_TRUE(tree.set_text(root, "model", "", any));
    EXPECT_EQ(value(root, "model"), std::string(1, '\0'));
    EXPECT_EQ(tree.text(root, "model"), "");
}

TEST_F(FdtTree, TextEndsAtTheFirstNul) {
    set(root, "compatible", std::string_view{"one\0two\0", 8});
    set(root, "unterminated", "abc");
    set(root, "empty", "");
    EXPECT_EQ(tree.text(root, "compatible"), "one");
    EXPECT_EQ(tree.text(root, "unterminated"), "abc");
    EXPECT_EQ(tree.text(root, "empty"), "");
    EXPECT_EQ(tree.text(root, "absent"), "");
}

TEST_F(FdtTree, SetCellsIsBigEndian) {
    ASSERT_TRUE(tree.set_cells(root, "reg", {0x01020304, 0, 0xfffffffe}, any));
    EXPECT_EQ(value(root, "reg"), std::string("\1\2\3\4\0\0\0\0\xff\xff\xff\xfe", 12));
    ASSERT_TRUE(tree.set_cells(root, "reg", {}, any));
    EXPECT_EQ(value(root, "reg"), "");
    ASSERT_TRUE(tree.set_cells(root, "phandle", {7}, Origin::client));
    EXPECT_EQ(tree.phandle(root), Phandle{1}) << "a property, not the identity";
}

TEST_F(FdtTree, CellsHaveDefaults) {
    ASSERT_TRUE(tree.set_cells(root, "two", {0x11, 0x22}, any));
    ASSERT_TRUE(tree.set_cells(root, "one", {0x33}, any));
    set(root, "short", "abc");
    EXPECT_EQ(tree.cell(root, "two", 9), 0x11u);
    EXPECT_EQ(tree.cell(root, "one", 9), 0x33u);
    EXPECT_EQ(tree.cell(root, "short", 9), 9u);
    EXPECT_EQ(tree.cell(root, "absent", 9), 9u);
    EXPECT_EQ(tree.cells64(root, "two", 9), 0x1100000022u);
    EXPECT_EQ(tree.cells64(root, "one", 9), 9u);
    EXPECT_EQ(tree.cells64(root, "absent", 9), 9u);
}

TEST_F(FdtTree, ValueMayComeFromThePropertyItself) {
    set(root, "p", "0123456789abcdef");
    ASSERT_TRUE(tree.set(root, "p", tree.value(root, "p").subspan(4), any));
    EXPECT_EQ(value(root, "p"), "456789abcdef");
    ASSERT_TRUE(tree.set_text(root, "p", tree.text(root, "p"), any)) << "grows by the NUL";
    EXPECT_EQ(tree.text(root, "p"), "456789abcdef");
    set(root, "small", "12345678");
    ASSERT_TRUE(tree.set_text(root, "small", tree.text(root, "small"), any)) << "leaves its place";
    EXPECT_EQ(tree.text(root, "small"), "12345678");
}

TEST_F(FdtTree, NameAndValueMayComeFromTheTree) {
    Node& a = add("a@1");
    set(a, "p", "value, a long one");
    ASSERT_TRUE(tree.set(a, tree.name(a), tree.value(a, "p"), any));
    EXPECT_EQ(value(a, "a@1"), "value, a long one");
    Node& b = add(a, tree.name(a));
    EXPECT_EQ(path_of(tree, b), "/a@1/a@1");
}

TEST_F(FdtTree, SettingForEverNeedsNoMemory) {
    set(root, "p", std::string(300, 'a'));
    set(root, "q", "12345678");
    Heap heap;
    heap.fail_from(0, Heap::never);
    for (size_t i = 0; i < 1000; ++i) {
        set(root, "p", std::string(i % 301, 'b'));
        set(root, "q", std::string(i % 9, 'c'));
    }
    EXPECT_EQ(heap.allocations(), 0u);
}

TEST_F(FdtTree, AddingAndRemovingForEverNeedsNoMemory) {
    Heap heap;
    size_t after_first = 0;
    for (int i = 0; i < 5000; ++i) {
        Node& a = add("node" + std::to_string(i % 7) + "@AB" + std::to_string(i));
        set(a, "property" + std::to_string(i), std::string(40, 'x'));
        tree.remove(a);
        if (i == 10) after_first = Heap::outstanding();
    }
    EXPECT_LE(Heap::outstanding(), after_first);
    EXPECT_LE(heap.allocations(), 6u);
}

// --- constant time

TEST(FdtTreeCost, SearchesDoNotGetLongerWithTheTree) {
    // Hashes are of addresses, which chance decides: mostly 30, seldom above 40.
    constexpr size_t longest = 80;
    for (const unsigned functions : {10u, 100u, 1000u, 4000u}) {
        const Blob blob = machine_blob(functions, functions);
        Tree tree;
        ASSERT_TRUE(read_blob(Blob{blob}.bytes(), tree));
        EXPECT_GT(tree.node_count(), 2 * functions);
        EXPECT_LE(tree.longest_search(), longest) << functions;
    }
}

TEST(FdtTreeCost, AllocationsAreFewAndLarge) {
    Blob blob = machine_blob(1000, 1000);
    Heap heap;
    Tree tree;
    ASSERT_TRUE(read_blob(blob.bytes(), tree));
    EXPECT_GT(tree.property_count(), 20000u);
    EXPECT_LE(heap.allocations(), 150u);
}

struct Numbered {
    uint32_t number;
};

TEST(FdtIndex, HashesSpreadWell) {
    // What look-ups of tree-like keys cost: pairs of addresses of equal steps.
    for (const uint32_t count : {100u, 10000u, 100000u}) {
        std::vector<Numbered> items(count);
        Index<Numbered> index;
        for (uint32_t i = 0; i < count; ++i) {
            items[i].number = i;
            ASSERT_TRUE(index.make_room());
            index.insert(hash_of(&items[i / 17], &items[i % 17]), &items[i]);
        }
        size_t examined = 0;
        for (uint32_t i = 0; i < count; ++i) {
            const Numbered* const found = index.find(hash_of(&items[i / 17], &items[i % 17]),
                                                     [i, &examined](const Numbered& item) {
                                                         ++examined;
                                                         return item.number == i;
                                                     });
            ASSERT_EQ(found, &items[i]);
        }
        EXPECT_LE(examined, count + count / 100) << "hashes that are equal by chance";
        EXPECT_LE(index.longest_search(), 40u);
    }
}

TEST(FdtIndex, KeepsEqualHashesApart) {
    std::vector<Numbered> items(200);
    Index<Numbered> index;
    const auto is = [](uint32_t number) {
        return [number](const Numbered& item) { return item.number == number; };
    };
    for (uint32_t i = 0; i < items.size(); ++i) {
        items[i].number = i;
        ASSERT_TRUE(index.make_room());
        index.insert(i % 3, &items[i]);
    }
    EXPECT_EQ(index.count(), 200u);
    for (uint32_t i = 0; i < items.size(); i += 2)
        index.remove(i % 3, &items[i]);
    for (uint32_t i = 0; i < items.size(); ++i) {
        EXPECT_EQ(index.find(i % 3, is(i)), i % 2 == 0 ? nullptr : &items[i]);
    }
    EXPECT_EQ(index.count(), 100u);
}

TEST(FdtIndex, RandomInsertionsAndRemovalsMatchAMap) {
    std::mt19937 random{1};
    std::vector<Numbered> items(500);
    std::map<uint32_t, uint32_t> model; // number to hash
    Index<Numbered> index;
    for (int step = 0; step < 20000; ++step) {
        const uint32_t number = static_cast<uint32_t>(random() % items.size());
        items[number].number = number;
        if (const auto known = model.find(number); known != model.end()) {
            index.remove(known->second, &items[number]);
            model.erase(known);
        } else {
            const uint32_t hash = static_cast<uint32_t>(random() % 64) * 31; // many collisions
            ASSERT_TRUE(index.make_room());
            index.insert(hash, &items[number]);
            model[number] = hash;
        }
        const auto probe = static_cast<uint32_t>(random() % items.size());
        const auto known = model.find(probe);
        const uint32_t hash = known == model.end() ? 31 : known->second;
        const Numbered* const found =
            index.find(hash, [probe](const Numbered& item) { return item.number == probe; });
        ASSERT_EQ(found, known == model.end() ? nullptr : &items[probe]);
        ASSERT_EQ(index.count(), model.size());
    }
}

// --- against a model

struct Model {
    struct Thing {
        std::string name;
        Thing* parent = nullptr;
        std::vector<std::unique_ptr<Thing>> children;
        std::vector<std::pair<std::string, std::string>> properties;
        uint32_t phandle = 0;
        Node* node = nullptr;
        unsigned depth = 0;
    };
    Thing root;

    static std::string lower_unit(std::string name) {
        for (size_t i = name.find('@'); i < name.size(); ++i) {
            if (name[i] >= 'A' && name[i] <= 'F') name[i] = static_cast<char>(name[i] + 32);
        }
        return name;
    }
    static Thing* child(const Thing& thing, const std::string& name) {
        for (const auto& child : thing.children) {
            if (lower_unit(child->name) == lower_unit(name)) return child.get();
        }
        for (const auto& child : thing.children) {
            if (child->name.substr(0, child->name.find('@')) == name) return child.get();
        }
        return nullptr;
    }
    void all(Thing& thing, std::vector<Thing*>& out) {
        out.push_back(&thing);
        for (const auto& child : thing.children)
            all(*child, out);
    }
    std::vector<Thing*> all() {
        std::vector<Thing*> things;
        all(root, things);
        return things;
    }
};

void compare_with_model(const Tree& tree, Model& model, const std::vector<std::string>& names) {
    size_t properties = 0;
    const std::vector<Model::Thing*> things = model.all();
    ASSERT_EQ(tree.node_count(), things.size());
    Node* in_order = tree.root();
    for (const Model::Thing* thing : things) {
        ASSERT_EQ(in_order, thing->node);
        in_order = tree.next(*in_order, *tree.root());
        ASSERT_EQ(tree.name(*thing->node), thing->name);
        ASSERT_EQ(tree.phandle(*thing->node), Phandle{thing->phandle});
        ASSERT_EQ(tree.find(Phandle{thing->phandle}), thing->node);
        ASSERT_EQ(tree.parent(*thing->node),
                  thing->parent == nullptr ? nullptr : thing->parent->node);
        Property* property = tree.first_property(*thing->node);
        for (const auto& [name, value] : thing->properties) {
            ASSERT_NE(property, nullptr);
            ASSERT_EQ(tree.name(*property), name);
            ASSERT_EQ(to_string(tree.value(*property)), value);
            ASSERT_EQ(tree.property(*thing->node, name), property);
            property = tree.next_property(*property);
            ++properties;
        }
        ASSERT_EQ(property, nullptr);
        for (const std::string& name : names) {
            const Model::Thing* const expected = Model::child(*thing, name);
            ASSERT_EQ(tree.child(*thing->node, name),
                      expected == nullptr ? nullptr : expected->node)
                << thing->name << " " << name;
        }
    }
    ASSERT_EQ(tree.property_count(), properties);
}

class FdtModel : public testing::TestWithParam<unsigned> {};

TEST_P(FdtModel, TwentyThousandRandomOperationsAgree) {
    std::mt19937 random{GetParam()};
    const auto pick = [&random](size_t count) { return size_t{random()} % count; };
    const std::vector<std::string> names{"a",   "b",   "a@1", "a@2", "a@A", "a@a", "b@1",
                                         "b@f", "b@F", "c",   "c@0", "d@",  "d",   "absent"};
    const std::vector<std::string> property_names{"reg", "a", "b", "phandle", "a-long-name", "x"};
    Tree tree;
    Model model;
    model.root.node = tree.root();
    model.root.phandle = 1;
    std::set<uint32_t> given{1};
    for (int step = 0; step < 20000; ++step) {
        const std::vector<Model::Thing*> things = model.all();
        Model::Thing& thing = *things[pick(things.size())];
        const std::string& name = names[pick(names.size() - 1)];
        const std::string& property = property_names[pick(property_names.size())];
        const auto stored =
            std::find_if(thing.properties.begin(), thing.properties.end(),
                         [&property](const auto& each) { return each.first == property; });
        switch (pick(things.size() > 150 ? 10 : 9)) {
        case 0:
        case 1:
        case 2: {
            const Model::Thing* const existing = Model::child(thing, name);
            const bool possible = thing.depth < deepest_node &&
                                  (existing == nullptr || existing->name.size() != name.size());
            const Result<Node*> added = tree.add(*thing.node, name, any);
            ASSERT_EQ(added.has_value(), possible);
            if (!possible) break;
            auto child = std::make_unique<Model::Thing>();
            child->name = name;
            child->parent = &thing;
            child->depth = thing.depth + 1;
            child->node = *added;
            child->phandle = static_cast<uint32_t>(tree.phandle(**added));
            ASSERT_TRUE(given.insert(child->phandle).second) << "given before";
            thing.children.push_back(std::move(child));
            break;
        }
        case 3:
        case 4:
        case 5: {
            const std::string value(pick(3) == 0 ? pick(3000) : pick(20),
                                    static_cast<char>('a' + pick(26)));
            const Result<Property*> set = tree.set(*thing.node, property, bytes_of(value), any);
            ASSERT_TRUE(set);
            if (stored != thing.properties.end()) {
                stored->second = value;
            } else {
                thing.properties.emplace_back(property, value);
            }
            break;
        }
        case 6: {
            Property* const there = tree.property(*thing.node, property);
            ASSERT_EQ(there != nullptr, stored != thing.properties.end());
            if (there == nullptr) break;
            tree.remove(*thing.node, *there);
            thing.properties.erase(stored);
            break;
        }
        case 7: {
            const uint32_t phandle = static_cast<uint32_t>(pick(30000));
            bool possible = phandle != 0;
            for (const Model::Thing* other : things) {
                possible = possible && (other == &thing || other->phandle != phandle);
            }
            ASSERT_EQ(tree.set_phandle(*thing.node, Phandle{phandle}).has_value(), possible);
            if (!possible) break;
            thing.phandle = phandle;
            for (auto& [stored_name, value] : thing.properties) {
                if (stored_name == "phandle" && value.size() == 4) {
                    value = to_string(cells_of({phandle}));
                }
            }
            break;
        }
        default: { // 8, and 9 while there are many
            if (&thing == &model.root) break;
            if (thing.depth == 1 && pick(3) != 0) break; // or it would never grow
            auto& siblings = thing.parent->children;
            tree.remove(*thing.node);
            siblings.erase(std::find_if(siblings.begin(), siblings.end(),
                                        [&thing](auto& each) { return each.get() == &thing; }));
            break;
        }
        }
        if (step % 100 != 0) continue;
        ASSERT_NO_FATAL_FAILURE(compare_with_model(tree, model, names));
    }
    ASSERT_NO_FATAL_FAILURE(compare_with_model(tree, model, names));
    EXPECT_GT(tree.node_count(), 10u);
    EXPECT_EQ(unsoundness(tree), "");
}
INSTANTIATE_TEST_SUITE_P(Seeds, FdtModel, testing::Values(1, 2, 3));

// --- when memory runs out

TEST(FdtTreeMemory, TreeWithoutMemoryHasNoRoot) {
    const size_t outstanding = Heap::outstanding();
    Heap heap;
    for (size_t n = 0;; ++n) {
        heap.fail_from(n, Heap::never);
        const Tree tree;
        if (heap.failures() == 0) {
            EXPECT_NE(tree.root(), nullptr);
            EXPECT_GE(n, 4u);
            break;
        }
        EXPECT_EQ(tree.root(), nullptr);
        EXPECT_EQ(tree.node_count(), 0u);
        EXPECT_EQ(tree.property_count(), 0u);
        EXPECT_EQ(tree.find("/"), nullptr);
        EXPECT_EQ(tree.find(Phandle{1}), nullptr);
        EXPECT_EQ(tree.find(Phandle::none), nullptr);
        EXPECT_EQ(tree.longest_search(), 0u);
    }
    heap.fail_from(0);
    Tree tree;
    EXPECT_FALSE(tree.reserve(Phandle{1}));
    EXPECT_EQ(Heap::outstanding(), outstanding);
}

TEST(FdtTreeMemory, EveryFailedOperationLeavesTheTreeAsItWas) {
    const size_t outstanding = Heap::outstanding();
    std::mt19937 random{7};
    Heap heap;
    heap.fail_never();
    {
        Tree tree;
        ASSERT_NE(tree.root(), nullptr);
        Node* node = tree.root();
        size_t failures = 0;
        for (int step = 0; step < 3000; ++step) {
            const std::string name = "n" + std::to_string(step) + "@AB";
            const std::string value(random() % 9000, 'v');
            const auto attempt = [&] {
                if (step % 3 == 0) return tree.add(*node, name, any).has_value();
                if (step % 3 == 1) return tree.reserve(Phandle(100000 + step));
                const std::string property = step % 2 == 0 ? "fixed" : name;
                return tree.set(*node, property, bytes_of(value), Origin::client).has_value();
            };
            for (size_t n = 0; n < 8; ++n) {
                const bool compare = step % 300 < 3;
                const std::string before = compare ? picture(tree) : "";
                const size_t nodes = tree.node_count();
                const size_t properties = tree.property_count();
                const size_t names = tree.name_bytes();
                heap.fail_from(n);
                const bool succeeded = attempt();
                const bool failed = heap.failures() > 0;
                heap.fail_never();
                ASSERT_EQ(succeeded, !failed);
                if (succeeded) break;
                ++failures;
                ASSERT_EQ(tree.node_count(), nodes);
                ASSERT_EQ(tree.property_count(), properties);
                ASSERT_EQ(tree.name_bytes(), names);
                if (compare) {
                    ASSERT_EQ(picture(tree), before);
                }
            }
            if (step % 100 == 99) node = tree.first_child(*node);
            if (step % 100 == 99 && node == nullptr) node = tree.root();
        }
        EXPECT_GT(failures, 100u);
        EXPECT_EQ(unsoundness(tree), "");
    }
    EXPECT_EQ(Heap::outstanding(), outstanding);
}

TEST(FdtTreeMemory, NoNodeIsWithoutABaseName) {
    Heap heap;
    Tree tree;
    for (int i = 0; i < 100; ++i) {
        const std::string name = "n" + std::to_string(i) + "@0";
        heap.fail_from(0);
        const bool added = tree.add(*tree.root(), name, any).has_value();
        ASSERT_EQ(added, heap.failures() == 0);
        heap.fail_never();
        ASSERT_TRUE(added || tree.add(*tree.root(), name, any));
    }
    EXPECT_EQ(unsoundness(tree), "");
}

TEST(FdtTreeMemory, RetryingDoesNotUseMemoryUp) {
    Heap heap;
    Tree tree;
    Node& root = *tree.root();
    ASSERT_TRUE(tree.set(root, "p", bytes_of(std::string(5000, 'p')), any));
    heap.fail_from(0, Heap::never);
    const std::string large(10000, 'l');
    // Uses up what blocks and tables still have room for; from then on every attempt fails.
    for (int i = 0; tree.add(root, "n" + std::to_string(i), any); ++i) {}
    for (int i = 0; tree.set(root, "p" + std::to_string(i), {}, any); ++i) {}
    const std::string before = picture(tree);
    const size_t outstanding = Heap::outstanding();
    const size_t names = tree.name_bytes();
    for (int i = 0; i < 10000; ++i) {
        const Result<Node*> added = tree.add(root, "another" + std::to_string(i), any);
        ASSERT_FALSE(added);
        ASSERT_EQ(added.error().code, ErrorCode::out_of_memory);
        const Result<Property*> set = tree.set(root, "p", bytes_of(large), any);
        ASSERT_FALSE(set);
        ASSERT_EQ(set.error().code, ErrorCode::out_of_memory);
        ASSERT_FALSE(tree.set(root, "new" + std::to_string(i), bytes_of(large), any));
    }
    EXPECT_EQ(picture(tree), before);
    EXPECT_EQ(Heap::outstanding(), outstanding);
    EXPECT_EQ(tree.name_bytes(), names);
    heap.fail_never();
    EXPECT_TRUE(tree.add(root, "another", any));
    EXPECT_TRUE(tree.set(root, "p", bytes_of(large), any));
    EXPECT_EQ(unsoundness(tree), "");
}

TEST(FdtTreeMemory, SetPhandleNeedsNone) {
    Heap heap;
    Tree tree;
    std::vector<Node*> nodes;
    for (int i = 0; i < 40; ++i)
        nodes.push_back(*tree.add(*tree.root(), "n" + std::to_string(i), any));
    heap.fail_from(0, Heap::never);
    for (uint32_t round = 1; round < 50; ++round) {
        for (size_t i = 0; i < nodes.size(); ++i) {
            ASSERT_TRUE(tree.set_phandle(*nodes[i], Phandle(round * 1000 + i)));
        }
    }
    EXPECT_EQ(heap.allocations(), 0u);
    EXPECT_EQ(unsoundness(tree), "");
}

} // namespace

} // namespace spillway::fdt
