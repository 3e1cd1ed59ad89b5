// SPDX-License-Identifier: BSD-2-Clause
#include "boot/version.h"

namespace spillway::boot {

const char version[] = SPILLWAY_VERSION; // the Makefile's

} // namespace spillway::boot
