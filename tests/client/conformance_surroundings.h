// SPDX-License-Identifier: BSD-2-Clause
// The machine as a client sees it: its nodes, and the places in memory that a call must not name.
#pragma once

#include "tests/client/conformance_kit.h"

extern "C" client::Cell client_entry; ///< r5 at entry

namespace conformance {

/// A place in memory that is not the program's to name.
struct Place {
    const char* name;
    Cell address;
    Demand demand; ///< when a call names it
    bool is_ram;
};

/// The machine as a client sees it at the start.
class Surroundings {
public:
    explicit Surroundings(const char* words);

    std::span<const Place> places() const { return {places_, place_count_}; }
    /// A page that ends where RAM does, and in which no string ends; 0 if it is not free.
    Cell last_memory() const { return last_memory_; }
    bool is_phandle(Cell value) const {
        return std::ranges::find(phandles(), value) != phandles().end();
    }
    std::span<const Cell> phandles() const { return {phandles_, phandle_count_}; }
    /// RAM, from there on, that a program can look into.
    bool is_ram_place(Cell address) const {
        return std::ranges::any_of(
            places(), [&](const Place& place) { return place.is_ram && place.address == address; });
    }

    static constexpr Cell page = 0x1000;

private:
    void add(const char* name, Cell address, Demand demand, bool is_ram) {
        if (place_count_ < std::size(places_))
            places_[place_count_++] = {name, address, demand, is_ram};
    }
    void add_taken(Cell start, Cell end, bool after_free);
    void add_named(const char* words);
    /// Lets no string end in this page, which is free. It is not claimed either: VOF, which looks
    /// for memory behind the last claim only, would find none any more.
    static Cell fill_page_before(Cell end) {
        char* start = reinterpret_cast<char*>(end - page);
        std::fill(start, start + page, 'x');
        return end - page;
    }
    void walk(Cell node, int depth);

    Place places_[48];
    Cell place_count_ = 0;
    Cell phandles_[512];
    Cell phandle_count_ = 0;
    Cell last_memory_ = 0;
};

inline Surroundings::Surroundings(const char* words) {
    walk(call("peer", 0), 0);
    const Cell memory = find("/memory@0");
    Big32 reg[4];
    get(memory, "reg", reg, sizeof reg);
    const Cell end = reg[2] == 0 ? Cell{reg[3]} : 0; // 0: RAM goes beyond what a cell can name
    add("null", 0, Demand::refusal, false);
    add("the last byte that a cell can name", 0xFFFFFFFF, Demand::refusal, false);
    add("the last cell that a cell can name", 0xFFFFFFFC, Demand::refusal, false);
    if (end != 0) {
        add("the end of RAM", end, Demand::refusal, false);
        add("a page behind the end of RAM", end + page, Demand::refusal, false);
        add("16 MiB behind the end of RAM", end + 0x1000000, Demand::refusal, false);
        add("nothing mapped", 0xE0000000, Demand::refusal, false);
    }
    add("the firmware's vectors", 0x100, Demand::refusal, true);
    add("the firmware's entry", client_entry, Demand::refusal, true);

    static struct { Big32 start_high, start, size_high, size; } available[64];
    const Cell size = get(memory, "available", available, sizeof available);
    if (size != none) {
        const Cell count = std::min<Cell>(size, sizeof available) / sizeof available[0];
        Cell from = 0; // of the stretch that is taken, or would be
        bool after_free = false;
        for (Cell i = 0; i < count && available[i].start_high == 0; ++i) {
            add_taken(from, available[i].start, after_free);
            from = available[i].start + available[i].size;
            after_free = available[i].size >= page;
        }
        if (from != end) {
            add_taken(from, end, after_free);
        } else if (after_free) {
            last_memory_ = fill_page_before(end);
            add("the last byte of RAM", end - 1, Demand::refusal, false);
            add("the last two bytes of RAM", end - 2, Demand::refusal, false);
        }
    }
    add_named(words);
}

/// Places that somebody names who knows the firmware: conformance.place=text:2000
inline void Surroundings::add_named(const char* words) {
    static char names[24][16];
    for (auto& name : names) {
        words = find_word(words, "conformance.place=");
        if (words == nullptr) return;
        for (Cell i = 0; i < sizeof name - 1 && *words != ':' && *words != '\0'; ++i)
            name[i] = *words++;
        Cell value = 0;
        for (words += *words == ':';
             (*words >= '0' && *words <= '9') || (*words >= 'a' && *words <= 'f'); ++words)
            value =
                value * 16 + static_cast<Cell>(*words <= '9' ? *words - '0' : *words - 'a' + 10);
        add(name, value, Demand::refusal, true);
    }
}

/// RAM that is not free and not the program's own: the firmware's, or QEMU's tree.
inline void Surroundings::add_taken(Cell start, Cell end, bool after_free) {
    constexpr Cell tree_magic = 0xD00DFEED;
    const Cell here = address(this) & ~(page - 1), stack = address(__builtin_frame_address(0));
    if (end - start < 64 || (start <= here && here < end) || (start <= stack && stack < end))
        return;
    if (*reinterpret_cast<const Big32*>(start) == tree_magic) {
        add("the hypervisor's tree", start, Demand::either, true);
        return;
    }
    add("the middle of what is taken", start + (end - start) / 2, Demand::refusal, true);
    add("the end of what is taken", end - 16, Demand::refusal, true);
    if (!after_free) return;
    fill_page_before(start);
    add("what is free, and then taken", start - 2, Demand::refusal, true);
}

inline void Surroundings::walk(Cell node, int depth) {
    for (; node != 0 && node != none && depth < 64; node = call("peer", node)) {
        if (phandle_count_ == std::size(phandles_)) return;
        phandles_[phandle_count_++] = node;
        walk(call("child", node), depth + 1);
    }
}

} // namespace conformance
