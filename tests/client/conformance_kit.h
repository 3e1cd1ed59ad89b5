// SPDX-License-Identifier: BSD-2-Clause
// What the conformance program is made of: calls whose every part can be wrong, cases, groups of
// cases, and the report, which goes around the firmware.
#pragma once

#include "tests/client/hypervisor.h"

#include <algorithm>
#include <iterator>
#include <span>

extern "C" int call_firmware_at(uint32_t upper, void* argument_array);

namespace conformance {

using namespace client;

/// In memory that nobody has written yet.
constexpr Cell untouched = 0xC5C5C5C5;

/// What a call did. Returns that the service did not give stay `untouched`.
struct Outcome {
    int status = 0;
    Cell results[2] = {untouched, untouched};
    bool overrun = false; ///< something was written where nothing of the call's was
};

/// An argument array with room around it, at an address of the caller's choice.
class Array {
public:
    struct Counts {
        Cell arguments, returns;
    };

    /// A call whose header says `said` about `arguments`.
    static Outcome call(Cell service, std::span<const Cell> arguments, Counts said) {
        return call(service, arguments, said, [] { return call_firmware(cells_); });
    }
    /// The same, made by `enter`, which has it at `place()`.
    template<typename Enter>
    static Outcome call(Cell service, std::span<const Cell> arguments, Counts said, Enter enter) {
        std::ranges::fill(cells_, Big32{untouched});
        cells_[0] = service;
        cells_[1] = said.arguments;
        cells_[2] = said.returns;
        for (Cell i = 0; i < arguments.size(); ++i)
            cells_[header + i] = arguments[i];
        Outcome outcome;
        outcome.status = enter();
        // Where the firmware was told that its returns go; nowhere, if that was a lie beyond here.
        const Cell first = std::min(said.arguments, room - header) + header;
        const Cell count = std::min(said.returns, room - first);
        for (Cell i = 0; i < std::min<Cell>(count, std::size(outcome.results)); ++i)
            outcome.results[i] = cells_[first + i];
        for (Cell i = first + count; i < room; ++i)
            if (i >= header + arguments.size() && cells_[i] != untouched) outcome.overrun = true;
        return outcome;
    }
    static Big32* place() { return cells_; }

private:
    static constexpr Cell header = 3;
    static constexpr Cell room = 300;
    static inline Big32 cells_[room];
};

/// A call that says what it passes, and of which one cell comes back.
template<typename... Cells> Outcome ask(const char* service, Cells... arguments) {
    const Cell list[] = {static_cast<Cell>(arguments)..., 0};
    return Array::call(address(service), {list, sizeof...(arguments)}, {sizeof...(arguments), 1});
}

enum class Demand : uint8_t {
    good,    ///< the standards give the answer
    refusal, ///< the call must be refused
    either,  ///< the standards leave it open: the call must only do no harm
};

/// Counts cases. A case has a number within its group, so that one that is fatal to a firmware can
/// be left out. Words of the command line: `conformance.from=GROUP:NUMBER` begins there,
/// `conformance.one` ends with that group, `conformance.each` announces every case before it
/// happens, `conformance.wait` takes more words from the terminal.
class Kit {
public:
    Kit(Terminal& terminal, const char* words);

    /// Begins a group; the report of the one before is printed. False: its cases are passed over.
    bool group(const char* name);
    /// The firmware does not have what the group is about, as the case shows that has begun.
    void not_offered() { offered_ = false; }
    /// Whether the next case is to be tried: then `end` must follow. Subject, value and number say
    /// what is special about it.
    bool begin(Demand demand, const char* subject, const char* value, Cell number = none);
    void end(bool passed, const char* expected, const Outcome& came);
    /// A case that is good: `attempt` makes a call, which must answer `wanted`.
    template<typename Attempt>
    void expect(const char* subject, const char* value, Cell wanted, Attempt attempt) {
        if (!begin(Demand::good, subject, value, wanted)) return;
        const Outcome came = attempt();
        end(came.status == 0 && came.results[0] == wanted, "that number", came);
    }
    /// The same for what holds or does not.
    template<typename Attempt>
    void expect(const char* subject, const char* value, Attempt attempt) {
        if (begin(Demand::good, subject, value)) end(attempt(), "this to hold", {});
    }
    /// What tells a firmware that still answers. To be called anew when the tree was made anew.
    void remember();
    [[noreturn]] void finish();

private:
    struct Tally {
        Cell passed = 0, total = 0;
    };
    void report();
    bool is_healthy() const;
    [[noreturn]] void power_off();

