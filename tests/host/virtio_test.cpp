// SPDX-License-Identifier: BSD-2-Clause
// The virtio room: identities, transports, and the verdict on every function.
#include "base/clock.h"
#include "base/log.h"
#include "pci/allocate.h"
#include "pci/enumerate.h"
#include "tests/host/fake_clock.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/fdt_support.h"
#include "tests/host/pci_machine.h"
#include "virtio/dma_contract.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace spillway {
namespace {

using test::FakeBar;
using test::FakeBridge;
using test::FakeFunction;
using test::FakeHypervisor;
using test::FakeLegacyVirtio;
using test::FakeVirtio;
using test::version_1, test::access_platform;
using virtio::DeviceId;
using virtio::Verdict;

//------------------------------------------------------------------------------ device types

struct TypeCase {
    uint16_t id;
    const char* name;
};

class DeviceTypes : public testing::TestWithParam<TypeCase> {};

TEST_P(DeviceTypes, HasTheStandardsName) {
    const virtio::DeviceType* type = virtio::find_device_type(DeviceId{GetParam().id});
    ASSERT_NE(type, nullptr);
    EXPECT_STREQ(type->name, GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(Virtio13, DeviceTypes,
                         testing::Values(TypeCase{1, "net"}, TypeCase{2, "block"},
                                         TypeCase{3, "console"}, TypeCase{4, "entropy"},
                                         TypeCase{5, "balloon"}, TypeCase{8, "scsi"},
                                         TypeCase{9, "9p"}, TypeCase{16, "gpu"},
                                         TypeCase{18, "input"}, TypeCase{19, "socket"},
                                         TypeCase{20, "crypto"}, TypeCase{23, "iommu"},
                                         TypeCase{26, "file-system"}, TypeCase{45, "spi"}));

TEST(DeviceTypes, ReservedIdsHaveNone) {
    for (const unsigned id : {0u, 14u, 15u, 37u, 46u, 63u, 0xFFFFu}) {
        EXPECT_EQ(virtio::find_device_type(DeviceId{static_cast<uint16_t>(id)}), nullptr) << id;
    }
}

TEST(DeviceTypes, NamesAreDistinctWords) {
    std::map<std::string, unsigned> seen;
    for (unsigned id = 0; id < 64; ++id) {
        const auto* type = virtio::find_device_type(DeviceId{static_cast<uint16_t>(id)});
        if (type == nullptr) continue;
        EXPECT_EQ(std::string{type->name}.find(' '), std::string::npos);
        EXPECT_TRUE(seen.emplace(type->name, id).second) << type->name;
    }
    EXPECT_EQ(seen.size(), 42u);
}

TEST(Identify, OnlyTheVendorsIdsAreVirtio) {
    EXPECT_FALSE(virtio::identify(0x1AF5, 0x1041, 1));
    EXPECT_FALSE(virtio::identify(0x1AF4, 0x0FFF, 1));
    EXPECT_FALSE(virtio::identify(0x1AF4, 0x1080, 1));
    EXPECT_FALSE(virtio::identify(0x1AF4, 0x1110, 1)); // ivshmem
    EXPECT_FALSE(virtio::identify(0xFFFF, 0xFFFF, 0xFFFF));
}

TEST(Identify, ModernIdsCountFrom0x1040) {
    for (uint16_t n = 0; n < 0x40; ++n) {
        const auto identity = virtio::identify(0x1AF4, static_cast<uint16_t>(0x1040 + n), 0x1100);
        ASSERT_TRUE(identity);
        EXPECT_EQ(identity->id, DeviceId{n});
        EXPECT_FALSE(identity->transitional);
    }
}

TEST(Identify, TransitionalIdsTakeTheSubsystem) {
    for (uint16_t n = 0; n < 0x40; ++n) {
        const auto identity = virtio::identify(0x1AF4, static_cast<uint16_t>(0x1000 + n), 8);
        ASSERT_TRUE(identity);
        EXPECT_EQ(identity->id, DeviceId{8});
        EXPECT_TRUE(identity->transitional);
    }
}

//------------------------------------------------------------------------------ whole functions

class Virtio : public testing::Test {
protected:
    FakeHypervisor machine_;
    test::FakeHostBridge& host = machine_.add_host_bridge(0);

    ~Virtio() override { release(findings_, topology_); }
    static void release(const virtio::Findings& findings, pci::Topology& topology) {
        test::free_findings(findings);
        test::free_topology(topology);
    }

    FakeHypervisor& machine() { return machine_; }

    const virtio::Findings& gather() {
        machine_.fill_tree(tree_);
        rtas_.emplace(machine_.rtas_tokens());
        auto topology = pci::enumerate(tree_, *rtas_);
        EXPECT_TRUE(topology) << (topology ? "" : topology.error().message);
        topology_ = *topology;
        pci::allocate(topology_);
        auto findings = virtio::Findings::gather(topology_);
        EXPECT_TRUE(findings);
        findings_ = *findings;
        return findings_;
    }
    const virtio::Finding& only() {
        const auto& findings = gather();
        EXPECT_EQ(findings.end() - findings.begin(), 1);
        return *findings.begin();
    }
    /// The hypervisor of docs/dma-bypass.md, for functions on root buses.
    void make_capable() {
        machine_.handlers[hcall::Number::pci_dma_bypass] = [this](hcall::Registers& registers) {
            ++queries_;
            if (registers.r5 >> 16 != 0) return hcall::Status::unsupported; // behind a bridge
            if (registers.r6 == 0) on_ = 0;
            registers.r4 = on_;
            registers.r5 = uint64_t{1} << 60;
            return hcall::Status::success;
        };
    }
    std::string text(const char* name) {
        return std::string{tree_.text(*findings_.begin()->function->node, name)};
    }

    fdt::Tree tree_;
    std::optional<hcall::Rtas> rtas_;
    pci::Topology topology_;
    virtio::Findings findings_;
    unsigned queries_ = 0;
    uint64_t on_ = 0;
};

TEST_F(Virtio, ModernWithoutBit33IsFixed) {
    auto& device = host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1 | 0x20);
    const auto& finding = only();
    ASSERT_TRUE(finding.device);
    EXPECT_EQ(finding.verdict, Verdict::fixed);
    EXPECT_EQ(finding.device->features.low, version_1 | 0x20);
    EXPECT_STREQ(finding.device->type_name(), "net");
    EXPECT_EQ(finding.device->transport.kind(), virtio::Transport::Kind::modern);
    EXPECT_EQ(device.status, 0);
    EXPECT_GE(device.resets, 2u);
}

TEST_F(Virtio, ModernWithBit33OnAStockHypervisorIsUnstated) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{2}, version_1 | access_platform);
    EXPECT_EQ(only().verdict, Verdict::unstated);
}

