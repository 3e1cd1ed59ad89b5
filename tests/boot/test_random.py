# SPDX-License-Identifier: BSD-2-Clause
"""Random mixes of devices: exactly those are found, and exactly the right ones are claimed. A mix is
made from its number alone; every one starts another, and the program prints what the tree says."""
import os
import random

import pytest
from support import BIT_33, CLIENTS, boot, host_bridges

# Types of which a machine may have many.
VIRTIO = ["blk", "net", "scsi", "rng", "serial", "9p"]
VIRTIO_MODERN = ["virtio-keyboard-pci", "virtio-mouse-pci", "virtio-tablet-pci", "virtio-gpu-pci",
                 "virtio-crypto-pci"]
OTHERS = """
    e1000 e1000-82544gc e1000-82545em e1000e i82550 i82551 i82557a i82558b i82559er i82562 i82801 ne2k_pci
    pcnet rtl8139 sungem tulip vmxnet3
    am53c974 dc390 ich9-ahci lsi53c810 lsi53c895a megasas megasas-gen2 mptsas1068 nvme pvscsi sdhci-pci sii3112
    ich9-usb-ehci1 ich9-usb-uhci1 nec-usb-xhci pci-ohci piix3-usb-uhci piix4-usb-uhci qemu-xhci usb-ehci
    AC97 ES1370 ich9-intel-hda intel-hda
    ati-vga bochs-display cirrus-vga secondary-vga
    edu i6300esb ivshmem-plain macio-newworld pci-serial-4x pci-testdev tpci200
""".split()
# QEMU starts one of these at most.
ONCE = ["virtio-balloon-pci", "virtio-balloon-pci,disable-modern=on", "virtio-iommu-pci", "sm501", "VGA",
        "ati-vga", "cirrus-vga", "vmware-svga", "rocker", "i82378"]
# QEMU 7.2 uses freed memory when the windows of a bridge move on the bus of one of these: their address
# space for I/O may be the bridge's window itself.
NOT_WITH_BRIDGES = ("lsi53c810", "lsi53c895a")


def random_type(chance):
    """A -device value without its place."""
    if chance.random() < 0.4:
        return chance.choice(OTHERS)
    if chance.random() < 0.15:
        type_ = chance.choice(VIRTIO_MODERN)
        return type_ + chance.choice(["", f",{BIT_33}"])
    type_ = f"virtio-{chance.choice(VIRTIO)}-pci"
    return type_ + chance.choice([
        "", "-transitional", "-non-transitional", ",disable-modern=on", ",disable-legacy=on",
        f",disable-legacy=on,{BIT_33}", f"-non-transitional,{BIT_33}", ",page-per-vq=on",
        ",modern-pio-notify=on", ",vectors=0", ",x-disable-pcie=on"])


def random_mix(seed):
    """Devices of a machine: host bridges, bridges in bridges, functions beside functions."""
    chance = random.Random(seed)
    phbs = chance.choice([0, 0, 1, 2, 5])
    devices = host_bridges(phbs)
    # Bus: the slots that are free. (Slot 0 behind a bridge is the hot-plug controller's.)
    free = {"pci.0": list(range(32)), **{f"phb{i}.0": list(range(32)) for i in range(1, phbs + 1)}}
    levels = dict.fromkeys(free, 0)
    used = set()

    def place(bus):
        slot = chance.choice(free[bus])
        free[bus].remove(slot)
        return slot

    bridges = chance.choice([0, 0, 1, 3, 6])
    for number in range(bridges):
        bus = chance.choice([bus for bus in free if levels[bus] < 6 and free[bus]])
        devices.append(f"pci-bridge,id=bridge{number},bus={bus},addr={place(bus):#x}")
        free[f"bridge{number}"] = list(range(1, 32))
        levels[f"bridge{number}"] = levels[bus] + 1
    for _ in range(chance.choice([0, 1, 4, 12, 30])):
        bus = chance.choice([bus for bus in free if free[bus]])
        slot = place(bus)
        functions = [0]
        if chance.random() < 0.2:
            functions += sorted(chance.sample(range(1, 8), chance.randint(1, 4)))
        for function in functions:
            type_ = chance.choice(ONCE) if chance.random() < 0.05 else random_type(chance)
            kind = type_.partition(",")[0]
            if (type_ in ONCE and (kind in used or bus != "pci.0")) or (
                    bridges and kind in NOT_WITH_BRIDGES):
                type_ = kind = "virtio-rng-pci"
            used.add(kind)
            more = ",multifunction=on" if function == 0 and len(functions) > 1 else ""
            devices.append(f"{type_},bus={bus},addr={slot:#x}.{function}{more}")
    return devices


@pytest.mark.parametrize("seed", range(int(os.environ.get("SPILLWAY_TEST_MIXES", "100"))))
@pytest.mark.sample(4)
def test_random_mix(seed):
    boot(*random_mix(seed), client=CLIENTS[seed % len(CLIENTS)], timeout=60)
