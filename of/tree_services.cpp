// SPDX-License-Identifier: BSD-2-Clause
#include "of/client.h"

#include <algorithm>

namespace spillway::of {
namespace {

/// Every node has a "name", made from the node's own, first among its properties: one that is
/// stored is passed over.
constexpr std::string_view name_property = "name";
constexpr char nul = '\0';
constexpr std::string_view end_of_string{&nul, 1};

/// A client cannot ask for a property with a longer name, and has no room for it.
bool is_listed(std::string_view name) {
    return name != name_property && name.size() < PropertyName::capacity;
}

/// Handles and what else the tree is indexed by are not the client's to change.
bool is_settable(std::string_view name) {
    if (name == name_property || name == "phandle" || name == "linux,phandle") return false;
    return std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~' && c != '/'; });
}

/// Copies as much of `text` as fits, and moves `rest` behind it.
void append(std::span<std::byte>& rest, std::string_view text) {
    const size_t size = std::min(rest.size(), text.size());
    if (size != 0) std::memcpy(rest.data(), text.data(), size);
    rest = rest.subspan(size);
}

uint32_t handle_of(const fdt::Tree& tree, const fdt::Node* node) {
    return node == nullptr ? 0 : static_cast<uint32_t>(tree.phandle(*node));
}

} // namespace

fdt::Node* Client::node_argument(const Call& call) const {
    return tree_.find(fdt::Phandle{call.arguments[0]});
}

fdt::Node* Client::node_of(Ihandle ihandle) const {
    const Instance* instance = instances_.find(ihandle);
    return instance == nullptr ? nullptr : tree_.find(instance->node);
}

// These three answer 0 for a bad phandle too: a walk ends at 0, but would go on for ever at -1.

void Client::peer(Call& call) {
    if (call.arguments[0] == 0) {
        call.returns[0] = handle_of(tree_, tree_.root());
        return;
    }
    const fdt::Node* node = node_argument(call);
    if (node != nullptr) call.returns[0] = handle_of(tree_, tree_.next_sibling(*node));
}

void Client::child(Call& call) {
    const fdt::Node* node = node_argument(call);
    if (node != nullptr) call.returns[0] = handle_of(tree_, tree_.first_child(*node));
}

void Client::parent(Call& call) {
    const fdt::Node* node = node_argument(call);
    if (node != nullptr) call.returns[0] = handle_of(tree_, tree_.parent(*node));
}

void Client::getproplen(Call& call) {
    call.returns[0] = failure;
    const fdt::Node* node = node_argument(call);
    PropertyName name;
    if (node == nullptr || !border_.copy_string(call.arguments[1], name)) return;
    if (name.view() == name_property) {
        call.returns[0] = static_cast<uint32_t>(tree_.base_name(*node).size() + 1);
    } else if (const fdt::Property* property = tree_.property(*node, name.view())) {
        call.returns[0] = static_cast<uint32_t>(tree_.value(*property).size());
    }
}

void Client::getprop(Call& call) {
    call.returns[0] = failure;
    const fdt::Node* node = node_argument(call);
    PropertyName name;
    if (node == nullptr || !border_.copy_string(call.arguments[1], name)) return;
    fdt::Bytes value;
    if (name.view() == name_property) {
        value = std::as_bytes(std::span{tree_.base_name(*node)});
    } else if (const fdt::Property* property = tree_.property(*node, name.view())) {
        value = tree_.value(*property);
    } else {
        return;
    }
    const size_t size = value.size() + (name.view() == name_property ? 1 : 0);
    auto buffer = border_.writable(call.arguments[2], std::min<size_t>(call.arguments[3], size));
    if (!buffer) return;
    append(*buffer, {reinterpret_cast<const char*>(value.data()), value.size()});
    append(*buffer, end_of_string);
    call.returns[0] = static_cast<uint32_t>(size);
}

void Client::nextprop(Call& call) {
    call.returns[0] = failure;
    const fdt::Node* node = node_argument(call);
    if (node == nullptr) return;
    PropertyName previous;
    if (call.arguments[1] != 0 && !border_.copy_string(call.arguments[1], previous)) return;

    std::string_view next = name_property;
    if (!previous.view().empty()) {
        const fdt::Property* property = nullptr;
        if (previous.view() == name_property) {
            property = tree_.first_property(*node);
        } else {
            property = tree_.property(*node, previous.view());
            if (property == nullptr) return;
            property = tree_.next_property(*property);
        }
        while (property != nullptr && !is_listed(tree_.name(*property))) {
            property = tree_.next_property(*property);
        }
        next = property == nullptr ? std::string_view{} : tree_.name(*property);
    }
    auto buffer = border_.writable(call.arguments[2], next.size() + 1);
    if (!buffer) return;
    append(*buffer, next);
    append(*buffer, end_of_string);
    call.returns[0] = next.empty() ? 0 : 1;
}

void Client::setprop(Call& call) {
    call.returns[0] = failure;
    fdt::Node* node = node_argument(call);
    PropertyName name;
    if (node == nullptr || !border_.copy_string(call.arguments[1], name)) return;
    if (!is_settable(name.view())) return;
    const auto value = border_.readable(call.arguments[2], call.arguments[3]);
    if (!value || !tree_.set(*node, name.view(), *value, fdt::Origin::client)) return;
    call.returns[0] = call.arguments[3];
}

Client::Device Client::find_device(std::string_view specifier) const {
    // The first ':' ends the path: arguments may hold a '/', and no node between has any.
    const size_t colon = std::min(specifier.find(':'), specifier.size());
    std::string_view path = specifier.substr(0, colon);
    std::string_view arguments = specifier.substr(std::min(colon + 1, specifier.size()));
    if (path.starts_with('/')) return {tree_.find(path), arguments};

    const fdt::Node* aliases = tree_.find("/aliases");
    if (aliases == nullptr) return {nullptr, {}};
    const size_t slash = std::min(path.find('/'), path.size());
    std::string_view target = tree_.text(*aliases, path.substr(0, slash));
    if (const size_t end = target.find(':'); end != std::string_view::npos) {
        if (arguments.empty()) arguments = target.substr(end + 1);
        target = target.substr(0, end);
    }
    fdt::Node* node = tree_.find(target);
    for (path.remove_prefix(slash); node != nullptr && !path.empty();) {
        path.remove_prefix(1);
        const size_t end = std::min(path.find('/'), path.size());
        node = tree_.child(*node, path.substr(0, end));
        path.remove_prefix(end);
    }
    return {node, arguments};
}

uint32_t Client::store_path(const fdt::Node& node, std::string_view arguments, uint32_t address,
                            uint32_t room) {
    const size_t path_size = tree_.path(node, {});
    const size_t size = path_size + (arguments.empty() ? 0 : 1 + arguments.size());
    auto buffer = border_.writable(address, std::min<size_t>(room, size + 1));
    if (!buffer) return failure;
    std::span<std::byte> rest = *buffer;
    tree_.path(node, {reinterpret_cast<char*>(rest.data()), std::min(rest.size(), path_size)});
    rest = rest.subspan(std::min(rest.size(), path_size));
    if (!arguments.empty()) append(rest, ":");
    append(rest, arguments);
    append(rest, end_of_string);
    return static_cast<uint32_t>(size);
}

void Client::canon(Call& call) {
    call.returns[0] = failure;
    Path specifier;
    if (!border_.copy_string(call.arguments[0], specifier)) return;
    const Device device = find_device(specifier.view());
    if (device.node == nullptr) return;
    call.returns[0] =
        store_path(*device.node, device.arguments, call.arguments[1], call.arguments[2]);
}

void Client::finddevice(Call& call) {
    call.returns[0] = failure;
    Path specifier;
    if (!border_.copy_string(call.arguments[0], specifier)) return;
    const Device device = find_device(specifier.view());
    if (device.node != nullptr) call.returns[0] = handle_of(tree_, device.node);
}

void Client::instance_to_path(Call& call) {
    const fdt::Node* node = node_of(Ihandle{call.arguments[0]});
    call.returns[0] =
        node == nullptr ? failure : store_path(*node, {}, call.arguments[1], call.arguments[2]);
}

void Client::instance_to_package(Call& call) {
    const fdt::Node* node = node_of(Ihandle{call.arguments[0]});
    call.returns[0] = node == nullptr ? failure : handle_of(tree_, node);
}

void Client::package_to_path(Call& call) {
    const fdt::Node* node = node_argument(call);
    call.returns[0] =
        node == nullptr ? failure : store_path(*node, {}, call.arguments[1], call.arguments[2]);
}

} // namespace spillway::of