TEST_F(Virtio, ModernWithBit33OnACapableHypervisorIsSwitchable) {
    make_capable();
    host.bus.add<FakeVirtio>(0, 0, uint16_t{2}, version_1 | access_platform);
    EXPECT_EQ(only().verdict, Verdict::switchable);
}

TEST_F(Virtio, FixedStaysFixedOnACapableHypervisorAndIsNotAsked) {
    make_capable();
    host.bus.add<FakeVirtio>(0, 0, uint16_t{2}, version_1);
    EXPECT_EQ(only().verdict, Verdict::fixed);
    EXPECT_EQ(queries_, 0u);
}

TEST_F(Virtio, OtherFunctionsAreSwitchableOnACapableHypervisor) {
    make_capable();
    host.bus.add<FakeFunction>(0, 0, uint16_t{0x8086}, uint16_t{0x100E}, 0x020000u);
    const auto& finding = only();
    EXPECT_EQ(finding.verdict, Verdict::switchable);
    EXPECT_FALSE(finding.is_virtio);
}

TEST_F(Virtio, OtherFunctionsAreUnstatedOnAStockHypervisor) {
    host.bus.add<FakeFunction>(0, 0, uint16_t{0x8086}, uint16_t{0x100E}, 0x020000u);
    EXPECT_EQ(only().verdict, Verdict::unstated);
}

TEST_F(Virtio, BehindABridgeTheRefusalIsTakenAtItsWord) {
    make_capable();
    auto& bridge = host.bus.add<FakeBridge>(0, 0);
    bridge.bus.add<FakeVirtio>(0, 0, uint16_t{2}, version_1 | access_platform);
    bridge.bus.add<FakeVirtio>(1, 0, uint16_t{2}, version_1);
    const auto& findings = gather();
    ASSERT_EQ(findings.end() - findings.begin(), 3);
    EXPECT_EQ(findings.begin()[1].verdict, Verdict::unstated);
    EXPECT_STREQ(findings.begin()[1].reason, "the hypervisor refuses");
    EXPECT_EQ(findings.begin()[2].verdict, Verdict::fixed);
}

