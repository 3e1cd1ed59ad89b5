// SPDX-License-Identifier: BSD-2-Clause
// The police themselves: each breach is noticed and names its clause, and an honest driver is left
// in peace. From here on a breach fails the host test that runs.
#include "tests/host/fake_virtio.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

namespace spillway::test {
namespace {

[[maybe_unused]] const bool installed = [] {
    VirtioPolice::report = [](const std::string& breach) { ADD_FAILURE() << breach; };
    return true;
}();

constexpr unsigned select = 0, features = 4, driver_select = 8, driver_features = 12, status = 20;

class VirtioPoliceTest : public testing::Test {
protected:
    FakeVirtio device{uint16_t{2}, version_1 | 0x10};

    uint64_t get(unsigned offset, unsigned size) { return device.read(4, offset, size); }
    void put(unsigned offset, unsigned size, uint32_t value) {
        device.write(4, offset, size, value);
    }
    void advance(std::initializer_list<uint8_t> steps) {
        for (const uint8_t step : steps)
            put(status, 1, step);
    }
    void reset() {
        put(status, 1, 0);
        get(status, 1);
    }
    void accept(uint64_t bits) {
        for (const unsigned window : {0u, 1u}) {
            put(select, 4, window);
            get(features, 4);
            put(driver_select, 4, window);
            put(driver_features, 4, static_cast<uint32_t>(bits >> 32 * window));
        }
    }
};

/// `deed` is a breach of `clause`, and of nothing else.
#define EXPECT_BREACH(deed, clause)                                                                \
    do {                                                                                           \
        EXPECT_NONFATAL_FAILURE(deed, "VIRTIO 1.3, " clause ": ");                                 \
        EXPECT_EQ(device.police.breaches, 1u);                                                     \
        device.police.breaches = 0;                                                                \
    } while (false)

TEST_F(VirtioPoliceTest, AnHonestDriverIsLeftInPeace) {
    reset();
    advance({1, 3});
    accept(version_1 | 0x10);
    get(0x2000, 4);
    advance({0x0B});
    get(status, 1);
    device.write(4, 0x2004, 2, 1);
    advance({0x0F});
    device.write(4, 0x3000, 2, 0);
    advance({0x8F});
    reset();
    EXPECT_TRUE(device.police.is_reset());
    EXPECT_EQ(device.police.breaches, 0u);
}

TEST_F(VirtioPoliceTest, NothingStartsBeforeTheResetWasReadBack) {
    EXPECT_BREACH(put(status, 1, 1), "4.1.4.3.2");
    put(status, 1, 0);
    EXPECT_BREACH(put(status, 1, 1), "4.1.4.3.2");
}

TEST_F(VirtioPoliceTest, AResetThatIsNotOverIsNone) {
    device.slow_resets = 2;
    reset();
    EXPECT_FALSE(device.police.is_reset());
    get(status, 1);
    EXPECT_TRUE(device.police.is_reset());
}

TEST_F(VirtioPoliceTest, StatusBitsStay) {
    reset();
    advance({1, 3});
    EXPECT_BREACH(put(status, 1, 2), "2.1.1");
}

TEST_F(VirtioPoliceTest, StepsComeOneByOne) {
    reset();
    EXPECT_BREACH(put(status, 1, 3), "3.1.1");
}

TEST_F(VirtioPoliceTest, NoStepIsLeftOut) {
    reset();
    EXPECT_BREACH(put(status, 1, 2), "3.1.1");
    reset();
    advance({1});
    EXPECT_BREACH(put(status, 1, 0x09), "3.1.1");
}

TEST_F(VirtioPoliceTest, StatusHasNoOtherBits) {
    reset();
    EXPECT_BREACH(put(status, 1, 0x40), "2.1");
}

TEST_F(VirtioPoliceTest, FeaturesAreReadByDriversOnly) {
    reset();
    advance({1});
    EXPECT_BREACH(get(features, 4), "3.1.1");
    EXPECT_BREACH(put(driver_features, 4, 0), "3.1.1");
}

TEST_F(VirtioPoliceTest, OnlyWhatIsOfferedIsAccepted) {
    reset();
    advance({1, 3});
    EXPECT_BREACH(put(driver_features, 4, 0x30), "2.2.1");
}

TEST_F(VirtioPoliceTest, Version1IsAccepted) {
    reset();
    advance({1, 3});
    accept(0x10);
    EXPECT_BREACH(put(status, 1, 0x0B), "6.1");
}

TEST_F(VirtioPoliceTest, FeaturesAreSettledByFeaturesOk) {
    reset();
    advance({1, 3});
    accept(version_1);
    advance({0x0B});
    EXPECT_BREACH(put(driver_features, 4, 1), "3.1.1");
}

TEST_F(VirtioPoliceTest, FeaturesOkIsReadBack) {
    reset();
    advance({1, 3});
    accept(version_1);
    advance({0x0B});
    EXPECT_BREACH(put(status, 1, 0x0F), "3.1.1");
}

TEST_F(VirtioPoliceTest, AnOldFeaturesOkDoesNotOutliveAReset) {
    reset();
    advance({1, 3});
    accept(version_1);
    advance({0x0B});
    get(status, 1);
    reset();
    advance({1, 3});
    accept(version_1);
    advance({0x0B});
    EXPECT_BREACH(put(status, 1, 0x0F), "3.1.1");
}

TEST_F(VirtioPoliceTest, DeviceSpecificConfigurationHasItsTime) {
    reset();
    EXPECT_BREACH(get(0x2000, 4), "3.1.1");
    advance({1, 3});
    EXPECT_BREACH(put(0x2000, 1, 0), "3.1.1");
    EXPECT_BREACH(get(0x2002, 4), "4.1.3.1");
}

TEST_F(VirtioPoliceTest, RegistersHaveTheirWidth) {
    EXPECT_BREACH(get(status, 4), "4.1.3.1");
    EXPECT_BREACH(put(select, 1, 0), "4.1.3.1");
    EXPECT_BREACH(get(features, 2), "4.1.3.1");
    EXPECT_BREACH(get(32, 8), "4.1.3.1");
    EXPECT_BREACH(get(6, 4), "4.1.3.1");
    EXPECT_BREACH(get(64, 2), "4.1.3.1");
}

TEST_F(VirtioPoliceTest, ReadOnlyRegistersAreNotWritten) {
    EXPECT_BREACH(put(features, 4, 0), "4.1.4.3.2");
    EXPECT_BREACH(put(18, 2, 0), "4.1.4.3.2");
    EXPECT_BREACH(put(21, 1, 0), "4.1.4.3.2");
    EXPECT_BREACH(put(30, 2, 0), "4.1.4.3.2");
    EXPECT_BREACH(put(56, 2, 0), "4.1.4.3.2");
    EXPECT_EQ(get(18, 2), 1u);
}

TEST_F(VirtioPoliceTest, NoQueueIsTouched) {
    EXPECT_BREACH(put(22, 2, 0), "3.1.1");
    EXPECT_BREACH(get(24, 2), "3.1.1");
    EXPECT_BREACH(put(28, 2, 1), "3.1.1");
    EXPECT_BREACH(put(32, 4, 0x1000), "3.1.1");
}

TEST_F(VirtioPoliceTest, NobodyIsNotified) {
    EXPECT_BREACH(put(0x3000, 2, 0), "3.1.1");
    EXPECT_BREACH(get(0x1000, 1), "4.1.4.5");
    reset();
    advance({1, 3});
    accept(version_1);
    advance({0x0B});
    get(status, 1);
    advance({0x0F});
    EXPECT_BREACH(put(0x3000, 4, 0), "4.1.5.2.1");
}

TEST_F(VirtioPoliceTest, CapabilitiesAreNotWritten) {
    EXPECT_BREACH(device.write_config(0x44, 1, 0), "4.1.4.1");
    EXPECT_BREACH(device.write_config(device.access, 1, 9), "4.1.4.1");
    EXPECT_BREACH(device.write_config(device.access + 4u, 4, 0), "4.1.4.1");
    device.write_config(device.access + 4u, 1, 4);
}

TEST_F(VirtioPoliceTest, TheAccessCapabilityGoesToStructuresOnly) {
    const auto go = [this](uint8_t bar, uint32_t offset, uint32_t length, unsigned size) {
        device.write_config(device.access + 4u, 1, bar);
        device.write_config(device.access + 8u, 4, offset);
        device.write_config(device.access + 12u, 4, length);
        device.read_config(device.access + 16u, size);
    };
    go(4, 0, 4, 4);
    EXPECT_BREACH(go(4, 0, 4, 1), "4.1.4.9.2");
    EXPECT_BREACH(go(4, 2, 4, 4), "4.1.4.9.2");
    EXPECT_BREACH(go(1, 0, 4, 4), "4.1.4.9.2");
    EXPECT_BREACH(go(4, 0x4000, 4, 4), "4.1.4.9.2");
}

TEST_F(VirtioPoliceTest, MemoryStaysOutOfReach) {
    EXPECT_BREACH(device.write_config(4, 2, pci::command_bus_master), "2.6");
    EXPECT_TRUE(device.bus_master());
}

TEST_F(VirtioPoliceTest, LegacyRegistersAreTwo) {
    FakeLegacyVirtio legacy{uint16_t{2}, 0x10u};
    const auto expect_breach = [&](unsigned count) {
        EXPECT_EQ(std::exchange(legacy.police.breaches, 0), count);
    };
    EXPECT_NONFATAL_FAILURE(legacy.read(0, 8, 4), "4.1.4.10");
    EXPECT_NONFATAL_FAILURE(legacy.write(0, 4, 4, 0), "4.1.4.10");
    EXPECT_NONFATAL_FAILURE(legacy.read(0, 18, 2), "4.1.4.10");
    EXPECT_NONFATAL_FAILURE(legacy.write(0, 18, 1, 1), "4.1.4.3.2");
    EXPECT_NONFATAL_FAILURE(legacy.read(0, 0, 4), "3.1.1");
    expect_breach(5);
    legacy.write(0, 18, 1, 0);
    legacy.read(0, 18, 1);
    expect_breach(0);
}

} // namespace
} // namespace spillway::test
