// SPDX-License-Identifier: BSD-2-Clause
// virtio devices for the scripted machine, well-behaved unless a test says otherwise. They also act
// as police: what a driver must not do is counted in `breaches`.
#pragma once

#include "tests/host/fake_hypervisor.h"
#include "virtio/device_type.h"

#include <algorithm>

namespace spillway::test {

/// A modern device as QEMU lays it out: common, ISR, device and notification structures, 4 KiB
/// each, in a 64-bit prefetchable BAR 4.
class FakeVirtio : public FakeFunction {
public:
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
        if (access == 0 || offset != access + 16u) return FakeFunction::read_config(offset, size);
        return static_cast<uint32_t>(accessed(size) ? read(accessed_bar(), get32(access + 8u), size)
                                                    : 0);
    }
    void write_config(unsigned offset, unsigned size, uint32_t value) override {
        FakeFunction::write_config(offset, size, value);
        if (access == 0 || offset != access + 16u || !accessed(size)) return;
        write(accessed_bar(), get32(access + 8u), size, value);
    }

    uint64_t read(unsigned bar, uint64_t offset, unsigned size) override {
        if (bar != register_bar) return FakeFunction::read(bar, offset, size);
        if (dead) return all_ones(size);
        if (offset == 0x04 && size == 4) return window(feature_select);
        if (offset == 0x14 && size == 1) return read_status();
        if (offset == 0x00 && size == 4) return feature_select;
        ++breaches; // nothing else is the firmware's business
        return 0;
    }
    void write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override {
        if (bar != register_bar || dead) return;
        if (offset == 0x00 && size == 4) {
            feature_select = static_cast<uint32_t>(value);
        } else if (offset == 0x14 && size == 1) {
            write_status(static_cast<uint8_t>(value));
        } else {
            ++breaches;
        }
    }

    uint64_t offered;
    uint64_t offered_high = 0;
    uint32_t feature_select = 0;
    uint8_t status = 0;
    unsigned resets = 0;
    unsigned breaches = 0;
    bool dead = false;        ///< registers read as all ones
    unsigned slow_resets = 0; ///< status reads that still show the old value after a reset
    bool never_resets = false;
    uint8_t access = 0; ///< config offset of the access capability; 0: it is missing

protected:
    static uint64_t all_ones(unsigned size) { return size == 8 ? ~0ull : (1ull << 8 * size) - 1; }

    uint64_t window(uint32_t select) {
        // VIRTIO 1.3, 3.1.1: features are read after ACKNOWLEDGE and DRIVER.
        if ((status & 3) != 3) ++breaches;
        switch (select) {
        case 0:
            return offered & 0xFFFFFFFF;
        case 1:
            return offered >> 32;
        case 2:
            return offered_high & 0xFFFFFFFF;
        case 3:
            return offered_high >> 32;
        default:
            return 0;
        }
    }
    uint8_t read_status() {
        if (resetting_ > 0) return --resetting_ == 0 ? status = 0 : uint8_t{0x0F};
        return never_resets ? uint8_t{0x0F} : status;
    }
    void write_status(uint8_t value) {
        if (value == 0) {
            ++resets;
            resetting_ = slow_resets;
            if (resetting_ == 0) status = 0;
            return;
        }
        // 2.1.1: a driver does not clear status bits but by a reset.
        if ((status & ~value) != 0) ++breaches;
        status = value;
    }

private:
    unsigned accessed_bar() const { return get8(access + 4u); }
    /// 4.1.4.9.1: lengths are 1, 2 or 4, offsets a multiple of the length.
    bool accessed(unsigned size) {
        const bool sound = get32(access + 12u) == size && get32(access + 8u) % size == 0;
        if (!sound) ++breaches;
        return sound;
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
        if (dead) return all_ones(size);
        if (offset == 0 && size == 4) return window(0);
        if (offset == 18 && size == 1) return read_status();
        ++breaches;
        return 0;
    }
    void write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override {
        if (bar != 0) return FakeVirtio::write(bar, offset, size, value);
        if (offset == 18 && size == 1) {
            write_status(static_cast<uint8_t>(value));
        } else {
            ++breaches;
        }
    }
};

} // namespace spillway::test
