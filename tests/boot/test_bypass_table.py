# SPDX-License-Identifier: BSD-2-Clause
"""The table of docs/dma-bypass.md, section 9, row by row: what the guest is told, which windows are
open in the hypervisor's own view, and what DMA costs, counted by QEMU's trace points.

A guest is aware when it loads the module pci_dma_bypass before its drivers."""
import contextlib
import os
import random
import re
import shutil
import socket
import threading
from dataclasses import dataclass

import pytest
import spillway_qemu as sq
from support import (BIT_33, FIRMWARE, check, disk_image, host_bridges, line, lines, running, sha256)
from test_hotplug import connector
from vhost_user_disk import VhostUserDisk

CAPABLE = pytest.mark.capable
ON, OFF = "cap-pci-dma-bypass=on", "cap-pci-dma-bypass=off"
MODERN = ",disable-legacy=on"
OFFERED = f"{MODERN},{BIT_33}"
AWARE = "load=pci_dma_bypass,modules"
UNAWARE = "modules"

CALLS = ("spapr_iommu_pci_put", "spapr_iommu_pci_indirect", "spapr_iommu_pci_stuff")
TRANSLATION = "spapr_iommu_xlate"
TRACE = [*CALLS, TRANSLATION, "spapr_pci_dma_bypass*"]
WINDOW = 1 << 60

# Where a device is in these machines.
PLACE = "0000:00:{:02x}.0"


@dataclass
class Cost:
    """Of DMA between two pauses of the guest."""

    calls: int
    translations: int
    counts: dict


NOTHING = (0, 0)


def cost(machine):
    """Since the last pause; the guest pauses now."""
    machine.wait_for_pause()
    counts = machine.traced()
    return Cost(sum(counts[name] for name in CALLS), counts[TRANSLATION], counts)


def pair(cost):
    return cost.calls, cost.translations


def windows(machine):
    """What the hypervisor lets each function on a root bus reach: {address: whether the bypass window is
    open}. Empty where functions have no address spaces of their own."""
    found = {}
    for view in machine.hmp("info mtree -f").replace("\r", "").split("FlatView #"):
        ram = [int(start, 16) for start in re.findall(r"^ +([0-9a-f]{16})-[0-9a-f]{16} \(prio \d+, ram\)", view,
                                                      re.MULTILINE)]
        for buid, function in re.findall(r'AS "pci@([0-9a-f]+):([0-9a-f]{2}\.[0-7])"', view):
            found[f"{int(buid, 16) & 0xFFFF:04x}:00:{function}"] = WINDOW in ram
    return found


def open_windows(machine):
    return {address for address, is_open in windows(machine).items() if is_open}


def reported(machine):
    """The property, as the guest sees it: {address: value or "-"}."""
    return {address: device["bypass"] for address, device in sq.parse_devices(machine.console).items()}


# A disk of 256 MiB. Its sum takes the guest half a minute, so most rows make do with its first part.

BIG, PART = 256, 64


@pytest.fixture(scope="module")
def big_disk(tmp_path_factory):
    """What a disk of 256 MiB holds, each MiB different."""
    path = tmp_path_factory.mktemp("disk") / "pristine.img"
    with open(path, "wb") as file:
        for number in range(BIG):
            file.write(random.Random(number).randbytes(1 << 20))
    yield path
    path.unlink()


@pytest.fixture
def disk(tmp_path):
    """Where a machine's disk is, while there is one."""
    path = tmp_path / "disk.img"
    yield path
    path.unlink()


def fill(path, big_disk, mib):
    shutil.copyfile(big_disk, path)
    os.truncate(path, mib << 20)


def drive(path):
    return ["-blockdev",
            f"driver=raw,node-name={path.stem},cache.no-flush=on,file.driver=file,file.filename={path}"]


def check_disk(machine, path, content, mib):
    """That `mib` were read right by the word disk, and their first half copied to the second by copy."""
    half = content[:mib << 19]
    assert line(machine, "disk")["sha256"] == sha256(content)
    assert line(machine, "copy")["sha256"] == sha256(half)
    assert path.read_bytes() == half + half


