// SPDX-License-Identifier: BSD-2-Clause
// What can go wrong around a booting firmware: everything that it asks for, in every way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace spillway::test {

/// What is counted, each from 0.
enum class Channel : uint8_t {
    none,
    console,      ///< H_PUT_TERM_CHAR
    hypercall,    ///< every other hypercall but H_RTAS
    rtas,         ///< H_RTAS, whatever the service
    config_read,  ///< what ibm,read-pci-config finds
    config_write, ///< what ibm,write-pci-config changes
    allocation,   ///< malloc
    claim,        ///< of memory
};
constexpr size_t channel_count = 8;
using Counts = std::array<size_t, channel_count>; ///< indexed by Channel

struct Failure {
    enum class Kind : uint8_t {
        status,    ///< `value` in r3, nothing is done
        untouched, ///< success is answered, and nothing is done
        garbage,   ///< it is done, but r4 and up hold nonsense
        service,   ///< of RTAS: `value` is the status word, nothing is done
        data,      ///< config space: what is read or written is `value`
        refusal,   ///< of memory
    };
    const char* name;
    Kind kind;
    int64_t value = 0;
};
/// Every way in which something of this channel can fail.
std::span<const Failure> failures(Channel channel);
const char* name(Channel channel);

struct Fault {
    Channel channel = Channel::none;
    const Failure* failure = nullptr;
    size_t first = 0;      ///< the one that fails
    bool for_ever = false; ///< and all after it

    bool strikes(Channel asked, size_t number) const {
        return channel == asked && (for_ever ? number >= first : number == first);
    }
};
/// All faults of a boot that asks so often: each time each failure, once; and for ever, from at
/// most `most_starts` times on, evenly spread.
constexpr size_t most_starts = 16;
std::vector<Fault> faults(const Counts& counts);

} // namespace spillway::test
