// SPDX-License-Identifier: BSD-2-Clause
// One good call of each service and method, with what each of its arguments is; and from that, by
// tables, all the bad ones: each argument with everything that can be wrong with its kind, and
// counts that lie.
//
// To add a service: one line in the constructor of `Forms`, and its name to the groups of
// conformance.cpp. To add something that can be wrong: one line where its kind of argument is, and
// every service has the case.
#pragma once

#include "tests/client/conformance_surroundings.h"

#include <array>

namespace conformance {

/// What an argument is, and so what can be wrong with it.
enum class Kind : uint8_t {
    number,          ///< nothing by itself
    name,            ///< string that is looked up; nothing has the empty name
    previous_name,   ///< likewise, and the empty one asks for the first
    new_name,        ///< string of a property, which the call makes if it is not there
    phrase,          ///< string of Forth
    specifier,       ///< string that may say anything
    to,              ///< memory that the firmware writes
    from,            ///< memory that the firmware reads
    vectors,         ///< memory that the hypervisor reads
    room,            ///< how much there is behind `to`
    length,          ///< how much there is behind `from`
    phandle,         //
    phandle_or_zero, ///< 0 asks for the root
    ihandle,         //
    fresh_ihandle,   ///< of an instance that was opened for this call
    fresh_claim,     ///< memory that was claimed for this call
};

struct Argument {
    Kind kind = Kind::number;
    const char* name = "";
    Cell good = 0;
};

using Refused = bool (*)(const Outcome&);

struct Form {
    const char* group;
    const char* service;
    std::array<Argument, 5> arguments;
    Cell argument_count;
    Cell returns;
    Refused refused;   ///< besides by the status
    bool ends = false; ///< a good call does not come back, or changes what comes after
};

// How services say no.
inline bool by_status(const Outcome&) {
    return false;
}
inline bool by_none(const Outcome& came) {
    return came.results[0] == none;
}
/// No handle: -1 is none either.
inline bool by_zero(const Outcome& came) {
    return came.results[0] == 0 || came.results[0] == none;
}
/// A flag, or what a method threw.
inline bool by_not_zero(const Outcome& came) {
    return came.results[0] != 0 && came.results[0] != untouched;
}
inline bool by_throw_or_none(const Outcome& came) {
    return by_not_zero(came) || came.results[1] == none;
}
inline bool by_throw_or_error(const Outcome& came) {
    return by_not_zero(came) || (came.results[1] != 0 && came.results[1] != untouched);
}
/// Of an input with nothing typed.
inline constexpr Cell minus_two = ~Cell{1};
inline bool by_no_input(const Outcome& came) {
    return came.results[0] == 0 || came.results[0] >= minus_two;
}
inline bool by_throw_or_no_input(const Outcome& came) {
    return by_not_zero(came) || came.results[1] == 0 || came.results[1] >= minus_two;
}

/// Calls with all that can be wrong with them.
class Forms {
public:
    Forms(Kit& kit, const Surroundings& surroundings);

    /// The good calls of a group's forms. False: the firmware has no such service or method.
    bool run_good(const char* group);
    /// All the bad ones; the counts, which are the most fatal, come last.
    void run_bad(const char* group);
    /// The good call of every form that comes back, with no demand but to do no harm.
    void run_late();
    /// What can be wrong with the argument array itself and with the name of the service in it.
    void run_arrays();

private:
    using Cells = std::array<Cell, 5>;

    void add(const char* service, std::initializer_list<Argument> arguments, Cell returns,
             Refused refused, bool ends = false);
    void add_method(const char* group, const char* method, Cell instance,
                    std::initializer_list<Argument> stack, Refused refused);
    const Form& find_form(const char* group) const;
    Cells prepare(const Form& form);
    void clean_up(const Form& form, const Cells& used, const Outcome& came);
    static bool is_refused(const Form& form, const Outcome& came) {
        return came.status != 0 || form.refused(came);
    }
    /// Where a call stores something; 0 for nowhere.
    static Cell stored_at(const Form& form, const Cells& arguments) {
        for (Cell i = 0; i < form.argument_count; ++i)
            if (form.arguments[i].kind == Kind::to) return arguments[i];
        return 0;
    }
    static Array::Counts counts(const Form& form) { return {form.argument_count, form.returns}; }
    Outcome make(const Form& form, const Cells& arguments, Array::Counts said) {
        const Outcome came =
            Array::call(address(form.service), {arguments.data(), form.argument_count}, said);
        if (form.refused == by_throw_or_error) kit_.remember(); // the tree may be another one
        return came;
    }
    /// One case: the form's good call but for what `spoil` does to its arguments.
    template<typename Spoil>
    void attempt(const Form& form, Demand demand, const char* subject, const char* value,
                 Cell number, Spoil spoil);