    Terminal& terminal_;
    bool each_, one_;
    char from_[64] = {}; ///< name of the group to begin with
    Cell first_ = 0;     ///< number of the case to begin with
    const char* group_ = nullptr;
    bool offered_ = true, active_ = false;
    Cell number_ = 0;
    struct {
        Demand demand;
        const char *subject, *value;
        Cell number;
    } case_{};
    Tally good_, bad_, all_;
    Cell root_ = none, chosen_ = none, stdout_ = none;
    Cell power_off_token_;
};

/// What follows `key` on the command line, up to the next space; null without.
inline const char* find_word(const char* line, const char* key) {
    for (; *line != '\0'; ++line) {
        Cell i = 0;
        while (key[i] != '\0' && line[i] == key[i])
            ++i;
        if (key[i] == '\0') return line + i;
    }
    return nullptr;
}

inline Kit::Kit(Terminal& terminal, const char* words)
    : terminal_(terminal)
    , each_(find_word(words, "conformance.each") != nullptr)
    , one_(find_word(words, "conformance.one") != nullptr)
    , power_off_token_(rtas_token("power-off")) {
    remember();
    const char* from = find_word(words, "conformance.from=");
    if (from == nullptr) return;
    for (Cell i = 0; i < sizeof from_ - 1 && *from != ':' && *from != '\0'; ++i)
        from_[i] = *from++;
    while (*from != '\0' && *++from >= '0' && *from <= '9')
        first_ = first_ * 10 + static_cast<Cell>(*from - '0');
}

inline bool Kit::group(const char* name) {
    report();
    if (one_ && active_) {
        terminal_.text("@next ");
        terminal_.text(name);
        terminal_.text("\r\n");
        power_off();
    }
    if (active_) first_ = 0;
    active_ = active_ || from_[0] == '\0' || equal(from_, name);
    group_ = name;
    number_ = 0;
    offered_ = true;
    good_ = bad_ = {};
    return active_;
}

inline bool Kit::begin(Demand demand, const char* subject, const char* value, Cell number) {
    case_ = {demand, subject, value, number};
    if (!active_ || ++number_ <= first_) return false;
    if (each_) {
        terminal_.text("@case ");
        terminal_.text(group_);
        terminal_.text(":");
        terminal_.decimal(number_ - 1);
        terminal_.text(demand == Demand::good ? " good " : " bad ");
        terminal_.text(subject);
        terminal_.text("=");
        terminal_.text(value);
        terminal_.text("\r\n");
    }
    return true;
}

inline void Kit::end(bool passed, const char* expected, const Outcome& came) {
    if (came.overrun) passed = false;
    Tally& tally = case_.demand == Demand::good ? good_ : bad_;
    ++tally.total;
    ++all_.total;
    tally.passed += passed;
    all_.passed += passed;
    if (!passed) {
        terminal_.text("  FAIL ");
        terminal_.text(group_);
        terminal_.text(":");
        terminal_.decimal(number_ - 1);
        terminal_.text(" ");
        terminal_.text(case_.subject);
        terminal_.text("=");
        terminal_.text(case_.value);
        if (case_.number != none) {
            terminal_.text(" (");
            terminal_.hex(case_.number);
            terminal_.text(")");
        }
        terminal_.text(": expected ");
        terminal_.text(expected);
        terminal_.text(", came status ");
        terminal_.hex(static_cast<Cell>(came.status));
        for (const Cell result : came.results) {
            terminal_.text(" ");
            terminal_.hex(result);
        }
        terminal_.text(came.overrun ? " and a write beyond its place\r\n" : "\r\n");
    }
    if (is_healthy()) return;
    terminal_.text("@broken\r\n");
    power_off();
}

inline void Kit::remember() {
    root_ = call("peer", 0);
    chosen_ = find("/chosen");
    stdout_ = get_cell(chosen_, "stdout");
}

inline bool Kit::is_healthy() const {
    return chosen_ != none && stdout_ != none && call("peer", 0) == root_ &&
           find("/chosen") == chosen_ && get_cell(chosen_, "stdout") == stdout_;
}

inline void Kit::report() {
    if (group_ == nullptr || !active_) return;
    const bool passed = good_.passed == good_.total && bad_.passed == bad_.total;
    terminal_.text(!offered_ ? "none " : passed ? "ok   " : "FAIL ");
    terminal_.text(group_);
    terminal_.text(": good ");
    terminal_.decimal(good_.passed);
    terminal_.text(" of ");
    terminal_.decimal(good_.total);
    terminal_.text(", bad ");
    terminal_.decimal(bad_.passed);
    terminal_.text(" of ");
    terminal_.decimal(bad_.total);
    terminal_.text("\r\n");
}

inline void Kit::finish() {
    report();
    terminal_.text("@done ");
    terminal_.decimal(all_.passed);
    terminal_.text(" of ");
    terminal_.decimal(all_.total);
    terminal_.text(" cases passed\r\n");
    power_off();
}

inline void Kit::power_off() {
    rtas(power_off_token_, 1, 0, 0);
    for (;;)
        asm volatile("");
}

} // namespace conformance