def measure(disk, big_disk, device, *, machine="", append="", guest=UNAWARE, others=(), arguments=None, mib=PART,
            firmware=FIRMWARE, window=False, place=PLACE.format(1), **options):
    """What the disk behind `device` costs: (probe, read, write). Also checks everything but that: data,
    the property, and that its window is `window`, no other one open."""
    fill(disk, big_disk, mib)
    words = f"{guest},devices,wait,disk={mib},wait,copy={mib // 2},wait,dmesg"
    with running(*others, device, arguments=drive(disk) if arguments is None else arguments,
                 machine=machine, append=append, do=words, trace=TRACE, firmware=firmware, timeout=300,
                 **options) as done:
        costs = []
        for _ in range(3):
            costs.append(cost(done))
            assert open_windows(done) == ({place} if window else set())
            done.resume()
        done.wait_for("^@done$")
        done.wait_for_end()
    if firmware:
        check(done)
    check_disk(done, disk, big_disk.read_bytes()[:mib << 20], mib)
    print("cost:", [(cost.calls, cost.translations) for cost in costs])
    return done, costs


BLOCK = "virtio-blk-pci,drive=disk,addr=1"


# Rows 1 to 7: one disk, no other device.

@dataclass
class Row:
    machine: str
    device: str
    guest: str
    append: str
    verdict: str
    calls: range  # for `mib` read and half as much written
    translations: range
    mib: int = PART


ZERO = range(1)
# With a window of 16 MiB pages in front of all memory, which the kernel fills at probe, no call; a
# translation for each piece of a request.
WINDOWED = (ZERO, range(10 * PART, 100 * PART))
WINDOWED_BIG = (ZERO, range(10 * BIG, 100 * BIG))
# A page of 4 KiB of the default window for each 4 KiB of data, many to a call.
MAPPED = (range(10 * PART, 200 * PART), range(300 * PART, 1000 * PART))

ROWS = {
    "stock: without bit 33": Row("", MODERN, UNAWARE, "", "fixed", ZERO, ZERO, BIG),
    "stock: with bit 33": Row("", OFFERED, UNAWARE, "", "-", *WINDOWED),
    "stock: with bit 33, disable_ddw": Row("", OFFERED, UNAWARE, "disable_ddw", "-", *MAPPED),
    "stock: with bit 33, aware": Row("", OFFERED, AWARE, "", "-", *WINDOWED),
    "off: with bit 33": Row(OFF, OFFERED, UNAWARE, "", "-", *WINDOWED),
    "off: with bit 33, aware": Row(OFF, OFFERED, AWARE, "", "-", *WINDOWED),
    "on: without bit 33": Row(ON, MODERN, UNAWARE, "", "fixed", ZERO, ZERO),
    "on: without bit 33, aware": Row(ON, MODERN, AWARE, "", "fixed", ZERO, ZERO),
    "on: with bit 33": Row(ON, OFFERED, UNAWARE, "", "switchable", *WINDOWED_BIG, BIG),
    "on: with bit 33, disable_ddw": Row(ON, OFFERED, UNAWARE, "disable_ddw", "switchable", *MAPPED),
    "on: with bit 33, aware": Row(ON, OFFERED, AWARE, "", "switchable", ZERO, ZERO, BIG),
    "on: with bit 33, aware, disable_ddw": Row(ON, OFFERED, AWARE, "disable_ddw", "switchable", ZERO, ZERO),
    "on: with bit 33, aware, swiotlb=force": Row(ON, OFFERED, AWARE, "swiotlb=force", "switchable", ZERO, ZERO),
    "on: with bit 33, aware, policy none": Row(
        ON, OFFERED, AWARE, "pci_dma_bypass.policy=none", "switchable", *WINDOWED),
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if row.machine == "" else CAPABLE) for name, row in ROWS.items()])
@pytest.mark.sample(3)
def test_row(name, disk, big_disk):
    row = ROWS[name]
    bypassed = row.verdict == "switchable" and row.translations == ZERO
    machine, (_, read, write) = measure(disk, big_disk, BLOCK + row.device, machine=row.machine, append=row.append,
                                        guest=row.guest, window=bypassed, mib=row.mib)
    assert reported(machine) == {PLACE.format(1): row.verdict}
    assert read.calls + write.calls in row.calls
    assert read.translations + write.translations in row.translations


