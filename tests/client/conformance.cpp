// SPDX-License-Identifier: BSD-2-Clause
// A conformance kit for client interfaces (IEEE 1275-1994, 6.3; the PowerPC binding; PAPR B.6):
// calls every service and method, with good arguments whose answers are known and with bad ones
// that must be refused or do no harm, prints a line for each group of cases and for each case that
// fails, and powers off. It prints by hypercall, and asks after every case whether the firmware
// still answers.
//
//   qemu-system-ppc64 -M pseries [-bios FIRMWARE] -nodefaults -display none -serial stdio
//       -kernel build/client/conformance-big_32-flat.elf
//
// To add a case: bad arguments are in conformance_forms.h, in tables; a right answer is an
// `expect` in the function of its group below.
#include "tests/client/conformance_forms.h"

using namespace conformance;

namespace {

Cell answer(const Outcome& came) {
    return came.status == 0 ? came.results[0] : none;
}
template<typename... Cells> Cell answer_of(const char* service, Cells... arguments) {
    return answer(ask(service, arguments...));
}

bool is_path_of(Cell node, const char* path) {
    return answer_of("finddevice", address(path)) == node;
}

char text_buffer[256];

/// The last name of a path, without a unit address.
bool is_name_of(const char* path, const char* name) {
    const char* last = path;
    for (const char* at = path; *at != '\0'; ++at)
        if (*at == '/') last = at + 1;
    while (*last != '\0' && *last != '@' && *last == *name) {
        ++last;
        ++name;
    }
    return *name == '\0' && (*last == '\0' || *last == '@');
}

constexpr const char* services[] = {"test",
                                    "peer",
                                    "child",
                                    "parent",
                                    "instance-to-package",
                                    "getproplen",
                                    "getprop",
                                    "nextprop",
                                    "setprop",
                                    "canon",
                                    "finddevice",
                                    "instance-to-path",
                                    "package-to-path",
                                    "call-method",
                                    "open",
                                    "close",
                                    "read",
                                    "write",
                                    "seek",
                                    "claim",
                                    "release",
                                    "boot",
                                    "enter",
                                    "exit",
                                    "interpret",
                                    "milliseconds",
                                    "quiesce"};

void test_right(Kit& kit, const Surroundings&) {
    for (const char* service : services) {
        kit.expect("there", service, 0, [&] { return ask("test", address(service)); });
    }
    kit.expect("there", "no-such-service",
               [] { return ask("test", address("no-such-service")).results[0] != 0; });
}

void peer_right(Kit& kit, const Surroundings& seen) {
    kit.expect("zero", "the root", seen.phandles()[0], [&] { return ask("peer", 0); });
    kit.expect("root", "no peer", 0, [&] { return ask("peer", seen.phandles()[0]); });
}

/// Every node of the tree: parent and child agree.
void child_right(Kit& kit, const Surroundings& seen) {
    for (const Cell node : seen.phandles()) {
        kit.expect("of each node", "has it as parent", [&] {
            const Cell child = answer_of("child", node);
            return child == 0 || answer_of("parent", child) == node;
        });
    }
}

void parent_right(Kit& kit, const Surroundings& seen) {
    kit.expect("root", "none", 0, [&] { return ask("parent", seen.phandles()[0]); });
    for (const Cell node : seen.phandles().subspan(1)) {
        kit.expect("of each node", "has it among its children", [&] {
            Cell child = answer_of("child", answer_of("parent", node));
            while (child != node && child != 0 && child != none)
                child = answer_of("peer", child);
            return child == node;
        });
    }
}

void path_right(Kit& kit, const Surroundings& seen) {
    for (const Cell node : seen.phandles()) {
        kit.expect("of each node", "leads back to it", [&] {
            const Cell size =
                answer_of("package-to-path", node, address(text_buffer), sizeof text_buffer);
            return size < sizeof text_buffer && is_path_of(node, text_buffer);
        });
    }
    kit.expect("length", "of /chosen, without the NUL", 7, [] {
        return ask("package-to-path", find("/chosen"), address(text_buffer), sizeof text_buffer);
    });
    kit.expect("room", "none: the length all the same", 7, [&] {
        text_buffer[0] = '?';
        return ask("package-to-path", find("/chosen"), address(text_buffer), 0);
    });
    kit.expect("room", "none: nothing is stored", [&] { return text_buffer[0] == '?'; });
}

void finddevice_right(Kit& kit, const Surroundings& seen) {
    kit.expect("path", "/", seen.phandles()[0], [&] { return ask("finddevice", address("/")); });
    kit.expect("path", "without a unit address", [] {
        return answer_of("finddevice", address("/memory")) ==
               answer_of("finddevice", address("/memory@0"));
    });
    for (const char* path :
         {"/no-such-node", "/chosen/no-such-node", "/chosen@1", "no-such-alias", "chosen"})
        kit.expect("nothing there", path,
                   [&] { return answer_of("finddevice", address(path)) == none; });
}

void canon_right(Kit& kit, const Surroundings&) {
    kit.expect("path", "gets its unit address", [] {
        const Cell size =
            answer_of("canon", address("/memory"), address(text_buffer), sizeof text_buffer);
        return size == 9 && equal(text_buffer, "/memory@0");
    });
    kit.expect("path", "nothing there", [] {
        return answer_of("canon", address("/no-such-node"), address(text_buffer),
                         sizeof text_buffer) == none;
    });
}

void instance_right(Kit& kit, const Surroundings&) {
    const Cell node = find("/chosen");
    for (const char* name : {"stdin", "stdout", "cpu"}) {
        kit.expect("of /chosen", name, [&] {
            const Cell instance = get_cell(node, name),
                       package = answer_of("instance-to-package", instance);
            const Cell size =
                answer_of("instance-to-path", instance, address(text_buffer), sizeof text_buffer);
            return package != none && size < sizeof text_buffer && is_path_of(package, text_buffer);
        });
    }
}

/// Walks a node's properties, asks of each; whether the walk came to its end.
template<typename Visit> bool walk_properties(Cell node, Visit visit) {
    static char names[2][64];
    names[0][0] = '\0';
    for (Cell i = 0; i < 1000; ++i) {
        char *previous = names[i % 2], *next = names[(i + 1) % 2];
        const Cell more = answer_of("nextprop", node, address(previous), address(next));
        if (more != 1) return more == 0;
        visit(next);
    }
    return false;
}

void nextprop_right(Kit& kit, const Surroundings& seen) {
    static char value[0x10000], path[256];
    for (const Cell node : seen.phandles()) {
        kit.expect("of each node", "the walk ends",
                   [&] { return walk_properties(node, [](const char*) {}); });
        kit.expect("of each node", "getprop and getproplen agree", [&] {
            bool agree = true;
            walk_properties(node, [&](const char* name) {
                const Cell size = answer_of("getproplen", node, address(name));
                agree =
                    agree && size <= sizeof value &&
                    answer_of("getprop", node, address(name), address(value), sizeof value) == size;
            });
            return agree;
        });
        kit.expect("of each node", "name is among them", [&] {
            bool found = false;
            walk_properties(node, [&](const char* name) { found = found || equal(name, "name"); });
            return found;
        });
        kit.expect("of each node", "name is that of the path", [&] {
            answer_of("package-to-path", node, address(path), sizeof path);
            answer_of("getprop", node, address("name"), address(value), sizeof value);
            return equal(path, "/") || is_name_of(path, value);
        });
    }
}

void getprop_right(Kit& kit, const Surroundings& seen) {
    const Cell node = find("/chosen"), root = seen.phandles()[0];
    kit.expect("name", "is not there", [&] {
        return answer_of("getprop", node, address("no-such"), address(text_buffer), 4) == none &&
               answer_of("getproplen", node, address("no-such")) == none;
    });
    for (const Cell room : {0U, 1U, 3U}) {
        kit.expect("room", "too little: the whole length, and no byte too many", [&] {
            std::ranges::fill(text_buffer, '?');
            const Cell size =
                answer_of("getprop", root, address("device_type"), address(text_buffer), room);
            return size == answer_of("getproplen", root, address("device_type")) && size > room &&
                   text_buffer[room] == '?' && (room == 0 || text_buffer[room - 1] != '?');
        });
    }
}

/// On nodes of all kinds: what was set is there, in the place of what was there before.
void setprop_right(Kit& kit, const Surroundings& seen) {
    static const char first[] = "first", longer[] = "the second value is longer than the first one";
    for (const Cell node : seen.phandles()) {
        kit.expect("on each node", "set, set anew, emptied", [&] {
            const Cell name = address("conformance");
            const auto is_set = [&](const char* value, Cell size) {
                const Cell stored = answer_of("setprop", node, name, address(value), size);
                if (stored != size || answer_of("getproplen", node, name) != size) return false;
                answer_of("getprop", node, name, address(text_buffer), sizeof text_buffer);
                return std::equal(value, value + size, text_buffer);
            };
            return is_set(first, sizeof first) && is_set(longer, sizeof longer) &&
                   is_set(first, 1) && is_set("", 0);
        });
    }
    for (const char* name : {"name", "phandle"}) {
        kit.expect("of each node", name, [&] {
            const Cell node = find("/chosen");
            ask("setprop", node, address(name), address("others"), 6);
            answer_of("getprop", node, address("name"), address(text_buffer), sizeof text_buffer);
            return is_path_of(node, "/chosen") && equal(text_buffer, "chosen");
        });
    }
}

void open_right(Kit& kit, const Surroundings& seen) {
    kit.expect("path", "nothing there", 0, [] { return ask("open", address("/no-such-node")); });
    kit.expect("instance", "is one of its node, until it is closed", [&] {
        const Cell instance = answer_of("open", address("/"));
        const bool right = instance != 0 && instance != none &&
                           answer_of("instance-to-package", instance) == seen.phandles()[0];
        ask("close", instance);
        return right && answer_of("instance-to-package", instance) == none;
    });
    kit.expect("instances", "two of a node differ", [] {
        const Cell one = answer_of("open", address("/")), two = answer_of("open", address("/"));
        ask("close", one);
        ask("close", two);
        return one != two;
    });
    kit.expect("instances", "very many: open says so, and can again", [] {
        static Cell instances[300];
        for (Cell& instance : instances)
            instance = answer_of("open", address("/"));
        for (const Cell instance : instances)
            if (instance != 0 && instance != none) ask("close", instance);
        const Cell again = answer_of("open", address("/"));
        ask("close", again);
        return again != 0 && again != none;
    });
}

void write_right(Kit& kit, const Surroundings&) {
    const Cell output = get_cell(find("/chosen"), "stdout");
    for (const Cell size : {0U, 1U, 15U, 16U, 17U, 100U}) {
        static char blanks[100];
        std::ranges::fill(blanks, '\r');
        kit.expect("length", "all is taken", size,
                   [&] { return ask("write", output, address(blanks), size); });
    }
}

void read_right(Kit& kit, const Surroundings&) {
    const Cell input = get_cell(find("/chosen"), "stdin");
    kit.expect("nothing typed", "0 or -2", [&] {
        const Cell came = answer_of("read", input, address(text_buffer), 16);
        return came == 0 || came == static_cast<Cell>(-2);
    });
    kit.expect("room", "none", 0, [&] { return ask("read", input, address(text_buffer), 0); });
}

bool overlaps(Cell a, Cell a_size, Cell b, Cell b_size) {
    return a < b + b_size && b < a + a_size;
}

void claim_right(Kit& kit, const Surroundings&) {
    constexpr Cell page = 0x1000, mib = 0x100000;
    const Cell place = call("claim", 0, mib, mib); // where there is room
    call("release", place, mib);
    const auto claim_fails = [](Cell start, Cell size, Cell align) {
        return answer_of("claim", start, size, align) == none;
    };
    kit.expect("exact", "what is free", place, [&] { return ask("claim", place, mib, 0); });
    ask("claim", place, mib, 0); // if that case was passed over
    for (const Cell start : {place, place + page, place + mib - 1, place - page}) {
        kit.expect("exact", "overlaps what is taken",
                   [&] { return claim_fails(start, 2 * page, 0); });
    }
    kit.expect("any", "not what is taken", [&] {
        const Cell other = answer_of("claim", 0, mib, mib);
        const bool right = other != none && other % mib == 0 && !overlaps(other, mib, place, mib);
        ask("release", other, mib);
        return right;
    });
    kit.expect("part", "given back, is free again, and the rest is not", [&] {
        ask("release", place + page, page);
        return claim_fails(place, page, 0) && claim_fails(place + 2 * page, page, 0) &&
               answer_of("claim", place + page, page, 0) == place + page;
    });
    ask("release", place, mib);
    kit.expect("exact", "again when it was given back", [&] {
        const bool right = answer_of("claim", place, mib, 0) == place;
        ask("release", place, mib);
        return right;
    });
    for (Cell align = 1; align <= mib; align *= 16) {
        kit.expect("any", "aligned", [&] {
            const Cell start = answer_of("claim", 0, 1, align);
            ask("release", start, 1);
            return start != none && start % align == 0;
        });
    }
    // The smallest power of two that is not less.
    for (const Cell align : {3U, 5U, 0x1001U, 0x3000U}) {
        kit.expect("any", "aligned to a power of two", [&] {
            Cell power = 1;
            while (power < align)
                power *= 2;
            const Cell start = answer_of("claim", 0, 1, align);
            ask("release", start, 1);
            return start != none && start % power == 0;
        });
    }
    const auto refused = [&](const char* value, Cell start, Cell size, Cell align) {
        if (!kit.begin(Demand::refusal, "range", value, start)) return;
        const Outcome came = ask("claim", start, size, align);
        const bool granted = came.status == 0 && came.results[0] != none;
        if (granted) ask("release", came.results[0], size);
        kit.end(!granted, "a refusal", came);
    };
    refused("of nothing", place, 0, 0);
    refused("of nothing, anywhere", 0, 0, page);
    refused("wraps", 0xFFFFF000, 2 * page, 0);
    refused("wraps to its start", place, none, 0);
    refused("all there is", 0, none, 1);
    refused("more than half, anywhere", 0, 0x80000000, page);
    refused("not RAM", 0xE0000000, page, 0);
    refused("in the firmware", client_entry, 4, 0);
    refused("in the vectors", 0x100, 4, 0);
    refused("in the program", address(text_buffer), 4, 0);
    refused("on the stack", address(__builtin_frame_address(0)), 4, 0);
    refused("aligned beyond RAM", 0, page, none);
    refused("aligned to more than there is", 0, page, 0x80000000);
}

/// What is not the caller's is not free because of that: a claim still finds it taken.
void release_right(Kit& kit, const Surroundings& seen) {
    constexpr Cell page = 0x1000;
    const auto harmless = [&](const char* value, Cell start, Cell size, Cell probe) {
        if (!kit.begin(Demand::refusal, "range", value, start)) return;
        const Outcome came = ask("release", start, size);
        const bool taken = answer_of("claim", probe, 4, 0) == none;
        kit.end(taken, "what is there to stay taken", came);
    };
    harmless("the firmware's entry", client_entry & ~(page - 1), page, client_entry);
    harmless("the firmware's vectors", 0, page, 0x100);
    for (const Place& place : seen.places())
        if (place.is_ram && place.demand == Demand::refusal && place.address % 4 == 0)
            harmless(place.name, place.address, 4, place.address);
    harmless("everything", 0, none, client_entry);
    harmless("wraps", 0xFFFFF000, 2 * page, client_entry);
    harmless("not RAM", 0xE0000000, page, 0xE0000000);
    const Cell mine = call("claim", 0, 4 * page, page);
    harmless("nothing of mine", mine, 0, mine);
    harmless("mine and the next page", mine + 3 * page, 0x40000000, mine);
    call("release", mine, 4 * page);
    kit.expect("twice", "and it is free once", [&] {
        ask("release", mine, 4 * page);
        const Cell again = answer_of("claim", mine, page, 0);
        ask("release", again, page);
        return again == mine;
    });
}

void milliseconds_right(Kit& kit, const Surroundings&) {
    kit.expect("time", "goes on, and never back", [] {
        const Cell start = answer_of("milliseconds");
        Cell last = start;
        for (Cell i = 0; i < 10000000 && last - start < 2; ++i) {
            const Cell now = answer_of("milliseconds");
            if (now < last || now == none) return false;
            last = now;
        }
        return last - start >= 2;
    });
}

void interpret_right(Kit& kit, const Surroundings&) {
    for (const char* phrase :
         {"no-such-word", "1 0 /", "drop drop drop", "abort", "\" no-such", "' no-such execute"})
        kit.expect("throws", phrase,
                   [&] { return ask("interpret", address(phrase)).results[0] != 0; });
}

/// Methods that the instance does not have, and those of another.
void methods_right(Kit& kit, const Surroundings&) {
    const Cell output = get_cell(find("/chosen"), "stdout");
    for (const char* method :
         {"no-such-method", "instantiate-rtas", "ibm,client-architecture-support", ""})
        kit.expect("is not there", method,
                   [&] { return ask("call-method", address(method), output).results[0] != 0; });
}

void test_method_right(Kit& kit, const Surroundings&) {
    const auto has = [](const char* path, const char* method) {
        return answer_of("test-method", find(path), address(method)) == 0;
    };
    kit.expect("/rtas", "instantiate-rtas", [&] { return has("/rtas", "instantiate-rtas"); });
    kit.expect("/", "ibm,client-architecture-support",
               [&] { return has("/", "ibm,client-architecture-support"); });
    kit.expect("/", "no-such-method", [&] { return !has("/", "no-such-method"); });
}

struct Group {
    const char* name;
    void (*right)(Kit& kit, const Surroundings& seen); ///< good cases beyond the one good call
};
constexpr Group groups[] = {
    {"test", test_right},
    {"peer", peer_right},
    {"child", child_right},
    {"parent", parent_right},
    {"instance-to-package", instance_right},
    {"instance-to-path", nullptr},
    {"package-to-path", path_right},
    {"finddevice", finddevice_right},
    {"canon", canon_right},
    {"getproplen", nullptr},
    {"getprop", getprop_right},
    {"nextprop", nextprop_right},
    {"setprop", setprop_right},
    {"open", open_right},
    {"close", nullptr},
    {"read", read_right},
    {"write", write_right},
    {"seek", nullptr},
    {"claim", claim_right},
    {"release", release_right},
    {"milliseconds", milliseconds_right},
    {"interpret", interpret_right},
    {"test-method", test_method_right},
    {"call-method write", methods_right},
    {"call-method read", nullptr},
    {"call-method instantiate-rtas", nullptr},
    {"call-method ibm,client-architecture-support", nullptr},
    {"boot", nullptr},
    {"enter", nullptr},
    {"exit", nullptr},
};

} // namespace

