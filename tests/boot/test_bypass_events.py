# SPDX-License-Identifier: BSD-2-Clause
"""What happens to the DMA bypass when something happens (docs/dma-bypass.md, section 9, last row): the
state is right each time, and so is the data."""
import os
import random
import re
import subprocess
import time

import pytest
import spillway_qemu as sq
from debugger import Debugger
from support import TIMEOUT, check, disk_image, initrd_with_programs, line, lines, running, sha256
from test_bypass_table import (
    AWARE, BLOCK, NOTHING, OFF, OFFERED, ON, PLACE, TRACE, UNAWARE, VHOST, WINDOW, cost, drive, open_windows, pair,
    reported, vhost_disk)
from test_hotplug import connector
from test_reboot import sections

CAPABLE = pytest.mark.capable
DISK = PLACE.format(1)
GUEST = os.path.join(os.path.dirname(os.path.realpath(__file__)), "guest")

# Reads and writes without the page cache, until somebody types "stop". What is read is the disk's first
# 4 MiB, what is written its copy behind it.
LOAD = """#!/bin/sh
stty -echo
line=
until [ "$line" = stop ]; do
    dd if=/dev/vda of=/dev/vda bs=1M count=4 seek=4 iflag=direct oflag=direct 2>/dev/null
    set -- $(dd if=/dev/vda bs=1M skip=4 count=4 iflag=direct 2>/dev/null | sha256sum)
    echo "@round sha256=$1"
    ! read -t 0 || read -r line
done
stty echo
"""


def check_rounds(machine, content):
    """That the load has met only right data."""
    rounds = lines(machine, "round")
    assert rounds and {found["sha256"] for found in rounds} == {sha256(content[:4 << 20])}


def wait_for_rounds(machine, more):
    """Until the load has gone round that often again."""
    start = len(machine.console)
    for _ in range(more):
        start = machine.wait_for("^@round .*$", start).end()


# Hypercalls from outside: the processor is stopped at one of the kernel's own, makes ours instead, and
# then its own as if nothing had been.

PHB = 0x0800000020000000  # the BUID of host bridge 0
OFF_CALL, ON_CALL, QUERY = 0, 1, 2
H_SUCCESS, H_STATE = 0, -75
SC_1 = bytes.fromhex("22000044")


