// SPDX-License-Identifier: BSD-2-Clause
#include "boot/machine.h"

#include "base/clock.h"
#include "base/log.h"
#include "boot/version.h"
#include "fdt/cells.h"
#include "hcall/console.h"

#include <string_view>

namespace spillway::boot {
namespace {

void write_to_terminal(std::string_view text) {
    hcall::put_characters(hcall::Terminal::standard, text);
}

/// One cell, as QEMU writes most numbers, or two.
uint64_t number(const fdt::Tree& tree, const fdt::Node& node, const char* name) {
    return tree.value(node, name).size() == 8 ? tree.cells64(node, name, 0)
                                              : tree.cell(node, name, 0);
}

} // namespace

void start_log() {
    log::set_writer(write_to_terminal);
}

Result<fdt::Bytes> open_blob(PhysicalAddress device_tree) {
    auto blob = fdt::check_blob(to_pointer(device_tree), fdt::largest_blob);
    if (blob) {
        const fdt::Bytes words = fdt::blob_property(*blob, "/chosen", "bootargs");
        const std::string_view text{reinterpret_cast<const char*>(words.data()), words.size()};
        log::set_level(log::level_from_command_line(text.substr(0, text.find('\0'))));
    }
    log::info("Spillway %s", version);
    return blob;
}

hcall::RtasTokens find_rtas_tokens(fdt::Bytes blob) {
    const auto token = [blob](const char* name) {
        return hcall::RtasToken{
            fdt::CellReader{fdt::blob_property(blob, "/rtas", name)}.cell().value_or(0)};
    };
    return {
        .read_pci_config = token("ibm,read-pci-config"),
        .write_pci_config = token("ibm,write-pci-config"),
        .power_off = token("power-off"),
        .system_reboot = token("system-reboot"),
        .os_term = token("ibm,os-term"),
        .nvram_fetch = token("nvram-fetch"),
        .nvram_store = token("nvram-store"),
    };
}

uint64_t find_timebase_frequency(const fdt::Tree& tree) {
    const fdt::Node* cpus = tree.find("/cpus");
    if (cpus == nullptr) return 0;
    for (const fdt::Node* cpu = tree.first_child(*cpus); cpu != nullptr;
         cpu = tree.next_sibling(*cpu)) {
        if (tree.text(*cpu, "device_type") == "cpu")
            return number(tree, *cpu, "timebase-frequency");
    }
    return 0;
}

PhysicalRange find_kernel(const fdt::Tree& tree) {
    const fdt::Node* chosen = tree.find("/chosen");
    if (chosen == nullptr) return {};
    fdt::CellReader cells{tree.value(*chosen, "qemu,boot-kernel")};
    if (cells.cells_left() < 4) return {};
    const uint64_t start = *cells.number(2);
    return {{start}, *cells.number(2)};
}

PhysicalRange find_initrd(const fdt::Tree& tree) {
    const fdt::Node* chosen = tree.find("/chosen");
    if (chosen == nullptr) return {};
    const uint64_t start = number(tree, *chosen, "linux,initrd-start");
    const uint64_t end = number(tree, *chosen, "linux,initrd-end");
    return {{start}, end > start ? end - start : 0};
}

} // namespace spillway::boot
