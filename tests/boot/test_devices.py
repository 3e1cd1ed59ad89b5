# SPDX-License-Identifier: BSD-2-Clause
"""Which devices the guest finds, and what it is told of each."""
import re

import pytest
import spillway_qemu as sq
from support import (BIT_33, CLIENTS, boot, host_bridges, interrupt_numbers, line, lines, pin_interrupt,
                     running)

# One of each virtio type that needs nothing outside, in each way to be presented.
VIRTIO = [
    "virtio-blk-pci",
    "virtio-blk-pci-transitional",
    "virtio-blk-pci-non-transitional",
    f"virtio-blk-pci-non-transitional,{BIT_33}",
    "virtio-net-pci",
    "virtio-net-pci-transitional",
    "virtio-net-pci-non-transitional",
    f"virtio-net-pci,disable-legacy=on,{BIT_33}",
    "virtio-scsi-pci",
    "virtio-scsi-pci-transitional",
    "virtio-scsi-pci-non-transitional",
    f"virtio-scsi-pci-non-transitional,{BIT_33}",
    "virtio-rng-pci",
    "virtio-rng-pci-transitional",
    "virtio-rng-pci-non-transitional",
    f"virtio-rng-pci,disable-legacy=on,{BIT_33}",
    "virtio-serial-pci",
    "virtio-serial-pci,disable-modern=on",
    "virtio-serial-pci-transitional",
    f"virtio-serial-pci-non-transitional,{BIT_33}",
    "virtio-balloon-pci,disable-modern=on",
    "virtio-9p-pci",
    "virtio-9p-pci,disable-modern=on",
    f"virtio-9p-pci-non-transitional,{BIT_33}",
    "virtio-keyboard-pci",
    f"virtio-tablet-pci,{BIT_33}",
    "virtio-gpu-pci",
    f"virtio-crypto-pci,{BIT_33}",
]
NEVER_TWICE = "virtio-balloon"  # QEMU's rule


def many_virtio(count):
    """That many devices: 24 on the root bus, the others behind bridges of 30."""
    devices = []
    for number in range(count):
        if number >= 24 and (number - 24) % 30 == 0:
            bridge = f"bridge{(number - 24) // 30}"
            devices.append(f"pci-bridge,id={bridge}")
        type_ = VIRTIO[number % len(VIRTIO)]
        if NEVER_TWICE in type_ and number >= len(VIRTIO):
            type_ = VIRTIO[0]
        devices.append(type_ if number < 24 else f"{type_},bus={bridge},addr={1 + (number - 24) % 30:#x}")
    return devices


@pytest.mark.parametrize("count", [0, 1, 8, 64, 224])
def test_number_of_virtio_devices(count):
    machine = boot(*many_virtio(count))
    assert sum(device.virtio for device in machine.expected) == count
    assert len(lines(machine, "device")) == len(machine.expected)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_way_to_enter_a_program(client):
    boot(*many_virtio(64), client=client)


def test_every_virtio_type():
    boot(*VIRTIO)


def test_multifunction():
    boot("virtio-rng-pci,addr=3.0,multifunction=on", "e1000,addr=3.1",
         f"virtio-blk-pci-non-transitional,addr=3.2,{BIT_33}", "virtio-blk-pci,addr=3.7",
         "nvme,addr=9.0,multifunction=on", "virtio-net-pci-transitional,addr=9.5")


def test_three_host_bridges():
    devices = []
    for index in range(3):
        bus = f"phb{index}.0" if index else "pci.0"
        devices += [f"virtio-blk-pci,bus={bus},addr=1", f"e1000,bus={bus},addr=2",
                    f"virtio-scsi-pci-non-transitional,bus={bus},addr=7,{BIT_33}",
                    f"pci-bridge,id=bridge{index},bus={bus},addr=8",
                    f"virtio-rng-pci,bus=bridge{index},addr=3"]
    machine = boot(*host_bridges(2), *devices)
    assert len(machine.expected) == 15


def test_31_host_bridges():
    devices = [f"{type_},bus=phb{index}.0" for index in range(1, 31)
               for type_ in ("virtio-blk-pci", f"virtio-rng-pci-non-transitional,{BIT_33}", "e1000")]
    boot(*host_bridges(30), *devices, "virtio-net-pci", client="list-little_64")


@pytest.mark.parametrize("interrupts", ["xics", "xive"])
@pytest.mark.sample(2)
def test_bridges_three_deep(interrupts):
    """Devices at each level; the e1000 has no MSI, so its packets come by the pins of the bridges."""
    machine = boot(
        "pci-bridge,id=one,addr=5", "pci-bridge,id=two,bus=one,addr=2", "pci-bridge,id=three,bus=two,addr=6",
        "e1000,addr=1,netdev=user", "virtio-blk-pci,addr=2",
        "e1000,bus=one,addr=1,netdev=user", f"virtio-blk-pci-non-transitional,bus=one,addr=7,{BIT_33}",
        "e1000,bus=two,addr=4,netdev=user", "virtio-net-pci,bus=two,addr=9,netdev=user",
        "e1000,bus=three,addr=3,netdev=user", "virtio-blk-pci-transitional,bus=three,addr=0x1f",
        machine=f"ic-mode={interrupts}", do="devices,modules,net,disk,resources,interrupts")
    numbers = interrupt_numbers(machine.console)
    for address, slots in [("0000:00:01.0", [1]), ("0000:01:01.0", [5, 1]), ("0000:02:04.0", [5, 2, 4]),
                           ("0000:03:03.0", [5, 2, 6, 3])]:
        assert line(machine, "net", addr=address)["ping"] == "ok"
        assert numbers[int(line(machine, "irq", addr=address)["irq"])][1] == pin_interrupt(0, *slots)
    assert line(machine, "net", addr="0000:02:09.0")["ping"] == "ok"
    assert len(lines(machine, "disk", sectors="131072")) == 3


