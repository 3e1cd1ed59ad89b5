// SPDX-License-Identifier: BSD-2-Clause
// Prints a line for each node of the tree, with a digest of its properties, and powers off: two
// boots that found the same print the same.
#include "tests/client/client.h"

using namespace client;

namespace {

constexpr Cell name_size = 64; // QEMU has names longer than the 31 characters of IEEE 1275

/// What is random, or a time.
bool differs_each_boot(const char* property) {
    return equal(property, "rng-seed") || equal(property, "spillway,boot-ticks");
}

/// FNV-1a.
class Digest {
public:
    void add(const char* bytes, Cell count) {
        for (Cell i = 0; i < count; ++i)
            value_ = (value_ ^ static_cast<unsigned char>(bytes[i])) * 0x01000193;
    }
    Cell value() const { return value_; }

private:
    Cell value_ = 0x811C9DC5;
};

Cell digest_properties(Cell node) {
    static char value[64 << 10];
    Digest digest;
    char names[2][name_size] = {};
    for (int turn = 0;
         call("nextprop", node, address(names[turn]), address(names[1 - turn])) == 1;) {
        turn = 1 - turn;
        const char* name = names[turn];
        if (differs_each_boot(name)) continue;
        digest.add(name, length(name) + 1);
        const Cell size = get(node, name, value, sizeof value);
        digest.add(value, size <= sizeof value ? size : 0);
    }
    return digest.value();
}

void print_node(Console& console, Cell node) {
    char path[256];
    const Cell used = call("package-to-path", node, address(path), sizeof path - 1);
    path[used < sizeof path ? used : 0] = '\0';
    console.text("@node ");
    console.text(path);
    console.text(" ");
    console.hex(digest_properties(node), 8);
    console.text("\r\n");
}

} // namespace

extern "C" [[noreturn]] void main() {
    Console console;
    Cell node = call("peer", 0);
    while (node != 0 && node != none) {
        print_node(console, node);
        Cell next = call("child", node);
        while (next == 0 && node != 0) {
            next = call("peer", node);
            if (next == 0) node = call("parent", node);
        }
        node = next;
    }
    console.text("@done\r\n");
    call("quiesce");
    call("interpret", address("power-off"));
    for (;;) {}
}
