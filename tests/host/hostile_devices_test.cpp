// SPDX-License-Identifier: BSD-2-Clause
// Hostile virtio devices, one at a time between honest ones: what each is told to be, what the
// console says, and what it may cost.
#include "tests/host/hostile_machine.h"

#include <gtest/gtest.h>

#include <ostream>

namespace spillway::test {
namespace {

constexpr unsigned hostile_slot = 3;

//------------------------------------------------------------------------------ how devices
// misbehave

/// The device that most cases start from: capabilities are the case's.
FakeVirtio& bare(FakeBus& bus, uint16_t id = 0x1041) {
    auto& device = bus.add<FakeVirtio>(hostile_slot, 0, uint16_t{1}, version_1, id);
    device.add_bar(1, FakeBar::memory32, 0x1000);
    device.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    return device;
}
FakeVirtio& whole(FakeBus& bus, uint64_t features = version_1) {
    return bus.add<FakeVirtio>(hostile_slot, 0, uint16_t{1}, features);
}
FakeVirtio& transitional(FakeBus& bus, uint64_t features = version_1 | access_platform) {
    auto& device = bus.add<FakeLegacyVirtio>(hostile_slot, 0, uint16_t{2}, 0u, uint16_t{0x1001});
    device.add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
    device.add_structures();
    device.offered = features;
    return device;
}
void add_notification(FakeVirtio& device) {
    device.add_virtio_capability(2, 4, 0x3000, 0x1000, 4);
}
void add_isr(FakeVirtio& device) {
    device.add_virtio_capability(3, 4, 0x1000, 0x1000);
}
/// All structures are in order but the common one, which is where the case says.
void with_common(FakeBus& bus, uint8_t bar, uint32_t offset, uint32_t length) {
    auto& device = bare(bus);
    device.add_virtio_capability(1, bar, offset, length);
    add_notification(device);
    add_isr(device);
}
FakeVirtio& without_access(FakeBus& bus) {
    auto& device = bare(bus);
    device.add_virtio_capability(1, 4, 0, 0x1000);
    add_notification(device);
    add_isr(device);
    return device;
}

/// Turns deaf once its features were read.
struct StuckAfterFeatures : FakeVirtio {
    using FakeVirtio::FakeVirtio;
    void write_status(uint8_t value) override {
        never_resets = never_resets || status == 3;
        FakeVirtio::write_status(value);
    }
};

/// Offers less each time it is asked.
struct Withdrawing : FakeVirtio {
    using FakeVirtio::FakeVirtio;
    uint32_t window(uint32_t select) const override {
        const uint32_t bits = FakeVirtio::window(select);
        return asked_ > 4 ? 0 : (++asked_, bits);
    }
    mutable unsigned asked_ = 0;
};

/// Shows nothing but what `shown` says, whatever is written.
struct FixedStatus : FakeVirtio {
    FixedStatus(uint16_t type, uint64_t features, uint8_t shows)
        : FakeVirtio(type, features)
        , shown(shows) {}
    uint64_t read(unsigned bar, uint64_t offset, unsigned size) override {
        if (bar != register_bar || offset != 20) return FakeVirtio::read(bar, offset, size);
        police.has_read_status(shown);
        return shown;
    }
    uint8_t shown;
};

/// Needs a reset (2.1) as soon as it is noticed.
struct NeedsReset : FakeVirtio {
    using FakeVirtio::FakeVirtio;
    void write_status(uint8_t value) override {
        FakeVirtio::write_status(value);
        if (value != 0) status |= 0x40;
    }
};

/// The data of its access capability is not a window to anything.
struct DeadWindow : FakeVirtio {
    DeadWindow(uint16_t type, uint64_t features, uint32_t answers)
        : FakeVirtio(type, features)
        , answer(answers) {}
    uint32_t read_config(unsigned offset, unsigned size) override {
        if (offset != access + 16u) return FakeVirtio::read_config(offset, size);
        if (size == 1) police.has_read_status(static_cast<uint8_t>(answer));
        return answer;
    }
    void write(unsigned, uint64_t offset, unsigned, uint64_t value) override {
        if (offset == 20) police.writes_status(static_cast<uint8_t>(value));
    }
    uint32_t answer;
};

//------------------------------------------------------------------------------ the cases

/// What an honest device costs, with some to spare; waiting for a reset comes on top.
constexpr size_t usual = 120;
/// A look at the status through the access capability is three accesses.
constexpr size_t two_seconds_of_looks = 3 * (2'000'000 / HostileMachine::microseconds_a_look + 2);

struct Case {
    const char* name;
    void (*make)(FakeBus& bus);
    const char* bypass;      ///< `qemu,dma-bypass`; "": none
    const char* type;        ///< `spillway,virtio-device`; "": none
    const char* says;        ///< a line of the console has this; "": it says nothing
    uint64_t waits = 0;      ///< for at most so many milliseconds
    size_t accesses = usual; ///< that it costs at most
};

void PrintTo(const Case& printed, std::ostream* out) {
    *out << printed.name;
}

const Case cases[] = {
    // --- registers
    {"AllOnes", [](FakeBus& bus) { whole(bus).dead = true; }, "", "",
     "device status reads as all ones"},
    {"LegacyAllOnes",
     [](FakeBus& bus) { bus.add<FakeLegacyVirtio>(hostile_slot, 0, uint16_t{1}, 0u).dead = true; },
     "", "", "device status reads as all ones"},
    {"NeverLeavesReset", [](FakeBus& bus) { whole(bus).never_resets = true; }, "", "",
     "does not become 0 after a reset", 2100, usual + two_seconds_of_looks},
    {"LegacyNeverLeavesReset",
     [](FakeBus& bus) {
         bus.add<FakeLegacyVirtio>(hostile_slot, 0, uint16_t{1}, 0u).never_resets = true;
     },
     "", "", "does not become 0 after a reset", 2100, usual + two_seconds_of_looks},
    {"NeverLeavesTheSecondReset",
     [](FakeBus& bus) { bus.add<StuckAfterFeatures>(hostile_slot, 0, uint16_t{1}, version_1); }, "",
     "", "does not become 0 after features were read", 2100, usual + two_seconds_of_looks},
    {"SlowReset", [](FakeBus& bus) { whole(bus).slow_resets = 50; }, "fixed", "net", "", 1100,
     usual + 3 * 102},
    {"StatusAlwaysZero",
     [](FakeBus& bus) {
         bus.add<FixedStatus>(hostile_slot, 0, uint16_t{1}, version_1, uint8_t{0});
     },
     "fixed", "net", ""},
    {"StatusAlwaysAcknowledge",
     [](FakeBus& bus) {
         bus.add<FixedStatus>(hostile_slot, 0, uint16_t{1}, version_1, uint8_t{1});
     },
     "", "", "does not become 0 after a reset", 2100, usual + two_seconds_of_looks},
    {"StatusAlwaysFailed",
     [](FakeBus& bus) {
         bus.add<FixedStatus>(hostile_slot, 0, uint16_t{1}, version_1, uint8_t{0x80});
     },
     "", "", "does not become 0 after a reset", 2100, usual + two_seconds_of_looks},
    {"StatusAlwaysNeedsReset",
     [](FakeBus& bus) {
         bus.add<FixedStatus>(hostile_slot, 0, uint16_t{1}, version_1, uint8_t{0x40});
     },
     "", "", "does not become 0 after a reset", 2100, usual + two_seconds_of_looks},
    {"NeedsResetOnceNoticed",
     [](FakeBus& bus) { bus.add<NeedsReset>(hostile_slot, 0, uint16_t{1}, version_1); }, "fixed",
     "net", ""},
    {"StaleStatus", [](FakeBus& bus) { whole(bus).status = 0x8F; }, "fixed", "net", ""},
    {"FeaturesAllOnes", [](FakeBus& bus) { whole(bus, ~uint64_t{0}); }, "", "",
     "features read as all ones"},
    {"LowFeaturesAllOnes", [](FakeBus& bus) { whole(bus, version_1 | 0xFFFF'FFFF); }, "", "",
     "features read as all ones"},
    {"HighFeaturesAllOnes", [](FakeBus& bus) { whole(bus, 0xFFFF'FFFF'0000'0020); }, "", "",
     "features read as all ones"},
    {"LegacyFeaturesAllOnes",
     [](FakeBus& bus) { bus.add<FakeLegacyVirtio>(hostile_slot, 0, uint16_t{1}, 0xFFFF'FFFFu); },
     "", "", "features read as all ones"},
    {"FeaturesZero", [](FakeBus& bus) { whole(bus, 0); }, "", "", "VIRTIO_F_VERSION_1"},
    {"NoVersion1", [](FakeBus& bus) { whole(bus, access_platform); }, "", "", "VIRTIO_F_VERSION_1"},
    {"UnknownFeatures", [](FakeBus& bus) { whole(bus, version_1 | 0x0FFF'0000'FF00'0000); },
     "fixed", "net", ""},
    {"FeaturesWithdrawnAfterwards",
     [](FakeBus& bus) {
         bus.add<Withdrawing>(hostile_slot, 0, uint16_t{1}, version_1 | access_platform);
     },
     "switchable", "net", ""},
    {"NoQueues", [](FakeBus& bus) { whole(bus).num_queues = 0; }, "fixed", "net", ""},
    {"GenerationNeverTheSameTwice", [](FakeBus& bus) { whole(bus).generation = 0xFF; }, "fixed",
     "net", ""},
    {"WindowOfZeroes",
     [](FakeBus& bus) { bus.add<DeadWindow>(hostile_slot, 0, uint16_t{1}, version_1, 0u); }, "", "",
     "VIRTIO_F_VERSION_1"},
    {"WindowOfOnes",
     [](FakeBus& bus) { bus.add<DeadWindow>(hostile_slot, 0, uint16_t{1}, version_1, ~0u); }, "",
     "", "device status reads as all ones"},

    // --- structures
    {"NoCapabilities", [](FakeBus& bus) { bare(bus); }, "", "", "common configuration is missing"},
    {"NoCommon",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         add_notification(device);
         add_isr(device);
     },
     "", "", "common configuration is missing"},
    {"NoNotification",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.add_virtio_capability(1, 4, 0, 0x1000);
         add_isr(device);
     },
     "", "", "notification is missing"},
    {"NoIsr",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.add_virtio_capability(1, 4, 0, 0x1000);
         add_notification(device);
     },
     "", "", "ISR status is missing"},
    {"CommonPastTheBar", [](FakeBus& bus) { with_common(bus, 4, 0x3FFC, 0x1000); }, "", "",
     "outside BAR 4"},
    {"CommonBeyondTheBar", [](FakeBus& bus) { with_common(bus, 4, 0x4000, 56); }, "", "",
     "outside BAR 4"},
    {"CommonOffsetWraps", [](FakeBus& bus) { with_common(bus, 4, 0xFFFF'FFC0, 0x80); }, "", "",
     "outside BAR 4"},
    {"CommonLengthHuge", [](FakeBus& bus) { with_common(bus, 4, 0, 0xFFFF'FFFF); }, "", "",
     "outside BAR 4"},
    {"CommonLengthZero", [](FakeBus& bus) { with_common(bus, 4, 0, 0); }, "", "",
     "has 0 bytes, needs 56"},
    {"CommonLengthShort", [](FakeBus& bus) { with_common(bus, 4, 0, 55); }, "", "",
     "has 55 bytes, needs 56"},
    {"CommonUnaligned", [](FakeBus& bus) { with_common(bus, 4, 2, 0x1000); }, "", "",
     "not aligned"},
    {"CommonInABarThatIsNotThere", [](FakeBus& bus) { with_common(bus, 2, 0, 0x1000); }, "", "",
     "BAR that does not exist"},
    {"CommonInAnUpperHalf", [](FakeBus& bus) { with_common(bus, 5, 0, 0x1000); }, "", "",
     "BAR that does not exist"},
    {"CommonInAReservedBar", [](FakeBus& bus) { with_common(bus, 6, 0, 0x1000); }, "", "",
     "common configuration is missing"},
    {"CommonInBar255", [](FakeBus& bus) { with_common(bus, 255, 0, 0x1000); }, "", "",
     "common configuration is missing"},
    {"NotificationPastTheBar",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.add_virtio_capability(1, 4, 0, 0x1000);
         device.add_virtio_capability(2, 4, 0x3FFF'FFFC, 4, 0xFFFF'FFFF);
         add_isr(device);
     },
     "", "", "notification at 0x3ffffffc + 0x4 is outside BAR 4"},
    {"IsrWithoutLength",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.add_virtio_capability(1, 4, 0, 0x1000);
         add_notification(device);
         device.add_virtio_capability(3, 4, 0x1000, 0);
     },
     "", "", "ISR status has 0 bytes, needs 1"},
    {"AllStructuresAtOnePlace",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         for (uint8_t type = 1; type <= 4; ++type)
             device.add_virtio_capability(type, 4, 0, 0x1000);
         device.add_access();
     },
     "fixed", "net", ""},
    {"TypesThrice",
     [](FakeBus& bus) {
         auto& device = whole(bus); // its own come last in the list, and so do not count
         device.add_virtio_capability(1, 4, 0x3F00, 0x1000);
     },
     "", "", "outside BAR 4"},
    {"BarThatRefusesItsAddress",
     [](FakeBus& bus) {
         auto& device = without_access(bus);
         device.set_mask32(0x20, 0);
         device.set_mask32(0x24, 0);
         device.set32(0x20, 0xFFFF'C00C);
         device.set32(0x24, 0xFFFF'FFFF);
     },
     "", "", "is in a BAR without address"},
    {"RegistersInATinyBar",
     [](FakeBus& bus) {
         auto& device =
             bus.add<FakeVirtio>(hostile_slot, 0, uint16_t{1}, version_1, uint16_t{0x1041});
         device.add_bar(4, FakeBar::memory32, 0x10);
         device.add_structures();
     },
     "", "", "outside BAR 4"},

    // --- the access capability
    {"AccessTooShort",
     [](FakeBus& bus) {
         auto& device = without_access(bus);
         device.config[device.add_virtio_capability(5, 0, 0, 0) + 2u] = 19;
     },
     "fixed", "net", ""},
    {"AccessPastConfigSpace",
     [](FakeBus& bus) {
         auto& device = without_access(bus);
         device.config[0xF0] = 0x09;
         device.config[0xF1] = device.config[0x34];
         device.config[0xF2] = 20;
         device.config[0xF3] = 5;
         device.config[0x34] = 0xF0;
     },
     "fixed", "net", ""},
    {"AccessTwice",
     [](FakeBus& bus) {
         auto& device = without_access(bus);
         device.add_virtio_capability(5, 0, 0, 0);
         device.add_access(); // comes first in the list
     },
     "fixed", "net", ""},
    {"AccessOnly", [](FakeBus& bus) { bare(bus).add_access(); }, "", "",
     "common configuration is missing"},
    {"CapabilityShorterThanAStructure",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.config[device.add_virtio_capability(1, 4, 0, 0x1000) + 2u] = 15;
         add_notification(device);
         add_isr(device);
     },
     "", "", "common configuration is missing"},
    {"CapabilityLongerThanAStructure",
     [](FakeBus& bus) {
         auto& device = without_access(bus);
         for (unsigned at = device.config[0x34]; at != 0; at = device.config[at + 1])
             device.config[at + 2] = 64;
     },
     "fixed", "net", ""},
    {"CapabilityLongerThanConfigSpace",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.config[device.add_virtio_capability(1, 4, 0, 0x1000) + 2u] = 255;
         add_notification(device);
         add_isr(device);
     },
     "", "", "common configuration is missing"},

    // --- the capability list
    {"CapabilityLoop",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         const uint8_t at = device.add_virtio_capability(1, 4, 0, 0x1000);
         device.config[at + 1u] = at;
     },
     "", "", "capability list loops"},
    {"CapabilitiesInACircle",
     [](FakeBus& bus) {
         auto& device = whole(bus);
         device.config[0x41] = device.config[0x34];
     },
     "", "", "capability list loops"},
    {"CapabilityPointerIntoTheHeader",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.config[device.add_virtio_capability(1, 4, 0, 0x1000) + 1u] = 0x10;
     },
     "", "", "capability pointer is 0x10"},
    {"CapabilityPointerAllOnes", [](FakeBus& bus) { whole(bus).config[0x34] = 0xFF; }, "", "",
     "capability pointer reads all ones"},
    {"TransitionalCapabilityPointerAllOnes",
     [](FakeBus& bus) { transitional(bus).config[0x34] = 0xFF; }, "", "",
     "capability pointer reads all ones"},
    {"TransitionalCapabilityLoop",
     [](FakeBus& bus) {
         auto& device = transitional(bus);
         device.config[device.config[0x34] + 1u] = device.config[0x34];
     },
     "", "", "capability list loops"},
    {"EveryWordACapability",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.config[0x06] |= 0x10;
         device.config[0x34] = 0x40;
         for (unsigned at = 0x40; at < 0x100; at += 4) {
             device.config[at] = 0x09;
             device.config[at + 1] = static_cast<uint8_t>(at + 4);
             device.config[at + 2] = 16;
             device.config[at + 3] = 1;
         }
     },
     "", "", "common configuration is missing", 0, usual + 100},
    {"CapabilitiesInEachOther",
     [](FakeBus& bus) {
         auto& device = whole(bus);
         device.config[0x41] = 0x44; // the last one goes on in its own body
     },
     "fixed", "net", ""},

    // --- identity
    {"TransitionalWithOneStructure",
     [](FakeBus& bus) {
         add_isr(bus.add<FakeLegacyVirtio>(hostile_slot, 0, uint16_t{2}, 0u, uint16_t{0x1001}));
     },
     "", "", "common configuration is missing"},
    {"TransitionalWithoutVersion1", [](FakeBus& bus) { transitional(bus, access_platform); }, "",
     "", "VIRTIO_F_VERSION_1"},
    {"TransitionalOfNoType", [](FakeBus& bus) { transitional(bus).set_subsystem(0xFFFF, 0xFFFF); },
     "switchable", "unknown", ""},
    {"LegacyWithoutItsBar", [](FakeBus& bus) { bare(bus, 0x1000); }, "", "",
     "nor a legacy I/O BAR"},
    {"LegacyBarInMemory",
     [](FakeBus& bus) { bare(bus, 0x1000).add_bar(0, FakeBar::memory32, 0x1000); }, "", "",
     "nor a legacy I/O BAR"},
    {"LegacyBarTooSmall", [](FakeBus& bus) { bare(bus, 0x1000).add_bar(0, FakeBar::io, 16); }, "",
     "", "nor a legacy I/O BAR"},
    {"LegacyBarTooLarge", [](FakeBus& bus) { bare(bus, 0x1000).add_bar(0, FakeBar::io, 0x10000); },
     "", "", "the legacy I/O BAR has no address"},
    {"AnyRevision", [](FakeBus& bus) { whole(bus).config[0x08] = 0xFF; }, "fixed", "net", ""},
    {"TypeOfAnother", [](FakeBus& bus) { whole(bus).set_subsystem(0x1AF4, 2); }, "fixed", "net",
     ""},
    {"IdentityOfAnother",
     [](FakeBus& bus) {
         bus.add<FakeFunction>(hostile_slot, 0, uint16_t{0x1AF4}, uint16_t{0x1042}, 0x010000u);
     },
     "", "", "common configuration is missing"},
    {"ForeignVendor", [](FakeBus& bus) { whole(bus).set16(0, 0x8086); }, "switchable", "", ""},
    {"IdOutsideTheRange", [](FakeBus& bus) { whole(bus).set16(2, 0x1080); }, "switchable", "", ""},
    {"VirtioThatIsABridge",
     [](FakeBus& bus) {
         bus.add<FakeBridge>(hostile_slot, 0, virtio::vendor_id, uint16_t{0x1041});
     },
     "switchable", "", ""},
    {"StaysBusMaster",
     [](FakeBus& bus) {
         auto& device = bare(bus);
         device.set_mask16(0x04, 0x0003);
     },
     "", "", "stays bus master"},
};

class HostileDevice : public testing::TestWithParam<Case> {};

/// What the machine costs without the hostile device.
size_t honest_accesses() {
    static const size_t accesses = [] {
        HostileMachine machine;
        machine.run();
        EXPECT_EQ(machine.broken(), "");
        return machine.accesses;
    }();
    return accesses;
}

TEST_P(HostileDevice, IsTakenForWhatItShows) {
    const Case& expected = GetParam();
    const size_t honest = honest_accesses();
    HostileMachine machine;
    expected.make(machine.host.bus);
    machine.run();
    EXPECT_EQ(machine.broken(), "");
    EXPECT_EQ(machine.property(0, hostile_slot, "qemu,dma-bypass"), expected.bypass);
    EXPECT_EQ(machine.property(0, hostile_slot, "spillway,virtio-device"), expected.type);
    if (*expected.says != '\0') {
        EXPECT_EQ(machine.machine.console_count(expected.says), 1u) << machine.machine.console;
    } else {
        EXPECT_EQ(machine.machine.console, "");
    }
    EXPECT_LE(machine.accesses - honest, expected.accesses);
    EXPECT_LE(machine.milliseconds, expected.waits);
}

INSTANTIATE_TEST_SUITE_P(All, HostileDevice, testing::ValuesIn(cases),
                         [](const auto& instance) { return std::string{instance.param.name}; });

//------------------------------------------------------------------------------ devices that go

/// Answers so many accesses; then it is gone. Or a read of its registers fails just once.
template<typename Device> struct Vanishing : Device {
    using Device::Device;
    uint32_t read_config(unsigned offset, unsigned size) override {
        return is_gone() ? ~0u >> (32 - 8 * size) : Device::read_config(offset, size);
    }
    void write_config(unsigned offset, unsigned size, uint32_t value) override {
        if (!is_gone() || comes_back) Device::write_config(offset, size, value);
    }
    uint64_t read(unsigned bar, uint64_t offset, unsigned size) override {
        return is_gone() ? Device::all_ones(size) : Device::read(bar, offset, size);
    }
    void write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override {
        if (!is_gone() || comes_back) Device::write(bar, offset, size, value);
    }
    bool is_gone() {
        const bool gone = accesses++ == vanishes_at;
        if (gone && !comes_back) this->present = false;
        return gone || !this->present;
    }
    size_t accesses = 0, vanishes_at = ~size_t{0};
    bool comes_back = false;
};

/// A transitional device whose modern interface says what its legacy one cannot: bit 33.
struct Transitional : FakeLegacyVirtio {
    Transitional()
        : FakeLegacyVirtio(2, 0x13, 0x1001) {
        add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
        add_structures();
        offered = version_1 | access_platform | 0x10;
    }
};
struct Modern : FakeVirtio {
    Modern()
        : FakeVirtio(1, version_1 | 0x13) {}
};
struct WithoutAccess : FakeVirtio {
    WithoutAccess()
        : FakeVirtio(1, version_1 | 0x13, 0x1041) {
        add_bar(4, FakeBar::memory64_prefetchable, 0x4000);
        add_virtio_capability(1, 4, 0, 0x1000);
        add_virtio_capability(2, 4, 0x3000, 0x1000, 4);
        add_virtio_capability(3, 4, 0x1000, 0x1000);
    }
};
struct Legacy : FakeLegacyVirtio {
    Legacy()
        : FakeLegacyVirtio(2, 0x13, 0x1001) {}
};

template<typename Device> class HostileAtAnyAccess : public testing::Test {};
using Devices = testing::Types<Modern, WithoutAccess, Transitional, Legacy>;
TYPED_TEST_SUITE(HostileAtAnyAccess, Devices);

/// Boots with the device gone from each access of an honest boot on, or at each read.
template<typename Device> void vanish_at_each(bool comes_back) {
    std::string truth;
    size_t honest = 1;
    for (size_t at = 0; at < honest; ++at) {
        HostileMachine machine;
        auto& device = machine.host.bus.add<Vanishing<Device>>(hostile_slot, 0);
        const bool first = truth.empty();
        if (!first) device.vanishes_at = at - 1;
        device.comes_back = comes_back;
        machine.run();
        ASSERT_EQ(machine.broken(), "") << "access " << at << "\n" << machine.machine.console;
        const std::string bypass = machine.property(0, hostile_slot, "qemu,dma-bypass");
        if (first) {
            truth = bypass;
            honest = device.accesses + 1;
            ASSERT_NE(truth, "");
            continue;
        }
        ASSERT_TRUE(bypass == truth || bypass == "") << "access " << at << ": " << bypass;
        ASSERT_LE(machine.milliseconds, 2200u) << "access " << at;
        ASSERT_LE(device.accesses, honest + 2 * two_seconds_of_looks) << "access " << at;
    }
}

TYPED_TEST(HostileAtAnyAccess, GoneFromThereOnNothingFalseIsClaimed) {
    vanish_at_each<TypeParam>(false);
}

TYPED_TEST(HostileAtAnyAccess, GoneForOneReadNothingFalseIsClaimed) {
    vanish_at_each<TypeParam>(true);
}

//------------------------------------------------------------------------------ time

/// Fills a bus with devices that make wait, each in its own way.
void expect_all_within_five_seconds(void (*add)(FakeBus& bus, unsigned slot)) {
    HostileMachine machine;
    auto& bridge = machine.host.bus.add<FakeBridge>(0, 0);
    for (unsigned slot = 0; slot < 32; ++slot) {
        add(bridge.bus, slot);
        if (slot > 0 && slot < fixed_slot) add(machine.host.bus, slot);
    }
    machine.run();
    EXPECT_EQ(machine.broken(), "");
    EXPECT_LE(machine.milliseconds, 5000u);
}

TEST(SilentDevices, SixtyThatNeverResetCostFiveSecondsAtMost) {
    expect_all_within_five_seconds([](FakeBus& bus, unsigned slot) {
        bus.add<FakeVirtio>(slot, 0, uint16_t{1}, version_1).never_resets = true;
    });
}

TEST(SilentDevices, SixtyThatResetAtTheLastMomentCostFiveSecondsAtMost) {
    expect_all_within_five_seconds([](FakeBus& bus, unsigned slot) {
        bus.add<FakeVirtio>(slot, 0, uint16_t{1}, version_1).slow_resets = 190;
    });
}

TEST(SilentDevices, SixtyThatGoDeafAfterTheirFeaturesCostFiveSecondsAtMost) {
    expect_all_within_five_seconds([](FakeBus& bus, unsigned slot) {
        bus.add<StuckAfterFeatures>(slot, 0, uint16_t{1}, version_1);
    });
}

TEST(SilentDevices, SixtyLegacyOnesCostFiveSecondsAtMost) {
    expect_all_within_five_seconds([](FakeBus& bus, unsigned slot) {
        bus.add<FakeLegacyVirtio>(slot, 0, uint16_t{1}, 0u).never_resets = true;
    });
}

} // namespace
} // namespace spillway::test
