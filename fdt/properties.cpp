// SPDX-License-Identifier: BSD-2-Clause
// The part of the tree that is about properties.
#include "fdt/failure.h"
#include "fdt/tree.h"
#include "fdt/tree_state.h"

#include <cstring>
#include <new>

namespace spillway::fdt {

// --- State

Property* Tree::State::find_property(const Node& node, std::string_view name) const {
    const Name* const key = names.find(name);
    if (key == nullptr) return nullptr;
    return properties.find(hash_of(&node, key), [&node, key](const Property& property) {
        return property.name == key && property.owner == &node;
    });
}

/// A property whose value is not yet filled in; nullptr when there is no memory.
Property* Tree::State::make_property(Node& node, std::string_view name, size_t size) {
    if (!properties.make_room()) return nullptr;
    void* const memory = arena.allocate(sizeof(Property));
    if (memory == nullptr) return nullptr;
    Property* const property = new (memory) Property{};
    property->owner = &node;
    property->capacity = Property::small;
    property->name = names.acquire(name);
    if (property->name == nullptr) {
        arena.release(property, sizeof *property);
        return nullptr;
    }
    if (size > Property::small) {
        const size_t capacity = Arena::rounded(size);
        void* const value = arena.allocate(capacity);
        if (value == nullptr) {
            free_property(property);
            return nullptr;
        }
        property->large_value = static_cast<std::byte*>(value);
        property->capacity = static_cast<uint32_t>(capacity);
    }
    return property;
}

void Tree::State::release_value(Property* property) {
    if (property->capacity > Property::small) {
        arena.release(property->large_value, property->capacity);
    }
}

void Tree::State::free_property(Property* property) {
    release_value(property);
    names.release(property->name);
    arena.release(property, sizeof *property);
}

// --- Tree

Property* Tree::first_property(const Node& node) const {
    return node.first_property;
}
Property* Tree::next_property(const Property& property) const {
    return property.next;
}
Property* Tree::property(const Node& node, std::string_view name) const {
    return state_->find_property(node, name);
}
std::string_view Tree::name(const Property& property) const {
    return property.name->text();
}
Bytes Tree::value(const Property& property) const {
    return {property.bytes(), property.size};
}
Origin Tree::origin(const Property& property) const {
    return property.origin;
}

Bytes Tree::value(const Node& node, std::string_view name) const {
    const Property* const found = property(node, name);
    return found == nullptr ? Bytes{} : value(*found);
}

bool Tree::has(const Node& node, std::string_view name) const {
    return property(node, name) != nullptr;
}

std::string_view Tree::text(const Node& node, std::string_view name) const {
    const Bytes bytes = value(node, name);
    const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    return until(text, '\0');
}

uint32_t Tree::cell(const Node& node, std::string_view name, uint32_t otherwise) const {
    const Bytes bytes = value(node, name);
    return bytes.size() < sizeof(Big32) ? otherwise : uint32_t{load<Big32>(bytes.data())};
}

uint64_t Tree::cells64(const Node& node, std::string_view name, uint64_t otherwise) const {
    const Bytes bytes = value(node, name);
    return bytes.size() < sizeof(Big64) ? otherwise : uint64_t{load<Big64>(bytes.data())};
}

Result<Property*> Tree::set(Node& node, std::string_view name, Bytes value, Origin origin) {
    const auto fill = [](std::byte* to, const void* from, size_t size) {
        if (size > 0) std::memmove(to, from, size);
    };
    return set(node, name, value.size(), fill, value.data(), origin);
}

Result<Property*> Tree::set_text(Node& node, std::string_view name, std::string_view value,
                                 Origin origin) {
    const auto fill = [](std::byte* to, const void* from, size_t size) {
        if (size > 1) std::memmove(to, from, size - 1);
        to[size - 1] = std::byte{0};
    };
    return set(node, name, value.size() + 1, fill, value.data(), origin);
}

Result<Property*> Tree::set_cells(Node& node, std::string_view name,
                                  std::initializer_list<uint32_t> cells, Origin origin) {
    const auto fill = [](std::byte* to, const void* from, size_t size) {
        const uint32_t* cell = static_cast<const uint32_t*>(from);
        for (size_t at = 0; at < size; at += sizeof(Big32)) {
            const Big32 stored{*cell++};
            std::memcpy(to + at, &stored, sizeof stored);
        }
    };
    return set(node, name, cells.size() * sizeof(Big32), fill, cells.begin(), origin);
}

Result<Property*> Tree::set(Node& node, std::string_view name, size_t size, Fill fill,
                            const void* from, Origin origin) {
    if (!is_acceptable_name(name)) {
        return fail_at(*this, node, ErrorCode::malformed,
                       "a property cannot have the name \"%.*s\"", shown(name), name.data());
    }
    if (size > largest_value) {
        return fail_at(*this, node, ErrorCode::out_of_range,
                       "%.*s would have %zu bytes, more than %zu", shown(name), name.data(), size,
                       largest_value);
    }
    Property* property = this->property(node, name);
    if (property == nullptr) {
        property = state_->make_property(node, name, size);
        if (property != nullptr) {
            fill(property->bytes(), from, size);
            append<&Property::next, &Property::previous>(node.first_property, property);
            state_->properties.insert(hash_of(&node, property->name), property);
        }
    } else if (size <= property->capacity) {
        fill(property->bytes(), from, size);
    } else if (void* const larger = state_->arena.allocate(size); larger != nullptr) {
        fill(static_cast<std::byte*>(larger), from, size);
        state_->release_value(property);
        property->large_value = static_cast<std::byte*>(larger);
        property->capacity = static_cast<uint32_t>(Arena::rounded(size));
    } else {
        property = nullptr;
    }
    if (property == nullptr) {
        return fail_at(*this, node, ErrorCode::out_of_memory, "no memory for the %zu bytes of %.*s",
                       size, shown(name), name.data());
    }
    property->size = static_cast<uint32_t>(size);
    property->origin = origin;
    return property;
}

void Tree::remove(Node& node, Property& property) {
    unlink<&Property::next, &Property::previous>(node.first_property, &property);
    state_->properties.remove(hash_of(&node, property.name), &property);
    state_->free_property(&property);
}

} // namespace spillway::fdt
