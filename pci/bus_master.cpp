// SPDX-License-Identifier: BSD-2-Clause
#include "pci/bus_master.h"

#include "base/log.h"

namespace spillway::pci {

size_t silence_bus_masters(const Topology& topology) {
    size_t loud = 0;
    for (const Function* function = topology.functions; function != nullptr;
         function = function->next) {
        const Config config = topology.config(*function);
        const auto masters = [&config](uint16_t command) {
            return command != 0xFFFF && (command & command_bus_master) != 0;
        };
        uint16_t command = config.read(Register16::command);
        if (command == 0xFFFF) continue;
        // Written even when clear: after a reset QEMU gates DMA only from the next write on.
        config.write(Register16::command, command & ~command_bus_master & 0xFFFF);
        command = config.read(Register16::command);
        if (!masters(command)) continue;
        ++loud;
        log::error("pci %s stays bus master: command is 0x%04x", name(*function).text,
                   unsigned{command});
    }
    return loud;
}

} // namespace spillway::pci
