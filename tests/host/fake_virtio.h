// SPDX-License-Identifier: BSD-2-Clause
// virtio devices for the scripted machine, well-behaved unless a test says otherwise; the driver is
// held to its duties by the police (virtio_police.h).
#pragma once

#include "tests/host/fake_hypervisor.h"
#include "tests/host/virtio_police.h"
#include "virtio/device_type.h"

#include <algorithm>

namespace spillway::test {

/// Offered feature bits (VIRTIO 1.3, 6).
constexpr uint64_t version_1 = uint64_t{1} << 32;
constexpr uint64_t access_platform = uint64_t{1} << 33;

/// A modern device as QEMU lays it out: common, ISR, device and notification structures, 4 KiB
/// each, in a 64-bit prefetchable BAR 4.
class FakeVirtio : public FakeFunction {
public:
    using Access = VirtioPolice::Access;
    static constexpr unsigned register_bar = 4;

    FakeVirtio(uint16_t type, uint64_t features, uint16_t device)
        : FakeFunction(virtio::vendor_id, device, 0x00FF00)
        , offered(features) {
        set_subsystem(virtio::vendor_id, type);
    }
    /// Non-transitional, with all capabilities in place.
    FakeVirtio(uint16_t type, uint64_t features)
        : FakeVirtio(type, features, static_cast<uint16_t>(0x1040 + type)) {
        add_bar(1, FakeBar::memory32, 0x1000);
        add_bar(register_bar, FakeBar::memory64_prefetchable, 0x4000);
        add_structures();
    }

    void add_structures() {
        add_virtio_capability(1, register_bar, 0x0000, 0x1000);
        add_virtio_capability(3, register_bar, 0x1000, 0x1000);
        add_virtio_capability(4, register_bar, 0x2000, 0x1000);
        add_virtio_capability(2, register_bar, 0x3000, 0x1000, 4);
        add_access();
    }
    /// The PCI configuration access capability: BAR, offset, length and data are the driver's.
    void add_access() {
        access = add_virtio_capability(5, 0, 0, 0);
        writable[access + 4u] = 0xFF;
        std::fill_n(&writable[access + 8u], 12, uint8_t{0xFF});
    }

    uint32_t read_config(unsigned offset, unsigned size) override {
        if (!is_access_data(offset)) return FakeFunction::read_config(offset, size);
        return static_cast<uint32_t>(accessed(size) ? read(accessed_bar(), get32(access + 8u), size)
                                                    : 0);
    }
    void write_config(unsigned offset, unsigned size, uint32_t value) override {
        if (offset == 0x04 && (value & pci::command_bus_master) != 0) {
            police.breach("2.6", "the device may reach memory, and there is no queue");
        }
        if (offset >= 0x40 && !is_drivers(offset, size)) {
            police.breach("4.1.4.1", "a field of a capability is written");
        }
        FakeFunction::write_config(offset, size, value);
        if (is_access_data(offset) && accessed(size)) {
            write(accessed_bar(), get32(access + 8u), size, value);
        }
    }

    uint64_t read(unsigned bar, uint64_t offset, unsigned size) override {
        if (bar != register_bar) return FakeFunction::read(bar, offset, size);
        if (!permits(Access::read, offset, size)) return 0;
        if (dead) return all_ones(size);
        switch (offset) {
        case 0:
            return feature_select;
        case 4:
            return read_features(feature_select);
        case 8:
            return driver_feature_select;
        case 18:
            return num_queues;
        case 20:
            return read_status();
        case 21:
            return generation++ & 0xFF; // never the same twice
        default:
            return 0;
        }
    }
    void write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override {
        if (bar != register_bar || !permits(Access::write, offset, size) || dead) return;
        if (offset == 0) feature_select = static_cast<uint32_t>(value);
        if (offset == 8) driver_feature_select = static_cast<uint32_t>(value);
        if (offset == 12) {
            police.accepts_features(driver_feature_select, static_cast<uint32_t>(value),
                                    window(driver_feature_select));
        }
        if (offset == 20) write_status(static_cast<uint8_t>(value));
    }

    uint64_t offered;
    uint64_t offered_high = 0;
    uint32_t feature_select = 0, driver_feature_select = 0;
    uint16_t num_queues = 1;
    uint8_t generation = 0;
    uint8_t status = 0;
    unsigned resets = 0;
    bool dead = false;        ///< registers read as all ones
    unsigned slow_resets = 0; ///< status reads that still show the old value after a reset
    bool never_resets = false;
    uint8_t access = 0; ///< config offset of the access capability; 0: it is missing
    VirtioPolice police;

protected:
    static uint64_t all_ones(unsigned size) { return size == 8 ? ~0ull : (1ull << 8 * size) - 1; }

