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

void* memmove(void* to, const void* from, size_t size) {
    char* byte = to;
    const char* source = from;
    if (byte <= source) return memcpy(to, from, size);
    while (size-- > 0) byte[size] = source[size];
    return to;
}

int memcmp(const void* one, const void* two, size_t size) {
    const unsigned char *a = one, *b = two;
    while (size > 0 && *a == *b) ++a, ++b, --size;
    return size == 0 ? 0 : *a - *b;
}
