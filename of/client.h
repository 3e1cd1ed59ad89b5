// SPDX-License-Identifier: BSD-2-Clause
// The Open Firmware client interface (IEEE 1275-1994, 6.3; PowerPC binding, 32-bit big-endian
// cells).
//
// Everything the client passes is untrusted: pointers must lie in RAM that the firmware does not
// own, counts are checked, handles are looked up. A bad argument makes the service answer the
// standard's error value (-1, or 0 where the standard says so). The call as such fails (-1) when
// the argument array itself is bad, when the service does not exist, and when a service that
// returns nothing (close, release) was refused.
#pragma once

#include "base/memory_map.h"
#include "fdt/tree.h"
#include "of/client_memory.h"
#include "of/instances.h"
#include "of/platform.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace spillway::of {

class Client {
public:
    constexpr Client(fdt::Tree& tree, MemoryMap& memory, Console& console, Platform& platform)
        : tree_(tree)
        , memory_(memory)
        , console_(console)
        , platform_(platform)
        , border_(memory) {}

    /// Opens the instances that a program expects, and names them and what else it looks for in the
    /// tree: /chosen stdin, stdout, cpu, mmu-less /options, /openprom, /packages, /aliases, and
    /// /memory's "available". What the tree has already is kept. `boot_cpu` is `reg` of the node
    /// of the CPU that runs this.
    Result<void> prepare(uint32_t boot_cpu = 0, std::string_view version = "unversioned");

    /// One call: `arguments` is the address of the argument array (service, counts, arguments,
    /// returns). The result goes to r3: 0, or -1.
    int32_t call(PhysicalAddress arguments);

private:
    static constexpr size_t most_cells = 10; ///< arguments, and returns, of one call
    static constexpr uint32_t failure = 0xffffffff;

    /// A call's arguments and returns, as many as the client has, and at least as many as the
    /// service declares; returns are 0 until set.
    struct Call {
        std::array<uint32_t, most_cells> arguments;
        std::array<uint32_t, most_cells> returns{};
        uint32_t argument_count = 0;
        bool refused = false; ///< for services that have no return to say so
    };
    struct Service {
        std::string_view name;
        uint8_t arguments;
        uint8_t returns;
        void (Client::*serve)(Call&);
    };
    static const Service* find_service(std::string_view name);

    /// A method of an instance of this kind: takes `stack` from the top down; false means that it
    /// threw.
    struct Method {
        Kind kind;
        std::string_view name;
        uint8_t arguments;
        bool (Client::*run)(Kind kind, const uint32_t* stack, uint32_t& result);
    };
    static const Method* find_method(Kind kind, std::string_view name);

    /// --- client.cpp
    void test(Call& call);
    void milliseconds(Call& call);
    void quiesce(Call& call);
    void leave_by_exit(Call& call);
    void leave_by_enter(Call& call);
    void boot(Call& call);

    /// --- prepare.cpp
    /// The terminal that /chosen names, or else the hypervisor's default.
    const fdt::Node* find_console() const;

    /// --- tree_services.cpp (6.3.2.1)
    void peer(Call& call);
    void child(Call& call);
    void parent(Call& call);
    void getproplen(Call& call);
    void getprop(Call& call);
    void nextprop(Call& call);
    void setprop(Call& call);
    void canon(Call& call);
    void finddevice(Call& call);
    void instance_to_path(Call& call);
    void instance_to_package(Call& call);
    void package_to_path(Call& call);

    /// What a device specifier names: a node and the arguments after the first ':'.
    struct Device {
        fdt::Node* node;
        std::string_view arguments;
    };
    Device find_device(std::string_view specifier) const;
    /// The node of an open instance, unless it has left the tree.
    fdt::Node* node_of(Ihandle ihandle) const;
    fdt::Node* node_argument(const Call& call) const;
    /// Stores a node's path, and arguments of a device if there are any, with a NUL where there is
    /// room. Returns the length without it.
    uint32_t store_path(const fdt::Node& node, std::string_view arguments, uint32_t address,
                        uint32_t room);

    /// --- device_services.cpp (6.3.2.3)
    void open(Call& call);
    void close(Call& call);
    void read(Call& call);
    void write(Call& call);
    void seek(Call& call);

    Kind kind_of(const fdt::Node& node) const;
    Ihandle open_node(const fdt::Node& node);
    /// Bytes taken, stored, or the error value that a client gets.
    uint32_t write_to(Kind kind, uint32_t address, uint32_t size);
    uint32_t read_from(Kind kind, uint32_t address, uint32_t size);

    /// --- memory_services.cpp (6.3.2.4)
    void claim(Call& call);
    void release(Call& call);

    /// End of what a program in real mode can reach and name.
    PhysicalAddress end_of_low_memory() const;
    /// Makes /memory's "available" tell what is free.
    Result<void> update_available();
    Result<void> set_available(fdt::Node& node);

    /// --- methods.cpp
    void call_method(Call& call);
    void test_method(Call& call);

    bool client_architecture_support(Kind kind, const uint32_t* stack, uint32_t& result);
    bool instantiate_rtas(Kind kind, const uint32_t* stack, uint32_t& result);
    bool write_method(Kind kind, const uint32_t* stack, uint32_t& result);
    bool read_method(Kind kind, const uint32_t* stack, uint32_t& result);

    /// --- phrases.cpp (6.3.2.6)
    void interpret(Call& call);

    fdt::Tree& tree_;
    MemoryMap& memory_;
    Console& console_;
    Platform& platform_;
    ClientMemory border_;
    Instances instances_;
    fdt::Phandle terminal_ = fdt::Phandle::none; ///< node that console_ belongs to
    uint64_t available_at_revision_ = 0;         ///< of the memory map
    bool quiesced_ = false;
};

} // namespace spillway::of
