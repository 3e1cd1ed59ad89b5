// SPDX-License-Identifier: BSD-2-Clause
#include "of/client.h"

#include "base/endian.h"
#include "base/log.h"

#include <algorithm>

namespace spillway::of {
namespace {

/// The argument array as it lies in the client's memory; arguments and returns follow.
struct Header {
    Big32 service;
    Big32 argument_count;
    Big32 return_count;
};

bool is_printable(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

} // namespace

const Client::Service* Client::find_service(std::string_view name) {
    // With the fewest arguments and returns that a call of the service needs. Those that a kernel
    // calls thousands of times, to copy the tree, come first.
    static constexpr Service services[] = {
        {"nextprop", 3, 1, &Client::nextprop},
        {"getprop", 4, 1, &Client::getprop},
        {"getproplen", 2, 1, &Client::getproplen},
        {"peer", 1, 1, &Client::peer},
        {"child", 1, 1, &Client::child},
        {"package-to-path", 3, 1, &Client::package_to_path},
        {"boot", 1, 0, &Client::boot},
        {"call-method", 2, 1, &Client::call_method},
        {"canon", 3, 1, &Client::canon},
        {"claim", 3, 1, &Client::claim},
        {"close", 1, 0, &Client::close},
        {"enter", 0, 0, &Client::leave_by_enter},
        {"exit", 0, 0, &Client::leave_by_exit},
        {"finddevice", 1, 1, &Client::finddevice},
        {"instance-to-package", 1, 1, &Client::instance_to_package},
        {"instance-to-path", 3, 1, &Client::instance_to_path},
        {"interpret", 1, 1, &Client::interpret},
        {"milliseconds", 0, 1, &Client::milliseconds},
        {"open", 1, 1, &Client::open},
        {"parent", 1, 1, &Client::parent},
        {"quiesce", 0, 0, &Client::quiesce},
        {"read", 3, 1, &Client::read},
        {"release", 2, 0, &Client::release},
        {"seek", 3, 1, &Client::seek},
        {"setprop", 4, 1, &Client::setprop},
        {"test", 1, 1, &Client::test},
        {"test-method", 2, 1, &Client::test_method},
        {"write", 3, 1, &Client::write},
    };
    for (const Service& service : services) {
        if (service.name == name) return &service;
    }
    return nullptr;
}

int32_t Client::call(PhysicalAddress arguments) {
    constexpr int32_t failed = -1;
    if (arguments.value > UINT32_MAX || arguments.value % sizeof(Big32) != 0) return failed;
    const auto address = static_cast<uint32_t>(arguments.value);
    border_.set_argument_array({});
    const auto header_bytes = border_.readable(address, sizeof(Header));
    if (!header_bytes) return failed;
    const Header header = load<Header>(header_bytes->data());
    const uint32_t argument_count = header.argument_count;
    const uint32_t return_count = header.return_count;
    if (argument_count > most_cells || return_count > most_cells) return failed;
    const PhysicalRange array{arguments,
                              sizeof header + sizeof(Big32) * (argument_count + return_count)};
    const auto bytes = border_.writable(address, array.size);
    if (!bytes) return failed;

    ServiceName name;
    if (!border_.copy_string(header.service, name)) return failed;
    const Service* service = find_service(name.view());
    if (service == nullptr) {
        if (is_printable(name.view())) {
            log::verbose("client interface: no service \"%.*s\"",
                         static_cast<int>(name.view().size()), name.view().data());
        }
        return failed;
    }
    if (argument_count < service->arguments || return_count < service->returns) return failed;

    Call call;
    for (uint32_t i = 0; i < argument_count; ++i) {
        call.arguments[i] = load<Big32>(bytes->data() + sizeof header + i * sizeof(Big32));
    }
    call.argument_count = argument_count;
    border_.set_argument_array(array);
    (this->*service->serve)(call);
    border_.set_argument_array({});

    // The heap may have grown, even over an array in memory that nobody has claimed.
    if (memory_.revision() != available_at_revision_) static_cast<void>(update_available());
    const auto answer = border_.writable(address, array.size);
    if (!answer) return failed;
    std::byte* cells = answer->data() + sizeof header + argument_count * sizeof(Big32);
    for (uint32_t i = 0; i < return_count; ++i) {
        const Big32 cell{call.returns[i]};
        std::memcpy(cells + i * sizeof cell, &cell, sizeof cell);
    }
    return call.refused ? failed : 0;
}

void Client::test(Call& call) {
    ServiceName name;
    const bool exists =
        border_.copy_string(call.arguments[0], name) && find_service(name.view()) != nullptr;
    call.returns[0] = exists ? 0 : failure;
}

void Client::milliseconds(Call& call) {
    call.returns[0] = platform_.milliseconds();
}

void Client::quiesce(Call&) {
    if (quiesced_) return;
    quiesced_ = true;
    platform_.quiesce();
}

void Client::leave_by_exit(Call&) {
    platform_.leave("exit");
}

void Client::leave_by_enter(Call&) {
    platform_.leave("enter");
}

void Client::boot(Call& call) {
    // What to boot is decided anew after the restart: the specifier only has to be one.
    Path specifier;
    if (!border_.copy_string(call.arguments[0], specifier)) {
        call.refused = true;
        return;
    }
    platform_.restart();
}

} // namespace spillway::of
