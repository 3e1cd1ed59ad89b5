// SPDX-License-Identifier: BSD-2-Clause
#include "boot/profile.h"

#include "base/clock.h"
#include "base/endian.h"
#include "base/log.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace spillway::boot {

void Profile::mark(const char* step) {
    if (count_ == most_marks) {
        std::copy(marks_.begin() + 2, marks_.end(), marks_.begin() + 1);
        --count_;
    }
    marks_[count_++] = {step, clock::ticks()};
}

Result<void> Profile::describe(fdt::Tree& tree) const {
    fdt::Node* chosen = tree.find("/chosen");
    if (chosen == nullptr) return {};
    char steps[most_marks * 12];
    std::array<Big64, most_marks> ticks;
    size_t length = 0;
    for (size_t i = 0; i < count_; ++i) {
        const std::string_view step = marks_[i].step;
        if (length + step.size() + 1 > sizeof steps) {
            return fail(ErrorCode::out_of_range, "boot profile: the steps' names are too long");
        }
        std::memcpy(steps + length, step.data(), step.size() + 1);
        length += step.size() + 1;
        ticks[i] = Big64{marks_[i].ticks};
    }
    const auto set = [&](const char* name, std::span<const std::byte> value) {
        return tree.set(*chosen, name, value, fdt::Origin::firmware);
    };
    if (const auto done = set("spillway,boot-steps", std::as_bytes(std::span{steps, length}));
        !done) {
        return error_of(done);
    }
    const auto done = set("spillway,boot-ticks", std::as_bytes(std::span{ticks}.first(count_)));
    return done ? Result<void>{} : error_of(done);
}

void Profile::print() const {
    for (size_t i = 1; i < count_; ++i) {
        const auto microseconds =
            static_cast<unsigned>(clock::microseconds(marks_[i].ticks - marks_[i - 1].ticks));
        log::verbose("profile: %-9s %4u.%03u ms", marks_[i].step, microseconds / 1000,
                     microseconds % 1000);
    }
}

} // namespace spillway::boot