TEST_F(Virtio, AHypervisorThatDoesNotKnowTheCallIsAskedOnce) {
    for (unsigned slot = 0; slot < 8; ++slot) {
        host.bus.add<FakeVirtio>(slot, 0, uint16_t{1}, version_1 | access_platform);
    }
    gather();
    findings_.close_windows();
    EXPECT_EQ(machine().call_count(hcall::Number::pci_dma_bypass), 1u);
}

TEST_F(Virtio, AnyOtherAnswerOfTheHypervisorClaimsNothing) {
    for (const auto status : {hcall::Status::parameter, hcall::Status::p2, hcall::Status::hardware,
                              hcall::Status::privilege, hcall::Status::state}) {
        FakeHypervisor other;
        other.add_host_bridge(0).bus.add<FakeVirtio>(0, 0, uint16_t{1},
                                                     version_1 | access_platform);
        other.handlers[hcall::Number::pci_dma_bypass] = [&](hcall::Registers&) { return status; };
        fdt::Tree tree;
        other.fill_tree(tree);
        const hcall::Rtas rtas{other.rtas_tokens()};
        auto topology = pci::enumerate(tree, rtas);
        ASSERT_TRUE(topology);
        pci::allocate(*topology);
        auto findings = virtio::Findings::gather(*topology);
        ASSERT_TRUE(findings);
        EXPECT_EQ(findings->begin()->verdict, Verdict::unstated) << hcall::name(status);
        EXPECT_STREQ(findings->begin()->reason, "the hypervisor refuses");
        release(*findings, *topology);
    }
}

TEST_F(Virtio, TransitionalUsesItsModernStructures) {
    auto& device = host.bus.add<FakeLegacyVirtio>(0, 0, uint16_t{2}, 0x42u, uint16_t{0x1001});
    device.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    device.add_structures();
    device.offered = version_1 | 0x42;
    const auto& finding = only();
    ASSERT_TRUE(finding.device);
    EXPECT_EQ(finding.device->transport.kind(), virtio::Transport::Kind::modern);
    EXPECT_EQ(finding.verdict, Verdict::fixed);
    EXPECT_STREQ(finding.device->type_name(), "block");
}

TEST_F(Virtio, LegacyIsFixed) {
    auto& device = host.bus.add<FakeLegacyVirtio>(0, 0, uint16_t{4}, 0x31000000u, uint16_t{0x1005});
    const auto& finding = only();
    ASSERT_TRUE(finding.device);
    EXPECT_EQ(finding.device->transport.kind(), virtio::Transport::Kind::legacy);
    EXPECT_EQ(finding.verdict, Verdict::fixed);
    EXPECT_EQ(finding.device->features.low, 0x31000000u);
    EXPECT_EQ(device.status, 0);
}

TEST_F(Virtio, LegacyWhoseRegistersCannotBeReachedIsNotBelieved) {
    host.bus.add<FakeLegacyVirtio>(0, 0, uint16_t{4}, 0x31000000u, uint16_t{0x1005});
    machine().handlers[hcall::Number::logical_ci_load] = [](hcall::Registers&) {
        return hcall::Status::parameter;
    };
    EXPECT_FALSE(only().device);
    EXPECT_EQ(machine().console_count("device status reads as all ones"), 1u);
}

TEST_F(Virtio, AStatusRegisterOfAllOnesTellsOfNoCapabilities) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    machine().config_hook = [](const test::ConfigAccess& access) {
        return access.offset == 0x06 ? test::ConfigFault::all_ones : test::ConfigFault::none;
    };
    EXPECT_FALSE(only().device);
    EXPECT_EQ(machine().console_count("status register reads all ones"), 1u);
}

