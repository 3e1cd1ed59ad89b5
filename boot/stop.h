// SPDX-License-Identifier: BSD-2-Clause
// The ways in which the firmware's stay ends without an operating system.
#pragma once

#include "hcall/rtas.h"

namespace spillway::boot {

/// The services to stop with, from when they are known. Before that, stopping means to say so and
/// to wait for ever.
void set_stop_services(const hcall::Rtas& rtas);

/// Powers off: nothing is wrong with the machine, there is nothing (left) to run.
[[noreturn]] void power_off_machine();
/// Restarts; QEMU's -no-reboot makes this the end.
[[noreturn]] void restart_machine();
/// Tells the hypervisor that the guest has crashed (ibm,os-term), so that its policy applies.
[[noreturn]] void stop_after_fault();
/// The last of all ways, which the three above take when the hypervisor lets them return.
[[noreturn]] void halt();

} // namespace spillway::boot