# "As under SLOF": how a request is cut into pieces depends on where the kernel finds memory, which
# differs from boot to boot under the same firmware too.
TOLERANCE = 0.25


@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.sample(2)
def test_as_under_slof(append, disk, big_disk):
    """The same boot under QEMU's own firmware."""
    _, (probe, *ours) = measure(disk, big_disk, BLOCK + OFFERED, append=append)
    _, (slofs_probe, *slofs) = measure(disk, big_disk, BLOCK + OFFERED, append=append, firmware=None)
    assert probe.calls == slofs_probe.calls
    for our, slof in ((sum(map(number, ours)), sum(map(number, slofs))) for number in (
            lambda cost: cost.calls, lambda cost: cost.translations)):
        assert our == pytest.approx(slof, rel=TOLERANCE)


# The other types of virtio device.

class Server:
    """Gives `content` to every odd connection, keeps what every even one brings."""

    def __init__(self, content):
        self.content, self.taken = content, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self):
        for number in range(1 << 20):
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                if number % 2 == 0:
                    connection.sendall(self.content)
                else:
                    with connection.makefile("rb") as file:
                        self.taken.append(file.read())


TYPES = {1: "virtio-blk-pci", 2: "virtio-scsi-pci", 3: "virtio-net-pci", 4: "virtio-rng-pci", 5: "virtio-9p-pci"}


@contextlib.contextmanager
def all_types(folder, options, guest, **more):
    """A machine with a virtio device of each type, which all have moved data; and the costs of their
    drivers' probes, and of each device's work."""
    arguments, content = disk_image(folder / "one.img", 16, 1)
    more_arguments, other = disk_image(folder / "two.img", 16, 2)
    share = folder / "share"
    share.mkdir()
    file = random.Random(3).randbytes(8 << 20)
    (share / "given").write_bytes(file)
    text = random.Random(4).randbytes(8 << 20)
    devices = [
        f"virtio-blk-pci,drive=one,addr=1{options}",
        f"virtio-scsi-pci,id=scsi,addr=2{options}", "scsi-hd,bus=scsi.0,drive=two",
        f"virtio-net-pci,netdev=user,addr=3{options}",
        f"virtio-rng-pci,addr=4{options}",
        f"virtio-9p-pci,fsdev=share,mount_tag=tag,addr=5{options}",
    ]
    with Server(text) as server:
        words = f"{guest},devices,wait,disk=16,copy=8,wait,net={server.port},wait,random=64,wait,share=tag,wait,dmesg"
        with running(*devices, do=words, trace=TRACE, arguments=[
                *arguments, *more_arguments, "-fsdev", f"local,id=share,path={share},security_model=none"],
                     **more) as machine:
            machine.costs = {}
            for name in ("probe", "disks", "net", "rng", "9p"):
                machine.costs[name] = cost(machine)
                machine.windows = open_windows(machine)
                machine.resume()
            machine.wait_for("^@done$")
            machine.wait_for_end()
    print("cost:", {name: pair(cost) for name, cost in machine.costs.items()})
    check(machine)
    assert {found["sha256"] for found in lines(machine, "disk")} == {sha256(content), sha256(other)}
    for name, was in (("one", content), ("two", other)):
        assert (folder / f"{name}.img").read_bytes() == was[:8 << 20] * 2
    assert server.taken == [text]
    assert line(machine, "net")["sha256"] == sha256(text)
    assert line(machine, "random", bytes="65536")["name"] == "virtio_rng.0"
    assert line(machine, "share")["sha256"] == sha256(file)
    assert (share / "taken").read_bytes() == file
    yield machine