def kernel_hypercalls():
    """The addresses of the kernel's instructions `sc 1`."""
    headers = subprocess.run(["powerpc64le-linux-gnu-readelf", "-S", "-W", sq.guest_files()["kernel"]],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    address, offset, size = (int(word, 16) for word in re.search(
        r" \.text +PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)", headers).groups())
    with open(sq.guest_files()["kernel"], "rb") as file:
        file.seek(offset)
        text = file.read(size)
    return [address + place for place in range(0, size, 4) if text[place:place + 4] == SC_1]


class Caller:
    def __init__(self, path):
        self._path = str(path)
        self._places = kernel_hypercalls()
        self.arguments = ["-gdb", f"unix:{path},server=on,wait=off"]

    def call(self, machine, action, slot=1):
        """What H_PCI_DMA_BYPASS returns for the function: (code, state)."""
        # The stub would stop a running machine too, but its word of that might come at any time.
        machine.qmp("stop")
        debugger = Debugger(self._path, TIMEOUT)
        try:
            for place in self._places:
                debugger.set_breakpoint(place)
            debugger.go()
            here = debugger.wait()
            for place in self._places:
                debugger.clear_breakpoint(place)
            before = debugger.registers
            for name, value in {"r3": 0xF006, "r4": PHB, "r5": slot << 11, "r6": action}.items():
                debugger.set_register(name, value)
            debugger.run_to(here + 4)
            after = debugger.registers
            for name in ("r3", "r4", "r5", "r6"):
                debugger.set_register(name, before[name])
            debugger.set_register("pc", here)
            debugger.detach()
        finally:
            debugger.close()
        code = after["r3"] - (after["r3"] >> 63 << 64)
        return code, after["r4"] if code == H_SUCCESS else None


@CAPABLE
@pytest.mark.parametrize("guest, append", [(AWARE, ""), (UNAWARE, ""), (UNAWARE, "disable_ddw")])
@pytest.mark.sample(2)
def test_switch_under_load(guest, append, tmp_path):
    """Off is refused while the disk works, on harms nobody, not even one who knows nothing of it."""
    arguments, content = disk_image(tmp_path / "disk.img", 8)
    caller = Caller(tmp_path / "gdb")
    before = {DISK} if guest == AWARE else set()
    with running(BLOCK + OFFERED, arguments=[*arguments, *caller.arguments], machine=ON, append=append,
                 initrd=initrd_with_programs(tmp_path, load=LOAD), do=f"{guest},devices,run=load,wait,dmesg") as machine:
        wait_for_rounds(machine, 2)
        assert open_windows(machine) == before
        assert caller.call(machine, OFF_CALL) == (H_STATE, None)
        assert caller.call(machine, QUERY) == (H_SUCCESS, len(before))
        wait_for_rounds(machine, 2)
        assert open_windows(machine) == before
        assert caller.call(machine, ON_CALL) == (H_SUCCESS, 1)
        assert open_windows(machine) == {DISK}
        wait_for_rounds(machine, 3)
        assert caller.call(machine, OFF_CALL) == (H_STATE, None)
        assert caller.call(machine, QUERY) == (H_SUCCESS, 1)
        wait_for_rounds(machine, 2)
        machine.say("stop")
        machine.wait_for_pause()
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    check_rounds(machine, content)
    assert (tmp_path / "disk.img").read_bytes() == content[:4 << 20] * 2


# A device that lies.

LIE = """#!/bin/sh
plug add {0} qemu,dma-bypass switchable
echo 1 >/sys/bus/pci/slots/{0}/power
echo 1 >/sys/bus/pci/rescan
sleep 1
"""


@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.parametrize("machine", ["", pytest.param(OFF, marks=CAPABLE)])
def test_node_that_lies(machine, append, tmp_path):
    """A node claims the switch that the hypervisor has not: the guest asks, is refused, and does without."""
    arguments, content = disk_image(tmp_path / "disk.img", 8)
    place = PLACE.format(5)
    words = f"{AWARE},wait,run=lie,devices,disk=8,copy=4,wait,dmesg"
    with running(arguments=arguments, machine=machine, append=append, trace=TRACE, do=words,
                 initrd=initrd_with_programs(tmp_path, lie=LIE.format(connector(5)))) as guest:
        guest.wait_for_pause()
        plug(guest, 5, id="liar")
        guest.resume()
        spent = cost(guest)
        assert not open_windows(guest)
        guest.resume()
        guest.wait_for("^@done$")
    assert reported(guest) == {place: "switchable"}
    check(guest, hot_plugged=[place])
    assert re.search(rf"{place}: pci_dma_bypass: .*refused: H_FUNCTION", guest.console)
    assert spent.translations
    assert line(guest, "disk")["sha256"] == sha256(content)
    assert (tmp_path / "disk.img").read_bytes() == content[:4 << 20] * 2


# Many devices.

@CAPABLE
@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.sample(2)
def test_64_devices(append, tmp_path):
    """All are switched at their probe; every eighth has something to say."""
    arguments, devices, contents = [], [], {}
    for number in range(64):
        place = f"addr={number >> 3:#x}.{number & 7},multifunction=on"
        if number % 8 == 0:
            more, contents[number] = disk_image(tmp_path / f"disk{number}.img", 2, number)
            arguments += more
            place += f",drive=disk{number}"
        devices.append(f"virtio-blk-pci,{place}{OFFERED}")
    every = {f"0000:00:{number >> 3:02x}.{number & 7}" for number in range(64)}
    with running(*devices, arguments=arguments, machine=ON, append=append, trace=TRACE, timeout=300,
                 do=f"{AWARE},devices,wait,disk=2,wait,dmesg") as machine:
        probe = cost(machine)
        assert open_windows(machine) == every
        assert probe.counts["spapr_pci_dma_bypass_set"] == 64
        machine.resume()
        spent = cost(machine)
        assert pair(spent) == NOTHING
        assert not spent.counts["spapr_pci_dma_bypass_set"]
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert reported(machine) == dict.fromkeys(every, "switchable")
    for number, content in contents.items():
        assert line(machine, "disk", addr=f"0000:00:{number >> 3:02x}.0")["sha256"] == sha256(content)


# Drivers that come and go.

REBIND = f"""#!/bin/sh
count=0
while [ $count -lt ROUNDS ]; do
    echo {DISK} >/sys/bus/pci/devices/{DISK}/driver/unbind
    [ ! -e /dev/vda ] || echo "@round still there"
    echo {DISK} >/sys/bus/pci/drivers_probe
    until [ -b /dev/vda ]; do :; done
    dd if=/dev/vda of=/dev/vda bs=1M count=1 seek=1 conv=fsync 2>/dev/null
    set -- $(dd if=/dev/vda bs=1M skip=1 count=1 iflag=direct 2>/dev/null | sha256sum)
    echo "@round sha256=$1"
    count=$((count + 1))
done
"""


def check_rebinding(machine, rounds):
    """From pause to pause. Only changes of state are traced, so they alternate: as many as there are
    unbindings and bindings means a closed window after each of the former, an open one after each of
    the latter."""
    assert open_windows(machine) == {DISK}
    machine.resume()
    spent = cost(machine)
    assert spent.counts["spapr_pci_dma_bypass_set"] == 2 * rounds
    assert pair(spent) == NOTHING
    assert open_windows(machine) == {DISK}
    machine.resume()
    cost(machine)
    assert not open_windows(machine)


@CAPABLE
def test_unbind_and_bind(tmp_path):
    arguments, content = disk_image(tmp_path / "disk.img", 2)
    with running(BLOCK + OFFERED, arguments=arguments, machine=ON, append="disable_ddw", trace=TRACE, timeout=300,
                 initrd=initrd_with_programs(tmp_path, rebind=REBIND.replace("ROUNDS", "100")),
                 do=f"{AWARE},devices,wait,run=rebind,wait,unbind={DISK},wait,dmesg") as machine:
        cost(machine)
        check_rebinding(machine, 100)
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert [found["sha256"] for found in lines(machine, "round")] == [sha256(content[:1 << 20])] * 100


@CAPABLE
def test_unbind_and_bind_vhost_user(tmp_path):
    """The back end loses the window each time that the guest closes it."""
    _, content = disk_image(tmp_path / "disk.img", 2)
    with vhost_disk(tmp_path, tmp_path / "disk.img") as disk:
        with running(VHOST, machine=f"memory-backend=ram,{ON}", trace=TRACE, append="disable_ddw", arguments=[
                *disk.arguments, "-object", "memory-backend-memfd,id=ram,share=on,size=1G"],
                     initrd=initrd_with_programs(tmp_path, rebind=REBIND.replace("ROUNDS", "20")),
                     do=f"{AWARE},devices,wait,run=rebind,wait,unbind={DISK},wait,dmesg") as machine:
            cost(machine)
            assert [entry.start for entry in disk.entries] == [WINDOW]
            check_rebinding(machine, 20)
            assert not disk.entries
            assert disk.invalidations == 21
            assert disk.misses <= 2 * 21
            machine.resume()
            machine.wait_for("^@done$")
    check(machine)
    assert [found["sha256"] for found in lines(machine, "round")] == [sha256(content[:1 << 20])] * 20


FILL = """#!/bin/sh
dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null
set -- $(dd if=/dev/vda bs=1M skip=1472 2>/dev/null | sha256sum)
echo "@round sha256=$1"
"""


@CAPABLE
def test_plug_memory_under_vhost_user(tmp_path):
    """What is plugged while the window is open is in it, and costs the back end one more miss. The disk
    has more on it than the first memory can hold, and only holes up to its end."""
    content = random.Random(1).randbytes(64 << 20)
    with open(tmp_path / "disk.img", "wb") as file:
        file.seek(1472 << 20)
        file.write(content)
    more = WINDOW + (1 << 30)
    online = "await=/sys/devices/system/memory/memory{}/state:online"
    with vhost_disk(tmp_path, tmp_path / "disk.img") as disk:
        with running(VHOST, machine=f"memory-backend=ram,{ON}", memory="1G,slots=2,maxmem=4G", trace=TRACE, arguments=[
                *disk.arguments, "-object", "memory-backend-memfd,id=ram,share=on,size=1G"],
                     initrd=initrd_with_programs(tmp_path, fill=FILL),
                     do=f"{AWARE},devices,disk=8,wait,{online.format(4)},{online.format(7)},wait,run=fill,wait,"
                        f"unbind={DISK},wait,dmesg") as machine:
            machine.wait_for_pause()
            assert [entry.start for entry in disk.entries] == [WINDOW]
            machine.qmp("object-add", **{"qom-type": "memory-backend-memfd", "id": "more", "size": 1 << 30,
                                         "share": True})
            machine.qmp("device_add", driver="pc-dimm", id="dimm", memdev="more")
            machine.resume()
            cost(machine)
            machine.resume()
            assert pair(cost(machine)) == NOTHING
            assert [(entry.start, entry.size) for entry in disk.entries] == [(WINDOW, 1 << 30), (more, 1 << 30)]
            assert disk.misses <= 3
            machine.resume()
            machine.wait_for_pause()
            assert not disk.entries
            machine.resume()
            machine.wait_for("^@done$")
    check(machine)
    assert line(machine, "round")["sha256"] == sha256(content)


def plug(machine, slot, **options):
    """Plugs a disk that offers bit 33. QEMU lets go of the drive of a device that is gone a little after
    it is gone, and says so nowhere."""
    while True:
        try:
            return machine.qmp("device_add", driver="virtio-blk-pci", drive="disk", addr=str(slot),
                               **{"disable-legacy": "on", "iommu_platform": "on"}, **options)
        except sq.MachineError as error:
            if "Permission conflict" not in str(error):
                raise
            time.sleep(0.1)


@CAPABLE
def test_unplug_and_plug_again(tmp_path):
    """A function that comes where an open one was starts closed, until its own driver opens it."""
    arguments, content = disk_image(tmp_path / "disk.img", 8)
    place = PLACE.format(5)
    slot = connector(5)
    with running("virtio-rng-pci,addr=2" + OFFERED, f"virtio-blk-pci,id=first,drive=disk,addr=5{OFFERED}",
                 arguments=arguments, machine=ON, trace=TRACE,
                 do=f"{AWARE},disk=8,wait,hotunplug={slot},wait,hotplug={slot},sleep=1,devices,disk=8,copy=4,wait,"
                    f"hotunplug={slot},wait,hotplug={slot},sleep=1,disk=8,wait,dmesg") as machine:
        cost(machine)
        assert open_windows(machine) == {PLACE.format(2), place}
        for name in ("first", "second"):
            machine.qmp("device_del", id=name)
            machine.resume()
            machine.wait_for_pause()
            assert name not in machine.hmp("info qtree")
            assert open_windows(machine) == {PLACE.format(2)}
            plug(machine, 5, id="second" if name == "first" else "third")
            assert open_windows(machine) == {PLACE.format(2)}
            machine.resume()
            assert pair(cost(machine)) == NOTHING
            assert open_windows(machine) == {PLACE.format(2), place}
        machine.resume()
        machine.wait_for("^@done$")
    machine.expected = [device for device in machine.expected if device.address != place]
    check(machine, hot_plugged=[place])
    assert reported(machine)[place] == "switchable"
    first, second, third = (found["sha256"] for found in lines(machine, "disk", mib="8"))
    assert first == second == sha256(content)
    assert third == sha256(content[:4 << 20] * 2)


@CAPABLE
def test_unplug_without_the_driver(tmp_path):
    """The hypervisor closes the window of a function that goes while it is open. Here the guest's
    kernel knows nothing of the switch."""
    arguments, content = disk_image(tmp_path / "disk.img", 8)
    caller = Caller(tmp_path / "gdb")
    place, slot = PLACE.format(5), connector(5)
    with running(f"virtio-blk-pci,id=first,drive=disk,addr=5{OFFERED}", arguments=[*arguments, *caller.arguments],
                 machine=ON, trace=TRACE,
                 do=f"{UNAWARE},disk=8,wait,hotunplug={slot},wait,hotplug={slot},sleep=1,devices,disk=8,dmesg",
                 ) as machine:
        machine.wait_for_pause()
        assert caller.call(machine, ON_CALL, slot=5) == (H_SUCCESS, 1)
        assert open_windows(machine) == {place}
        machine.qmp("device_del", id="first")
        machine.resume()
        machine.wait_for_pause()
        assert not open_windows(machine)
        plug(machine, 5, id="second")
        machine.resume()
        machine.wait_for("^@done$")
        assert not open_windows(machine)
    machine.expected = []
    check(machine, hot_plugged=[place])
    assert {found["sha256"] for found in lines(machine, "disk")} == {sha256(content)}


# Other kernels.

@CAPABLE
def test_reboot(tmp_path):
    """Ten times. Between two pauses with an open window there are exactly two changes: closed by the
    machine's reset, opened by the driver."""
    arguments, content = disk_image(tmp_path / "disk.img", 1)
    with running(BLOCK + OFFERED, arguments=arguments, machine=ON, trace=TRACE, reboot=True, timeout=300,
                 do=f"{AWARE},devices,disk,wait,reboot") as machine:
        for number in range(11):
            changes = cost(machine).counts["spapr_pci_dma_bypass_set"]
            assert changes == (2 if number else 1)
            assert open_windows(machine) == {DISK}
            if number < 10:
                machine.resume()
    check(machine)
    boots = sections(machine.console)
    assert len(boots) == 11
    for boot in boots:
        assert sq.parse_devices(boot)[DISK]["bypass"] == "switchable"
    assert [found["sha256"] for found in lines(machine, "disk")] == [sha256(content)] * 11


@CAPABLE
def test_reset_closes_the_windows(tmp_path):
    """At the moment of a reset, before the firmware does anything."""
    arguments, _ = disk_image(tmp_path / "disk.img", 1)
    with running(BLOCK + OFFERED, arguments=arguments, machine=ON, reboot=True,
                 do=f"{AWARE},devices,wait") as machine:
        machine.wait_for_pause()
        assert open_windows(machine) == {DISK}
        machine.qmp("stop")
        machine.qmp("system_reset")
        machine.qmp("query-status")
        assert not open_windows(machine)
        machine.qmp("cont")
        machine.wait_for_pause()
        assert open_windows(machine) == {DISK}


def kexec_disk(path):
    """A disk for guest/kexec.c with the tests' kernel and initrd."""
    files = sq.guest_files()
    kernel, first = (open(files[name], "rb").read() for name in ("kernel", "initrd"))
    content = f"{len(kernel)} {len(first)}\n".encode().ljust(4096, b"\0") + kernel + first
    path.write_bytes(content + bytes(-len(content) % 512))


@pytest.fixture
def kexec(tmp_path):
    program = tmp_path / "kexec"
    subprocess.run(["powerpc64le-linux-gnu-gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-mcpu=power8",
                    os.path.join(GUEST, "kexec.c"), "-o", program], check=True)
    return program


@CAPABLE
@pytest.mark.parametrize("first, second", [(AWARE, UNAWARE), (AWARE, AWARE), (UNAWARE, AWARE)])
@pytest.mark.sample(2)
def test_kexec(first, second, kexec, tmp_path):
    """Nobody tells the second kernel, nor the hypervisor, that there was a first one: a window that was
    open stays open. One who knows nothing of it is not harmed, one who does closes it and opens it anew."""
    arguments, content = disk_image(tmp_path / "disk.img", 8)
    kexec_disk(tmp_path / "kernel.img")
    start = "#!/bin/sh\n/kexec /dev/vdb\n"
    with running(BLOCK + OFFERED, f"virtio-blk-pci,drive=kernel,addr=2{OFFERED}", machine=ON, trace=TRACE,
                 arguments=[*arguments, *drive(tmp_path / "kernel.img")],
                 initrd=initrd_with_programs(tmp_path, kexec=kexec, start=start),
                 append=f"spillway.then={second},disk=8,copy=4,wait,devices,dmesg",
                 do=f"{first},devices,wait,run=start") as machine:
        both = {DISK, PLACE.format(2)}
        cost(machine)
        assert open_windows(machine) == (both if first == AWARE else set())
        machine.resume()
        spent = cost(machine)
        assert open_windows(machine) == (both if AWARE in (first, second) else set())
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    if AWARE == second:
        assert spent.counts["spapr_pci_dma_bypass_set"] == (4 if first == AWARE else 2)
    else:
        assert not spent.counts["spapr_pci_dma_bypass_set"] and spent.translations
    assert machine.console.count("@hello ") == 2
    assert lines(machine, "disk", addr=DISK)[0]["sha256"] == sha256(content)
    assert (tmp_path / "disk.img").read_bytes() == content[:4 << 20] * 2


# Migration.

def migrate(machine, file):
    """Writes the running machine to a file; it stands still when that is done."""
    machine.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 40, "downtime-limit": 2000})
    machine.qmp("migrate", uri=f"exec:cat >{file}")
    while (status := machine.qmp("query-migrate")["status"]) != "completed":
        assert status in ("setup", "active", "device", "wait-unplug", "none"), status
        time.sleep(0.1)


