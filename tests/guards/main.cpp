// SPDX-License-Identifier: BSD-2-Clause
// The host tests with every check of the firmware switchable (scripts/guards). With
// SPILLWAY_GUARDS_HELD=FILE it writes a line for each test: its name, and the checks that held in
// it. A test that does not end is stopped by a signal.
#include "tests/guards/guard.h"

#include <gtest/gtest.h>

#include <bitset>
#include <cstdio>
#include <cstdlib>
#include <sys/time.h>

namespace spillway::test {
namespace {

/// By number. (No memory is taken for it: the firmware's lives count what is.)
std::bitset<4096> held;

/// Each test may use the processor for so long, ten times what the slowest takes.
class Limit final : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo&) override {
        const itimerval seconds{{}, {20, 0}};
        setitimer(ITIMER_PROF, &seconds, nullptr);
    }
};

class Recorder final : public testing::EmptyTestEventListener {
public:
    explicit Recorder(const char* path)
        : file_(std::fopen(path, "w")) {}

private:
    void OnTestStart(const testing::TestInfo&) override { held.reset(); }
    void OnTestEnd(const testing::TestInfo& test) override {
        std::fprintf(file_, "%s.%s", test.test_suite_name(), test.name());
        for (size_t number = 0; number < held.size(); ++number)
            if (held[number]) std::fprintf(file_, " %zu", number);
        std::fprintf(file_, "\n");
        std::fflush(file_);
    }

    std::FILE* file_;
};

} // namespace

const unsigned guard_off = [] {
    const char* number = std::getenv("SPILLWAY_GUARD");
    return number != nullptr ? static_cast<unsigned>(std::atoi(number)) : 0;
}();

void guard_held(unsigned number) {
    held.set(number);
}

} // namespace spillway::test

int main(int count, char** arguments) {
    testing::InitGoogleTest(&count, arguments);
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    listeners.Append(new spillway::test::Limit);
    if (const char* path = std::getenv("SPILLWAY_GUARDS_HELD")) {
        listeners.Append(new spillway::test::Recorder(path));
    }
    return RUN_ALL_TESTS();
}
