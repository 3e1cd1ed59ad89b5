// SPDX-License-Identifier: BSD-2-Clause
#include "of/client.h"
#include "of/rtas_blob.h"

namespace spillway::of {
namespace {

using MethodName = Text<64>;

/// What call-method answers for a method that does not exist or threw.
constexpr uint32_t thrown = 0xffffffff;

} // namespace

const Client::Method* Client::find_method(Kind kind, std::string_view name) {
    static constexpr Method methods[] = {
        {Kind::root, "ibm,client-architecture-support", 1, &Client::client_architecture_support},
        {Kind::rtas, "instantiate-rtas", 1, &Client::instantiate_rtas},
        {Kind::terminal, "write", 2, &Client::write_method},
        {Kind::terminal, "read", 2, &Client::read_method},
        {Kind::null_console, "write", 2, &Client::write_method},
        {Kind::null_console, "read", 2, &Client::read_method},
    };
    for (const Method& method : methods) {
        if (method.kind == kind && method.name == name) return &method;
    }
    return nullptr;
}

void Client::call_method(Call& call) {
    constexpr uint32_t fixed_arguments = 2; // method, instance
    call.returns[0] = thrown;
    MethodName name;
    const Instance* instance = instances_.find(Ihandle{call.arguments[1]});
    if (instance == nullptr || !border_.copy_string(call.arguments[0], name)) return;
    const Method* method = find_method(instance->kind, name.view());
    if (method == nullptr || call.argument_count < fixed_arguments + method->arguments) return;
    uint32_t result = 0;
    if (!(this->*method->run)(method->kind, call.arguments.data() + fixed_arguments, result))
        return;
    call.returns[0] = 0;
    call.returns[1] = result;
}

void Client::test_method(Call& call) {
    call.returns[0] = failure;
    const fdt::Node* node = node_argument(call);
    MethodName name;
    if (node == nullptr || !border_.copy_string(call.arguments[1], name)) return;
    const bool exists = name.view() == "open" || name.view() == "close" ||
                        find_method(kind_of(*node), name.view()) != nullptr;
    call.returns[0] = exists ? 0 : failure;
}

// ( vectors -- error? ) PAPR B.6.2.3
bool Client::client_architecture_support(Kind, const uint32_t* stack, uint32_t& result) {
    result = failure;
    // How long the vectors are, only the hypervisor finds out: it reads them itself. After quiesce
    // it has been told the final tree.
    if (quiesced_ || !border_.readable(stack[0], 1)) return true;
    if (!platform_.client_architecture_support({stack[0]})) return true;
    if (!update_available()) return true;
    result = 0;
    return true;
}

// ( base -- entry ) PAPR B.6.3.1
bool Client::instantiate_rtas(Kind, const uint32_t* stack, uint32_t& result) {
    const fdt::Node* rtas = tree_.find("/rtas");
    const uint32_t size = rtas == nullptr ? 0 : tree_.cell(*rtas, "rtas-size", 0);
    const auto area = border_.writable(stack[0], size);
    if (!area || size < rtas_code_size || stack[0] % 4 != 0) return false;
    write_rtas_code(area->first<rtas_code_size>());
    result = stack[0];
    return true;
}

// ( address size -- actual ), the size on top.

bool Client::write_method(Kind kind, const uint32_t* stack, uint32_t& result) {
    result = write_to(kind, stack[1], stack[0]);
    return true;
}

bool Client::read_method(Kind kind, const uint32_t* stack, uint32_t& result) {
    result = read_from(kind, stack[1], stack[0]);
    return true;
}

} // namespace spillway::of
