// SPDX-License-Identifier: BSD-2-Clause
// What the firmware reads of the machine as a whole, from the blob and from the tree.
#include "boot/machine.h"

#include "base/clock.h"
#include "base/log.h"
#include "tests/host/fake_hypervisor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace spillway::boot {
namespace {

constexpr auto hypervisor = fdt::Origin::hypervisor;

class MachineTest : public testing::Test {
protected:
    MachineTest() { machine.fill_tree(tree); }
    ~MachineTest() override {
        log::set_level(log::Level::normal);
        clock::set_frequency(512'000'000);
    }

    fdt::Node& chosen() { return *tree.find("/chosen"); }
    fdt::Node& add(fdt::Node& parent, const char* name) {
        return **tree.add(parent, name, hypervisor);
    }
    /// Puts the tree as a blob into the machine's RAM.
    PhysicalAddress blob() {
        constexpr PhysicalAddress place{0x100000};
        const size_t size = fdt::blob_size_bound(tree, 0);
        EXPECT_TRUE(fdt::write_blob(tree, {}, 3, {to_pointer(place), size}));
        return place;
    }

    test::FakeHypervisor machine;
    fdt::Tree tree;
};

TEST_F(MachineTest, AGoodBlobIsGreeted) {
    start_log();
    const auto opened = open_blob(blob());
    ASSERT_TRUE(opened);
    EXPECT_EQ(machine.console_count("Spillway 0.1.0"), 1u);
    EXPECT_EQ(fdt::blob_boot_cpu(*opened), 3u);
}

TEST_F(MachineTest, TheCommandLineChoosesTheLevel) {
    tree.set_text(chosen(), "bootargs", "console=hvc0 spillway.log=quiet", hypervisor).value();
    start_log();
    ASSERT_TRUE(open_blob(blob()));
    EXPECT_EQ(log::level(), log::Level::quiet);
    EXPECT_EQ(machine.console, "") << "quiet is quiet from the first line on";
}

TEST_F(MachineTest, ADamagedBlobIsAnErrorAfterTheBanner) {
    const PhysicalAddress place = blob();
    *to_pointer(place) = std::byte{0};
    start_log();
    const auto opened = open_blob(place);
    ASSERT_FALSE(opened);
    EXPECT_NE(std::strstr(opened.error().message, "magic"), nullptr);
    EXPECT_EQ(machine.console_count("Spillway"), 1u);
}

TEST_F(MachineTest, TokensComeFromTheBlob) {
    fdt::Node& rtas = *tree.find("/rtas");
    tree.set_cells(rtas, "ibm,os-term", {0x201F}, hypervisor).value();
    uint32_t code = 0;
    machine.rtas_handlers[0x201F] = [&](std::span<const uint32_t>, std::span<uint32_t>) {
        code = 1;
        return hcall::RtasStatus::success;
    };
    const hcall::RtasTokens tokens = find_rtas_tokens(*open_blob(blob()));
    EXPECT_EQ(tokens.read_pci_config, machine.rtas_tokens().read_pci_config);
    EXPECT_EQ(tokens.power_off, machine.rtas_tokens().power_off);
    EXPECT_EQ(tokens.nvram_fetch, hcall::RtasToken::none) << "not in this machine's tree";
    hcall::Rtas{tokens}.terminate("reason");
    EXPECT_EQ(code, 1u);
}

TEST_F(MachineTest, ATokenThatIsTooShortIsNone) {
    tree.set(*tree.find("/rtas"), "power-off", {}, hypervisor).value();
    EXPECT_EQ(find_rtas_tokens(*open_blob(blob())).power_off, hcall::RtasToken::none);
}

TEST_F(MachineTest, WithoutRtasThereAreNoTokens) {
    tree.remove(*tree.find("/rtas"));
    EXPECT_EQ(find_rtas_tokens(*open_blob(blob())).power_off, hcall::RtasToken::none);
}

TEST_F(MachineTest, TheKernelIsTwoNumbersOfTwoCells) {
    EXPECT_EQ(find_kernel(tree).size, 0u);
    tree.set_cells(chosen(), "qemu,boot-kernel", {0, 0x400000, 0, 0x287c918}, hypervisor).value();
    EXPECT_EQ(find_kernel(tree), (PhysicalRange{{0x400000}, 0x287c918}));
    tree.set_cells(chosen(), "qemu,boot-kernel", {0, 0x400000, 0}, hypervisor).value();
    EXPECT_EQ(find_kernel(tree).size, 0u) << "too short";
}

TEST_F(MachineTest, WithoutChosenNothingIsLoaded) {
    tree.remove(chosen());
    EXPECT_EQ(find_kernel(tree), PhysicalRange{});
    EXPECT_EQ(find_initrd(tree), PhysicalRange{});
}

TEST_F(MachineTest, TheInitrdMayBeOfEitherWidth) {
    EXPECT_EQ(find_initrd(tree).size, 0u);
    tree.set_cells(chosen(), "linux,initrd-start", {0x3000000}, hypervisor).value();
    tree.set_cells(chosen(), "linux,initrd-end", {0x3100000}, hypervisor).value();
    EXPECT_EQ(find_initrd(tree), (PhysicalRange{{0x3000000}, 0x100000}));
    tree.set_cells(chosen(), "linux,initrd-end", {0, 0x3200000}, hypervisor).value();
    EXPECT_EQ(find_initrd(tree), (PhysicalRange{{0x3000000}, 0x200000}));
}

TEST_F(MachineTest, AnInitrdThatEndsBeforeItStartsIsNone) {
    tree.set_cells(chosen(), "linux,initrd-start", {0x3000000}, hypervisor).value();
    tree.set_cells(chosen(), "linux,initrd-end", {0x2000000}, hypervisor).value();
    EXPECT_EQ(find_initrd(tree).size, 0u);
}

TEST_F(MachineTest, TheTimeBaseIsTheFirstProcessors) {
    EXPECT_EQ(find_timebase_frequency(tree), 0u);
    fdt::Node& cpus = add(*tree.root(), "cpus");
    add(cpus, "l2-cache@0");
    EXPECT_EQ(find_timebase_frequency(tree), 0u) << "no processor";
    fdt::Node& cpu = add(cpus, "PowerPC,POWER9@0");
    tree.set_text(cpu, "device_type", "cpu", hypervisor).value();
    tree.set_cells(cpu, "timebase-frequency", {1'000'000}, hypervisor).value();
    EXPECT_EQ(find_timebase_frequency(tree), 1'000'000u);
}

TEST_F(MachineTest, AnUnknownFrequencyChangesNothing) {
    clock::set_frequency(1'000'000);
    EXPECT_EQ(clock::microseconds(2'500'000), 2'500'000u);
    clock::set_frequency(0);
    EXPECT_EQ(clock::frequency(), 1'000'000u);
    clock::set_frequency(uint64_t{1} << 52); // two seconds would be 200 days
    EXPECT_EQ(clock::frequency(), 1'000'000u);
    clock::set_frequency(512'000'000);
    EXPECT_EQ(clock::microseconds(512), 1u);
}

} // namespace
} // namespace spillway::boot