extern "C" [[noreturn]] void main() {
    static char words[1024];
    const Cell size = get(find("/chosen"), "bootargs", words, sizeof words - 1);
    const Cell end = size < sizeof words ? length(words) : 0;
    words[end] = '\0';
    static Terminal terminal;
    if (find_word(words, "conformance.wait") != nullptr) {
        terminal.text("@ready\r\n");
        terminal.read_line(words + end, sizeof words - end);
    }
    static Kit kit{terminal, words};
    static Surroundings surroundings{words};
    static Forms forms{kit, surroundings};
    for (const Place& place : surroundings.places()) {
        terminal.text("place ");
        terminal.hex(place.address);
        terminal.text(" ");
        terminal.text(place.name);
        terminal.text("\r\n");
    }
    if (kit.group("argument array")) forms.run_arrays();
    for (const Group& group : groups) {
        if (!kit.group(group.name) || !forms.run_good(group.name)) continue;
        if (group.right != nullptr) group.right(kit, surroundings);
        forms.run_bad(group.name);
    }
    if (kit.group("quiesce")) {
        forms.run_bad("quiesce");
        kit.expect("call", "as it should be", [] { return ask("quiesce").status == 0; });
    }
    if (kit.group("after quiesce")) {
        ask("quiesce");
        forms.run_late();
    }
    kit.finish();
}