TEST_F(Virtio, WhatCannotBeWrittenIsNotReliedOn) {
    struct Case {
        const char* register_name;
        unsigned offset; ///< 0: of the access capability's BAR
        bool legacy, access;
    };
    for (const Case& each : {Case{"the command register", 4, true, false},
                             Case{"the command register", 4, false, false},
                             Case{"the access capability", 0, false, true}}) {
        SCOPED_TRACE(each.register_name);
        FakeHypervisor other;
        test::FakeHostBridge& bridge = other.add_host_bridge(0);
        FakeVirtio* device = nullptr;
        if (each.legacy) {
            device = &bridge.bus.add<FakeLegacyVirtio>(0, 0, uint16_t{1}, 0u);
        } else {
            device = &bridge.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1, uint16_t{0x1041});
            device->add_bar(FakeVirtio::register_bar, FakeBar::memory32, 0x4000);
            device->add_virtio_capability(1, FakeVirtio::register_bar, 0, 0x1000);
            device->add_virtio_capability(2, FakeVirtio::register_bar, 0x3000, 0x1000, 4);
            device->add_virtio_capability(3, FakeVirtio::register_bar, 0x1000, 0x1000);
            if (each.access) device->add_access();
        }
        fdt::Tree tree;
        other.fill_tree(tree);
        const hcall::Rtas rtas{other.rtas_tokens()};
        auto topology = *pci::enumerate(tree, rtas);
        pci::allocate(topology);
        const unsigned offset = each.offset != 0 ? each.offset : device->access + 4u;
        other.config_hook = [offset](const test::ConfigAccess& access) {
            return access.is_write && access.offset == offset ? test::ConfigFault::rtas_error
                                                              : test::ConfigFault::none;
        };
        const auto findings = *virtio::Findings::gather(topology);
        EXPECT_FALSE(findings.begin()->device);
        EXPECT_EQ(other.console_count(std::string{each.register_name} + " cannot be written"), 1u)
            << other.console;
        release(findings, topology);
    }
}

TEST_F(Virtio, ADeviceThatNeverResetsIsAskedForNothingElse) {
    auto& device = host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    device.never_resets = true;
    EXPECT_FALSE(only().device);
    EXPECT_EQ(device.resets, 1u);
    EXPECT_EQ(device.status, 0);
    EXPECT_EQ(machine().console_count("does not become 0 after a reset"), 1u);
}

/// Its status stays once features have been read.
class Stuck : public FakeVirtio {
public:
    using FakeVirtio::FakeVirtio;
    void write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override {
        FakeVirtio::write(bar, offset, size, value);
        never_resets = never_resets || (bar == register_bar && offset == 0);
    }
};

TEST_F(Virtio, ADeviceThatResetsOnlyOnceIsNotBelieved) {
    host.bus.add<Stuck>(0, 0, uint16_t{1}, version_1);
    EXPECT_FALSE(only().device);
    EXPECT_EQ(machine().console_count("does not become 0 after features were read"), 1u);
}

TEST_F(Virtio, LegacyNeedsAWholeIoBar) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, 0u, uint16_t{0x1000}).add_bar(0, FakeBar::io, 16);
    EXPECT_FALSE(only().device);
    EXPECT_EQ(machine().console_count("neither modern structures nor a legacy I/O BAR"), 1u);
}

TEST_F(Virtio, LegacyNeedsAnAddress) {
    host.windows[0].size = 0;
    host.bus.add<FakeLegacyVirtio>(0, 0, uint16_t{1}, 0u);
    EXPECT_FALSE(only().device);
    EXPECT_EQ(machine().console_count("the legacy I/O BAR has no address"), 1u);
}

TEST_F(Virtio, WhatIsNoVirtioCapabilityIsPassedOver) {
    auto& device = host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    // Each would come first, and names a BAR that is not there.
    const unsigned other = device.add_virtio_capability(1, 5, 0, 0x1000);
    device.config[other] = 0x11;
    const unsigned shorter = device.add_virtio_capability(1, 5, 0, 0x1000);
    device.config[shorter + 2] = 15;
    const uint8_t behind_the_end[] = {9, device.config[0x34], 16, 1, 5};
    std::ranges::copy(behind_the_end, &device.config[0xF8]);
    device.config[0x34] = 0xF8;
    EXPECT_EQ(only().verdict, Verdict::fixed);
}

TEST_F(Virtio, StructuresNeedNoMoreAlignmentThanTheStandardAsks) {
    auto& device = host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1, uint16_t{0x1041});
    device.add_bar(FakeVirtio::register_bar, FakeBar::memory32, 0x4000);
    device.add_virtio_capability(1, FakeVirtio::register_bar, 0, 0x1000);
    device.add_virtio_capability(2, FakeVirtio::register_bar, 0x3002, 0x100, 4);
    device.add_virtio_capability(3, FakeVirtio::register_bar, 0x1001, 1);
    device.add_access();
    EXPECT_EQ(only().verdict, Verdict::fixed);
}

