// SPDX-License-Identifier: BSD-2-Clause
// Calls of the client interface with arguments of every kind: the firmware's memory is neither read
// nor written, no call answers anything but 0 or -1, and the machine stays sound.
#include "tests/fuzz/guests.h"
#include "tests/fuzz/trees.h"

namespace spillway::fuzz {
namespace {

using of::test::Guest;

constexpr const char* services[] = {
    "nextprop",
    "getprop",
    "getproplen",
    "peer",
    "child",
    "boot",
    "canon",
    "package-to-path",
    "call-method",
    "claim",
    "close",
    "enter",
    "exit",
    "finddevice",
    "instance-to-package",
    "interpret",
    "open",
    "instance-to-path",
    "milliseconds",
    "parent",
    "quiesce",
    "read",
    "release",
    "seek",
    "setprop",
    "test",
    "write",
    "test-method",
    "",
    "no such service",
};
constexpr const char* words[] = {
    "/",         "/chosen",
    "/memory@0", "/rtas",
    "stdin",     "stdout",
    "available", "instantiate-rtas",
    "write",     "ibm,client-architecture-support",
    "reg",       "name",
    "vty",       "device_type",
    "read",      "/vdevice/vty:a,b",
    "open",      "/cpus/PowerPC,POWER9@0",
    "reset-all", "cursor-on",
};
constexpr uint64_t edges[] = {
    0,
    1,
    Guest::image.end().value - 4,
    Guest::image.end().value,
    Guest::program.start.value - 2,
    Guest::program.end().value - 2,
    Guest::array,
    Guest::array + 16,
    Guest::stacks.start.value - 4,
    Guest::stacks.start.value,
    Guest::ram_size - 4,
    Guest::ram_size,
    Guest::island.start.value - 1,
    Guest::island.start.value,
    Guest::island.end().value - 3,
    Guest::island.end().value,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFC,
    0xFFFFFFFF,
};

class Caller {
public:
    void call(Input& input) {
        // A buffer of the firmware's is as bad for the array as for what the array names.
        if (input.byte() == 0) return answered(guest.client.call({input.one_of(edges)}));
        const size_t chosen = input.below(std::size(services) + 1);
        const std::string_view service =
            chosen < std::size(services) ? services[chosen] : input.text(70);
        const uint8_t counts = input.byte();
        std::vector<uint32_t> arguments(counts & 15u);
        for (uint32_t& argument : arguments)
            argument = this->argument(input);
        const Guest::Answer answer = guest.call(service, arguments, counts >> 4);
        answered(answer.status);
        for (const uint32_t value : answer.returns)
            earlier_[next_++ % std::size(earlier_)] = value;
    }

    GuardedGuest guest;

private:
    static void answered(int32_t status) { demand(status == 0 || status == -1, "0 or -1"); }

    uint32_t argument(Input& input) {
        enum Kind : uint8_t { number, small, edge, result, word, text, buffer, handle, count };
        switch (static_cast<Kind>(input.below(count))) {
        case number:
            return input.number<uint32_t>();
        case small:
            return input.byte();
        case edge:
            return static_cast<uint32_t>(input.one_of(edges) + input.byte() % 8);
        case result:
            return earlier_[input.below(std::size(earlier_))];
        case word:
            return guest.text(input.one_of(words));
        case text:
            return guest.text(input.text(input.byte()));
        case buffer:
            return guest.buffer(input.byte());
        case handle:
            return static_cast<uint32_t>(input.below(32));
        case count:
            break;
        }
        return 0;
    }

    uint32_t earlier_[8] = {};
    size_t next_ = 0;
};

} // namespace

void run(Input input) {
    Caller caller;
    caller.guest.console.input = "typed";
    let_negotiate(caller.guest);
    try {
        for (int calls = 0; !input.empty() && calls < 64; ++calls)
            caller.call(input);
    } catch (const of::test::Left&) {
        // The program has left; what it leaves behind is looked at all the same.
    }
    demand(caller.guest.platform.quiesced <= 1, "quiesced once");
    demand_available(caller.guest);
    demand_sound(caller.guest.tree);
}

} // namespace spillway::fuzz
