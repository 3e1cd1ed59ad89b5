// SPDX-License-Identifier: BSD-2-Clause
#include "of/rtas_blob.h"

#include "base/endian.h"

#include <cstring>

namespace spillway::of {
namespace {

constexpr Big32 code[] = {
    Big32{0x7c641b78}, // mr r4, r3: the argument buffer
    Big32{0x3c600000}, // lis r3, 0
    Big32{0x6063f000}, // ori r3, r3, 0xf000: H_RTAS
    Big32{0x44000022}, // sc 1
    Big32{0x4e800020}, // blr
};
static_assert(sizeof code == rtas_code_size);

} // namespace

void write_rtas_code(std::span<std::byte, rtas_code_size> area) {
    std::memcpy(area.data(), code, sizeof code);
#ifdef __powerpc64__
    for (size_t offset = 0; offset < area.size(); offset += sizeof(Big32)) {
        asm volatile("dcbst 0, %0\n\tsync\n\ticbi 0, %0" : : "r"(&area[offset]) : "memory");
    }
    asm volatile("sync\n\tisync" : : : "memory");
#endif
}

} // namespace spillway::of