TEST_F(Virtio, ATransitionalDeviceWithTooShortCapabilitiesIsNotTakenForALegacyOne) {
    auto& device = host.bus.add<FakeLegacyVirtio>(0, 0, uint16_t{1}, 0u);
    for (const uint8_t type : {uint8_t{1}, uint8_t{2}, uint8_t{3}}) {
        const unsigned at = device.add_virtio_capability(type, 4, 0x1000u * type, 0x1000);
        device.config[at + 2] = 15;
    }
    const auto& finding = only();
    EXPECT_FALSE(finding.device);
    EXPECT_EQ(finding.verdict, Verdict::unstated);
}

TEST_F(Virtio, BridgesAreNotVirtioWhateverTheirIds) {
    host.bus.add<FakeBridge>(0, 0, virtio::vendor_id, uint16_t{0x1041});
    EXPECT_FALSE(only().is_virtio);
}

TEST_F(Virtio, FeaturesBeyond64AreReadToo) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1).offered_high = 0x8000000000000001;
    const auto& finding = only();
    ASSERT_TRUE(finding.device);
    EXPECT_EQ(finding.device->features.high, 0x8000000000000001u);
    EXPECT_TRUE(finding.device->features.has(64));
    EXPECT_TRUE(finding.device->features.has(127));
    EXPECT_FALSE(finding.device->features.has(65));
}

TEST_F(Virtio, AnUnassignedTypeIsStillDescribed) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{0x3F}, version_1);
    const auto& finding = only();
    ASSERT_TRUE(finding.device);
    EXPECT_STREQ(finding.device->type_name(), "unknown");
}

TEST_F(Virtio, ASlowResetIsWaitedFor) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1).slow_resets = 1000;
    EXPECT_EQ(only().verdict, Verdict::fixed);
}

TEST_F(Virtio, StaleStatusIsCleared) {
    auto& device = host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    device.status = 0x0F;
    EXPECT_EQ(only().verdict, Verdict::fixed);
    EXPECT_EQ(device.status, 0);
}

//------------------------------------------------------------------------------ odd devices

/// A device whose capabilities the case adds itself.
FakeVirtio& bare(test::FakeBus& bus) {
    auto& device = bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1, uint16_t{0x1041});
    device.add_bar(1, FakeBar::memory32, 0x1000);
    device.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    return device;
}

TEST_F(Virtio, ReservedStructureTypesAndBarsArePassedOver) {
    auto& device = bare(host.bus);
    device.add_structures();
    device.add_virtio_capability(1, 7, 0, 0x1000); // comes first in the list
    device.add_virtio_capability(0, 4, 0, 0x1000);
    device.add_virtio_capability(200, 4, 0, 0x1000);
    EXPECT_EQ(only().verdict, Verdict::fixed);
}

TEST_F(Virtio, TheFirstStructureOfATypeCounts) {
    auto& device = bare(host.bus);
    device.add_virtio_capability(1, 4, 0x3F00, 0x1000); // bad, but second in the list
    device.add_structures();
    EXPECT_EQ(only().verdict, Verdict::fixed);
}

TEST_F(Virtio, SilentDevicesShareOneBudget) {
    test::FakeClock::step = 512'000; // a look takes a millisecond
    for (unsigned slot = 0; slot < 16; ++slot) {
        host.bus.add<FakeVirtio>(slot, 0, uint16_t{1}, version_1).never_resets = true;
    }
    const uint64_t start = test::FakeClock::now;
    gather();
    const uint64_t spent = test::FakeClock::now - start;
    test::FakeClock::step = 512;
    EXPECT_LT(spent, 3 * clock::frequency());
    EXPECT_EQ(machine().console_count("does not become 0"), 16u);
}

TEST_F(Virtio, SlowDevicesTakeFromTheBudgetToo) {
    test::FakeClock::step = 512'000; // a look takes a millisecond
    for (unsigned slot = 0; slot < 16; ++slot) {
        host.bus.add<FakeVirtio>(slot, 0, uint16_t{1}, version_1).slow_resets = 400;
    }
    const uint64_t start = test::FakeClock::now;
    const auto& findings = gather();
    const uint64_t spent = test::FakeClock::now - start;
    test::FakeClock::step = 512;
    EXPECT_LT(spent, 3 * clock::frequency());
    EXPECT_EQ(findings.begin()[0].verdict, Verdict::fixed);
    EXPECT_EQ(findings.begin()[15].verdict, Verdict::unstated);
}