def test_pins_behind_a_second_host_bridge():
    machine = boot(*host_bridges(1), "pci-bridge,id=one,bus=phb1.0,addr=3", "e1000,bus=one,addr=2,netdev=user",
                   do="devices,modules,net,resources,interrupts")
    address = "0001:01:02.0"
    assert line(machine, "net", addr=address)["ping"] == "ok"
    number = int(line(machine, "irq", addr=address)["irq"])
    assert interrupt_numbers(machine.console)[number][1] == pin_interrupt(1, 3, 2)


@pytest.mark.parametrize("client", [None, "list-big_32"])
def test_bridges_twelve_deep(client):
    devices = []
    for level in range(12):
        bus = f"level{level - 1}" if level else "pci.0"
        devices += [f"pci-bridge,id=level{level},bus={bus},addr=1", f"virtio-rng-pci,bus=level{level},addr=2",
                    f"virtio-rng-pci-non-transitional,bus=level{level},addr=3,{BIT_33}"]
    boot(*devices, client=client)


NO_ADDRESS = r"^warning: pci [0-9a-f:.]+: BAR at 0x[0-9a-f]+ \(.*\) gets no address$"


@pytest.mark.parametrize("client", [None, "list-big_32"])
def test_more_io_than_there_is(client):
    """64 KiB of I/O is 15 bridges with something behind. What is left over needs no I/O: transitional
    virtio has memory too."""
    devices = []
    for number in range(20):
        devices += [f"pci-bridge,id=bridge{number}", f"virtio-rng-pci,bus=bridge{number},addr=1",
                    f"e1000,bus=bridge{number},addr=2"]
    machine = boot(*devices, client=client, allowed=[NO_ADDRESS])
    assert len(re.findall(NO_ADDRESS, machine.console, re.MULTILINE)) == 10


@pytest.mark.parametrize("client", [None, "list-big_32"])
def test_more_memory_than_there_is(client):
    """Five times 512 MiB do not fit into 2 GiB; all others get what they need."""
    machine = boot("VGA,vgamem_mb=512", *["secondary-vga,vgamem_mb=512"] * 4, "virtio-rng-pci", "e1000",
                   client=client, allowed=[NO_ADDRESS])
    assert len(re.findall(NO_ADDRESS, machine.console, re.MULTILINE)) == 2


def test_legacy_without_io():
    """A legacy device that gets no address cannot be asked for its features: nothing is claimed."""
    devices = []
    for number in range(16):
        devices += [f"pci-bridge,id=bridge{number}", f"virtio-rng-pci,disable-modern=on,bus=bridge{number},addr=1"]
    with running(*devices, client="list-big_32") as machine:
        machine.wait_for("^@done$")
    unclaimed = lines(machine, "device", bypass="-", virtio="-", id="1af4:1005")
    assert len(unclaimed) == 1
    assert not sq.differences([device for device in machine.expected if device.address != unclaimed[0]["addr"]],
                              {address: seen for address, seen in sq.parse_devices(machine.console).items()
                               if address != unclaimed[0]["addr"]})
    assert re.search("^warning: virtio .*10:01.0: the legacy I/O BAR has no address", machine.console,
                     re.MULTILINE)


def test_legacy_behind_bridges():
    """Its registers are in a BAR, which the bridges on the way have to pass on."""
    machine = boot("virtio-rng-pci,disable-modern=on", "pci-bridge,id=one", "pci-bridge,id=two,bus=one,addr=1",
                   "virtio-rng-pci,disable-modern=on,bus=two,addr=1", client="list-big_32")
    first, second = lines(machine, "device", id="1af4:1005")
    assert int(first["features"], 16) != 0
    assert first["features"] == second["features"]


def test_a_malformed_bar_is_left_alone():
    """QEMU's pvpanic-pci has a BAR of 2 bytes, which PCI does not know."""
    boot("pvpanic-pci", "virtio-rng-pci", client="list-big_32",
         allowed=[r"^warning: pci 0000:00:00\.0: BAR at 0x10 is malformed"])


def test_bypassing_host_bridge():
    """QEMU's bypass-iommu takes a whole host bridge out of translation; the tree stays as it is."""
    boot(f"virtio-blk-pci-non-transitional,{BIT_33}", "e1000", "virtio-rng-pci",
         arguments=["-global", "spapr-pci-host-bridge.bypass-iommu=on"], client="list-big_32")
