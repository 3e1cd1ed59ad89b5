// SPDX-License-Identifier: BSD-2-Clause
// What the client interface asks of the rest of the firmware: the small interface between the
// rooms.
#pragma once

#include "base/address.h"
#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace spillway::of {

/// Console of the machine: where instances of the terminal's node read and write.
class Console {
public:
    /// Returns how many bytes were taken.
    virtual size_t write(std::string_view text) = 0;
    /// Returns how many bytes were stored; 0 when nothing waits.
    virtual size_t read(std::span<char> buffer) = 0;

protected:
    ~Console() = default;
};

/// Things that end or outlive the client's stay.
class Platform {
public:
    /// Milliseconds since the firmware started.
    virtual uint32_t milliseconds() = 0;
    /// The client's architecture vectors: asks the hypervisor and merges its answer into the tree.
    virtual Result<void> client_architecture_support(PhysicalAddress vectors) = 0;
    /// Stops DMA, resets devices, tells the hypervisor the final tree. Called once. What the client
    /// writes afterwards still reaches the console: Linux says last where it goes.
    virtual void quiesce() = 0;
    /// The client has left (`exit`, `enter`): says so and stops the machine.
    [[noreturn]] virtual void leave(const char* how) = 0;
    /// "power-off": the client has finished.
    [[noreturn]] virtual void power_off() = 0;
    /// `boot`, "reset-all": restarts the machine.
    [[noreturn]] virtual void restart() = 0;

protected:
    ~Platform() = default;
};

} // namespace spillway::of
