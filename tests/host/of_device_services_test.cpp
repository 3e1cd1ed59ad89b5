// SPDX-License-Identifier: BSD-2-Clause
// Instances and what can be done with them.
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

#include <set>

namespace spillway::of::test {
namespace {

class OfDevice : public testing::Test {
protected:
    Guest guest;
    uint32_t terminal = guest.open("/vdevice/vty");
};

TEST_F(OfDevice, OpenGivesPositiveHandles) {
    for (const char* path : {"/", "/rtas", "/chosen", "/pci/scsi:1", "/packages"}) {
        const uint32_t instance = guest.open(path);
        EXPECT_GT(static_cast<int32_t>(instance), 0) << path;
    }
}

TEST_F(OfDevice, OpenOfUnknownDevicesIsZero) {
    for (const char* path : {"", "/nothing", "disk", "/vdevice/vtpm", "/packages/elf-loader"}) {
        EXPECT_EQ(guest.open(path), 0U) << path;
    }
}

TEST_F(OfDevice, EveryOpenIsAnotherInstance) {
    const uint32_t other = guest.open("/vdevice/vty");
    EXPECT_NE(other, terminal);
    EXPECT_EQ(guest.ask("instance-to-package", {other}), guest.node("/vdevice/vty"));
    guest.tell("close", {other});
    EXPECT_EQ(guest.ask("instance-to-package", {terminal}), guest.node("/vdevice/vty"));
}

TEST_F(OfDevice, ClosedHandlesAreStale) {
    guest.tell("close", {terminal});
    EXPECT_EQ(guest.ask("instance-to-package", {terminal}), failure);
    EXPECT_EQ(guest.ask("instance-to-path", {terminal, guest.buffer(64), 64}), failure);
    EXPECT_EQ(guest.ask("write", {terminal, guest.text("x"), 1}), failure);
    EXPECT_EQ(guest.ask("read", {terminal, guest.buffer(8), 8}), failure);
    EXPECT_EQ(guest.ask("seek", {terminal, 0, 0}), failure);
    EXPECT_EQ(guest.ask("call-method", {guest.text("write"), terminal, 1, guest.text("x")}),
              failure);
    guest.tell("close", {terminal}, -1);
}

TEST_F(OfDevice, StaleHandlesStayStaleWhenTheSlotIsReused) {
    guest.tell("close", {terminal});
    const uint32_t next = guest.open("/vdevice/vty");
    EXPECT_NE(next, terminal);
    EXPECT_EQ(guest.ask("write", {terminal, guest.text("x"), 1}), failure);
    EXPECT_EQ(guest.ask("write", {next, guest.text("x"), 1}), 1U);
}

TEST_F(OfDevice, HandlesDoNotRepeatSoon) {
    std::set<uint32_t> seen{terminal};
    for (int i = 0; i < 10000; ++i) {
        const uint32_t instance = guest.open("/");
        ASSERT_TRUE(seen.insert(instance).second);
        guest.tell("close", {instance});
    }
}

TEST_F(OfDevice, OpenEndsWhenTheTableIsFull) {
    std::vector<uint32_t> opened;
    for (;;) {
        const uint32_t instance = guest.open("/");
        if (instance == 0) break;
        opened.push_back(instance);
        ASSERT_LE(opened.size(), Instances::most_instances);
    }
    // Three of prepare(), one of this test.
    EXPECT_EQ(opened.size(), Instances::most_instances - 4);
    guest.tell("close", {opened[17]});
    EXPECT_NE(guest.open("/"), 0U);
    EXPECT_EQ(guest.open("/"), 0U);
}

TEST_F(OfDevice, BadHandlesAreRefused) {
    for (const uint32_t bad : {0U, 1U, 0x40000000U, 0x400000FFU, terminal + 1, terminal + 256,
                               terminal | 0x80000000U, terminal & 0x3FFFFFFFU, failure}) {
        EXPECT_EQ(guest.ask("instance-to-package", {bad}), failure) << std::hex << bad;
        EXPECT_EQ(guest.ask("instance-to-path", {bad, guest.buffer(64), 64}), failure);
        EXPECT_EQ(guest.ask("write", {bad, guest.text("x"), 1}), failure);
        EXPECT_EQ(guest.ask("read", {bad, guest.buffer(8), 8}), failure);
        EXPECT_EQ(guest.ask("seek", {bad, 0, 0}), failure);
        guest.tell("close", {bad}, -1);
    }
    EXPECT_TRUE(guest.console.output.empty());
}

TEST_F(OfDevice, PhandlesAreNotInstances) {
    EXPECT_EQ(guest.ask("instance-to-package", {guest.node("/vdevice/vty")}), failure);
}

TEST_F(OfDevice, InstancesAreNotPhandles) {
    EXPECT_EQ(guest.ask("getproplen", {terminal, guest.text("name")}), failure);
}

TEST_F(OfDevice, InstanceOfARemovedNodeHasNoPackage) {
    const uint32_t scsi = guest.open("/pci/scsi");
    guest.tree.remove(*guest.tree.find("/pci"));
    EXPECT_EQ(guest.ask("instance-to-package", {scsi}), failure);
    EXPECT_EQ(guest.ask("instance-to-path", {scsi, guest.buffer(64), 64}), failure);
    guest.tell("close", {scsi});
}

TEST_F(OfDevice, WriteReachesTheConsole) {
    EXPECT_EQ(guest.ask("write", {terminal, guest.text("Hello\r\n"), 7}), 7U);
    EXPECT_EQ(guest.console.output, "Hello\r\n");
}

TEST_F(OfDevice, WriteIsBinary) {
    const uint32_t text = guest.buffer(3, '\0');
    EXPECT_EQ(guest.ask("write", {terminal, text, 3}), 3U);
    EXPECT_EQ(guest.console.output, std::string(3, '\0'));
}

TEST_F(OfDevice, WriteOfNothing) {
    EXPECT_EQ(guest.ask("write", {terminal, 0, 0}), 0U);
}

TEST_F(OfDevice, WriteTellsHowMuchWasTaken) {
    guest.console.most_taken = 3;
    EXPECT_EQ(guest.ask("write", {terminal, guest.text("Hello"), 5}), 3U);
}

TEST_F(OfDevice, WriteOfTooMuchWritesNothing) {
    EXPECT_EQ(guest.ask("write", {terminal, guest.text("x"), 0xFFFFFFFF}), failure);
    EXPECT_EQ(guest.ask("write", {terminal, guest.text("x"), 64 * mib}), failure);
    EXPECT_TRUE(guest.console.output.empty());
}

TEST_F(OfDevice, WriteOfAMegabyte) {
    EXPECT_EQ(guest.ask("write", {terminal, 6 * mib, mib}), mib);
    EXPECT_EQ(guest.console.output.size(), mib);
}

TEST_F(OfDevice, ReadGetsWhatWasTyped) {
    guest.console.input = "abc";
    const uint32_t room = guest.buffer(8);
    EXPECT_EQ(guest.ask("read", {terminal, room, 2}), 2U);
    EXPECT_EQ(guest.bytes(room, 4), "ab##");
    EXPECT_EQ(guest.ask("read", {terminal, room, 8}), 1U);
    EXPECT_EQ(guest.bytes(room, 4), "cb##");
}

TEST_F(OfDevice, ReadOfNothingTyped) {
    EXPECT_EQ(guest.ask("read", {terminal, guest.buffer(8), 8}), nothing_yet);
}

TEST_F(OfDevice, ReadOfNoBytes) {
    guest.console.input = "abc";
    EXPECT_EQ(guest.ask("read", {terminal, 0, 0}), 0U);
    EXPECT_EQ(guest.console.input, "abc");
}

TEST_F(OfDevice, TerminalsHaveNoPositions) {
    EXPECT_EQ(guest.ask("seek", {terminal, 0, 0}), failure);
}

TEST_F(OfDevice, OtherNodesNeitherReadNorWrite) {
    for (const char* path : {"/", "/rtas", "/chosen", "/pci/scsi", "/vdevice/nvram"}) {
        const uint32_t instance = guest.open(path);
        EXPECT_EQ(guest.ask("write", {instance, guest.text("x"), 1}), failure) << path;
        EXPECT_EQ(guest.ask("read", {instance, guest.buffer(8), 8}), failure) << path;
    }
    EXPECT_TRUE(guest.console.output.empty());
}

TEST(OfTerminals, OnlyTheConsolesTerminalWrites) {
    Guest guest{Guest::Terminals::three};
    EXPECT_EQ(guest.ask("write", {guest.open("/vdevice/vty@71000002"), guest.text("x"), 1}), 1U);
    EXPECT_EQ(guest.ask("write", {guest.open("/vdevice/vty@71000005"), guest.text("y"), 1}),
              failure);
    EXPECT_EQ(guest.console.output, "x");
}

TEST(OfTerminals, WithoutTerminalTextIsSwallowed) {
    Guest guest{Guest::Terminals::none};
    const uint32_t output = guest.cell_property("/chosen", "stdout");
    const uint32_t input = guest.cell_property("/chosen", "stdin");
    EXPECT_EQ(guest.path_of(guest.ask("instance-to-package", {output})), "/packages/null-console");
    EXPECT_EQ(guest.ask("write", {output, guest.text("lost"), 4}), 4U);
    EXPECT_EQ(guest.ask("write", {output, 0x8000, 4}), failure);
    guest.console.input = "of the terminal's";
    EXPECT_EQ(guest.ask("read", {input, guest.buffer(8), 8}), nothing_yet);
    EXPECT_EQ(guest.ask("call-method", {guest.text("write"), output, 4, guest.text("lost")}), 0U);
    EXPECT_EQ(guest.ask("call-method", {guest.text("read"), output, 4, guest.buffer(8)}), 0U);
    EXPECT_TRUE(guest.console.output.empty());
}

TEST(OfInstances, GenerationsWrapAroundOnlyAfterMillions) {
    Instances instances;
    const Ihandle first = instances.open({fdt::Phandle{1}, Kind::plain});
    EXPECT_TRUE(instances.close(first));
    for (int i = 1; i < 1 << 21; ++i) {
        const Ihandle next = instances.open({fdt::Phandle{2}, Kind::plain});
        ASSERT_NE(next, first);
        ASSERT_TRUE(instances.close(next));
    }
    EXPECT_EQ(instances.find(first), nullptr);
    EXPECT_EQ(instances.open({fdt::Phandle{3}, Kind::plain}), first) << "after 2^21 times";
}

TEST(OfInstances, NoHandleNamesAFreePlace) {
    Instances instances;
    const Ihandle closed = instances.open({fdt::Phandle{1}, Kind::root});
    ASSERT_TRUE(instances.close(closed));
    for (const uint32_t generation : {0u, 1u, 2u, 3u}) {
        const Ihandle guess{static_cast<uint32_t>(closed) + (generation << 8) - (1 << 8)};
        EXPECT_EQ(instances.find(guess), nullptr) << generation;
    }
}

TEST(OfInstances, RemembersNodeAndKind) {
    Instances instances;
    const Ihandle a = instances.open({fdt::Phandle{1}, Kind::root});
    const Ihandle b = instances.open({fdt::Phandle{2}, Kind::terminal});
    EXPECT_EQ(instances.find(a)->node, fdt::Phandle{1});
    EXPECT_EQ(instances.find(b)->kind, Kind::terminal);
    EXPECT_EQ(instances.find(Ihandle::none), nullptr);
    EXPECT_FALSE(instances.close(Ihandle::none));
}

} // namespace
} // namespace spillway::of::test
