/* SPDX-License-Identifier: BSD-2-Clause */
/* What the compiler calls on its own. */
#include <stddef.h>

void* memset(void* to, int value, size_t size) {
    char* byte = to;
    while (size-- > 0) *byte++ = (char)value;
    return to;
}

void* memcpy(void* to, const void* from, size_t size) {
    char* byte = to;
    const char* source = from;
    while (size-- > 0) *byte++ = *source++;
    return to;
}
