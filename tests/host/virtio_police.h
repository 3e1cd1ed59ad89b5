// SPDX-License-Identifier: BSD-2-Clause
// The police of the scripted virtio devices: what VIRTIO 1.3 forbids a driver, or orders it to do,
// is checked at every access (docs/virtio-clauses.md has the list).
#pragma once

#include "virtio/transport.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace spillway::test {

/// Watches what a driver does to one device. Of the device it knows what the driver can know: what
/// registers answered. Until the firmware has a driver with rings, touching a queue is a breach.
class VirtioPolice {
public:
    enum class Access : uint8_t { read, write };

    /// Gets "VIRTIO 1.3, 2.1.1: a status bit is cleared". Host tests fail; anything else stops.
    static inline void (*report)(const std::string& breach) = [](const std::string& breach) {
        std::fprintf(stderr, "%s\n", breach.c_str());
        std::abort();
    };
    void breach(const char* clause, const char* what) {
        ++breaches;
        report(std::string{"VIRTIO 1.3, "} + clause + ": " + what);
    }

    // --- the status register.

    void has_read_status(uint8_t value) {
        if (value == 0 && zero_written_) is_reset_ = true;
        features_are_settled_ = (status_ & value & features_ok) != 0;
        status_ = value;
    }
    void writes_status(uint8_t value) {
        if (value == 0) {
            zero_written_ = true;
            is_reset_ = features_are_settled_ = false;
            status_ = 0;
            accepted_ = 0;
            return;
        }
        if (!is_reset_) breach("4.1.4.3.2", "initialised before its reset was read back as 0");
        if ((status_ & ~value) != 0) breach("2.1.1", "a status bit is cleared");
        const auto added = static_cast<uint8_t>(value & ~status_);
        if ((added & (added - 1)) != 0) breach("3.1.1", "two steps are taken at once");
        if ((added & (failed | steps)) != added) breach("2.1", "a status bit that is no driver's");
        for (unsigned index = 1; index < sizeof order; ++index) {
            const bool sets = (added & order[index]) != 0;
            if (sets && (value & order[index - 1]) == 0) breach("3.1.1", "a step is left out");
        }
        if ((added & driver_ok) != 0 && !features_are_settled_) {
            breach("3.1.1", "DRIVER_OK before FEATURES_OK was read back");
        }
        if ((added & features_ok) != 0 && offers_version_1_ && (accepted_ >> 32 & 1) == 0) {
            breach("6.1", "VIRTIO_F_VERSION_1 is offered and not accepted");
        }
        status_ = value;
    }

    // --- features.

    void reads_features(unsigned window, uint32_t offered) {
        if ((status_ & driver) == 0) breach("3.1.1", "features are read before DRIVER is set");
        if (window == 1) offers_version_1_ = (offered & 1) != 0;
    }
    void accepts_features(unsigned window, uint32_t bits, uint32_t offered) {
        if ((status_ & driver) == 0) breach("3.1.1", "features are accepted before DRIVER is set");
        if ((status_ & features_ok) != 0) breach("3.1.1", "features change after FEATURES_OK");
        if ((bits & ~offered) != 0) breach("2.2.1", "a feature is accepted that is not offered");
        if (window < 2) accepted_ |= uint64_t{bits} << 32 * window;
    }

    // --- the other registers.

    /// Whether the access has the form that its field demands; only then the device obeys.
    bool accesses_common(Access access, uint64_t offset, unsigned size) {
        for (const Field& field : common_fields) {
            if (field.offset != offset || field.size != size) continue;
            if (field.use == Field::queue) breach("3.1.1", "a queue is touched, and there is none");
            if (field.use == Field::read_only && access == Access::write) {
                breach("4.1.4.3.2", "a read-only field is written");
            }
            return true;
        }
        breach("4.1.3.1", "the access has not the width and alignment of a field");
        return false;
    }
    void accesses_device_specific(Access access, uint64_t offset, unsigned size) {
        if (size > 4 || offset % size != 0) breach("4.1.3.1", "the access is not aligned");
        if ((status_ & driver) == 0) {
            breach("3.1.1", "device-specific configuration is accessed before DRIVER is set");
        } else if (access == Access::write && !features_are_settled_) {
            breach("3.1.1", "device-specific configuration is written before FEATURES_OK");
        }
    }
    void notifies(unsigned size) {
        if ((status_ & driver_ok) == 0) breach("3.1.1", "a notification before DRIVER_OK");
        if (size != 2) breach("4.1.5.2.1", "a notification has not 16 bits");
    }

    /// A read has returned 0 since the last reset was asked for, and nothing was started since.
    bool is_reset() const { return is_reset_ && status_ == 0; }

    unsigned breaches = 0;

private:
    static constexpr uint8_t driver = virtio::status_driver, driver_ok = 4, features_ok = 8,
                             failed = 128;
    static constexpr uint8_t order[] = {virtio::status_acknowledge, driver, features_ok, driver_ok};
    static constexpr uint8_t steps = virtio::status_acknowledge | driver | features_ok | driver_ok;

    /// VIRTIO 1.3, 4.1.4.3; 64-bit fields are accessed by halves.
    struct Field {
        uint8_t offset, size;
        enum : uint8_t { read_write, read_only, queue } use;
    };
    static constexpr Field common_fields[] = {
        {0, 4, Field::read_write},  // device_feature_select
        {4, 4, Field::read_only},   // device_feature
        {8, 4, Field::read_write},  // driver_feature_select
        {12, 4, Field::read_write}, // driver_feature
        {16, 2, Field::queue},      // config_msix_vector: interrupts come with queues
        {18, 2, Field::read_only},  // num_queues
        {20, 1, Field::read_write}, // device_status
        {21, 1, Field::read_only},  // config_generation
        {22, 2, Field::queue},      // queue_select
        {24, 2, Field::queue},      // queue_size
        {26, 2, Field::queue},      // queue_msix_vector
        {28, 2, Field::queue},      // queue_enable
        {30, 2, Field::read_only},  // queue_notify_off
        {32, 4, Field::queue},      // queue_desc
        {36, 4, Field::queue},      {40, 4, Field::queue},     // queue_driver
        {44, 4, Field::queue},      {48, 4, Field::queue},     // queue_device
        {52, 4, Field::queue},      {56, 2, Field::read_only}, // queue_notif_config_data
        {58, 2, Field::queue},                                 // queue_reset
        {60, 2, Field::read_only},                             // admin_queue_index
        {62, 2, Field::read_only},                             // admin_queue_num
    };

    uint8_t status_ = 0; ///< as last read or written
    bool zero_written_ = false, is_reset_ = false;
    bool features_are_settled_ = false; ///< FEATURES_OK was read back
    bool offers_version_1_ = false;
    uint64_t accepted_ = 0;
};

} // namespace spillway::test
