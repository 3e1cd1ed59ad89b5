// SPDX-License-Identifier: BSD-2-Clause
#include "virtio/dma_contract.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "hcall/dma_bypass.h"

#include <new>

namespace spillway::virtio {
namespace {

/// Whether the hypervisor would open a bypass window; remembers one that does not know the call.
class Hypervisor {
public:
    bool may_know_call() const { return knows_call_; }

    Verdict ask(const pci::Function& function, const char*& reason) {
        reason = "the hypervisor has no switch";
        if (!knows_call_) return Verdict::unstated;
        const auto answer =
            hcall::query_dma_bypass(function.host->buid, function.location.config_address());
        if (answer.status == hcall::Status::function) {
            knows_call_ = false;
            return Verdict::unstated;
        }
        reason = "the hypervisor refuses";
        if (answer.status != hcall::Status::success) return Verdict::unstated;
        reason = "the hypervisor can switch it";
        return Verdict::switchable;
    }

private:
    bool knows_call_ = true;
};

/// A device that does not answer its reset is given up; waiting for all of them costs this much.
constexpr uint64_t seconds_for_silent_devices = 2;

void decide(Finding& finding, Hypervisor& hypervisor) {
    if (finding.is_virtio && !finding.device) {
        finding.reason = "the device does not hold up";
    } else if (finding.device && !finding.device->features.has(feature_access_platform)) {
        finding.verdict = Verdict::fixed;
        finding.reason = "bit 33 is not offered";
    } else {
        finding.verdict = hypervisor.ask(*finding.function, finding.reason);
    }
}

std::optional<Identity> identify_function(const pci::Topology& topology,
                                          const pci::Function& function) {
    if (function.vendor_id != vendor_id || function.is_bridge) return std::nullopt;
    return identify(function.vendor_id, function.device_id,
                    topology.config(function).read(pci::Register16::subsystem_id));
}

Result<void> describe_one(const Finding& finding, fdt::Tree& tree) {
    fdt::Node& node = *finding.function->node;
    if (finding.device) {
        const Device& device = *finding.device;
        const auto name = tree.set_text(node, "spillway,virtio-device", device.type_name(),
                                        fdt::Origin::firmware);
        if (!name) return error_of(name);
        const uint64_t features = device.features.low;
        const auto offered =
            tree.set_cells(node, "spillway,virtio-features",
                           {static_cast<uint32_t>(features >> 32), static_cast<uint32_t>(features)},
                           fdt::Origin::firmware);
        if (!offered) return error_of(offered);
    }
    if (const char* value = property_value(finding.verdict)) {
        const auto bypass = tree.set_text(node, "qemu,dma-bypass", value, fdt::Origin::firmware);
        if (!bypass) return error_of(bypass);
    }
    return {};
}

} // namespace

const char* property_value(Verdict verdict) {
    switch (verdict) {
    case Verdict::fixed:
        return "fixed";
    case Verdict::switchable:
        return "switchable";
    case Verdict::unstated:
        break;
    }
    return nullptr;
}

Result<Findings> Findings::gather(const pci::Topology& topology) {
    Findings findings;
    if (topology.function_count == 0) return findings;
    findings.findings_ =
        static_cast<Finding*>(take_from_heap(topology.function_count * sizeof(Finding)));
    if (findings.findings_ == nullptr) {
        return fail(ErrorCode::out_of_memory, "no memory for what was found of %zu PCI functions",
                    topology.function_count);
    }
    Hypervisor hypervisor;
    Patience patience{seconds_for_silent_devices * clock::frequency()};
    for (const pci::Function* function = topology.functions; function != nullptr;
         function = function->next) {
        Finding& finding = findings.findings_[findings.count_++];
        new (&finding) Finding{};
        finding.function = function;
        const auto identity = identify_function(topology, *function);
        finding.is_virtio = identity.has_value();
        if (identity) {
            auto device = recognise(topology, *function, *identity, patience);
            if (device) {
                finding.device = *device;
            } else {
                log::warning("%s; nothing is claimed about its DMA", device.error().message);
            }
        }
        decide(finding, hypervisor);
    }
    findings.may_have_windows_ = hypervisor.may_know_call();
    return findings;
}

Result<void> Findings::describe(fdt::Tree& tree) const {
    for (const Finding& finding : *this) {
        if (auto done = describe_one(finding, tree); !done) return done;
    }
    return {};
}

void Findings::reset_devices() const {
    for (const Finding& finding : *this) {
        if (finding.device) finding.device->transport.set_status(0);
    }
}

void Findings::close_windows() const {
    if (!may_have_windows_) return;
    for (const Finding& finding : *this) {
        const pci::Function& function = *finding.function;
        const auto answer =
            hcall::disable_dma_bypass(function.host->buid, function.location.config_address());
        if (answer.status == hcall::Status::function) return;
        if (answer.status == hcall::Status::unsupported) continue;
        if (answer.status != hcall::Status::success || answer.on) {
            log::warning("pci %s: its DMA bypass cannot be turned off: %s",
                         pci::name(function).text, hcall::name(answer.status));
        }
    }
}

} // namespace spillway::virtio
