// SPDX-License-Identifier: BSD-2-Clause
// What a program finds in the tree when it starts.
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

namespace spillway::of::test {
namespace {

class OfPrepare : public testing::Test {
protected:
    std::string text(std::string_view path, std::string_view name) {
        const fdt::Node* node = guest.tree.find(path);
        return node == nullptr ? "no node" : std::string{guest.tree.text(*node, name)};
    }
    std::string instance(std::string_view name) {
        const uint32_t package =
            guest.ask("instance-to-package", {guest.cell_property("/chosen", name)});
        return guest.path_of(package);
    }
    fdt::Node& at(std::string_view path) { return *guest.tree.find(path); }
    void prepare(uint32_t boot_cpu = 0) { EXPECT_TRUE(guest.client.prepare(boot_cpu)); }

    Guest guest{Guest::Terminals::one, false};
};

TEST_F(OfPrepare, InputAndOutputAreTheTerminal) {
    prepare();
    EXPECT_EQ(instance("stdin"), "/vdevice/vty@71000000");
    EXPECT_EQ(instance("stdout"), "/vdevice/vty@71000000");
}

TEST_F(OfPrepare, ClosingInputLeavesOutputOpen) {
    prepare();
    const uint32_t output = guest.cell_property("/chosen", "stdout");
    guest.tell("close", {guest.cell_property("/chosen", "stdin")});
    EXPECT_EQ(guest.ask("write", {output, guest.text("x"), 1}), 1U);
}

TEST_F(OfPrepare, HandlesAreFourBytes) {
    prepare();
    for (const char* name : {"stdin", "stdout", "cpu"}) {
        EXPECT_EQ(guest.tree.value(at("/chosen"), name).size(), 4U);
    }
}

TEST_F(OfPrepare, PathsOfTheTerminalAreSet) {
    prepare();
    EXPECT_EQ(text("/chosen", "stdout-path"), "/vdevice/vty@71000000");
    EXPECT_EQ(text("/chosen", "linux,stdout-path"), "/vdevice/vty@71000000");
    EXPECT_EQ(text("/aliases", "vty"), "/vdevice/vty@71000000");
    EXPECT_EQ(text("/aliases", "serial"), "/vdevice/vty@71000000");
}

TEST_F(OfPrepare, PathsThatAreThereStay) {
    set(guest.tree, at("/chosen"), "stdout-path", terminated("/somewhere"));
    prepare();
    EXPECT_EQ(text("/chosen", "stdout-path"), "/somewhere");
    EXPECT_EQ(instance("stdout"), "/vdevice/vty@71000000");
}

TEST_F(OfPrepare, HandlesThatAreThereAreReplaced) {
    set(guest.tree, at("/chosen"), "stdout", cells({12345}));
    prepare();
    EXPECT_EQ(instance("stdout"), "/vdevice/vty@71000000");
}

TEST_F(OfPrepare, OutputPathThatIsNoTerminalIsIgnored) {
    for (const char* path : {"/pci/scsi", "/vdevice/nvram", "/chosen", "", "serial", ":", "/"}) {
        set(guest.tree, at("/chosen"), "stdout-path", terminated(path));
        prepare();
        EXPECT_EQ(instance("stdout"), "/vdevice/vty@71000000") << path;
    }
}

TEST_F(OfPrepare, CpuIsTheBootCpu) {
    prepare(8);
    EXPECT_EQ(instance("cpu"), "/cpus/PowerPC,POWER9@8");
}

TEST_F(OfPrepare, CpuIsTheFirstWhenTheBootCpuIsUnknown) {
    prepare(77);
    EXPECT_EQ(instance("cpu"), "/cpus/PowerPC,POWER9@0");
}

TEST_F(OfPrepare, CpuIsACpu) {
    fdt::Node& cache = add_node(guest.tree, at("/cpus"), "l2-cache@8");
    set(guest.tree, cache, "device_type", terminated("cache"));
    set(guest.tree, cache, "reg", cells({9}));
    prepare(9);
    EXPECT_EQ(instance("cpu"), "/cpus/PowerPC,POWER9@0");
}

TEST_F(OfPrepare, WithoutCpusThereIsNoCpu) {
    guest.tree.remove(at("/cpus"));
    prepare();
    EXPECT_FALSE(guest.tree.has(at("/chosen"), "cpu"));
}

TEST_F(OfPrepare, Options) {
    prepare();
    EXPECT_EQ(text("/options", "real-mode?"), "true");
    EXPECT_EQ(text("/options", "little-endian?"), "false");
    EXPECT_EQ(text("/options", "screen-#columns"), "80");
    EXPECT_EQ(text("/options", "screen-#rows"), "24");
}

TEST_F(OfPrepare, OptionsThatAreThereStay) {
    fdt::Node& options = add_node(guest.tree, *guest.tree.root(), "options");
    set(guest.tree, options, "screen-#rows", terminated("50"));
    prepare();
    EXPECT_EQ(text("/options", "screen-#rows"), "50");
    EXPECT_EQ(text("/options", "screen-#columns"), "80");
}

TEST_F(OfPrepare, OpenpromTellsTheVersion) {
    EXPECT_TRUE(guest.client.prepare(0, "9.9"));
    EXPECT_EQ(text("/openprom", "model"), "Spillway,9.9");
    EXPECT_TRUE(guest.tree.has(at("/openprom"), "relative-addressing"));
}

TEST_F(OfPrepare, OpenpromThatIsThereStays) {
    set(guest.tree, add_node(guest.tree, *guest.tree.root(), "openprom"), "relative-addressing",
        "mine");
    EXPECT_TRUE(guest.client.prepare());
    EXPECT_EQ(guest.property(guest.node("/openprom"), "relative-addressing"), "mine");
}

TEST_F(OfPrepare, LongVersionsAreCut) {
    EXPECT_TRUE(guest.client.prepare(0, std::string(500, '9')));
    EXPECT_TRUE(text("/openprom", "model").starts_with("Spillway,999"));
}

TEST_F(OfPrepare, PackagesExist) {
    prepare();
    EXPECT_NE(guest.tree.find("/packages"), nullptr);
    EXPECT_EQ(guest.tree.find("/packages/null-console"), nullptr);
}

TEST_F(OfPrepare, WhatIsAddedIsTheFirmwares) {
    prepare();
    for (const char* path : {"/aliases", "/options", "/openprom", "/packages"}) {
        EXPECT_EQ(guest.tree.origin(at(path)), fdt::Origin::firmware) << path;
    }
    for (const char* name : {"stdin", "stdout", "cpu", "stdout-path"}) {
        EXPECT_EQ(guest.tree.origin(*guest.tree.property(at("/chosen"), name)),
                  fdt::Origin::firmware)
            << name;
    }
    EXPECT_EQ(guest.tree.origin(at("/chosen")), fdt::Origin::hypervisor);
}

TEST_F(OfPrepare, MissingChosenIsMade) {
    guest.tree.remove(at("/chosen"));
    prepare();
    EXPECT_EQ(instance("stdout"), "/vdevice/vty@71000000");
}

TEST_F(OfPrepare, AvailableIsTold) {
    prepare();
    EXPECT_EQ(guest.available().size(), 2U);
}

TEST_F(OfPrepare, AvailableIsToldInTwoCellsOnly) {
    fdt::Node& root = *guest.tree.root();
    for (const auto& [addresses, sizes] : {std::pair{1u, 2u}, std::pair{2u, 1u}}) {
        set(guest.tree, root, "#address-cells", cells({addresses}));
        set(guest.tree, root, "#size-cells", cells({sizes}));
        EXPECT_TRUE(guest.client.prepare());
        EXPECT_FALSE(guest.property(guest.node("/memory@0"), "available"));
    }
}

TEST_F(OfPrepare, AnEmptyTreeIsEnough) {
    fdt::Tree tree;
    MemoryMap memory;
    Client client{tree, memory, guest.console, guest.platform};
    EXPECT_TRUE(client.prepare());
    EXPECT_NE(tree.find("/packages/null-console"), nullptr);
    EXPECT_EQ(tree.value(*tree.find("/chosen"), "stdout").size(), 4U);
}

TEST(OfPrepareTerminals, LowestIsTaken) {
    Guest guest{Guest::Terminals::three};
    EXPECT_EQ(guest.tree.text(*guest.tree.find("/chosen"), "stdout-path"), "/vdevice/vty@71000002");
}

TEST(OfPrepareTerminals, OutputPathDecides) {
    Guest guest{Guest::Terminals::three, false};
    set(guest.tree, *guest.tree.find("/chosen"), "stdout-path",
        terminated("/vdevice/vty@71000005"));
    EXPECT_TRUE(guest.client.prepare());
    const uint32_t output = guest.cell_property("/chosen", "stdout");
    EXPECT_EQ(guest.path_of(guest.ask("instance-to-package", {output})), "/vdevice/vty@71000005");
}

TEST(OfPrepareTerminals, TerminalWithoutAddressComesLast) {
    Guest guest{Guest::Terminals::none, false};
    fdt::Node& bus = *guest.tree.find("/vdevice");
    set(guest.tree, add_node(guest.tree, bus, "vty"), "device_type", terminated("serial"));
    fdt::Node& second = add_node(guest.tree, bus, "vty@5");
    set(guest.tree, second, "device_type", terminated("serial"));
    set(guest.tree, second, "reg", cells({5}));
    EXPECT_TRUE(guest.client.prepare());
    EXPECT_EQ(guest.tree.text(*guest.tree.find("/aliases"), "vty"), "/vdevice/vty@5");
}

TEST(OfPrepareTerminals, NoneAtAllMakesANullConsole) {
    Guest guest{Guest::Terminals::none};
    EXPECT_NE(guest.tree.find("/packages/null-console"), nullptr);
    EXPECT_FALSE(guest.tree.has(*guest.tree.find("/chosen"), "stdout-path"));
    EXPECT_FALSE(guest.tree.has(*guest.tree.find("/aliases"), "vty"));
}

TEST(OfPrepareTerminals, NoBusMakesANullConsole) {
    Guest guest{Guest::Terminals::none, false};
    guest.tree.remove(*guest.tree.find("/vdevice"));
    EXPECT_TRUE(guest.client.prepare());
    EXPECT_NE(guest.tree.find("/packages/null-console"), nullptr);
}

} // namespace
} // namespace spillway::of::test
