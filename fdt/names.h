// SPDX-License-Identifier: BSD-2-Clause
// The names of nodes and properties, each kept once: equal names are the same object.
#pragma once

#include "fdt/arena.h"
#include "fdt/index.h"

namespace spillway::fdt {

class Name {
public:
    std::string_view text() const { return {reinterpret_cast<const char*>(this + 1), length_}; }

private:
    friend class Names;
    Name(uint32_t hash, uint16_t length)
        : hash_(hash)
        , length_(length) {}
    char* characters() { return reinterpret_cast<char*>(this + 1); }
    static size_t size_for(size_t length) { return sizeof(Name) + length + 1; }

    uint32_t references_ = 1;
    uint32_t hash_;
    uint16_t length_;
};

class Names {
public:
    explicit Names(Arena& arena)
        : arena_(arena) {}

    Name* find(std::string_view text) const;
    /// The name of this text (at most 65535 characters), made if need be and kept until
    /// release() has been called as often; nullptr when there is no memory.
    Name* acquire(std::string_view text);
    void release(Name* name); ///< nothing happens for nullptr

    /// Bytes of all names, each with a NUL.
    size_t bytes() const { return bytes_; }
    size_t longest_search() const { return index_.longest_search(); }

private:
    Arena& arena_;
    Index<Name> index_;
    size_t bytes_ = 0;
};

} // namespace spillway::fdt
