// SPDX-License-Identifier: BSD-2-Clause
// The hypervisor's answer to a client's architecture vectors: one that is no good changes nothing,
// one that is merges once and for all, and what firmware and client wrote stays.
#include "boot/handoff.h"
#include "hcall/device_tree.h"
#include "tests/fuzz/machines.h"
#include "tests/fuzz/trees.h"

#include <cstring>
#include <memory>
#include <utility>

namespace spillway::fuzz {
namespace {

using fdt::Origin;

constexpr PhysicalRange home{{0}, hcall::cas_reply_size + 64};

/// The hypervisor, with the answer in place of its own.
class Machine : public test::FakeHypervisor {
public:
    Machine()
        : FakeHypervisor(home.size) {
        handlers[hcall::Number::client_architecture_support] = [this](hcall::Registers& registers) {
            tree = pointer({registers.r5}) + hcall::cas_reply_header;
            std::memset(tree, 0, last_size_);
            last_size_ = answer.size();
            if (!answer.empty()) std::memcpy(tree, answer.data(), answer.size());
            return hcall::Status::success;
        };
    }
    std::span<const std::byte> answer;
    std::byte* tree = nullptr; ///< where the answer went, before zeroes

private:
    size_t last_size_ = 0;
};

fdt::Node& add(fdt::Tree& tree, fdt::Node& parent, const char* name, Origin origin) {
    const auto node = tree.add(parent, name, origin);
    demand(node.has_value(), "a node for the tree");
    return **node;
}

/// A tree as it is when the client asks: nodes and properties of all three.
void fill(fdt::Tree& tree) {
    fdt::Node& root = *tree.root();
    (void)tree.set_cells(root, "#address-cells", {2}, Origin::hypervisor);
    fdt::Node& chosen = add(tree, root, "chosen", Origin::hypervisor);
    (void)tree.set_text(chosen, "bootargs", "quiet", Origin::hypervisor);
    (void)tree.set_cells(chosen, "stdout", {1}, Origin::firmware);
    fdt::Node& host = add(tree, root, "pci@8", Origin::hypervisor);
    fdt::Node& disk = add(tree, host, "scsi@1F", Origin::hypervisor);
    (void)tree.set_text(disk, "qemu,dma-bypass", "fixed", Origin::firmware);
    (void)tree.set_cells(disk, "reg", {0xF800}, Origin::hypervisor);
    fdt::Node& bridge = add(tree, host, "pci@1", Origin::firmware);
    (void)add(tree, bridge, "ethernet@0", Origin::hypervisor);
    (void)tree.set_text(add(tree, root, "options", Origin::firmware), "real", "1", Origin::client);
    fdt::Node& controller = add(tree, root, "interrupt-controller", Origin::hypervisor);
    (void)tree.set_phandle(controller, fdt::Phandle{0x1111});
    (void)tree.set_cells(controller, "phandle", {0x1111}, Origin::hypervisor);
}

} // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
    return mutate_blob(data, size, most, seed);
}

void run(Input input) {
    static Machine machine;
    static std::unique_ptr<fdt::Tree> unchanged; ///< filling one takes longer than most inputs
    static const uint64_t before = [] {
        unchanged = std::make_unique<fdt::Tree>();
        fill(*unchanged);
        return fingerprint(*unchanged);
    }();
    machine.console.clear();
    machine.answer = input.bytes();

    std::unique_ptr<fdt::Tree> owner = std::exchange(unchanged, nullptr);
    if (owner == nullptr) {
        owner = std::make_unique<fdt::Tree>();
        fill(*owner);
    }
    fdt::Tree& tree = *owner;
    MemoryMap memory;
    demand(memory.add_ram(home).has_value(), "there is memory");
    pci::Topology topology;
    boot::Profile profile;
    const Big32 header[10]{};
    boot::Handoff handoff{tree,   memory, home, topology, {}, std::as_bytes(std::span{header}),
                          profile};
    const bool merged = handoff.client_architecture_support({0}).has_value();
    demand(memory.claims().empty(), "the memory of the answer is given back");
    if (!merged) {
        fdt::Tree newer;
        const auto blob =
            fdt::check_blob(machine.tree, hcall::cas_reply_size - hcall::cas_reply_header);
        if (!blob || !fdt::read_blob(*blob, newer)) {
            demand(fingerprint(tree) == before, "what is no tree changes nothing");
            unchanged = std::move(owner);
            return;
        }
        return demand_sound(tree);
    }
    const fdt::Node* disk = tree.find("/pci@8/scsi@1F");
    demand(disk == nullptr || tree.text(*disk, "qemu,dma-bypass") == "fixed", "ours stays");
    demand(tree.has(*tree.find("/chosen"), "stdout") && tree.has(*tree.find("/options"), "real"),
           "so does what the client wrote");
    // Both take time: each is for half of the inputs.
    if (machine.answer.size() % 2 == 0) return demand_round_trip(tree);
    const uint64_t after = fingerprint(tree);
    demand(handoff.client_architecture_support({0}) && fingerprint(tree) == after,
           "the same answer again changes nothing");
}

} // namespace spillway::fuzz
