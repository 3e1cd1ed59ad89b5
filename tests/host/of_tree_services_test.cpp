// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spillway::of::test {
namespace {

using Names = std::vector<std::string>;

class OfTree : public testing::Test {
protected:
    fdt::Node& at(std::string_view path) {
        fdt::Node* node = guest.tree.find(path);
        EXPECT_NE(node, nullptr) << path;
        return *node;
    }
    uint32_t handle(std::string_view path) {
        return static_cast<uint32_t>(guest.tree.phandle(at(path)));
    }

    Guest guest;
};

constexpr uint32_t bad_handles[] = {0, 1000000, 0x7fffffff, 0x80000000, 0xfffffffe, failure};

// --- finddevice

struct Specifier {
    const char* text;
    const char* path; ///< nullptr: finds nothing
};

void PrintTo(const Specifier& specifier, std::ostream* out) {
    *out << specifier.text;
}

class OfFindDevice : public testing::TestWithParam<Specifier> {
protected:
    OfFindDevice() {
        fdt::Node& aliases = *guest.tree.find("/aliases");
        set(guest.tree, aliases, "disk", terminated("/pci@800000020000000/scsi@0"));
        set(guest.tree, aliases, "bus", terminated("/pci@800000020000000"));
        set(guest.tree, aliases, "part", terminated("/pci@800000020000000/scsi@0:1"));
        set(guest.tree, aliases, "relative", terminated("disk"));
        set(guest.tree, aliases, "loop", terminated("loop"));
        set(guest.tree, aliases, "dangling", terminated("/nowhere"));
        set(guest.tree, aliases, "empty", terminated(""));
        set(guest.tree, aliases, "none", "");
        set(guest.tree, aliases, "raw", "/chosen");
    }

