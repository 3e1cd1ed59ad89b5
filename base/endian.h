// SPDX-License-Identifier: BSD-2-Clause
// Integers whose byte order is part of their type.
//
// Whatever crosses a border carries its order: device-tree cells, RTAS and hypercall buffers and
// client-interface arguments are big-endian; PCI and virtio fields are little-endian. Building one
// from a plain integer is explicit, reading one is implicit.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace spillway {

template<std::unsigned_integral Integer> constexpr Integer swap_bytes(Integer value) {
    if constexpr (sizeof(Integer) == 1) return value;
    if constexpr (sizeof(Integer) == 2) return __builtin_bswap16(value);
    if constexpr (sizeof(Integer) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(Integer) == 8) return __builtin_bswap64(value);
}

/// Value of type Integer, stored in byte order Order; alignment 1, so it may overlay any buffer.
template<std::unsigned_integral Integer, std::endian Order> class [[gnu::packed]] Ordered {
public:
    constexpr Ordered() = default;
    constexpr explicit Ordered(Integer value)
        : stored_(Order == std::endian::native ? value : swap_bytes(value)) {}
    constexpr operator Integer() const { // NOLINT(google-explicit-constructor): reading is implicit
        return Order == std::endian::native ? stored_ : swap_bytes(Integer{stored_});
    }
    constexpr Ordered& operator=(Integer value) {
        *this = Ordered{value};
        return *this;
    }

private:
    Integer stored_ = 0;
};

using Big16 = Ordered<uint16_t, std::endian::big>;
using Big32 = Ordered<uint32_t, std::endian::big>;
using Big64 = Ordered<uint64_t, std::endian::big>;
using Little16 = Ordered<uint16_t, std::endian::little>;
using Little32 = Ordered<uint32_t, std::endian::little>;
using Little64 = Ordered<uint64_t, std::endian::little>;

static_assert(sizeof(Big64) == 8 && alignof(Big64) == 1);

/// Reads an Ordered type from bytes of any alignment.
template<typename OrderedType> OrderedType load(const void* from) {
    OrderedType value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

} // namespace spillway
