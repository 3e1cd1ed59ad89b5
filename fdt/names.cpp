// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/names.h"

#include <cstring>
#include <new>

namespace spillway::fdt {

namespace {

auto reads(std::string_view text) {
    return [text](const Name& name) { return name.text() == text; };
}

} // namespace

Name* Names::find(std::string_view text) const {
    return index_.find(hash_of(text), reads(text));
}

Name* Names::acquire(std::string_view text) {
    const uint32_t hash = hash_of(text);
    if (Name* const known = index_.find(hash, reads(text))) {
        ++known->references_;
        return known;
    }
    if (!index_.make_room()) return nullptr;
    void* const memory = arena_.allocate(Name::size_for(text.size()));
    if (memory == nullptr) return nullptr;
    Name* const name = new (memory) Name{hash, static_cast<uint16_t>(text.size())};
    std::memcpy(name->characters(), text.data(), text.size());
    name->characters()[text.size()] = '\0';
    bytes_ += text.size() + 1;
    index_.insert(hash, name);
    return name;
}

void Names::release(Name* name) {
    if (name == nullptr || --name->references_ > 0) return;
    const size_t length = name->length_;
    bytes_ -= length + 1;
    index_.remove(name->hash_, name);
    arena_.release(name, Name::size_for(length));
}

} // namespace spillway::fdt