@pytest.mark.parametrize("options, guest, machine, append, verdict", [
    (MODERN, UNAWARE, "", "", "fixed"),
    pytest.param(OFFERED, AWARE, ON, "", "switchable", marks=CAPABLE),
    pytest.param(OFFERED, AWARE, ON, "disable_ddw", "switchable", marks=CAPABLE),
    pytest.param(OFFERED, AWARE, ON, "swiotlb=force", "switchable", marks=CAPABLE),
])
@pytest.mark.sample(3)
def test_every_type_without_translation(options, guest, machine, append, verdict, tmp_path):
    with all_types(tmp_path, options, guest, machine=machine, append=append) as done:
        places = {PLACE.format(slot) for slot in TYPES}
        assert reported(done) == dict.fromkeys(places, verdict)
        assert done.windows == (places if verdict == "switchable" else set())
        del done.costs["probe"]
        assert {name: pair(cost) for name, cost in done.costs.items()} == dict.fromkeys(done.costs, NOTHING)


@pytest.mark.parametrize("machine, verdict", [("", "-"), pytest.param(ON, "switchable", marks=CAPABLE)])
def test_every_type_with_translation(machine, verdict, tmp_path):
    """Unaware: the counters see each of these devices."""
    with all_types(tmp_path, OFFERED, UNAWARE, machine=machine, append="disable_ddw") as done:
        assert set(reported(done).values()) == {verdict}
        assert not done.windows
        for name, spent in done.costs.items():
            assert spent.translations, name
            assert spent.calls or name == "rng", name


# vhost-user: the translations are the back end's misses.

MEMFD = ["-object", "memory-backend-memfd,id=ram,share=on,size=1G"]
VHOST = f"vhost-user-blk-pci,chardev=vhost,addr=1{OFFERED}"


@contextlib.contextmanager
def vhost_disk(folder, image):
    """A back end that has seen no wrong address when its machine is gone."""
    with VhostUserDisk(folder / "socket", image) as disk:
        try:
            yield disk
        finally:
            print("back end:", dict(disk.counts()), disk.faults, disk.errors)
    assert not disk.faults and not disk.errors


def measure_vhost(folder, image, big_disk, mib, machine="", **more):
    fill(image, big_disk, mib)
    with vhost_disk(folder, image) as back_end:
        done, costs = measure(image, big_disk, VHOST, mib=mib, arguments=[*back_end.arguments, *MEMFD],
                              machine=",".join(filter(None, ["memory-backend=ram", machine])), **more)
    return done, costs, back_end


@pytest.mark.parametrize("machine, verdict", [("", "-"), pytest.param(ON, "switchable", marks=CAPABLE)])
def test_vhost_user_with_translation(machine, verdict, disk, big_disk, tmp_path):
    """Each page of 4 KiB is a miss, and each that the kernel unmaps is taken back."""
    done, (_, read, write), back_end = measure_vhost(tmp_path, disk, big_disk, 16, machine, append="disable_ddw")
    assert set(reported(done).values()) == {verdict}
    assert read.calls and write.calls
    assert back_end.misses >= 24 << 8  # 24 MiB in pages
    assert back_end.largest == 4096
    assert back_end.invalidations >= 24 << 8


@pytest.mark.capable
@pytest.mark.parametrize("append", ["", "disable_ddw", "swiotlb=force"])
@pytest.mark.sample(2)
def test_vhost_user_bypassed(append, disk, big_disk, tmp_path):
    """The machine has one memory region, so one answer is enough."""
    done, (_, read, write), back_end = measure_vhost(
        tmp_path, disk, big_disk, PART if append else BIG, ON, append=append, guest=AWARE, window=True)
    assert set(reported(done).values()) == {"switchable"}
    assert (pair(read), pair(write)) == (NOTHING, NOTHING)
    assert back_end.misses <= 2 and back_end.updates <= 3
    assert back_end.largest == 1 << 30


# Others beside them, a bridge before them, hot-plug.