    Guest guest;
};

TEST_P(OfFindDevice, Answers) {
    const Specifier& specifier = GetParam();
    const uint32_t found = guest.node(specifier.text);
    if (specifier.path == nullptr) {
        EXPECT_EQ(found, failure);
        EXPECT_EQ(guest.open(specifier.text), 0U);
        EXPECT_EQ(guest.ask("canon", {guest.text(specifier.text), guest.buffer(64), 64}), failure);
    } else {
        EXPECT_EQ(guest.path_of(found), specifier.path);
        EXPECT_EQ(guest.ask("instance-to-package", {guest.open(specifier.text)}), found);
    }
}

constexpr const char* scsi_path = "/pci@800000020000000/scsi@0";

INSTANTIATE_TEST_SUITE_P(
    Specifiers, OfFindDevice,
    testing::Values(Specifier{"/", "/"}, Specifier{"/chosen", "/chosen"},
                    Specifier{"/memory", "/memory@0"}, Specifier{"/memory@0", "/memory@0"},
                    Specifier{"/pci/scsi", scsi_path}, Specifier{"/pci/scsi@0:1", scsi_path},
                    Specifier{"/pci/scsi@0:1,/boot/grub/core.elf", scsi_path},
                    Specifier{"/pci/ethernet@1f", "/pci@800000020000000/ethernet@1F"},
                    Specifier{"/pci/ethernet@1F", "/pci@800000020000000/ethernet@1F"},
                    Specifier{"/:arguments", "/"},
                    Specifier{"/cpus/PowerPC,POWER9@8:", "/cpus/PowerPC,POWER9@8"},
                    Specifier{"disk", scsi_path}, Specifier{"disk:2", scsi_path},
                    Specifier{"part", scsi_path}, Specifier{"part:3", scsi_path},
                    Specifier{"bus/scsi@0", scsi_path}, Specifier{"bus/scsi:5,x/y", scsi_path},
                    Specifier{"serial", "/vdevice/vty@71000000"}, Specifier{"raw", "/chosen"}));

INSTANTIATE_TEST_SUITE_P(
    Nothing, OfFindDevice,
    testing::Values(Specifier{"", nullptr}, Specifier{":", nullptr}, Specifier{":1", nullptr},
                    Specifier{"//", nullptr}, Specifier{"/chosen/", nullptr},
                    Specifier{"//chosen", nullptr}, Specifier{"/chosen2", nullptr},
                    Specifier{"/chose", nullptr}, Specifier{"chosen", nullptr},
                    Specifier{"/memory@1", nullptr}, Specifier{"/memory@", nullptr},
                    Specifier{"relative", nullptr}, Specifier{"loop", nullptr},
                    Specifier{"dangling", nullptr}, Specifier{"empty", nullptr},
                    Specifier{"none", nullptr}, Specifier{"bus/", nullptr},
                    Specifier{"bus//scsi@0", nullptr}, Specifier{"bus/nothing", nullptr},
                    Specifier{"/bus", nullptr}, Specifier{"..", nullptr}, Specifier{".", nullptr},
                    Specifier{"/Chosen", nullptr}, Specifier{" /chosen", nullptr}));

TEST_F(OfTree, FindDeviceWithoutAliases) {
    guest.tree.remove(at("/aliases"));
    EXPECT_EQ(guest.node("serial"), failure);
    EXPECT_NE(guest.node("/chosen"), failure);
}

TEST_F(OfTree, LongestPathIs511Characters) {
    const std::string fits = "/chosen:" + std::string(503, 'a');
    EXPECT_EQ(guest.node(fits), handle("/chosen"));
    EXPECT_EQ(guest.node(fits + 'a'), failure);
}

// --- walking

TEST_F(OfTree, PeerOfNothingIsTheRoot) {
    EXPECT_EQ(guest.ask("peer", {0}), handle("/"));
}

TEST_F(OfTree, PeerOfTheRootIsNothing) {
    EXPECT_EQ(guest.ask("peer", {handle("/")}), 0U);
}

TEST_F(OfTree, PeerFollowsTheOrderOfTheTree) {
    EXPECT_EQ(guest.ask("peer", {handle("/chosen")}), handle("/memory@0"));
    EXPECT_EQ(guest.ask("peer", {handle("/cpus/PowerPC,POWER9@0")}),
              handle("/cpus/PowerPC,POWER9@8"));
    EXPECT_EQ(guest.ask("peer", {handle("/cpus/PowerPC,POWER9@8")}), 0U);
}

TEST_F(OfTree, ChildIsTheFirst) {
    EXPECT_EQ(guest.ask("child", {handle("/")}), handle("/chosen"));
    EXPECT_EQ(guest.ask("child", {handle("/cpus")}), handle("/cpus/PowerPC,POWER9@0"));
    EXPECT_EQ(guest.ask("child", {handle("/chosen")}), 0U);
}

TEST_F(OfTree, ParentEndsAtTheRoot) {
    EXPECT_EQ(guest.ask("parent", {handle("/cpus/PowerPC,POWER9@0")}), handle("/cpus"));
    EXPECT_EQ(guest.ask("parent", {handle("/cpus")}), handle("/"));
    EXPECT_EQ(guest.ask("parent", {handle("/")}), 0U);
}

TEST_F(OfTree, WalksEndAtBadHandles) {
    for (const uint32_t bad : bad_handles) {
        EXPECT_EQ(guest.ask("peer", {bad}), bad == 0 ? handle("/") : 0) << bad;
        EXPECT_EQ(guest.ask("child", {bad}), 0U) << bad;
        EXPECT_EQ(guest.ask("parent", {bad}), 0U) << bad;
    }
}

TEST_F(OfTree, HandlesOfRemovedNodesAreBad) {
    const uint32_t phandle = handle("/pci@800000020000000/scsi@0");
    guest.tree.remove(at("/pci@800000020000000"));
    EXPECT_EQ(guest.ask("parent", {phandle}), 0U);
    EXPECT_EQ(guest.ask("getproplen", {phandle, guest.text("name")}), failure);
}

TEST_F(OfTree, PhandlesAreThoseOfTheTree) {
    EXPECT_EQ(guest.node("/interrupt-controller"), 0x1111U);
}

// --- getproplen, getprop

TEST_F(OfTree, LengthOfProperties) {
    EXPECT_EQ(guest.ask("getproplen", {handle("/"), guest.text("device_type")}), 5U);
    EXPECT_EQ(guest.ask("getproplen", {handle("/memory@0"), guest.text("reg")}), 16U);
}

TEST_F(OfTree, LengthOfAnEmptyPropertyIsZero) {
    EXPECT_EQ(guest.ask("getproplen", {handle(scsi_path), guest.text("empty")}), 0U);
    EXPECT_EQ(guest.ask("getprop", {handle(scsi_path), guest.text("empty"), 0, 0}), 0U);
    EXPECT_EQ(guest.ask("getprop", {handle(scsi_path), guest.text("empty"), 0x8000, 64}), 0U);
}

TEST_F(OfTree, AbsentPropertiesFail) {
    for (const char* name : {"absent", "", "device_typ", "Device_type", "device_type "}) {
        EXPECT_EQ(guest.ask("getproplen", {handle("/"), guest.text(name)}), failure) << name;
        EXPECT_EQ(guest.ask("getprop", {handle("/"), guest.text(name), guest.buffer(8), 8}),
                  failure);
    }
}

TEST_F(OfTree, PropertiesOfBadHandlesFail) {
    for (const uint32_t bad : bad_handles) {
        EXPECT_EQ(guest.ask("getproplen", {bad, guest.text("name")}), failure);
        EXPECT_EQ(guest.ask("getprop", {bad, guest.text("name"), guest.buffer(8), 8}), failure);
        EXPECT_EQ(guest.ask("nextprop", {bad, guest.text(""), guest.buffer(64)}), failure);
        EXPECT_EQ(guest.ask("setprop", {bad, guest.text("x"), guest.buffer(8), 8}), failure);
        EXPECT_EQ(guest.ask("package-to-path", {bad, guest.buffer(8), 8}), failure);
    }
}

TEST_F(OfTree, GetpropCopies) {
    const uint32_t room = guest.buffer(8);
    EXPECT_EQ(guest.ask("getprop", {handle("/"), guest.text("device_type"), room, 8}), 5U);
    EXPECT_EQ(guest.bytes(room, 8), terminated("chrp") + "###");
}

TEST_F(OfTree, GetpropWithShortBufferAnswersTheWholeLength) {
    const uint32_t room = guest.buffer(8);
    EXPECT_EQ(guest.ask("getprop", {handle("/"), guest.text("device_type"), room, 2}), 5U);
    EXPECT_EQ(guest.bytes(room, 8), "ch######");
}

TEST_F(OfTree, GetpropWithoutBufferAnswersTheLength) {
    EXPECT_EQ(guest.ask("getprop", {handle("/"), guest.text("device_type"), 0, 0}), 5U);
}

TEST_F(OfTree, GetpropOfLargeValue) {
    std::string large(100000, '\0');
    for (size_t i = 0; i < large.size(); ++i)
        large[i] = static_cast<char>(i * 31);
    set(guest.tree, at("/chosen"), "large", large);
    EXPECT_EQ(guest.property(handle("/chosen"), "large"), large);
}

TEST_F(OfTree, NameIsTheBaseName) {
    EXPECT_EQ(guest.property(handle("/memory@0"), "name"), terminated("memory"));
    EXPECT_EQ(guest.property(handle("/cpus/PowerPC,POWER9@8"), "name"),
              terminated("PowerPC,POWER9"));
    EXPECT_EQ(guest.property(handle("/chosen"), "name"), terminated("chosen"));
}

TEST_F(OfTree, NameOfTheRootIsEmpty) {
    EXPECT_EQ(guest.property(handle("/"), "name"), terminated(""));
}

TEST_F(OfTree, NameIsNotTakenFromTheTree) {
    set(guest.tree, at("/memory@0"), "name", terminated("lie"));
    EXPECT_EQ(guest.property(handle("/memory@0"), "name"), terminated("memory"));
}

TEST_F(OfTree, NameWithShortBuffers) {
    for (uint32_t size = 0; size <= 8; ++size) {
        const uint32_t room = guest.buffer(8);
        EXPECT_EQ(guest.ask("getprop", {handle("/memory@0"), guest.text("name"), room, size}), 7U);
        std::string expected = terminated("memory").substr(0, size);
        expected.resize(8, '#');
        EXPECT_EQ(guest.bytes(room, 8), expected);
    }
}

TEST_F(OfTree, PhandleIsAPropertyOnlyWhereStored) {
    EXPECT_EQ(guest.property(handle("/interrupt-controller"), "phandle"), cells({0x1111}));
    EXPECT_EQ(guest.property(handle("/memory@0"), "phandle"), std::nullopt);
}

TEST_F(OfTree, NamesOfPropertiesMayHave63Characters) {
    const std::string longest(63, 'n');
    set(guest.tree, at("/chosen"), longest, "value");
    EXPECT_EQ(guest.property(handle("/chosen"), longest), "value");
    EXPECT_EQ(guest.ask("getproplen", {handle("/chosen"), guest.text(longest + 'n')}), failure);
}

// --- nextprop

TEST_F(OfTree, NextpropListsNameFirst) {
    EXPECT_EQ(guest.property_names(handle("/rtas")),
              (Names{"name", "rtas-size", "ibm,hypertas-functions",
                     "ibm,query-interrupt-source-number"}));
}

TEST_F(OfTree, NextpropOfANodeWithoutProperties) {
    EXPECT_EQ(guest.property_names(handle("/pci/ethernet")), Names{"name"});
}

TEST_F(OfTree, NextpropListsAStoredNameOnce) {
    for (const char* property : {"a", "name", "b"}) {
        set(guest.tree, at("/pci/ethernet"), property, "");
    }
    EXPECT_EQ(guest.property_names(handle("/pci/ethernet")), (Names{"name", "a", "b"}));
}

TEST_F(OfTree, NextpropPassesAStoredNameAtEitherEnd) {
    set(guest.tree, at("/pci/ethernet"), "name", "");
    EXPECT_EQ(guest.property_names(handle("/pci/ethernet")), Names{"name"});
    set(guest.tree, at("/pci/ethernet"), "z", "");
    EXPECT_EQ(guest.property_names(handle("/pci/ethernet")), (Names{"name", "z"}));
}

TEST_F(OfTree, NextpropPassesNamesThatNoClientHasRoomFor) {
    fdt::Node& node = at("/pci/ethernet");
    set(guest.tree, node, "a", "");
    set(guest.tree, node, std::string(64, 'l'), "");
    set(guest.tree, node, std::string(63, 'm'), "");
    EXPECT_EQ(guest.property_names(handle("/pci/ethernet")),
              (Names{"name", "a", std::string(63, 'm')}));
}

TEST_F(OfTree, NextpropTakesNullAndEmpty) {
    const uint32_t room = guest.buffer(64);
    EXPECT_EQ(guest.ask("nextprop", {handle("/"), 0, room}), 1U);
    EXPECT_EQ(guest.string(room), "name");
    std::memset(guest.at(room), '#', 64);
    EXPECT_EQ(guest.ask("nextprop", {handle("/"), guest.text(""), room}), 1U);
    EXPECT_EQ(guest.string(room), "name");
}

TEST_F(OfTree, NextpropOfAnUnknownNameFails) {
    EXPECT_EQ(guest.ask("nextprop", {handle("/"), guest.text("absent"), guest.buffer(64)}),
              failure);
}

TEST_F(OfTree, NextpropAtTheEndStoresAnEmptyString) {
    const uint32_t room = guest.buffer(64);
    EXPECT_EQ(guest.ask("nextprop", {handle("/pci/ethernet"), guest.text("name"), room}), 0U);
    EXPECT_EQ(guest.bytes(room, 2), std::string("\0#", 2));
}

TEST_F(OfTree, NextpropMayUseOneBufferForBoth) {
    const uint32_t room = guest.text(std::string(63, '\0'));
    Names names;
    while (guest.ask("nextprop", {handle("/rtas"), room, room}) == 1) {
        names.push_back(guest.string(room));
    }
    EXPECT_EQ(names.size(), 4U);
}

TEST_F(OfTree, NextpropWritesOnlyTheName) {
    const uint32_t room = guest.buffer(16);
    EXPECT_EQ(guest.ask("nextprop", {handle("/"), 0, room}), 1U);
    EXPECT_EQ(guest.bytes(room, 8), terminated("name") + "###");
}

// --- setprop

TEST_F(OfTree, SetpropCreates) {
    EXPECT_EQ(guest.ask("setprop",
                        {handle("/chosen"), guest.text("linux,stdout-path"), guest.text("/x"), 3}),
              3U);
    EXPECT_EQ(guest.property(handle("/chosen"), "linux,stdout-path"), terminated("/x"));
}

TEST_F(OfTree, SetpropMarksTheClientAsOrigin) {
    guest.ask("setprop", {handle("/chosen"), guest.text("new"), guest.text("x"), 2});
    EXPECT_EQ(guest.tree.origin(*guest.tree.property(at("/chosen"), "new")), fdt::Origin::client);
}

TEST_F(OfTree, SetpropReplaces) {
    guest.ask("setprop",
              {handle("/chosen"), guest.text("bootargs"), guest.text("quiet splash"), 13});
    EXPECT_EQ(guest.property(handle("/chosen"), "bootargs"), terminated("quiet splash"));
    guest.ask("setprop", {handle("/chosen"), guest.text("bootargs"), guest.text("q"), 2});
    EXPECT_EQ(guest.property(handle("/chosen"), "bootargs"), terminated("q"));
    EXPECT_EQ(std::ranges::count(guest.property_names(handle("/chosen")), "bootargs"), 1);
}

TEST_F(OfTree, SetpropOfNothing) {
    // Linux marks the boot display so, with a null pointer.
    EXPECT_EQ(guest.ask("setprop", {handle("/chosen"), guest.text("linux,boot-display"), 0, 0}),
              0U);
    EXPECT_EQ(guest.property(handle("/chosen"), "linux,boot-display"), "");
}

TEST_F(OfTree, SetpropIsSeenByNextprop) {
    guest.ask("setprop", {handle("/pci/ethernet"), guest.text("fresh"), 0, 0});
    EXPECT_EQ(guest.property_names(handle("/pci/ethernet")), (Names{"name", "fresh"}));
}

TEST_F(OfTree, SetpropOnTheRoot) {
    EXPECT_EQ(guest.ask("setprop", {handle("/"), guest.text("new"), guest.text("x"), 2}), 2U);
}

TEST_F(OfTree, SetpropRefusesIdentity) {
    for (const char* name : {"name", "phandle", "linux,phandle"}) {
        EXPECT_EQ(guest.ask("setprop", {handle("/interrupt-controller"), guest.text(name),
                                        guest.text("xyz"), 4}),
                  failure)
            << name;
    }
    EXPECT_EQ(guest.node("/interrupt-controller"), 0x1111U);
    EXPECT_EQ(guest.property(0x1111, "phandle"), cells({0x1111}));
}

TEST_F(OfTree, SetpropRefusesBadNames) {
    for (const std::string& name :
         {std::string{}, std::string{"a b"}, std::string{"a/b"}, std::string{"\x7f"},
          std::string{"\xff"}, std::string{"a\n"}, std::string(64, 'n')}) {
        EXPECT_EQ(guest.ask("setprop", {handle("/chosen"), guest.text(name), guest.text("x"), 2}),
                  failure)
            << name;
    }
}

TEST_F(OfTree, SetpropRefusesMoreThanRamHas) {
    for (const uint32_t size : {64 * 1024 * 1024U, 0x80000000U, 0xFFFFFFFFU}) {
        EXPECT_EQ(guest.ask("setprop", {handle("/chosen"), guest.text("x"), guest.buffer(8), size}),
                  failure);
    }
    EXPECT_EQ(guest.property(handle("/chosen"), "x"), std::nullopt);
}

TEST_F(OfTree, SetpropTakesAMegabyte) {
    const uint32_t value = 0x500000 + 0x200000;
    EXPECT_EQ(guest.ask("setprop", {handle("/chosen"), guest.text("large"), value, mib}), mib);
    EXPECT_EQ(guest.ask("getproplen", {handle("/chosen"), guest.text("large")}), mib);
}

TEST_F(OfTree, SetpropForEverUsesNoMemoryUp) {
    const uint32_t chosen = handle("/chosen");
    for (int i = 0; i < 20000; ++i) {
        EXPECT_EQ(guest.ask("setprop", {chosen, guest.text("loop"), guest.buffer(64), 64}), 64U);
    }
    EXPECT_EQ(std::ranges::count(guest.property_names(chosen), "loop"), 1);
}

// --- paths

TEST_F(OfTree, PackageToPath) {
    for (const char* path : {"/", "/memory@0", "/cpus/PowerPC,POWER9@8",
                             "/pci@800000020000000/scsi@0", "/vdevice/vty@71000000"}) {
        EXPECT_EQ(guest.path_of(handle(path)), path);
    }
}

TEST_F(OfTree, PathLengthExcludesTheNul) {
    const uint32_t room = guest.buffer(16);
    EXPECT_EQ(guest.ask("package-to-path", {handle("/memory@0"), room, 16}), 9U);
    EXPECT_EQ(guest.bytes(room, 16), terminated("/memory@0") + "######");
}

TEST_F(OfTree, PathsInShortBuffers) {
    for (uint32_t size = 0; size <= 12; ++size) {
        const uint32_t room = guest.buffer(12);
        EXPECT_EQ(guest.ask("package-to-path", {handle("/memory@0"), room, size}), 9U);
        std::string expected = terminated("/memory@0").substr(0, size);
        expected.resize(12, '#');
        EXPECT_EQ(guest.bytes(room, 12), expected) << size;
    }
}

TEST_F(OfTree, PathWithoutBufferAnswersTheLength) {
    EXPECT_EQ(guest.ask("package-to-path", {handle("/memory@0"), 0, 0}), 9U);
}

TEST_F(OfTree, LongPathsAreWhole) {
    fdt::Node* node = &at("/pci@800000020000000");
    std::string path = "/pci@800000020000000";
    for (int i = 0; i < 20; ++i) {
        const std::string name = "bridge-with-a-long-name@" + std::to_string(i);
        node = &add_node(guest.tree, *node, name);
        path += '/' + name;
    }
    const uint32_t room = guest.buffer(1024);
    const auto phandle = static_cast<uint32_t>(guest.tree.phandle(*node));
    EXPECT_EQ(guest.ask("package-to-path", {phandle, room, 255}), path.size());
    EXPECT_EQ(guest.ask("package-to-path", {phandle, room, 1024}), path.size());
    EXPECT_EQ(guest.string(room), path);
}

TEST_F(OfTree, InstanceToPath) {
    const uint32_t room = guest.buffer(64);
    const uint32_t instance = guest.open("/vdevice/vty");
    EXPECT_EQ(guest.ask("instance-to-path", {instance, room, 64}), 21U);
    EXPECT_EQ(guest.string(room), "/vdevice/vty@71000000");
}

TEST_F(OfTree, CanonExpandsNames) {
    const uint32_t room = guest.buffer(64);
    EXPECT_EQ(guest.ask("canon", {guest.text("/pci/scsi"), room, 64}), 27U);
    EXPECT_EQ(guest.string(room), "/pci@800000020000000/scsi@0");
}

TEST_F(OfTree, CanonExpandsAliases) {
    const uint32_t room = guest.buffer(64);
    EXPECT_EQ(guest.ask("canon", {guest.text("serial"), room, 64}), 21U);
    EXPECT_EQ(guest.string(room), "/vdevice/vty@71000000");
}

TEST_F(OfTree, CanonKeepsArguments) {
    const uint32_t room = guest.buffer(64);
    EXPECT_EQ(guest.ask("canon", {guest.text("/pci/scsi:1,/a/b"), room, 64}), 34U);
    EXPECT_EQ(guest.string(room), "/pci@800000020000000/scsi@0:1,/a/b");
}

TEST_F(OfTree, CanonTakesArgumentsOfTheAlias) {
    set(guest.tree, at("/aliases"), "part", terminated("/pci/scsi:1"));
    const uint32_t room = guest.buffer(64);
    guest.ask("canon", {guest.text("part"), room, 64});
    EXPECT_EQ(guest.string(room), "/pci@800000020000000/scsi@0:1");
    guest.ask("canon", {guest.text("part:2"), room, 64});
    EXPECT_EQ(guest.string(room), "/pci@800000020000000/scsi@0:2");
}

TEST_F(OfTree, CanonInShortBuffers) {
    const std::string whole = terminated("/memory@0:ab");
    for (uint32_t size = 0; size <= 16; ++size) {
        const uint32_t room = guest.buffer(16);
        EXPECT_EQ(guest.ask("canon", {guest.text("/memory:ab"), room, size}), 12U);
        std::string expected = whole.substr(0, size);
        expected.resize(16, '#');
        EXPECT_EQ(guest.bytes(room, 16), expected) << size;
    }
}

TEST_F(OfTree, CanonInPlace) {
    const uint32_t room = guest.text("/memory" + std::string(57, '\0'));
    EXPECT_EQ(guest.ask("canon", {room, room, 64}), 9U);
    EXPECT_EQ(guest.string(room), "/memory@0");
}

} // namespace
} // namespace spillway::of::test
