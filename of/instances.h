// SPDX-License-Identifier: BSD-2-Clause
// Open instances of device nodes, and the handles by which a client knows them.
#pragma once

#include "fdt/tree.h"

#include <array>
#include <cstdint>

namespace spillway::of {

/// Identity of an open instance; 0 and 0xffffffff name none. A handle that was closed is not
/// taken for that of one of the next two million instances in the same place.
enum class Ihandle : uint32_t { none = 0 };

/// What a node's instances can do besides being open.
enum class Kind : uint8_t {
    plain,        ///< nothing
    root,         ///< negotiates the client's architecture
    rtas,         ///< instantiates the run-time services
    terminal,     ///< the machine's console
    null_console, ///< swallows text, has no input
};

struct Instance {
    fdt::Phandle node = fdt::Phandle::none; ///< may have left the tree since
    Kind kind = Kind::plain;
};

class Instances {
public:
    static constexpr size_t most_instances = 64;

    /// Ihandle::none when the table is full.
    Ihandle open(Instance instance);
    bool close(Ihandle ihandle);
    const Instance* find(Ihandle ihandle) const;

private:
    struct Slot {
        Instance instance;
        uint32_t generation = 0; ///< odd while the slot is in use
    };
    std::array<Slot, most_instances> slots_;
};

} // namespace spillway::of
