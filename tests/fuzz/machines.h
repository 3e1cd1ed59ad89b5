// SPDX-License-Identifier: BSD-2-Clause
// Scripted machines in fuzz targets.
#pragma once

#include "pci/topology.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/pci_machine.h"
#include "virtio/dma_contract.h"

#include <vector>

namespace spillway::fuzz {

/// Bytes of config space that do not belong where they are.
struct Patch {
    test::FakeFunction* function;
    uint8_t offset, value, writable;
};
/// One of the first `most_offsets`.
Patch patch_from(Input& input, test::FakeFunction& function, size_t most_offsets);
void apply(const std::vector<Patch>& patches);

/// A BAR from the input, if it fits behind those that the function has.
void add_bar(Input& input, test::FakeFunction& function, unsigned bar_count);

/// What must hold of a topology whoever answered: no function is there twice; buses nest; assigned
/// BARs and windows are aligned, lie in the window above and overlap no other.
void demand_laid_out(const pci::Topology& topology);

/// The walk ended: config space was accessed no more often than 256 buses can explain.
void demand_bounded(const test::FakeHypervisor& machine, const pci::Topology& topology);

/// One finding a function, and nothing is claimed about a device that did not hold up.
void demand_honest(const virtio::Findings& findings, const pci::Topology& topology,
                   const fdt::Tree& tree);

/// A machine as the firmware finds and describes it, with all that must hold of that. It owns what
/// the firmware keeps for ever.
class Probed {
public:
    Probed(fdt::Tree& tree, const hcall::Rtas& rtas);
    ~Probed();
    Probed(const Probed&) = delete;
    Probed& operator=(const Probed&) = delete;

    pci::Topology topology;
    virtio::Findings findings;
};

} // namespace spillway::fuzz
