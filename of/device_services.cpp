// SPDX-License-Identifier: BSD-2-Clause
#include "of/client.h"

namespace spillway::of {
namespace {

/// What a read answers when nothing has been typed (IEEE 1275-1994, 6.3.2.3 and the "serial"
/// device type).
constexpr uint32_t nothing_yet = static_cast<uint32_t>(-2);

} // namespace

Kind Client::kind_of(const fdt::Node& node) const {
    if (&node == tree_.root()) return Kind::root;
    if (tree_.phandle(node) == terminal_) return Kind::terminal;
    if (&node == tree_.find("/rtas")) return Kind::rtas;
    if (&node == tree_.find("/packages/null-console")) return Kind::null_console;
    return Kind::plain;
}

Ihandle Client::open_node(const fdt::Node& node) {
    return instances_.open({tree_.phandle(node), kind_of(node)});
}

void Client::open(Call& call) {
    Path specifier;
    if (!border_.copy_string(call.arguments[0], specifier)) return;
    const Device device = find_device(specifier.view());
    if (device.node == nullptr) return;
    call.returns[0] = static_cast<uint32_t>(open_node(*device.node));
}

void Client::close(Call& call) {
    call.refused = !instances_.close(Ihandle{call.arguments[0]});
}

uint32_t Client::write_to(Kind kind, uint32_t address, uint32_t size) {
    const auto bytes = border_.readable(address, size);
    if (!bytes) return failure;
    if (kind == Kind::null_console) return size;
    const char* text = reinterpret_cast<const char*>(bytes->data());
    return static_cast<uint32_t>(console_.write({text, bytes->size()}));
}

uint32_t Client::read_from(Kind kind, uint32_t address, uint32_t size) {
    const auto bytes = border_.writable(address, size);
    if (!bytes) return failure;
    if (size == 0) return 0;
    if (kind == Kind::null_console) return nothing_yet;
    const size_t stored = console_.read({reinterpret_cast<char*>(bytes->data()), bytes->size()});
    return stored == 0 ? nothing_yet : static_cast<uint32_t>(stored);
}

void Client::read(Call& call) {
    const Instance* instance = instances_.find(Ihandle{call.arguments[0]});
    const bool readable = instance != nullptr && find_method(instance->kind, "read") != nullptr;
    call.returns[0] =
        readable ? read_from(instance->kind, call.arguments[1], call.arguments[2]) : failure;
}

void Client::write(Call& call) {
    const Instance* instance = instances_.find(Ihandle{call.arguments[0]});
    const bool writable = instance != nullptr && find_method(instance->kind, "write") != nullptr;
    call.returns[0] =
        writable ? write_to(instance->kind, call.arguments[1], call.arguments[2]) : failure;
}

void Client::seek(Call& call) {
    // No device here has positions.
    call.returns[0] = failure;
}

} // namespace spillway::of
