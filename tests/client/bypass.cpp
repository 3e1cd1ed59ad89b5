// SPDX-License-Identifier: BSD-2-Clause
// Makes the DMA bypass hypercall with every argument that the contract (docs/dma-bypass.md, section
// 2) tells apart, prints one line for each, and powers off. The call takes 64-bit registers: a
// 32-bit program has nothing to print.
#include "tests/client/hypervisor.h"

using namespace client;

namespace {

constexpr uint64_t bypass_number = 0xF006;
enum Action : uint64_t { off, on, query };

constexpr Cell command_offset = 4;
constexpr Cell bus_master = 1 << 2;

struct Function {
    uint64_t buid;
    Cell where; ///< first cell of `reg`: bus << 16 | devfn << 8
};

void set_bus_master(const Function& function, bool set) {
    const Cell high = static_cast<Cell>(function.buid >> 32),
               low = static_cast<Cell>(function.buid);
    const Cell place = function.where | command_offset;
    const Cell command = rtas(rtas_token("ibm,read-pci-config"), 2, place, high, low, 2);
    const Cell wanted = set ? command | bus_master : command & ~bus_master;
    rtas(rtas_token("ibm,write-pci-config"), 1, place, high, low, 2, wanted);
}

/// Makes the call and prints what it did; "-" for registers that it left alone. Whether it
/// succeeded.
bool attempt(Console& console, const char* name, uint64_t buid, uint64_t where, uint64_t action) {
    Registers registers{bypass_number, buid, where, action};
    hypercall(registers);
    console.text("@bypass name=");
    console.text(name);
    console.text(" where=");
    console.hex(where, 16);
    const bool negative = registers.r3 >> 63;
    const uint64_t code = negative ? -registers.r3 : registers.r3;
    console.text(negative ? " rc=-" : " rc=");
    char decimal[] = {static_cast<char>('0' + code / 10 % 10), static_cast<char>('0' + code % 10),
                      '\0'};
    console.text(code > 99 ? "?" : decimal[0] == '0' ? decimal + 1 : decimal);
    if (registers.r4 == buid) {
        console.text(" state=-");
    } else {
        console.text(" state=");
        console.hex(registers.r4, registers.r4 > 15 ? 16 : 1);
    }
    if (registers.r5 == where) {
        console.text(" base=-");
    } else {
        console.text(" base=");
        console.hex(registers.r5, 16);
    }
    console.text("\r\n");
    return registers.r3 == 0;
}

void switch_on_and_off(Console& console, const Function& f) {
    set_bus_master(f, false);
    attempt(console, "off-when-off", f.buid, f.where, off);
    attempt(console, "on", f.buid, f.where, on);
    attempt(console, "on-when-on", f.buid, f.where, on);
    attempt(console, "query-on", f.buid, f.where, query);
    set_bus_master(f, true);
    attempt(console, "on-when-master", f.buid, f.where, on);
    attempt(console, "off-when-master", f.buid, f.where, off);
    attempt(console, "query-master", f.buid, f.where, query);
    set_bus_master(f, false);
    attempt(console, "off", f.buid, f.where, off);
    attempt(console, "query-off", f.buid, f.where, query);
    set_bus_master(f, true);
    attempt(console, "on-from-master", f.buid, f.where, on);
    set_bus_master(f, false);
    attempt(console, "off-again", f.buid, f.where, off);
}

void break_rules(Console& console, const Function& f) {
    attempt(console, "buid-unknown", f.buid + 1, f.where, query);
    attempt(console, "buid-zero", 0, f.where, query);
    attempt(console, "reserved-register", f.buid, f.where | 1, query);
    attempt(console, "reserved-high", f.buid, f.where | 1 << 24, query);
    attempt(console, "reserved-higher", f.buid, f.where | uint64_t{1} << 32, query);
    attempt(console, "absent-function", f.buid, 0xF700, query);
    attempt(console, "absent-bus", f.buid, 0xFE0000, query);
    attempt(console, "action-3", f.buid, f.where, 3);
    attempt(console, "action-higher", f.buid, f.where, uint64_t{1} << 32);
}

struct Found {
    Function switchable{}, refused{};
};

/// Asks for every function, depth-first; remembers the first that can be switched, and that cannot.
void walk(Console& console, Cell parent, Function function, Found& found, int depth) {
    if (depth > 64) return;
    for (Cell node = call("child", parent); node != 0 && node != none; node = call("peer", node)) {
        if (get_cell(node, "vendor-id") != none) {
            function.where = get_cell(node, "reg") & 0xFFFF00;
            Function& first = attempt(console, "each", function.buid, function.where, query)
                                  ? found.switchable
                                  : found.refused;
            if (first.buid == 0) first = function;
        }
        walk(console, node, function, found, depth + 1);
    }
}

void run(Console& console) {
    Found found;
    const Cell root = call("peer", 0);
    for (Cell node = call("child", root); node != 0 && node != none; node = call("peer", node)) {
        if (get_cell(node, "ibm,pci-config-space-type") == none) continue;
        Big64 unit;
        get(node, "reg", &unit, sizeof unit);
        walk(console, node, {unit, 0}, found, 0);
    }
    const Function& any = found.switchable.buid != 0 ? found.switchable : found.refused;
    if (any.buid == 0) return;
    break_rules(console, any);
    if (found.refused.buid != 0) {
        attempt(console, "refused-on", found.refused.buid, found.refused.where, on);
        attempt(console, "refused-off", found.refused.buid, found.refused.where, off);
    }
    if (found.switchable.buid != 0) switch_on_and_off(console, found.switchable);
}

} // namespace

extern "C" [[noreturn]] void main() {
    Console console;
    if constexpr (sizeof(void*) == 8) run(console);
    console.text("@done\r\n");
    call("quiesce");
    call("interpret", address("power-off"));
    for (;;) {}
}
