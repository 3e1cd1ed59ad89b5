// SPDX-License-Identifier: BSD-2-Clause
// Does what the kernel command line says in spillway.test=word,word,...: the events that a firmware
// has to survive, and the ways in which a program can end. Without an end it powers off.
#include "tests/client/client.h"

using namespace client;

/// Never calls. Tests look for it in the symbol table.
extern "C" [[noreturn, gnu::noinline]] void hang();
void hang() {
    for (;;)
        asm volatile("");
}

namespace {

void print(Console& console, const char* label, Cell value) {
    console.text(label);
    console.hex(value, 8);
    console.text("\r\n");
}

/// Ticks for ever, a call of the client interface each.
[[noreturn]] void busy(Console& console) {
    for (Cell tick = 0;; ++tick)
        print(console, "@tick ", tick);
}

/// Makes an interrupt the end: MSR[RI] says that what it destroys is still needed.
void become_unrecoverable() {
    asm volatile("mfmsr 9; rlwinm 9, 9, 0, 31, 29; mtmsr 9" : : : "r9");
}

/// The reset vector is where QEMU starts the machine, so a program must not.
[[noreturn]] void jump() {
    asm volatile("mtctr %0; bctr" : : "r"(0x100));
    __builtin_unreachable();
}

/// Nothing of this is a call, and all of it must come back.
void make_bad_calls(Console& console) {
    static Big32 block[3 + 10];
    auto* odd = reinterpret_cast<char*>(block) + 1;
    const auto prepare = [](const char* service, Cell arguments, Cell returns) {
        block[0] = address(service);
        block[1] = arguments;
        block[2] = returns;
    };
    print(console, "@bad null ", static_cast<Cell>(call_firmware(nullptr)));
    print(console, "@bad odd ", static_cast<Cell>(call_firmware(odd)));
    prepare("no-such-service", 0, 1);
    print(console, "@bad unknown ", static_cast<Cell>(call_firmware(block)));
    prepare("peer", 0, 1);
    print(console, "@bad few ", static_cast<Cell>(call_firmware(block)));
    prepare("peer", 0x40000000, 1);
    print(console, "@bad many ", static_cast<Cell>(call_firmware(block)));
    block[0] = 0;
    print(console, "@bad nameless ", static_cast<Cell>(call_firmware(block)));
    block[0] = 0xFFFFFFFC;
    print(console, "@bad far ", static_cast<Cell>(call_firmware(block)));
    print(console, "@bad node ", call("getproplen", 0x12345678, address("reg")));
    print(console, "@bad buffer ", get(find("/chosen"), "stdout", nullptr, sizeof(Cell)));
    print(console, "@bad instance ", call("write", 0x12345678, address("x"), 1));
}

/// True: main returns to the firmware.
bool act(Console& console, const char* word) {
    if (equal(word, "busy")) busy(console);
    if (equal(word, "unrecoverable")) become_unrecoverable();
    if (equal(word, "hang")) hang();
    if (equal(word, "jump")) jump();
    if (equal(word, "illegal")) asm volatile(".long 0");
    if (equal(word, "load")) asm volatile("lwarx 9, 0, %0" : : "r"(0x400001) : "r9");
    if (equal(word, "exit")) call("exit");
    if (equal(word, "enter")) call("enter");
    if (equal(word, "boot")) call("boot", address(""));
    if (equal(word, "badcalls")) make_bad_calls(console);
    return equal(word, "return");
}

} // namespace

extern "C" void main() {
    static char line[512];
    constexpr char key[] = "spillway.test=";
    Console console;
    const Cell size = get(find("/chosen"), "bootargs", line, sizeof line - 1);
    line[size < sizeof line ? size : 0] = '\0';
    char* at = line;
    for (Cell matched = 0; *at != '\0' && key[matched] != '\0'; ++at)
        matched = *at == key[matched] ? matched + 1 : *at == key[0];
    while (*at != '\0' && *at != ' ') {
        const char* word = at;
        while (*at != '\0' && *at != ' ' && *at != ',')
            ++at;
        const bool last = *at != ',';
        if (!last || *at == ' ') *at++ = '\0';
        console.text("@word ");
        console.text(word);
        console.text("\r\n");
        if (act(console, word)) return;
        if (last) break;
    }
    console.text("@done\r\n");
    call("interpret", address("power-off"));
}
