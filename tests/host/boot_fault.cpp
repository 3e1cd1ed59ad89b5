// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/boot_fault.h"

#include <algorithm>
#include <tuple>

namespace spillway::test {
namespace {

using Kind = Failure::Kind;

/// Return codes of hypercalls (PAPR 14.5), and no code at all.
constexpr std::array statuses = {
    Failure{"H_BUSY", Kind::status, 1},
    Failure{"H_LONG_BUSY_ORDER_1_MSEC", Kind::status, 9900},
    Failure{"H_LONG_BUSY_ORDER_100_SEC", Kind::status, 9905},
    Failure{"H_HARDWARE", Kind::status, -1},
    Failure{"H_FUNCTION", Kind::status, -2},
    Failure{"H_PARAMETER", Kind::status, -4},
    Failure{"H_RESOURCE", Kind::status, -16},
    Failure{"no known code", Kind::status, INT64_MIN},
    Failure{"success, nothing done", Kind::untouched},
};

/// Status words of RTAS (PAPR 7.2.8).
constexpr std::array services = {
    Failure{"status -1, hardware", Kind::service, -1},
    Failure{"status -2, busy", Kind::service, -2},
    Failure{"status -3, parameter", Kind::service, -3},
    Failure{"status 9900, busy for a millisecond", Kind::service, 9900},
    Failure{"status 9905, busy for 100 seconds", Kind::service, 9905},
    Failure{"no known status", Kind::service, INT32_MIN},
};

template<typename... Lists> constexpr auto concatenate(const Lists&... lists) {
    std::array<Failure, (std::tuple_size_v<Lists> + ...)> all{};
    size_t next = 0;
    const auto add = [&](const auto& list) {
        for (const Failure& failure : list)
            all[next++] = failure;
    };
    (add(lists), ...);
    return all;
}

constexpr auto of_hypercalls =
    concatenate(statuses, std::array{Failure{"success, nonsense in registers", Kind::garbage}});
constexpr auto of_rtas = concatenate(statuses, services);
constexpr std::array of_config_reads = {
    Failure{"all ones", Kind::data, -1},
    Failure{"zero", Kind::data, 0},
    Failure{"nonsense", Kind::data, 0x5A5A'A5A5},
    Failure{"the IDs of a virtio device", Kind::data, 0x1041'1AF4},
};
constexpr std::array of_config_writes = {
    Failure{"nothing written", Kind::untouched},
    Failure{"all ones written", Kind::data, -1},
    Failure{"nonsense written", Kind::data, 0x5A5A'A5A5},
};
constexpr std::array of_memory = {Failure{"refused", Kind::refusal}};

} // namespace

std::span<const Failure> failures(Channel channel) {
    switch (channel) {
    case Channel::none:
        return {};
    case Channel::console:
        return statuses;
    case Channel::hypercall:
        return of_hypercalls;
    case Channel::rtas:
        return of_rtas;
    case Channel::config_read:
        return of_config_reads;
    case Channel::config_write:
        return of_config_writes;
    case Channel::allocation:
    case Channel::claim:
        break;
    }
    return of_memory;
}

std::vector<Fault> faults(const Counts& counts) {
    std::vector<Fault> all;
    for (size_t index = 0; index < channel_count; ++index) {
        const auto channel = static_cast<Channel>(index);
        const size_t count = counts[index];
        for (const Failure& failure : failures(channel)) {
            for (size_t first = 0; first < count; ++first)
                all.push_back({channel, &failure, first, false});
            const size_t starts = std::min(count, most_starts);
            for (size_t start = 0; start < starts; ++start)
                all.push_back({channel, &failure, start * count / starts, true});
        }
    }
    return all;
}

const char* name(Channel channel) {
    constexpr const char* names[] = {"none",        "console",      "hypercall",  "RTAS call",
                                     "config read", "config write", "allocation", "claim"};
    return names[static_cast<size_t>(channel)];
}

} // namespace spillway::test
