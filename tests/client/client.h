// SPDX-License-Identifier: BSD-2-Clause
// A small Open Firmware client, for test programs: big- or little-endian, 32- or 64-bit.
#pragma once

#include "base/endian.h"

#include <cstdint>

namespace client {

using spillway::Big32;

extern "C" int call_firmware(void* argument_array);
extern "C" uint32_t entry_registers[3]; ///< r3, r4 and MSR at entry

using Cell = uint32_t;
constexpr Cell none = 0xFFFFFFFF;

inline Cell address(const void* pointer) {
    return static_cast<Cell>(reinterpret_cast<uintptr_t>(pointer));
}

/// Calls a service with cells as arguments; returns its first result, `none` when the call failed.
template<typename... Cells> Cell call(const char* service, Cells... arguments) {
    struct {
        Big32 service, arguments, returns;
        Big32 cells[12];
    } block;
    block.service = address(service);
    block.arguments = sizeof...(arguments);
    block.returns = 1;
    Cell index = 0;
    ((block.cells[index++] = static_cast<Cell>(arguments)), ...);
    block.cells[index] = none;
    return call_firmware(&block) == 0 ? Cell{block.cells[index]} : none;
}

inline Cell length(const char* text) {
    Cell count = 0;
    while (text[count] != '\0')
        ++count;
    return count;
}

inline bool equal(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

inline Cell find(const char* path) {
    return call("finddevice", address(path));
}
inline Cell get(Cell node, const char* name, void* buffer, Cell size) {
    return call("getprop", node, address(name), address(buffer), size);
}
inline Cell get_cell(Cell node, const char* name) {
    Big32 value;
    const Cell size = get(node, name, &value, sizeof value);
    return size != none && size >= sizeof value ? Cell{value} : none;
}

/// The console, by way of /chosen stdout.
class Console {
public:
    Console()
        : instance_(get_cell(find("/chosen"), "stdout")) {}
    void text(const char* text) { call("write", instance_, address(text), length(text)); }
    void hex(uint64_t value, int digits) {
        char buffer[17];
        buffer[digits] = '\0';
        for (int i = digits; i-- > 0; value >>= 4)
            buffer[i] = "0123456789abcdef"[value & 15];
        text(buffer);
    }

private:
    Cell instance_;
};

} // namespace client