@pytest.mark.capable
@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.sample(2)
def test_other_devices_beside_virtio(append, tmp_path):
    """The switch is used where a driver asks for 64 bits, whatever the device; e1000 does not, and its
    DMA goes on through TCEs beside the windows of the others."""
    contents, arguments = {}, []
    for seed, name in enumerate(("blk", "nvme", "usb")):
        more, contents[name] = disk_image(tmp_path / f"{name}.img", 16, seed)
        arguments += more
    text = random.Random(4).randbytes(4 << 20)
    with Server(text) as server:
        words = f"{AWARE},devices,wait,disk=16,copy=8,wait,net={server.port},wait,dmesg"
        with running(f"virtio-blk-pci,drive=blk,addr=1{OFFERED}", "nvme,drive=nvme,addr=2",
                     "qemu-xhci,id=usb,addr=3", "usb-storage,bus=usb.0,drive=usb", "e1000,netdev=user,addr=4",
                     machine=ON, append=append, arguments=arguments, trace=TRACE, do=words) as machine:
            cost(machine)
            assert open_windows(machine) == {PLACE.format(slot) for slot in (1, 2, 3)}
            machine.resume()
            disks = cost(machine)
            machine.resume()
            net = cost(machine)
            assert open_windows(machine) == {PLACE.format(slot) for slot in (1, 2, 3)}
            machine.resume()
            machine.wait_for("^@done$")
            machine.wait_for_end()
    print("cost:", pair(disks), pair(net))
    check(machine)
    assert set(reported(machine).values()) == {"switchable"}
    for name, content in contents.items():
        assert lines(machine, "disk", sha256=sha256(content)), name
        assert (tmp_path / f"{name}.img").read_bytes() == content[:8 << 20] * 2
    assert server.taken == [text]
    assert pair(disks) == NOTHING
    assert net.calls and net.translations


@pytest.mark.parametrize("machine, guest", [("", UNAWARE), pytest.param(ON, AWARE, marks=CAPABLE)])
def test_behind_a_bridge(machine, guest, disk, big_disk):
    """Functions behind a bridge share its requester ID: the hypervisor refuses, the guest does without."""
    done, (_, read, write) = measure(
        disk, big_disk, f"virtio-blk-pci,drive=disk,bus=bridge,addr=1{OFFERED}", mib=16, machine=machine,
        guest=guest, append="disable_ddw", others=["pci-bridge,id=bridge,addr=2"])
    assert set(reported(done).values()) == {"-"}
    assert read.calls and read.translations and write.calls and write.translations


@pytest.mark.capable
@pytest.mark.parametrize("phb", [0, 1])
@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.sample(3)
def test_hot_plugged(phb, append, tmp_path):
    """The hypervisor writes the property of what comes after the firmware."""
    arguments, content = disk_image(tmp_path / "disk.img", 16)
    place = f"{phb:04x}:00:05.0"
    words = f"{AWARE},wait,hotplug={connector(5, phb=phb)},sleep=1,devices,wait,disk=16,copy=8,wait,dmesg"
    with running(*host_bridges(phb), f"virtio-rng-pci,addr=1,bus=pci.0{OFFERED}", arguments=arguments, do=words,
                 machine=ON, append=append, trace=TRACE) as machine:
        cost(machine)
        machine.qmp("device_add", driver="virtio-blk-pci", drive="disk", addr="5", id="plugged",
                    bus="phb1.0" if phb else "pci.0", **{"disable-legacy": "on", "iommu_platform": "on"})
        assert open_windows(machine) == {PLACE.format(1)}
        machine.resume()
        cost(machine)
        assert open_windows(machine) == {PLACE.format(1), place}
        machine.resume()
        assert pair(cost(machine)) == NOTHING
        machine.resume()
        machine.wait_for("^@done$")
        machine.wait_for_end()
    assert reported(machine)[place] == "switchable"
    check(machine, hot_plugged=[place])
    check_disk(machine, tmp_path / "disk.img", content, 16)


@pytest.mark.capable
def test_every_window_follows_its_own_policy(tmp_path):
    """A list names the functions that may be switched; their neighbours stay translated."""
    chosen = PLACE.format(3)
    words = f"{AWARE},devices,wait,dmesg"
    with running(*[f"virtio-rng-pci,addr={slot}{OFFERED}" for slot in range(1, 5)], machine=ON, do=words,
                 append=f"pci_dma_bypass.policy={chosen}", trace=TRACE) as machine:
        cost(machine)
        assert open_windows(machine) == {chosen}
        machine.resume()
        machine.wait_for("^@done$")
        machine.wait_for_end()
    check(machine)
    assert set(reported(machine).values()) == {"switchable"}
