# SPDX-License-Identifier: BSD-2-Clause
"""The same machines under SLOF, QEMU's default firmware: what Linux finds may differ only where a
table says so, with a reason. Differences of form are removed first: handles are compared as the paths
that they stand for, interrupts as the lines that they end up at, addresses by what they are for."""
import contextlib
import io
import re
import struct

import pytest
import spillway_qemu as sq
from support import DEVICE_MIX, FIRMWARE, check, flatten, host_bridges, running

NUMA = ("-smp 4 -object memory-backend-ram,id=memory0,size=512M -object memory-backend-ram,id=memory1,size=512M "
        "-numa node,nodeid=0,memdev=memory0,cpus=0-1 -numa node,nodeid=1,memdev=memory1,cpus=2-3")
MACHINES = {
    "device-mix": ([*DEVICE_MIX, "virtio-net-pci,netdev=user", "scsi-hd"], ""),
    "host-bridges": ([
        *host_bridges(2), "virtio-blk-pci,bus=phb1.0", "e1000,bus=phb2.0,addr=7", "virtio-net-pci,bus=pci.0",
        "pci-bridge,id=outer,bus=pci.0,addr=5", "pci-bridge,id=middle,bus=outer,addr=1",
        "pci-bridge,id=inner,bus=middle,addr=3", "virtio-rng-pci,bus=inner,addr=2", "e1000,bus=middle,addr=6",
        "nvme,bus=outer,addr=9"], ""),
    "numa": (["virtio-blk-pci"], NUMA),
}

# (whose, path, property, reason); patterns for the whole of path and property. Whose: slof, ours, or
# both where the values differ. A property of "" is the node itself.
PCI = "/pci@.*/.*"
TABLE = [
    ("slof", ".*", "slof,.*", "SLOF's notes to itself"),
    ("ours", "/chosen", "spillway,version", "says who has booted the machine"),
    ("ours", "/chosen", "spillway,boot-steps", "says where the boot's time went"),
    ("ours", "/chosen", "spillway,boot-ticks", "says where the boot's time went"),
    ("both", "/openprom", "model", "likewise"),
    ("ours", PCI, "spillway,virtio-(device|features)", "says which device it is and what it offers"),
    ("ours", PCI, "qemu,dma-bypass", "what this firmware is for"),
    ("ours", PCI, "compatible", "PCI binding 2.5; SLOF has none"),

    ("both", "/chosen", "std(in|out)|cpu", "handles of instances: numbers without a meaning to others"),
    ("slof", "/chosen", "mmu|memory", "instances for virtual memory; programs run untranslated here"),
    ("slof", "/mmu", "", "likewise"),
    ("both", "/memory@0", "available", "each firmware is somewhere else; Linux asks for memory by claim"),
    ("ours", "/interrupt-controller@.*", "linux,phandle", "QEMU's own property, which SLOF removes"),

    ("slof", "/aliases", "(disk|net|cdrom|scsi|usb|hvterm|nvram)\\d*", "to choose a boot device by name at a prompt"),
    ("ours", "/aliases", "vty|serial", "to find the terminal by the names of the PAPR"),
    ("slof", "/options", ".*", "configuration of SLOF's boot, kept in NVRAM"),
    ("ours", "/options", "little-endian\\?", "PAPR's name; programs are entered in the order of their header"),
    ("both", "/options", "screen-#(columns|rows)", "512 by 512 in SLOF, the size of a terminal here"),
    ("slof", "/packages/.*", "", "file systems, partitions and TFTP: what SLOF boots from by itself"),

    ("slof", PCI, "device_type", "for SLOF's own drivers; Linux goes by IDs and class"),
    ("slof", PCI, "local-mac-address", "only SLOF drives network cards; Linux reads it from the card"),
    ("slof", "/pci@.*/(usb|scsi).*", "#(address|size)-cells", "for the disks that SLOF finds behind it"),
    ("slof", "/pci@.*/scsi@.*/disk", "", "likewise"),
    ("slof", "/pci@.*/pci@.*", "(primary|secondary|subordinate)-bus", "bus-range says it"),
    ("slof", "/pci@.*/pci@.*", "slot-names", "names a slot and gives it no name"),
    ("slof", "/pci@.*/pci@.*", "udf-supported", "SLOF sets it for every bridge; QEMU's bridges have no such bit"),
    ("both", "/pci@.*/pci@.*", "subsystem-vendor-id", "QEMU reads it where bridges have half of a window's address"),
    ("both", "/pci@.*/pci@.*", "ranges", "the windows' places and sizes: here with room for hotplug"),
    ("both", "/pci@.*/pci@.*", "interrupt-map-mask", "SLOF maps each slot, here the four that differ"),
]


def cells(value):
    return struct.unpack(f">{len(value) // 4}I", value)


