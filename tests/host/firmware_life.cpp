// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/firmware_life.h"

#include "tests/host/fake_hypervisor.h"

#include <cstring>

// The two files of the firmware whose static objects a test has to reach. The C library of the
// build machine has a sbrk() of its own.
#define sbrk firmware_sbrk
#include "boot/heap.cpp"
#include "boot/main.cpp"
#undef sbrk

namespace spillway::test {
namespace {
FirmwareLife* current = nullptr;
}
} // namespace spillway::test

// --- what main.cpp links against

namespace spillway::boot {

void enter(const Program& program, PhysicalRange initrd, PhysicalAddress stack_top) {
    throw test::Entered{program, initrd, stack_top};
}

void halt() {
    throw test::Halted{};
}

namespace {

void reset_statics() {
    static const hcall::Rtas no_services{hcall::RtasTokens{}};
    {
        test::FakeHypervisor draining{1 << 20}; // a terminal that takes text is waited for again
        hcall::put_characters(hcall::Terminal::standard, "x");
    }
    heap = {};
    memory = {};
    home = {};
    rtas = no_services;
    console = TerminalConsole{hcall::Terminal::standard};
    profile = {};
    client = nullptr;
    set_stop_services(no_services);
    log::set_level(log::Level::normal);
    clock::set_frequency(512'000'000);
}

} // namespace
} // namespace spillway::boot

// --- a life

namespace spillway::test {

extern "C" void* __real_malloc(size_t size);
extern "C" void __real_free(void* object);

FirmwareLife::FirmwareLife() {
    boot::reset_statics();
    current = this;
}

FirmwareLife::~FirmwareLife() {
    current = nullptr;
    for (void* object : objects_)
        __real_free(object);
    boot::reset_statics();
}

void FirmwareLife::start(PhysicalAddress device_tree) {
    boot::spillway_main(device_tree.value);
}

int32_t FirmwareLife::call_client_interface(PhysicalAddress arguments) {
    return boot::client_interface_call(arguments.value);
}

const MemoryMap& FirmwareLife::memory() const {
    return boot::memory;
}

void* FirmwareLife::allocate(size_t size) {
    constexpr size_t header = 16; // of picolibc, for each object
    if (refuse_allocation()) return nullptr;
    const auto cost = static_cast<ptrdiff_t>(align_up(size, header) + header);
    if (boot::firmware_sbrk(cost) == reinterpret_cast<void*>(-1)) return nullptr;
    return *objects_.insert(__real_malloc(size)).first;
}

bool FirmwareLife::release(void* object) {
    return objects_.erase(object) != 0;
}

// --- in place of malloc() and its kin, for the objects of this program (ld's --wrap)

extern "C" void* __wrap_malloc(size_t size) {
    return current != nullptr ? current->allocate(size) : __real_malloc(size);
}

extern "C" void* __wrap_calloc(size_t count, size_t size) {
    void* object = __wrap_malloc(count * size);
    return object == nullptr ? nullptr : std::memset(object, 0, count * size);
}

extern "C" void __wrap_free(void* object) {
    if (current != nullptr) current->release(object);
    __real_free(object);
}

// --- and in place of MemoryMap::claim() and claim_lowest(), whose mangled names these are

#define CLAIM "_ZN8spillway9MemoryMap5claimENS_5RangeINS_7AddressINS_12PhysicalKindEEEEENS0_5OwnerE"
#define CLAIM_LOWEST                                                                               \
    "_ZN8spillway9MemoryMap12claim_lowestEmmNS_5RangeINS_7AddressINS_12PhysicalKindEEEEENS0_"      \
    "5OwnerE"

using Owner = MemoryMap::Owner;
using Place = Result<PhysicalAddress>;
Result<void> real_claim(MemoryMap*, PhysicalRange, Owner) asm("__real_" CLAIM);
Result<void> wrapped_claim(MemoryMap*, PhysicalRange, Owner) asm("__wrap_" CLAIM);
Place real_claim_lowest(MemoryMap*, uint64_t, uint64_t, PhysicalRange,
                        Owner) asm("__real_" CLAIM_LOWEST);
Place wrapped_claim_lowest(MemoryMap*, uint64_t, uint64_t, PhysicalRange,
                           Owner) asm("__wrap_" CLAIM_LOWEST);

bool refuses_claim() {
    return current != nullptr && current->refuse_claim();
}

Result<void> wrapped_claim(MemoryMap* map, PhysicalRange range, Owner owner) {
    if (refuses_claim()) return fail(ErrorCode::out_of_range, "claim: refused by the test");
    return real_claim(map, range, owner);
}

Place wrapped_claim_lowest(MemoryMap* map, uint64_t size, uint64_t alignment, PhysicalRange within,
                           Owner owner) {
    if (refuses_claim()) return fail(ErrorCode::out_of_memory, "claim: refused by the test");
    return real_claim_lowest(map, size, alignment, within, owner);
}

} // namespace spillway::test
