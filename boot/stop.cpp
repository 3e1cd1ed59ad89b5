// SPDX-License-Identifier: BSD-2-Clause
#include "boot/stop.h"

#include "base/clock.h"
#include "base/log.h"

namespace spillway::boot {
namespace {

constinit const hcall::Rtas* services = nullptr;

constexpr uint64_t seconds_until_reset = 5;

[[noreturn]] void wait_for_ever() {
    log::error("halted");
    halt();
}

} // namespace

void set_stop_services(const hcall::Rtas& rtas) {
    services = &rtas;
}

void power_off_machine() {
    if (services != nullptr) services->power_off();
    wait_for_ever();
}

void restart_machine() {
    if (services != nullptr) services->system_reboot();
    // The reset comes a moment after the call returns.
    const uint64_t start = clock::ticks();
    while (clock::ticks() - start < seconds_until_reset * clock::frequency()) {}
    wait_for_ever();
}

void stop_after_fault() {
    if (services != nullptr) services->terminate("Spillway: fatal error, see the console");
    wait_for_ever();
}

} // namespace spillway::boot
