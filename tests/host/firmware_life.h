// SPDX-License-Identifier: BSD-2-Clause
// One life of the whole firmware on the build machine: boot/main.cpp from reset on, as often as a
// test likes. What the firmware keeps in static objects is as at reset when a life begins; what it
// keeps on the heap is given back when it ends.
//
// Its malloc is the build machine's, so that sanitizers see each object's bounds, but every
// allocation is paid for with memory that boot/heap.cpp claims, as on target.
#pragma once

#include "boot/program.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_set>

namespace spillway::test {

/// Thrown when the firmware enters the program.
struct Entered {
    boot::Program program;
    PhysicalRange initrd;
    PhysicalAddress stack_top;
};
/// Thrown when nothing is left but to stand still.
struct Halted {};

class FirmwareLife {
public:
    FirmwareLife();
    ~FirmwareLife();
    FirmwareLife(const FirmwareLife&) = delete;
    FirmwareLife& operator=(const FirmwareLife&) = delete;

    /// From the first C++ instruction on: ends with what is thrown here or by a hypercall.
    [[noreturn]] void start(PhysicalAddress device_tree);
    /// What the program calls once it has been entered.
    int32_t call_client_interface(PhysicalAddress arguments);
    const MemoryMap& memory() const;

    /// --- asked before each allocation and each claim of memory: true makes it fail.
    std::function<bool()> refuse_allocation = [] { return false; };
    std::function<bool()> refuse_claim = [] { return false; };

    void* allocate(size_t size);
    /// False: not an object of this life.
    bool release(void* object);

private:
    std::unordered_set<void*> objects_;
};

} // namespace spillway::test
