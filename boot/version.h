// SPDX-License-Identifier: BSD-2-Clause
#pragma once

namespace spillway::boot {

/// "0.1.0 (1a2b3c4d5e6f)": version and git id; "-dirty" when the work tree differed.
extern const char version[];

} // namespace spillway::boot
