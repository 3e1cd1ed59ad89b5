// SPDX-License-Identifier: BSD-2-Clause
// The firmware's side of the client interface: what a program may set in motion.
#pragma once

#include "base/error.h"
#include "base/memory_map.h"
#include "boot/profile.h"
#include "fdt/blob.h"
#include "fdt/tree.h"
#include "of/platform.h"
#include "pci/topology.h"
#include "virtio/dma_contract.h"

namespace spillway::boot {

class Handoff final : public of::Platform {
public:
    /// `home` is where the hypervisor's answer may lie for a moment, `blob` the tree that QEMU gave
    /// at reset.
    Handoff(fdt::Tree& tree, MemoryMap& memory, PhysicalRange home, const pci::Topology& topology,
            const virtio::Findings& findings, fdt::Bytes blob, Profile& profile)
        : tree_(tree)
        , memory_(memory)
        , home_(home)
        , topology_(topology)
        , findings_(findings)
        , hypervisor_tree_size_(blob.size())
        , boot_cpu_(fdt::blob_boot_cpu(blob))
        , profile_(profile) {}

    uint32_t milliseconds() override;
    Result<void> client_architecture_support(PhysicalAddress vectors) override;
    void quiesce() override;
    [[noreturn]] void leave(const char* how) override;
    [[noreturn]] void power_off() override;
    [[noreturn]] void restart() override;

private:
    Result<void> merge_answer(PhysicalAddress vectors, std::byte* tree);
    Result<size_t> update_hypervisor();

    fdt::Tree& tree_;
    MemoryMap& memory_;
    PhysicalRange home_;
    const pci::Topology& topology_;
    const virtio::Findings& findings_;
    size_t hypervisor_tree_size_; ///< QEMU accepts a tree of twice this
    uint32_t boot_cpu_;
    Profile& profile_;
};

} // namespace spillway::boot
