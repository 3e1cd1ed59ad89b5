// SPDX-License-Identifier: BSD-2-Clause
// Clients of the client interface in fuzz targets.
#pragma once

#include "tests/fuzz/fuzz.h"
#include "tests/host/of_guest.h"

namespace spillway::fuzz {

/// A machine with a client. Touching what the firmware owns is an error for the sanitizer.
class GuardedGuest : public of::test::Guest {
public:
    GuardedGuest();
    ~GuardedGuest();
    GuardedGuest(const GuardedGuest&) = delete;
    GuardedGuest& operator=(const GuardedGuest&) = delete;
};

/// Lets the hypervisor answer architecture vectors with another tree than it gave.
void let_negotiate(of::test::Guest& guest);

/// /memory@0 "available" lists what is free, as long as the client has not written there itself.
void demand_available(of::test::Guest& guest);

} // namespace spillway::fuzz