    /// Offered feature bits `32 * select` and up.
    virtual uint32_t window(uint32_t select) const {
        if (select > 3) return 0;
        return static_cast<uint32_t>((select < 2 ? offered : offered_high) >> select % 2 * 32);
    }
    uint32_t read_features(uint32_t select) {
        const uint32_t bits = window(select);
        police.reads_features(select, bits);
        return bits;
    }
    uint8_t read_status() {
        uint8_t value = never_resets ? uint8_t{0x0F} : status;
        if (resetting_ > 0) value = --resetting_ == 0 ? status = 0 : uint8_t{0x0F};
        police.has_read_status(value);
        return value;
    }
    virtual void write_status(uint8_t value) {
        police.writes_status(value);
        if (value == 0) {
            ++resets;
            resetting_ = slow_resets;
            if (resetting_ == 0) status = 0;
            return;
        }
        status = value;
    }

private:
    bool is_access_data(unsigned offset) const { return access != 0 && offset == access + 16u; }
    /// Of the capabilities the driver may write these fields alone.
    bool is_drivers(unsigned offset, unsigned size) const {
        if (access == 0) return false;
        return (offset == access + 4u && size == 1) || is_access_data(offset) ||
               ((offset == access + 8u || offset == access + 12u) && size == 4);
    }
    unsigned accessed_bar() const { return get8(access + 4u); }
    /// 4.1.4.9: lengths are 1, 2 or 4 and the access's, offsets a multiple of the length, and some
    /// other structure is there.
    bool accessed(unsigned size) {
        const uint32_t offset = get32(access + 8u);
        const bool sound = get32(access + 12u) == size && offset % size == 0;
        if (!sound) police.breach("4.1.4.9.2", "the access is not aligned, or not of its length");
        const bool described = has_structure(accessed_bar(), offset, size);
        if (!described) police.breach("4.1.4.9.2", "no structure is where the access goes");
        return sound && described;
    }
    bool has_structure(unsigned bar, uint32_t offset, unsigned size) const {
        for (unsigned at = get8(0x34) & 0xFCu, left = 48; at != 0 && left != 0;
             at = get8(at + 1) & 0xFCu, --left) {
            if (get8(at) != 9 || at > 256 - 16 || get8(at + 3) == 5 || get8(at + 4) != bar)
                continue;
            const uint32_t start = get32(at + 8), length = get32(at + 12);
            if (offset >= start && length >= size && offset - start <= length - size) return true;
        }
        return false;
    }
    /// Asks the police about an access to the structures; the device obeys those with a form.
    bool permits(Access kind, uint64_t offset, unsigned size) {
        switch (offset / 0x1000) {
        case 0:
            return police.accesses_common(kind, offset, size);
        case 1:
            police.breach("4.1.4.5", "an interrupt is acknowledged, and none can have come");
            return false;
        case 2:
            police.accesses_device_specific(kind, offset, size);
            return false;
        default:
            police.notifies(size);
            return false;
        }
    }

    unsigned resetting_ = 0;
};

/// A device with the legacy interface in I/O BAR 0; without modern structures unless added.
class FakeLegacyVirtio : public FakeVirtio {
public:
    FakeLegacyVirtio(uint16_t type, uint32_t features, uint16_t device = 0x1000)
        : FakeVirtio(type, features, device) {
        add_bar(0, FakeBar::io, 0x40);
    }

    uint64_t read(unsigned bar, uint64_t offset, unsigned size) override {
        if (bar != 0) return FakeVirtio::read(bar, offset, size);
        const bool is_status = offset == 18 && size == 1;
        if (!is_status && !(offset == 0 && size == 4)) {
            police.breach("4.1.4.10", "a legacy register is read that is not the firmware's");
            return 0;
        }
        if (dead) return all_ones(size);
        return is_status ? read_status() : read_features(0);
    }
    void write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override {
        if (bar != 0) return FakeVirtio::write(bar, offset, size, value);
        if (offset == 18 && size == 1) {
            write_status(static_cast<uint8_t>(value));
        } else {
            police.breach("4.1.4.10", "a legacy register is written that is not the firmware's");
        }
    }
};

} // namespace spillway::test
