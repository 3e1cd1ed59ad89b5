// SPDX-License-Identifier: BSD-2-Clause
#include "boot/handoff.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "boot/emulator.h"
#include "boot/stop.h"
#include "fdt/blob.h"
#include "hcall/device_tree.h"
#include "pci/bus_master.h"

namespace spillway::boot {
namespace {

/// Heap memory for the length of a scope.
class Buffer {
public:
    explicit Buffer(size_t size)
        : bytes_(static_cast<std::byte*>(take_from_heap(size))) {}
    ~Buffer() { give_to_heap(bytes_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    explicit operator bool() const { return bytes_ != nullptr; }
    std::byte* get() const { return bytes_; }

private:
    std::byte* bytes_;
};

/// QEMU refuses a tree that is more than this many times the size of its own.
constexpr size_t growth_limit = 2;

} // namespace

uint32_t Handoff::milliseconds() {
    return static_cast<uint32_t>(clock::microseconds(clock::ticks() - profile_.started()) / 1000);
}

Result<void> Handoff::client_architecture_support(PhysicalAddress vectors) {
    // Not from the heap, which would clear megabytes of which the hypervisor uses a few pages.
    constexpr uint64_t alignment = 8; // of the tree, which follows the reply's header
    constexpr uint64_t tree_offset = align_up(hcall::cas_reply_header, alignment);
    constexpr uint64_t size = tree_offset + hcall::cas_reply_size;
    constexpr auto owner = MemoryMap::Owner::firmware;
    constexpr PhysicalRange anywhere{{0}, uint64_t{1} << 32};
    auto place = memory_.claim_lowest(size, alignment, home_, owner);
    if (!place) place = memory_.claim_lowest(size, alignment, anywhere, owner);
    if (!place) return fail(ErrorCode::out_of_memory, "no memory for the hypervisor's answer");
    auto merged = merge_answer(vectors, to_pointer(*place + tree_offset));
    if (auto released = memory_.release({*place, size}, owner); !released) return released;
    return merged;
}

Result<void> Handoff::merge_answer(PhysicalAddress vectors, std::byte* tree) {
    const std::span reply{tree - hcall::cas_reply_header, hcall::cas_reply_size};

    profile_.mark("client");
    const hcall::Status status = hcall::client_architecture_support(vectors, reply);
    profile_.mark("H_CAS");
    if (status != hcall::Status::success) {
        return fail(ErrorCode::hypervisor, "H_CAS: %s", hcall::name(status));
    }
    const auto blob = fdt::check_blob(tree, hcall::cas_reply_size - hcall::cas_reply_header);
    if (!blob) return error_of(blob);
    hypervisor_tree_size_ = blob->size();
    auto merged = fdt::merge_blob(*blob, tree_);
    if (merged) log::verbose("client architecture support: %zu bytes merged", blob->size());
    return merged;
}

Result<size_t> Handoff::update_hypervisor() {
    const size_t room = fdt::blob_size_bound(tree_, 0);
    const Buffer buffer{room};
    if (!buffer) return fail(ErrorCode::out_of_memory, "no memory for a tree of %zu bytes", room);
    const auto blob = fdt::write_blob(tree_, {}, boot_cpu_, {buffer.get(), room});
    if (!blob) return error_of(blob);
    if (blob->size() > growth_limit * hypervisor_tree_size_) {
        return fail(ErrorCode::out_of_range, "%zu bytes, more than twice the %zu it gave",
                    blob->size(), hypervisor_tree_size_);
    }
    const hcall::Status status = hcall::update_dt(*blob);
    if (status != hcall::Status::success) {
        return fail(ErrorCode::hypervisor, "H_UPDATE_DT of %zu bytes: %s", blob->size(),
                    hcall::name(status));
    }
    return blob->size();
}

void Handoff::quiesce() {
    findings_.reset_devices();
    pci::silence_bus_masters(topology_);
    findings_.close_windows();
    profile_.mark("quiesce");
    if (const auto described = profile_.describe(tree_); !described) {
        log::warning("%s", described.error().message);
    }
    profile_.print();
    if (const auto size = update_hypervisor()) {
        log::info("quiesced  %u ms after the start; the tree has %zu bytes", milliseconds(), *size);
    } else {
        log::warning("the hypervisor does not get the final tree: %s", size.error().message);
    }
    enlarge_emulator_tlb();
}

void Handoff::leave(const char* how) {
    log::error("the program has left (%s); powering off", how);
    power_off_machine();
}

void Handoff::power_off() {
    log::info("the program powers off");
    power_off_machine();
}

void Handoff::restart() {
    log::info("the program asks for a restart");
    restart_machine();
}

} // namespace spillway::boot
