// SPDX-License-Identifier: BSD-2-Clause
#include "pci/bus_master.h"

#include "base/log.h"

namespace spillway::pci {

bool silence_bus_master(const Config& config, const Name& name) {
    constexpr uint16_t gone = 0xFFFF;
    uint16_t command = config.read(Register16::command);
    if (command == gone) return true;
    // Written even when clear: after a reset QEMU gates DMA only from the next write on.
    config.write(Register16::command, command & ~command_bus_master & 0xFFFF);
    command = config.read(Register16::command);
    if (command == gone || (command & command_bus_master) == 0) return true;
    log::error("pci %s stays bus master: command is 0x%04x", name.text, unsigned{command});
    return false;
}

size_t silence_bus_masters(const Topology& topology) {
    size_t loud = 0;
    for (const Function* function = topology.functions; function != nullptr;
         function = function->next) {
        loud += !silence_bus_master(topology.config(*function), name(*function));
    }
    return loud;
}

} // namespace spillway::pci
