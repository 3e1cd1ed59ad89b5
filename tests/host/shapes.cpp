// SPDX-License-Identifier: BSD-2-Clause
#include "tests/host/whole_boot.h"

namespace spillway::test {

std::span<const Shape> shapes() {
    constexpr uint64_t mib = 1 << 20;
    using enum ProgramForm;
    static constexpr Shape all[] = {
        {"no device", "bare"},
        {"QEMU's defaults", "defaults", elf64_little, false, 3 * mib},
        {"one transitional device", "one-transitional", elf64_big},
        {"one modern device", "one-modern", elf32_big},
        {"one legacy device", "one-legacy", flat_big},
        {"no virtio", "no-virtio", elf64_little},
        {"mixed devices", "mixed", elf64_little, false, 3 * mib, "spillway.log=verbose"},
        {"mixed devices, switch", "mixed", elf64_little, true},
        {"bridges, switch", "switch-bridged", flat_little, true},
        {"wide bridges", "wide-bridges", elf64_file},
        {"nested bridges", "nested-bridges", elf64_little},
        {"eight functions, switch", "eight-functions", elf64_big, true},
        {"31 host bridges", "31-host-bridges", flat_little, false, 0, "spillway.log=quiet"},
        {"three host bridges, switch", "three-host-bridges", elf64_little, true},
        {"NUMA", "numa", elf64_little, false, 64 * mib},
        {"16 memory nodes, switch", "16-memory-nodes", flat_big, true},
        {"16 processors", "16-processors", elf64_little},
        {"large initrd", "large-initrd", elf64_little, false, 1024 * mib},
        {"POWER8", "power8", elf32_big, false, 0, "spillway.log=verbose"},
        {"XIVE, switch", "xive", elf64_file, true, 3 * mib},
    };
    return all;
}

} // namespace spillway::test
