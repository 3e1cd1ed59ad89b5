// SPDX-License-Identifier: BSD-2-Clause
// Prints what the tree says of every PCI function, in the form that the Linux guest's init uses,
// and powers off: a boot test that takes a fraction of a second.
#include "tests/client/client.h"

using namespace client;

namespace {

void print_text(Console& console, const char* label, Cell node, const char* property) {
    char value[64];
    const Cell size = get(node, property, value, sizeof value - 1);
    console.text(label);
    if (size == none || size >= sizeof value) {
        console.text("-");
        return;
    }
    value[size] = '\0';
    console.text(value);
}

void print_function(Console& console, Cell node, Cell domain) {
    const Cell where = get_cell(node, "reg");
    char path[256];
    const Cell used = call("package-to-path", node, address(path), sizeof path - 1);
    path[used < sizeof path ? used : 0] = '\0';
    console.text("@device addr=");
    console.hex(domain, 4);
    console.text(":");
    console.hex(where >> 16, 2);
    console.text(":");
    console.hex(where >> 11 & 31, 2);
    console.text(".");
    console.hex(where >> 8 & 7, 1);
    console.text(" id=");
    console.hex(get_cell(node, "vendor-id"), 4);
    console.text(":");
    console.hex(get_cell(node, "device-id"), 4);
    console.text(" class=");
    console.hex(get_cell(node, "class-code"), 6);
    console.text(" of=");
    console.text(path);
    print_text(console, " bypass=", node, "qemu,dma-bypass");
    print_text(console, " virtio=", node, "spillway,virtio-device");
    console.text(" features=");
    Big32 features[2];
    if (get(node, "spillway,virtio-features", features, sizeof features) == sizeof features) {
        console.text("0x");
        console.hex(features[0], 8);
        console.hex(features[1], 8);
    } else {
        console.text("-");
    }
    console.text("\r\n");
}

/// Depth-first below a host bridge; as deep as PCI goes.
void walk(Console& console, Cell parent, Cell domain, int depth) {
    if (depth > 64) return;
    for (Cell node = call("child", parent); node != 0 && node != none; node = call("peer", node)) {
        if (get_cell(node, "vendor-id") != none) print_function(console, node, domain);
        walk(console, node, domain, depth + 1);
    }
}

} // namespace

extern "C" [[noreturn]] void main() {
    Console console;
    console.text("@entry r3=");
    console.hex(entry_registers[0], 8);
    console.text(" r4=");
    console.hex(entry_registers[1], 8);
    console.text(" msr=");
    console.hex(entry_registers[2], 8);
    console.text("\r\n");
    const Cell root = call("peer", 0);
    for (Cell node = call("child", root); node != 0 && node != none; node = call("peer", node)) {
        if (get_cell(node, "ibm,pci-config-space-type") == none) continue;
        Big32 unit[2];
        get(node, "reg", unit, sizeof unit);
        walk(console, node, unit[1] & 0xFFFF, 0);
    }
    console.text("@done\r\n");
    call("quiesce");
    call("interpret", address("power-off"));
    for (;;) {}
}
