// SPDX-License-Identifier: BSD-2-Clause
// What the tests of pci/ share: a machine with one host bridge, the three steps of the room, and a
// check of everything that must hold after them.
#pragma once

#include "fdt/tree.h"
#include "pci/topology.h"
#include "tests/host/fake_hypervisor.h"
#include "virtio/dma_contract.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::test {

/// IDs that no test relies on.
constexpr uint16_t some_vendor = 0x1AF4, some_device = 0x1042;
constexpr uint32_t disk_class = 0x010000;

class PciMachine {
public:
    PciMachine();
    ~PciMachine();

    /// A function on a bus; class and IDs of no interest.
    FakeFunction& add(FakeBus& bus, unsigned device, unsigned function = 0);
    FakeFunction& add(unsigned device, unsigned function = 0) {
        return add(host.bus, device, function);
    }
    FakeBridge& add_bridge(FakeBus& bus, unsigned device) { return bus.add<FakeBridge>(device, 0); }
    FakeBridge& add_bridge(unsigned device) { return add_bridge(host.bus, device); }

    /// Writes the tree (unless one was filled before) and finds everything.
    void enumerate();
    void fill_tree();
    void allocate();
    void describe();
    /// All three.
    void boot() {
        enumerate();
        allocate();
        describe();
    }
    /// Forgets tree and topology, keeps the machine and what its registers hold.
    void reset_firmware();

    size_t function_count() const { return topology.function_count; }
    pci::Function* find(pci::Location location, size_t host_index = 0) const;
    pci::Function* find(unsigned bus, unsigned device, unsigned function = 0) const {
        return find(pci::Location{static_cast<uint8_t>(bus), static_cast<uint8_t>(device),
                                  static_cast<uint8_t>(function)});
    }
    fdt::Node* node(std::string_view path) const { return tree->find(path); }
    /// Cells of a property; empty when it is absent.
    std::vector<uint32_t> cells(const fdt::Node& node, std::string_view name) const;
    /// Strings of a property.
    std::vector<std::string> texts(const fdt::Node& node, std::string_view name) const;

    /// What an operating system does before it uses a function: decoding is turned on for the kinds
    /// of BARs and windows that have an address; or everything is turned off.
    void set_decoding(bool on);

    /// Everything that must hold after allocate(), whatever the machine looks like; "" when it
    /// does, else what does not.
    std::string broken_invariant();

    std::string broken_while_decoding();

    FakeHypervisor machine;
    FakeHostBridge& host;
    hcall::Rtas rtas;
    std::unique_ptr<fdt::Tree> tree;
    pci::Topology topology;
    bool enumerated_well = true, described_well = true;
};

/// Gives back what they own; the firmware never does.
void free_topology(pci::Topology& topology);
void free_findings(const virtio::Findings& findings);

} // namespace spillway::test