TEST_F(Virtio, AGoodDeviceAfterSilentOnesIsRecognised) {
    test::FakeClock::step = 512'000;
    for (unsigned slot = 0; slot < 4; ++slot) {
        host.bus.add<FakeVirtio>(slot, 0, uint16_t{1}, version_1).never_resets = true;
    }
    host.bus.add<FakeVirtio>(9, 0, uint16_t{1}, version_1);
    const auto& findings = gather();
    test::FakeClock::step = 512;
    EXPECT_EQ(findings.begin()[4].verdict, Verdict::fixed);
}

/// A device that lacks the access capability, which the standard demands, in its BAR all the same.
FakeVirtio& without_access(test::FakeBus& bus) {
    auto& device = bare(bus);
    device.add_virtio_capability(1, 4, 0, 0x1000);
    device.add_virtio_capability(2, 4, 0x3000, 0x1000, 4);
    device.add_virtio_capability(3, 4, 0x1000, 0x1000);
    return device;
}

TEST_F(Virtio, RegistersAreReachedWithoutDecoding) {
    auto& device = host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    EXPECT_EQ(only().verdict, Verdict::fixed);
    EXPECT_EQ(device.get16(0x04), 0);
    EXPECT_EQ(machine().call_count(hcall::Number::logical_ci_load), 0u);
}

TEST_F(Virtio, RegistersAreReachedInTheBarWhereThereIsNoOtherWay) {
    auto& device = without_access(host.bus);
    EXPECT_EQ(only().verdict, Verdict::fixed);
    EXPECT_EQ(device.get16(0x04), pci::command_memory);
    findings_.reset_devices();
    EXPECT_EQ(device.status, 0);
}

TEST_F(Virtio, BridgesOnTheWayToABarPassItOn) {
    auto& outer = host.bus.add<FakeBridge>(0, 0);
    auto& inner = outer.bus.add<FakeBridge>(1, 0);
    inner.bus.add<FakeLegacyVirtio>(1, 0, uint16_t{4}, 0x31000000u, uint16_t{0x1005});
    without_access(inner.bus);
    const auto& findings = gather();
    ASSERT_EQ(findings.end() - findings.begin(), 4);
    for (const virtio::Finding* finding = findings.begin() + 2; finding != findings.end();
         ++finding) {
        ASSERT_TRUE(finding->device) << machine().console;
        const bool legacy = finding->device->transport.kind() == virtio::Transport::Kind::legacy;
        EXPECT_EQ(finding->device->features.low, legacy ? 0x31000000u : version_1);
    }
    for (const FakeFunction* bridge : {&outer, &inner})
        EXPECT_EQ(bridge->get16(0x04), pci::command_io | pci::command_memory);
}

TEST_F(Virtio, ABarWithoutAddressDoesNotMatterToTheAccessCapability) {
    host.windows[2].size = host.windows[1].size = 0;
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    EXPECT_EQ(only().verdict, Verdict::fixed);
}

TEST_F(Virtio, ABarWithoutAddressIsSaidWhereItMatters) {
    host.windows[2].size = host.windows[1].size = 0;
    without_access(host.bus);
    const auto& finding = only();
    EXPECT_FALSE(finding.device);
    EXPECT_EQ(finding.verdict, Verdict::unstated);
    EXPECT_NE(machine().console.find("BAR without address"), std::string::npos);
}

//------------------------------------------------------------------------------ what is written

TEST_F(Virtio, PropertiesOfAFixedDevice) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{2}, version_1 | 0x123);
    gather();
    ASSERT_TRUE(findings_.describe(tree_));
    EXPECT_EQ(text("qemu,dma-bypass"), "fixed");
    EXPECT_EQ(text("spillway,virtio-device"), "block");
    const fdt::Node& node = *findings_.begin()->function->node;
    EXPECT_EQ(tree_.value(node, "spillway,virtio-features").size(), 8u);
    EXPECT_EQ(tree_.cells64(node, "spillway,virtio-features", 0), version_1 | 0x123);
    EXPECT_EQ(tree_.value(node, "qemu,dma-bypass").size(), sizeof "fixed");
}

