// SPDX-License-Identifier: BSD-2-Clause
// A client that edits the tree: what it sets it gets, every property is listed once, and the tree
// that is left can be handed to the hypervisor.
#include "tests/fuzz/guests.h"
#include "tests/fuzz/trees.h"

#include <set>

namespace spillway::fuzz {
namespace {

using of::test::failure;
using of::test::Guest;

class Client {
public:
    void edit(Input& input) {
        enum Edit : uint8_t { set, claim, release, negotiate, list, count };
        switch (static_cast<Edit>(input.below(count))) {
        case set:
            return set_property(input);
        case claim:
            guest.ask("claim", {input.number<uint32_t>(), input.number<uint32_t>(),
                                input.flag() ? 0u : 1u << input.below(28)});
            return demand_available(guest);
        case release:
            guest.call("release", {input.number<uint32_t>(), input.number<uint32_t>()}, 0);
            return demand_available(guest);
        case negotiate:
            guest.ask("call-method", {guest.text("ibm,client-architecture-support"),
                                      guest.open("/"), Guest::scratch});
            return demand_available(guest);
        case list:
            return list_properties(node(input));
        case count:
            break;
        }
    }

    GuardedGuest guest;

private:
    uint32_t node(Input& input) {
        static constexpr const char* paths[] = {
            "/",        "/chosen",  "/memory@0", "/rtas", "/cpus", "/pci@800000020000000/scsi@0",
            "/options", "/aliases",
        };
        const size_t chosen = input.below(16);
        return chosen < std::size(paths) ? guest.node(paths[chosen]) : input.byte();
    }
    std::string_view name(Input& input) {
        static constexpr std::string_view names[] = {
            "reg", "available", "name", "phandle", "linux,phandle", "bootargs", "#size-cells", "a",
        };
        const size_t chosen = input.below(16);
        return chosen < std::size(names) ? names[chosen] : input.text(input.below(80));
    }

    void set_property(Input& input) {
        const uint32_t node = this->node(input);
        const std::string_view name = this->name(input);
        const std::string_view value = input.text(input.byte());
        const uint32_t buffer = guest.text(value);
        const auto size = static_cast<uint32_t>(value.size());
        if (guest.ask("setprop", {node, guest.text(name), buffer, size}) == failure) return;
        const std::string_view set = name.substr(0, name.find('\0')); // as the client sees it
        demand(guest.property(node, set) == value, "what is set is got");
    }

    void list_properties(uint32_t node) {
        std::set<std::string> seen;
        for (uint32_t previous = 0;;) {
            const uint32_t next = guest.buffer(64);
            const uint32_t answer = guest.ask("nextprop", {node, previous, next});
            if (answer != 1) break;
            demand(seen.insert(guest.string(next)).second, "each property is listed once");
            demand(guest.ask("getproplen", {node, next}) != failure, "and has a length");
            previous = next;
        }
    }
};

} // namespace

void run(Input input) {
    Client client;
    let_negotiate(client.guest);
    for (int edits = 0; !input.empty() && edits < 64; ++edits)
        client.edit(input);
    demand_round_trip(client.guest.tree);
}

} // namespace spillway::fuzz
