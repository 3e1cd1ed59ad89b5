# SPDX-License-Identifier: BSD-2-Clause
"""The small kernel of scripts/kernel, which keeps its side of the DMA bypass contract itself: which
windows it opens and closes, and what DMA costs then. Its drivers are built in, so the word `modules` is
not used here."""
import os
import subprocess

import pytest
import spillway_qemu as sq
from support import BIT_33, check, disk_image, line, lines, running, sha256
from test_bypass_table import NOTHING, TRACE, cost, open_windows, pair
from test_drivers import check_disks, disk_table, files_and_devices
from test_hotplug import connector

CAPABLE = pytest.mark.capable
ON, OFF = "cap-pci-dma-bypass=on", "cap-pci-dma-bypass=off"
OFFERED = f",disable-legacy=on,{BIT_33}"
NO_BYPASS = "disable_pci_dma_bypass"
PLACE = "0000:00:{:02x}.0"
FIRST, SECOND = PLACE.format(1), PLACE.format(2)
SETTLE = "sleep=2"  # disks are found in the background


@pytest.fixture(scope="session")
def vmlinux():
    run = subprocess.run([os.path.join(sq.SCRIPTS, "kernel")], stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout.strip()


@pytest.fixture(autouse=True)
def kernel(vmlinux, monkeypatch):
    """What guest_files() gives."""
    monkeypatch.setenv("KERNEL", vmlinux)


def disks(folder, options):
    """Devices that ask for 64 bits, at slots 1 to 6: a disk behind each kind of adapter, and a network;
    then one that does not."""
    arguments, devices, contents = files_and_devices(folder, disk_table(options))
    slots = iter(range(1, 32))
    devices = [device if ",bus=" in device else f"{device},addr={next(slots)}" for device in [
        *devices, f"virtio-net-pci,netdev=user{options}"]]
    return arguments, devices, contents


def work(folder, options=OFFERED, *more, append="", **others):
    """A machine that has used its devices: itself, the windows that were open, the cost of the work."""
    arguments, devices, contents = disks(folder, options)
    with running(*devices, *more, arguments=arguments, append=append, trace=TRACE,
                 do=f"{SETTLE},wait,disk=4,copy=2,net,wait,devices,dmesg", **others) as machine:
        cost(machine)
        found = open_windows(machine)
        machine.resume()
        spent = cost(machine)
        machine.resume()
        machine.wait_for("^@done$")
        machine.wait_for_end()
    print("cost:", pair(spent))
    check(machine)
    check_disks(machine, folder, contents)
    assert {card["ping"] for card in lines(machine, "net")} == {"ok"}
    return machine, found, spent


ALL = {PLACE.format(slot) for slot in range(1, 7)}


@CAPABLE
@pytest.mark.parametrize("append", ["", "disable_ddw", "swiotlb=force", "disable_ddw swiotlb=force", "disable_radix"])
def test_bypass(append, tmp_path):
    """Whoever asks for 64 bits reaches memory at no cost."""
    machine, found, spent = work(tmp_path, append=append, machine=ON)
    assert found == ALL
    assert pair(spent) == NOTHING
    log = sq.section(machine.console, "dmesg")
    assert log.count("iommu: DMA bypass window at 1000000000000000") == len(ALL)
    assert "ibm,create-pe-dma-window" not in log


@CAPABLE
@pytest.mark.parametrize("machine, append", [(ON, NO_BYPASS), (OFF, "")])
def test_no_bypass(machine, append, tmp_path):
    """Policy or the hypervisor says no: as any other kernel."""
    machine, found, spent = work(tmp_path, append=append, machine=machine)
    assert not found
    assert spent.calls == 0 and spent.translations
    assert "ibm,create-pe-dma-window" in sq.section(machine.console, "dmesg")


@CAPABLE
@pytest.mark.parametrize("machine, append", [(ON, NO_BYPASS), (OFF, "")])
def test_no_bypass_and_no_window(machine, append, tmp_path):
    _, found, spent = work(tmp_path, append=f"disable_ddw {append}", machine=machine)
    assert not found
    assert spent.calls and spent.translations


@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.sample(2)
def test_stock(append, tmp_path):
    """A hypervisor that never heard of it."""
    _, found, spent = work(tmp_path, append=append)
    assert not found
    assert bool(spent.calls) == bool(append) and spent.translations


@CAPABLE
@pytest.mark.parametrize("append", ["", "disable_ddw"])
def test_narrow_mask(append, tmp_path):
    """A device of 32 bits stays behind the IOMMU, whoever is beside it."""
    arguments, content = disk_image(tmp_path / "disk.img")
    with running(f"virtio-blk-pci,drive=disk,addr=1{OFFERED}", "e1000,netdev=user,addr=2", arguments=arguments,
                 machine=ON, append=append, trace=TRACE, do="wait,disk=4,wait,net,wait,devices,dmesg") as machine:
        cost(machine)
        assert open_windows(machine) == {FIRST}
        machine.resume()
        assert pair(cost(machine)) == NOTHING
        machine.resume()
        spent = cost(machine)
        assert spent.calls and spent.translations
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert line(machine, "disk")["sha256"] == sha256(content)
    assert line(machine, "net")["ping"] == "ok"


@CAPABLE
def test_behind_a_bridge(tmp_path):
    """Such a function has no window; the bridge before it has neither driver nor window."""
    arguments, content = disk_image(tmp_path / "disk.img")
    with running("pci-bridge,id=bridge,addr=1", f"virtio-blk-pci,drive=disk,bus=bridge,addr=1{OFFERED}",
                 arguments=arguments, machine=ON, trace=TRACE, do="wait,disk=4,wait,devices,dmesg") as machine:
        cost(machine)
        assert not open_windows(machine)
        machine.resume()
        spent = cost(machine)
        assert spent.calls == 0 and spent.translations
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert line(machine, "disk")["sha256"] == sha256(content)
    assert "ibm,create-pe-dma-window" in sq.section(machine.console, "dmesg")


@CAPABLE
def test_fixed(tmp_path):
    """What passes no IOMMU needs no window."""
    with running("virtio-rng-pci,addr=1,disable-legacy=on", machine=ON, trace=TRACE,
                 do="wait,devices,dmesg") as machine:
        assert cost(machine).counts["spapr_pci_dma_bypass_set"] == 0
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)


