// SPDX-License-Identifier: BSD-2-Clause
// Errors are values: a small code for programs, a sentence for people.
#pragma once

#include <cstdint>
#include <expected>

namespace spillway {

enum class ErrorCode : uint8_t {
    malformed,     ///< data from outside breaks its format
    not_found,     ///< what was named does not exist
    out_of_range,  ///< a value or address lies outside what its border allows
    out_of_memory, ///< no memory, window or table entry is left
    unsupported,   ///< well formed, but not something this firmware does
    hypervisor,    ///< a hypercall or RTAS call failed
    device,        ///< a device does not behave as its standard says
};

/// The message names the node, the address or the register, what was expected and what was found.
struct Error {
    ErrorCode code;
    char message[119];
};

template<typename Value> using Result = std::expected<Value, Error>;

/// Builds the error to return: `return fail(ErrorCode::malformed, "%s: reg is %zu bytes", ...)`.
[[gnu::format(printf, 2, 3), gnu::cold]] std::unexpected<Error> fail(ErrorCode code,
                                                                     const char* format, ...);

/// Passes an error of one Result on as that of another.
template<typename Value> std::unexpected<Error> error_of(const Result<Value>& result) {
    return std::unexpected{result.error()};
}

} // namespace spillway