    void bad_argument(const Form& form, Cell index);
    void bad_text(Kind kind, const char* good, const auto& bad);
    void bad_counts(const Form& form);

    Kit& kit_;
    const Surroundings& surroundings_;
    Form forms_[40]{};
    Cell count_ = 0;
    Cell handles_[8]; ///< what is open all the time
    Cell stale_;      ///< what was closed
};

namespace memory {

constexpr char pattern = '\xA5';
inline char to[256];                                        ///< what calls store in
inline char good_to[256];                                   ///< and what the good call stored there
inline char to_code[0x2000];                                ///< where RTAS is put
alignas(4) inline char from[64] = "\r\r\r\r\r\r\r\r\r\r\r"; ///< what a terminal does not show
inline char long_text[0x1000];
/// Accepts the processors of the last releases, and asks for nothing (PAPR B.6.2.3).
alignas(8) inline Big32 vectors[] = {
    Big32{0xFFFF0000}, Big32{0x004E0000}, Big32{0xFFFF0000}, Big32{0x00800000},
    Big32{0xFFFFFFFF}, Big32{0x0F000006}, Big32{0xFFFFFFFF}, Big32{0x0F000005},
    Big32{0xFFFFFFFE}, Big32{0x0F000004}, // the last of the list
    Big32{0x04000000}, Big32{0},          Big32{0},          Big32{0},
};

} // namespace memory

/// What a firmware can be talked into overwriting, although it is its own: the kit puts it back.
class Kept {
public:
    Kept(const Surroundings& surroundings, Cell place)
        : place_(surroundings.is_ram_place(place) ? reinterpret_cast<char*>(place) : nullptr) {
        if (place_ != nullptr) std::copy(place_, place_ + sizeof content_, content_);
    }
    void put_back() const {
        if (place_ != nullptr) std::copy(content_, content_ + sizeof content_, place_);
    }

private:
    char* place_;
    char content_[64];
};

inline Forms::Forms(Kit& kit, const Surroundings& surroundings)
    : kit_(kit)
    , surroundings_(surroundings) {
    using enum Kind;
    const Cell node = find("/chosen");
    const Cell input = get_cell(node, "stdin"), output = get_cell(node, "stdout");
    const Cell root = call("open", address("/")), rtas = call("open", address("/rtas"));
    const Cell handles[] = {input,
                            output,
                            root,
                            rtas,
                            get_cell(node, "cpu"),
                            get_cell(node, "mmu"),
                            get_cell(node, "memory"),
                            0};
    std::ranges::copy(handles, handles_);
    stale_ = call("open", address("/"));
    call("close", stale_);
    std::ranges::fill(memory::long_text, 'x');
    std::end(memory::long_text)[-1] = '\0';

    const auto text = [](const char* value) { return address(value); };
    const Argument to_buffer{to, "buffer", address(memory::to)};
    const Argument from_buffer{from, "buffer", address(memory::from)};
    const Argument value_name{name, "name", text("stdout")};
    const Argument room_of_64{room, "room", 64}, four_bytes{length, "length", 4};
    const Argument path{name, "path", text("/chosen")};
    const Argument in_node{phandle, "phandle", node};

    add("test", {{name, "name", text("peer")}}, 1, by_not_zero);
    add("peer", {{phandle_or_zero, "phandle", node}}, 1, by_zero);
    add("child", {{phandle, "phandle", call("peer", 0)}}, 1, by_zero);
    add("parent", {in_node}, 1, by_zero);
    add("instance-to-package", {{ihandle, "ihandle", output}}, 1, by_none);
    add("instance-to-path", {{ihandle, "ihandle", output}, to_buffer, room_of_64}, 1, by_none);
    add("package-to-path", {in_node, to_buffer, room_of_64}, 1, by_none);
    add("finddevice", {path}, 1, by_none);
    add("canon", {path, to_buffer, room_of_64}, 1, by_none);
    add("getproplen", {in_node, value_name}, 1, by_none);
    add("getprop", {in_node, value_name, to_buffer, {room, "room", 4}}, 1, by_none);
    add("getprop", {in_node, {name, "name", text("name")}, to_buffer, room_of_64}, 1, by_none);
    add("nextprop", {in_node, {previous_name, "previous", text("stdout")}, to_buffer}, 1, by_none);
    add("setprop",
        {in_node, {new_name, "name", text("conformance")}, from_buffer, {length, "length", 12}}, 1,
        by_none);
    add("open", {path}, 1, by_zero);
    add("close", {{fresh_ihandle, "ihandle"}}, 0, by_status);
    add("read", {{ihandle, "ihandle", input}, to_buffer, {room, "room", 64}}, 1, by_no_input);
    add("write", {{ihandle, "ihandle", output}, from_buffer, four_bytes}, 1, by_none);
    add("seek", {{ihandle, "ihandle", output}, {number, "high"}, {number, "low"}}, 1, by_none);
    add("claim", {{number, "address"}, {number, "size", 0x1000}, {number, "align", 0x1000}}, 1,
        by_none);
    add("release", {{fresh_claim, "address"}, {number, "size", 0x1000}}, 0, by_status);
    add("milliseconds", {}, 1, by_status);
    add("interpret", {{phrase, "text", text("cursor-on")}}, 1, by_not_zero);
    add("test-method", {in_node, {name, "method", text("open")}}, 1, by_not_zero);
    add_method("call-method write", "write", output, {four_bytes, from_buffer}, by_throw_or_none);
    add_method("call-method read", "read", input, {room_of_64, to_buffer}, by_throw_or_no_input);
    add_method("call-method instantiate-rtas", "instantiate-rtas", rtas,
               {{to, "base", (address(memory::to_code) + 0xFFF) & ~0xFFFU}}, by_throw_or_none);
    add_method("call-method ibm,client-architecture-support", "ibm,client-architecture-support",
               root, {{Kind::vectors, "vectors", address(memory::vectors)}}, by_throw_or_error);
    // These do not come back, or change what comes after.
    add("boot", {{specifier, "specifier", text("")}}, 0, by_status, true);
    add("enter", {}, 0, by_status, true);
    add("exit", {}, 0, by_status, true);
    add("quiesce", {}, 0, by_status, true);
}

inline void Forms::add(const char* service, std::initializer_list<Argument> arguments, Cell returns,
                       Refused refused, bool ends) {
    Form& form = forms_[count_++];
    form = {service, service, {}, static_cast<Cell>(arguments.size()), returns, refused, ends};
    std::ranges::copy(arguments, form.arguments.begin());
}

inline void Forms::add_method(const char* group, const char* method, Cell instance,
                              std::initializer_list<Argument> stack, Refused refused) {
    Form& form = forms_[count_++];
    form = {group, "call-method", {}, static_cast<Cell>(2 + stack.size()), 2, refused};
    form.arguments[0] = {Kind::name, "method", address(method)};
    form.arguments[1] = {Kind::ihandle, "ihandle", instance};
    std::ranges::copy(stack, form.arguments.begin() + 2);
}

/// The good arguments, and memory as the call should find it.
inline Forms::Cells Forms::prepare(const Form& form) {
    std::ranges::fill(memory::to, memory::pattern);
    Cells cells{};
    for (Cell i = 0; i < form.argument_count; ++i) {
        cells[i] = form.arguments[i].good;
        if (form.arguments[i].kind == Kind::fresh_ihandle) cells[i] = call("open", address("/"));
        if (form.arguments[i].kind == Kind::fresh_claim)
            cells[i] = call("claim", 0, 0x1000, 0x1000);
    }
    return cells;
}

/// Gives back what the call got, or did not take.
inline void Forms::clean_up(const Form& form, const Cells& used, const Outcome& came) {
    const bool got = !is_refused(form, came) && came.results[0] != untouched;
    if (equal(form.service, "open") && got) call("close", came.results[0]);
    if (equal(form.service, "claim") && got) call("release", came.results[0], used[1]);
    for (Cell i = 0; i < form.argument_count; ++i) {
        if (form.arguments[i].kind == Kind::fresh_ihandle) call("close", used[i]);
        if (form.arguments[i].kind == Kind::fresh_claim) call("release", used[i], 0x1000);
    }
}

template<typename Spoil>
void Forms::attempt(const Form& form, Demand demand, const char* subject, const char* value,
                    Cell number, Spoil spoil) {
    if (!kit_.begin(demand, subject, value, number)) return;
    const Cells prepared = prepare(form);
    Cells arguments = prepared;
    Array::Counts said = counts(form);
    spoil(arguments, said);
    const Kept kept{surroundings_, stored_at(form, arguments)};
    Outcome came = make(form, arguments, said);
    for (Cell i = 0; i < form.argument_count; ++i) {
        // Beyond the room nothing is stored, and with more room no more than is good.
        if (form.arguments[i].kind != Kind::room) continue;
        const bool whole = arguments[i] >= std::size(memory::to);
        for (Cell at = whole ? 0 : arguments[i]; at < std::size(memory::to); ++at) {
            if (memory::to[at] == memory::pattern) continue;
            if (!whole || memory::to[at] != memory::good_to[at]) came.overrun = true;
        }
    }
    const bool refused = is_refused(form, came);
    if (!refused) kept.put_back();
    clean_up(form, prepared, came);
    const bool refusal = demand == Demand::refusal;
    kit_.end(refused || !refusal, refusal ? "a refusal" : "no harm", came);
}

inline bool Forms::run_good(const char* group) {
    for (const Form& form : std::span{forms_, count_}) {
        if (!equal(form.group, group) || form.ends) continue;
        if (!kit_.begin(Demand::good, "call", "as it should be")) continue;
        const Cells arguments = prepare(form);
        const Outcome came = make(form, arguments, counts(form));
        clean_up(form, arguments, came);
        // A console may have no positions to seek, and no input.
        const bool may_refuse = form.refused == by_no_input ||
                                form.refused == by_throw_or_no_input || equal(group, "seek");
        const bool is_there = ask("test", address(form.service)).results[0] == 0;
        if (may_refuse ? !is_there : is_refused(form, came)) {
            kit_.not_offered();
            return false;
        }
        kit_.end(true, "", came);
    }
    return true;
}

inline void Forms::run_bad(const char* group) {
    for (const Form& form : std::span{forms_, count_}) {
        if (!equal(form.group, group)) continue;
        if (!form.ends) {
            const Cells arguments = prepare(form);
            clean_up(form, arguments, make(form, arguments, counts(form)));
            std::ranges::copy(memory::to, memory::good_to);
        }
        for (Cell i = 0; i < form.argument_count; ++i)
            bad_argument(form, i);
    }
    for (const Form& form : std::span{forms_, count_})
        if (equal(form.group, group)) bad_counts(form);
}

/// Calls bad(what is wrong, address, demand) with strings that are not what they should be.
inline void Forms::bad_text(Kind kind, const char* good, const auto& bad) {
    const bool empty_is_good = kind == Kind::previous_name || kind == Kind::phrase;
    for (const Place& place : surroundings_.places()) {
        if (kind == Kind::specifier && place.demand == Demand::either) continue;
        const bool asks_for_first = kind == Kind::previous_name && place.address == 0;
        bad(place.name, place.address, asks_for_first ? Demand::either : place.demand);
    }
    bad("too long", address(memory::long_text), Demand::refusal);
    if (surroundings_.last_memory() != 0)
        bad("without an end in RAM", surroundings_.last_memory(), Demand::refusal);
    if (kind == Kind::specifier) return;
    // Its first cell may begin with a 0: the empty string.
    bad("the argument array", address(Array::place()), Demand::either);
    bad("empty", address(""), empty_is_good ? Demand::either : Demand::refusal);
    bad("control characters", address("\x01\x7f\n"), Demand::refusal);
    bad("characters above 127", address("\xff\x80"), Demand::refusal);
    if (kind == Kind::new_name) return;
    static char changed[64];
    const Cell size = length(good);
    std::copy(good, good + size, changed);
    changed[size] = 'x';
    changed[size + 1] = '\0';
    bad("one character more", address(changed), Demand::refusal);
    static char shorter[64];
    if (size < 2) return;
    std::copy(good, good + size - 1, shorter);
    shorter[size - 1] = '\0';
    bad("one character less", address(shorter), Demand::refusal);
}

inline void Forms::bad_argument(const Form& form, Cell index) {
    const Argument& argument = form.arguments[index];
    const auto bad = [&](const char* value, Cell cell, Demand demand) {
        attempt(form, demand, argument.name, value, cell,
                [&](Cells& cells, Array::Counts&) { cells[index] = cell; });
    };
    switch (argument.kind) {
    case Kind::number:
    case Kind::fresh_claim:
        break; // have cases of their own
    case Kind::name:
    case Kind::previous_name:
    case Kind::new_name:
    case Kind::phrase:
    case Kind::specifier:
        bad_text(argument.kind, reinterpret_cast<const char*>(argument.good), bad);
        break;
    case Kind::to:
    case Kind::from:
    case Kind::vectors:
        for (const Place& place : surroundings_.places())
            if (argument.kind != Kind::vectors || place.demand == Demand::refusal)
                bad(place.name, place.address, place.demand);
        if (argument.kind != Kind::vectors)
            bad("the argument array", address(Array::place()),
                argument.kind == Kind::to ? Demand::refusal : Demand::either);
        break;
    case Kind::room:
        for (const Cell room :
             {Cell{0}, Cell{1}, argument.good - 1, 0x7FFFFFFFU, 0x80000000U, none})
            bad("another", room, Demand::either);
        break;
    case Kind::length:
        bad("none", 0, Demand::either);
        for (const Cell length :
             {0x7FFFFFFFU, 0x80000000U, 0xC0000000U, none - argument.good, none})
            bad("huge", length, Demand::refusal);
        break;
    case Kind::phandle:
    case Kind::phandle_or_zero:
    case Kind::ihandle:
    case Kind::fresh_ihandle: {
        const bool instance =
            argument.kind == Kind::ihandle || argument.kind == Kind::fresh_ihandle;
        const Demand no = argument.kind == Kind::fresh_ihandle ? Demand::either : Demand::refusal;
        const auto wrong = [&](const char* value, Cell cell) {
            const bool is_good = instance ? std::ranges::find(handles_, cell) != std::end(handles_)
                                          : surroundings_.is_phandle(cell);
            if (!is_good) bad(value, cell, no);
        };
        bad("zero", 0, argument.kind == Kind::phandle_or_zero ? Demand::either : no);
        wrong("a handle of the other kind", instance ? surroundings_.phandles()[1] : handles_[1]);
        wrong("closed", stale_);
        wrong("all ones", none);
        wrong("all ones but one", none - 1);
        wrong("one", 1);
        wrong("small", 0x7F);
        wrong("its neighbour", argument.good + 1);
        wrong("its other neighbour", argument.good - 1);
        wrong("its twin", argument.good ^ 0x100);
        wrong("negative", argument.good | 0x80000000);
        wrong("far away", 0x12345678);
        wrong("an address", address(memory::to));
        wrong("the firmware's entry", client_entry);
        break;
    }
    }
}

inline void Forms::bad_counts(const Form& form) {
    const auto lie = [&](const char* subject, const char* value, Array::Counts said,
                         Demand demand) {
        attempt(form, demand, subject, value,
                said.arguments == form.argument_count ? said.returns : said.arguments,
                [&](Cells&, Array::Counts& counts) { counts = said; });
    };
    const Array::Counts right = counts(form);
    if (right.arguments > 0) {
        lie("arguments", "one less", {right.arguments - 1, right.returns}, Demand::refusal);
        if (right.arguments > 1) lie("arguments", "none", {0, right.returns}, Demand::refusal);
    }
    if (!form.ends) {
        for (const Cell more : {right.arguments + 1, Cell{11}, Cell{255}})
            lie("arguments", "more", {more, right.returns}, Demand::either);
        for (const Cell other : {Cell{0}, right.returns + 1, Cell{11}, Cell{255}})
            if (other != right.returns)
                lie("returns", "other", {right.arguments, other}, Demand::either);
    }
    for (const Cell huge : {0x40000000U, 0x7FFFFFFFU, none}) {
        lie("arguments", "huge", {huge, right.returns}, Demand::refusal);
        lie("returns", "huge", {right.arguments, huge}, Demand::refusal);
    }
}

inline void Forms::run_arrays() {
    const Form& form = find_form("getproplen");
    const Cells good = prepare(form);
    const Outcome answer = make(form, good, counts(form));
    const auto enter = [&](Demand demand, const char* value, Cell number, auto call) {
        if (!kit_.begin(demand, "array", value, number)) return;
        const Outcome came = Array::call(address(form.service), {good.data(), form.argument_count},
                                         counts(form), call);
        if (demand == Demand::good) {
            kit_.end(came.status == 0 && came.results[0] == answer.results[0], "the same answer",
                     came);
        } else {
            kit_.end(demand == Demand::either || came.status != 0, "a refusal", came);
        }
    };
    const auto at = [&](Demand demand, const char* value, Cell place) {
        enter(demand, value, place, [&] { return call_firmware(reinterpret_cast<void*>(place)); });
    };
    enter(Demand::good, "twice", none, [] {
        call_firmware(Array::place());
        return call_firmware(Array::place());
    });
    for (const Place& place : surroundings_.places()) {
        at(place.demand, place.name, place.address);
        // Its header ends outside.
        if (place.demand == Demand::refusal && place.address > Surroundings::page)
            at(place.demand, "ends there", (place.address & ~3U) - 8);
    }
    if (const Cell last = surroundings_.last_memory(); last != 0) {
        for (Cell missing = 4; missing <= 20; missing += 4) {
            const Cell place = last + Surroundings::page + missing - 24;
            enter(Demand::refusal, "ends behind RAM", place, [&] {
                std::copy(Array::place(), Array::place() + (24 - missing) / 4,
                          reinterpret_cast<Big32*>(place));
                return call_firmware(reinterpret_cast<void*>(place));
            });
        }
    }
    for (Cell offset = 1; offset < 4; ++offset) {
        static char unaligned[64];
        enter(Demand::either, "unaligned", address(unaligned + offset), [&] {
            const char* cells = reinterpret_cast<const char*>(Array::place());
            std::copy(cells, cells + 24, unaligned + offset);
            return call_firmware(unaligned + offset);
        });
    }
    // A 32-bit program's registers have an upper half too, which means nothing.
    for (const Cell upper : {1U, 0x80000000U, 0xC0000000U, none}) {
        enter(sizeof(void*) == 8 ? Demand::refusal : Demand::good, "with an upper half", upper,
              [&] { return call_firmware_at(upper, Array::place()); });
    }
    bad_text(Kind::name, form.service, [&](const char* value, Cell service, Demand demand) {
        if (!kit_.begin(demand, "service", value, service)) return;
        const Outcome came = Array::call(service, {good.data(), form.argument_count}, counts(form));
        kit_.end(demand == Demand::either || is_refused(form, came), "a refusal", came);
    });
    // It is r3 that says so, not a return.
    kit_.expect("service", "not there: the call as such fails",
                [] { return ask("no-such-service").status != 0; });
}

inline void Forms::run_late() {
    for (const Form& form : std::span{forms_, count_}) {
        if (form.ends && !equal(form.group, "quiesce")) continue;
        attempt(form, Demand::either, form.group, "good", none, [](Cells&, Array::Counts&) {});
    }
}

inline const Form& Forms::find_form(const char* group) const {
    return *std::ranges::find_if(forms_,
                                 [&](const Form& form) { return equal(form.group, group); });
}

} // namespace conformance