@CAPABLE
@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.parametrize("device", [f"virtio-blk-pci,drive=disk{OFFERED}", "nvme,drive=disk"])
def test_unbind_and_bind(device, append, tmp_path):
    """The window closes with the driver, and only its own; nobody's else does."""
    arguments, content = disk_image(tmp_path / "disk.img")
    with running(f"{device},addr=1", f"virtio-net-pci,netdev=user,addr=2{OFFERED}", arguments=arguments, machine=ON,
                 append=append, trace=TRACE, do=(
                     f"{SETTLE},disk=4,wait,unbind={FIRST},wait,net,bind={FIRST},{SETTLE},wait,disk=4,wait,devices,"
                     "dmesg")) as machine:
        for expected in ({FIRST, SECOND}, {SECOND}, {FIRST, SECOND}, {FIRST, SECOND}):
            spent = cost(machine)
            assert open_windows(machine) == expected
            machine.resume()
        assert pair(spent) == NOTHING
        machine.wait_for("^@done$")
    check(machine)
    assert [disk["sha256"] for disk in lines(machine, "disk")] == [sha256(content)] * 2
    assert line(machine, "net")["ping"] == "ok"


@CAPABLE
def test_reboot(tmp_path):
    """The reset closes what the kernel has left open; the next boot opens it again."""
    arguments, content = disk_image(tmp_path / "disk.img")
    with running(f"virtio-blk-pci,drive=disk,addr=1{OFFERED}", arguments=arguments, machine=ON, trace=TRACE,
                 reboot=True, do="disk=4,wait,reboot") as machine:
        for number in range(2):
            spent = cost(machine)
            # Each boot the firmware may have a look at the disk itself, and leaves its window closed.
            assert spent.counts["spapr_pci_dma_bypass_set"] >= 1 + number
            assert open_windows(machine) == {FIRST}
            if number == 0:
                machine.resume()
    assert [disk["sha256"] for disk in lines(machine, "disk")] == [sha256(content)] * 2


SLOT = connector(5)


@CAPABLE
@pytest.mark.parametrize("append", ["", NO_BYPASS])
def test_hotplug(append, tmp_path):
    """A device that comes later, and goes."""
    arguments, content = disk_image(tmp_path / "disk.img")
    with running(f"virtio-rng-pci,addr=1{OFFERED}", arguments=arguments, machine=ON, append=append, trace=TRACE,
                 do=f"wait,hotplug={SLOT},sleep=1,wait,disk=4,wait,hotunplug={SLOT},wait,devices,dmesg") as machine:
        always = set() if append else {FIRST}
        cost(machine)
        assert open_windows(machine) == always
        machine.hmp(f"device_add virtio-blk-pci,id=disk,drive=disk,addr=5{OFFERED}")
        machine.resume()
        cost(machine)
        assert open_windows(machine) == always | (set() if append else {PLACE.format(5)})
        machine.resume()
        spent = cost(machine)
        assert pair(spent) == NOTHING or append
        machine.resume()
        cost(machine)
        assert open_windows(machine) == always
        machine.resume()
        machine.wait_for("^@done$")
    assert line(machine, "disk")["sha256"] == sha256(content)


@CAPABLE
def test_smp_and_more_memory(tmp_path):
    """More memory than the first DMA window reaches."""
    _, found, spent = work(tmp_path, append="disable_ddw", machine=ON, memory="4G")
    assert found == ALL
    assert pair(spent) == NOTHING