def wake(machine):
    """A guest that only waits for a timer when it is migrated may sleep for ever (seen with Debian's QEMU
    7.2 too, without anything of this); what is typed interrupts it."""
    rounds = len(lines(machine, "round"))
    while len(lines(machine, "round")) < rounds + 2:
        machine.say("")
        time.sleep(0.5)


@CAPABLE
@pytest.mark.parametrize("guest, append", [(AWARE, ""), (AWARE, "disable_ddw"), (UNAWARE, "disable_ddw")])
@pytest.mark.sample(2)
def test_migration(guest, append, tmp_path):
    """In the middle of its work, to another QEMU. One without the capability takes no such guest."""
    arguments, content = disk_image(tmp_path / "disk.img", 8)
    devices = [BLOCK + OFFERED, f"virtio-rng-pci,addr=2{OFFERED}"]
    windows = {DISK, PLACE.format(2)} if guest == AWARE else set()
    options = {"arguments": arguments, "append": append, "initrd": initrd_with_programs(tmp_path, load=LOAD),
               "do": f"{guest},run=load,disk=8,wait,devices,dmesg"}
    state = tmp_path / "state"
    with running(*devices, machine=ON, **options) as source:
        wait_for_rounds(source, 2)
        assert open_windows(source) == windows
        migrate(source, state)
    check_rounds(source, content)

    incoming = {**options, "arguments": [*arguments, "-incoming", f"exec:cat {state}"], "trace": TRACE}
    with pytest.raises((sq.MachineError, OSError)) as refusal:
        with running(*devices, machine=OFF, **incoming) as destination:
            destination.wait_for("^@never$")
    assert re.search("cap-pci-dma-bypass|incoming stream has the DMA bypass", str(refusal.value))

    with running(*devices, machine=ON, **incoming) as destination:
        wake(destination)
        wait_for_rounds(destination, 3)
        assert open_windows(destination) == windows
        destination.say("stop")
        spent = cost(destination)
        if guest == AWARE:
            assert pair(spent) == NOTHING
        else:
            assert spent.calls and spent.translations
        destination.resume()
        destination.wait_for("^@done$")
    check(destination)
    check_rounds(destination, content)
    assert line(destination, "disk")["sha256"] == sha256(content[:4 << 20] * 2)
    assert (tmp_path / "disk.img").read_bytes() == content[:4 << 20] * 2