TEST_F(Virtio, PropertiesOfASwitchableDevice) {
    make_capable();
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1 | access_platform);
    gather();
    ASSERT_TRUE(findings_.describe(tree_));
    EXPECT_EQ(text("qemu,dma-bypass"), "switchable");
    EXPECT_EQ(text("spillway,virtio-device"), "net");
}

TEST_F(Virtio, AnUnstatedDeviceHasOnlyTheInformativeProperties) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1 | access_platform);
    gather();
    ASSERT_TRUE(findings_.describe(tree_));
    const fdt::Node& node = *findings_.begin()->function->node;
    EXPECT_FALSE(tree_.has(node, "qemu,dma-bypass"));
    EXPECT_EQ(text("spillway,virtio-device"), "net");
}

TEST_F(Virtio, AFunctionThatIsNotVirtioHasNoVirtioProperty) {
    host.bus.add<FakeFunction>(0, 0, uint16_t{0x8086}, uint16_t{0x100E}, 0x020000u);
    gather();
    ASSERT_TRUE(findings_.describe(tree_));
    const fdt::Node& node = *findings_.begin()->function->node;
    EXPECT_FALSE(tree_.has(node, "spillway,virtio-device"));
    EXPECT_FALSE(tree_.has(node, "spillway,virtio-features"));
}

//------------------------------------------------------------------------------ the end

TEST_F(Virtio, QuiesceResetsDevicesAndClosesWindows) {
    make_capable();
    auto& device = host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1 | access_platform);
    gather();
    on_ = 1; // somebody has opened the window and started the device
    device.status = 0x0F;
    findings_.reset_devices();
    findings_.close_windows();
    EXPECT_EQ(on_, 0u);
    EXPECT_EQ(device.status, 0);
}

TEST_F(Virtio, QuiesceClosesWindowsOfAllThatCanBeSwitched) {
    make_capable();
    auto& bridge = host.bus.add<FakeBridge>(0, 0);
    bridge.secondary()->add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    host.bus.add<FakeVirtio>(1, 0, uint16_t{1}, version_1);             // fixed
    host.bus.add<FakeVirtio>(2, 0, uint16_t{1}, version_1).dead = true; // broken
    host.number_buses();
    gather();
    queries_ = 0;
    on_ = 1; // somebody has opened a window all the same
    const std::string before = machine().console;
    findings_.close_windows();
    EXPECT_EQ(on_, 0u);
    EXPECT_EQ(queries_, 4u);
    EXPECT_EQ(machine().console, before) << "that there is nothing to switch is no news";
}

TEST_F(Virtio, QuiesceAsksAHypervisorWithoutASwitchOnce) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    host.bus.add<FakeVirtio>(1, 0, uint16_t{1}, version_1);
    gather();
    findings_.close_windows();
    EXPECT_EQ(machine().call_count(hcall::Number::pci_dma_bypass), 1u);
}

TEST_F(Virtio, QuiesceNamesAWindowThatStaysOpen) {
    host.bus.add<FakeVirtio>(5, 0, uint16_t{1}, version_1 | access_platform);
    machine().handlers[hcall::Number::pci_dma_bypass] = [](hcall::Registers& registers) {
        if (registers.r6 == 0) return hcall::Status::state;
        registers.r4 = 1;
        return hcall::Status::success;
    };
    gather();
    findings_.close_windows();
    EXPECT_NE(machine().console.find("00:05.0"), std::string::npos) << machine().console;
    EXPECT_NE(machine().console.find("H_STATE"), std::string::npos);
}

TEST_F(Virtio, FindingsNeedMemory) {
    host.bus.add<FakeVirtio>(0, 0, uint16_t{1}, version_1);
    gather();
    fdt::test::Heap heap;
    heap.fail_from(0);
    const auto again = virtio::Findings::gather(topology_);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::out_of_memory);
}

TEST_F(Virtio, NoFunctionsNeedNoMemory) {
    fdt::test::Heap heap;
    heap.fail_from(0);
    EXPECT_TRUE(virtio::Findings::gather({}));
}

TEST_F(Virtio, NoFunctionsNoFindings) {
    const auto& findings = gather();
    EXPECT_EQ(findings.begin(), findings.end());
    ASSERT_TRUE(findings_.describe(tree_));
    findings_.close_windows();
}

} // namespace
} // namespace spillway