def paths_of_handles(tree):
    return {cells(properties["phandle"])[0]: path for path, properties in tree.items() if "phandle" in properties}


def parent_of(path):
    return path.rpartition("/")[0]


def interrupt_of(tree, path):
    """Where pin and slot of a PCI function lead: the controller's path and its interrupt."""
    handles = paths_of_handles(tree)
    unit, specifier = list(cells(tree[path]["reg"])[:3]), list(cells(tree[path]["interrupts"]))
    node = parent_of(path)
    for _ in range(64):
        mask = cells(tree[node]["interrupt-map-mask"])
        wanted = [value & bits for value, bits in zip(unit + specifier, mask)]
        entries = list(cells(tree[node]["interrupt-map"]))
        while entries:
            child, controller, entries = entries[:4], handles[entries[4]], entries[5:]
            to_pci = "interrupt-map" in tree[controller]
            unit_size, size = (3, 1) if to_pci else (0, 2)
            found = entries[:unit_size], entries[unit_size:unit_size + size]
            entries = entries[unit_size + size:]
            if [value & bits for value, bits in zip(child, mask)] == wanted:
                break
        else:
            raise AssertionError(f"{node} has no entry for {path}")
        if not to_pci:
            return controller, found[1]
        node, (unit, specifier) = controller, found
    raise AssertionError(f"{path}: the interrupt maps do not end")


def assigned(value):
    """The registers and sizes of assigned-addresses, without the addresses."""
    numbers = cells(value)
    return sorted((numbers[i] & 0xFFFFFF, numbers[i + 3] << 32 | numbers[i + 4]) for i in range(0, len(numbers), 5))


def comparable(tree):
    """The tree without what is only form."""
    result = {}
    for path, properties in tree.items():
        properties = dict(properties)
        if "interrupts" in properties and "interrupt-map" in tree.get(parent_of(path), {}):
            properties["interrupt (followed)"] = interrupt_of(tree, path)
        properties.pop("interrupt-map", None)
        properties.pop("phandle", None)
        if "assigned-addresses" in properties:
            properties["assigned-addresses"] = assigned(properties["assigned-addresses"])
        result[path] = properties
    return result


def tree_differences(slof, ours):
    """(whose, path, property, the values) of each."""
    for path in sorted(slof.keys() | ours.keys()):
        if path not in slof or path not in ours:
            yield "slof" if path in slof else "ours", path, "", ""
            continue
        for name in sorted(slof[path].keys() | ours[path].keys()):
            one, two = slof[path].get(name), ours[path].get(name)
            if one != two:
                yield "ours" if one is None else "slof" if two is None else "both", path, name, f"{one} {two}"


# Of a resource's flags in Linux (include/linux/ioport.h): that a BAR can take 64-bit addresses, as
# IORESOURCE_MEM_64 and as the register has it. SLOF gives those that are not prefetchable out as 32-bit.
FLAGS_64 = 0x100000 | 0x4
FIRST_WINDOW = 13  # PCI_BRIDGE_RESOURCES


def resources(console):
    """Of each function and number: size and flags. Of a bridge's windows only the flags: the tree's
    `ranges` differ for a reason."""
    found = {}
    for line in sq.parse_lines(console, "resource"):
        number = int(line["number"])
        size = int(line["end"], 16) - int(line["start"], 16) + 1
        found[line["addr"], number] = (size if number < FIRST_WINDOW else None, int(line["flags"], 16) & ~FLAGS_64)
    for line in sq.parse_lines(console, "irq"):
        found[line["addr"], "irq"] = line["irq"]
    for address, device in sq.parse_devices(console).items():
        found[address, "device"] = (device["id"], device["class"], device["of"])
    return found


def run(devices, arguments, firmware):
    with running(*devices, arguments=arguments.split(), firmware=firmware, do="tree,resources,devices") as machine:
        machine.wait_for("^@done$")
        machine.wait_for_end()
    return machine


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.sample(2)
def test_against_slof(name):
    with contextlib.redirect_stdout(io.StringIO()):  # pages of escape sequences
        slof = run(*MACHINES[name], None)
    ours = run(*MACHINES[name], FIRMWARE)
    check(ours)
    assert resources(ours.console) == resources(slof.console)

    unexplained, used = [], set()
    for difference in tree_differences(*(comparable(flatten(sq.device_tree(m.console))) for m in (slof, ours))):
        rows = [row for row in TABLE
                if row[0] == difference[0] and all(map(re.fullmatch, row[1:3], difference[1:3]))]
        used.update(rows)
        if not rows:
            unexplained.append(difference)
    for whose, path, property_, values in unexplained:
        print("UNEXPLAINED", whose, f"{path}:{property_}", values)
    assert not unexplained
    if name == "device-mix":  # it has one of everything
        assert not [row for row in TABLE if row not in used], "the table tells of what there is not"
