// SPDX-License-Identifier: BSD-2-Clause
// Between libFuzzer and a target.
#include "tests/fuzz/fuzz.h"

#include "base/log.h"
#include "tests/host/virtio_police.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

/// Faster than the defaults, for many short runs.
extern "C" const char* __asan_default_options() {
    return "quarantine_size_mb=8:malloc_context_size=6";
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    // What the host tests' helpers expect is demanded here, too.
    testing::GTEST_FLAG(break_on_failure) = true;
    // Answers that lie make an honest driver look guilty: targets judge breaches where none did.
    spillway::test::VirtioPolice::report = [](const std::string&) {};
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    spillway::fuzz::run(spillway::fuzz::Input{{data, size}});
    return 0;
}

namespace spillway::fuzz {

void demand(bool holds, const char* what, const char* file, int line) {
    if (holds) return;
    std::fprintf(stderr, "%s:%d: demanded: %s\n", file, line, what);
    std::abort();
}

} // namespace spillway::fuzz
