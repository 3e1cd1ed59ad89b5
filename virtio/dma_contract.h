// SPDX-License-Identifier: BSD-2-Clause
// How the DMA of each PCI function travels, decided and written down (docs/dma-bypass.md, section
// 3).
#pragma once

#include "base/error.h"
#include "fdt/tree.h"
#include "pci/topology.h"
#include "virtio/device.h"

#include <cstddef>
#include <optional>

namespace spillway::virtio {

enum class Verdict : uint8_t {
    unstated,   ///< nothing is claimed
    fixed,      ///< DMA never passes the IOMMU
    switchable, ///< translated now; H_PCI_DMA_BYPASS opens a window
};

/// The value of `qemu,dma-bypass`; nullptr for unstated.
const char* property_value(Verdict verdict);

/// What is known of one function.
struct Finding {
    const pci::Function* function = nullptr;
    std::optional<Device> device; ///< a virtio device that holds up
    bool is_virtio = false;       ///< by its IDs
    Verdict verdict = Verdict::unstated;
    const char* reason = "";
};

/// One finding per function of the topology, in its order.
class Findings {
public:
    /// Recognises virtio devices and asks the hypervisor about every function that may be switched.
    /// A virtio device that does not hold up gets one line on the console.
    static Result<Findings> gather(const pci::Topology& topology);

    const Finding* begin() const { return findings_; }
    const Finding* end() const { return findings_ + count_; }

    /// Writes `qemu,dma-bypass`, `spillway,virtio-device` and `spillway,virtio-features`.
    Result<void> describe(fdt::Tree& tree) const;

    /// Resets every virtio device. Whether it obeys is not looked at: what makes it quiet for sure
    /// is pci::silence_bus_masters().
    void reset_devices() const;

    /// Closes the bypass window of every function, for whoever ran may have opened any. None can be
    /// closed as long as its function is bus master. One that stays open gets a line on the
    /// console.
    void close_windows() const;

private:
    Finding* findings_ = nullptr;
    size_t count_ = 0;
    bool may_have_windows_ = true; ///< false: the hypervisor has never heard of them
};

} // namespace spillway::virtio
