# SPDX-License-Identifier: BSD-2-Clause
"""Devices, processors and memory that come and go while the guest runs. The firmware is gone by then:
what it handed over must let the kernel and the hypervisor find each other."""
import pytest
import spillway_qemu as sq
from support import (BIT_33, boot, check, disk_image, flatten, line, lines, running,
                     sha256)

RESIDENT = ["virtio-blk-pci,addr=2", f"virtio-rng-pci-non-transitional,addr=3,{BIT_33}"]


def connector(slot, bus=0, phb=0):
    """QEMU's name of the connector of function 0 of a slot."""
    return f"C{phb << 16 | bus << 8 | slot << 3}"


@pytest.mark.parametrize("options", ["", ",disable-modern=on", ",disable-legacy=on",
                                     f",disable-legacy=on,{BIT_33}"])
@pytest.mark.sample(3)
def test_plug_a_disk(options, tmp_path):
    arguments, content = disk_image(tmp_path / "disk.img")
    with running(*RESIDENT, arguments=arguments,
                 do=f"modules,wait,hotplug={connector(5)},sleep=1,disk,net,devices,dmesg") as machine:
        machine.wait_for("^@wait$")
        given = dict(option.split("=") for option in options.split(",") if option)
        machine.qmp("device_add", driver="virtio-blk-pci", drive="disk", addr="5", id="plugged", **given)
        machine.say("")
        machine.wait_for("^@done$")
    check(machine, hot_plugged=["0000:00:05.0"])
    assert line(machine, "disk", addr="0000:00:05.0")["sha256"] == sha256(content[:1 << 20])
    assert line(machine, "device", addr="0000:00:05.0")["driver"] == "virtio-pci"


@pytest.mark.parametrize("phb", [0, 1])
@pytest.mark.sample(2)
def test_plug_a_network_card(phb):
    """A card with a pin only, also where there was nothing before."""
    first = ["spapr-pci-host-bridge,index=1,id=phb1"] if phb else []
    with running(*first, *RESIDENT, arguments=["-netdev", "user,id=net0"],
                 do=f"modules,wait,hotplug={connector(9, phb=phb)},sleep=1,net,devices,dmesg") as machine:
        machine.wait_for("^@wait$")
        machine.qmp("device_add", driver="e1000", netdev="net0", romfile="", addr="9", id="plugged",
                    bus="phb1.0" if phb else "pci.0")
        machine.say("")
        machine.wait_for("^@done$")
    check(machine, hot_plugged=[f"{phb:04x}:00:09.0"])
    assert line(machine, "net")["ping"] == "ok"


def test_unplug_and_plug_again(tmp_path):
    """A device that the firmware knew goes, and one of another kind takes its slot."""
    arguments, content = disk_image(tmp_path / "disk.img")
    with running(*RESIDENT, "virtio-net-pci,id=leaving,addr=5", arguments=arguments, do=(
            f"modules,devices,wait,hotunplug={connector(5)},wait,hotplug={connector(5)},sleep=1,disk,devices,dmesg"
    )) as machine:
        start = machine.wait_for("^@wait$").end()
        machine.qmp("device_del", id="leaving")
        machine.say("")
        machine.wait_for("^@wait$", start)
        assert "leaving" not in machine.hmp("info qtree")
        machine.qmp("device_add", driver="virtio-blk-pci", drive="disk", addr="5", id="plugged",
                    **{"disable-legacy": "on", "iommu_platform": "on"})
        machine.say("")
        machine.wait_for("^@done$")
    machine.expected = [device for device in machine.expected if device.id != "leaving"]
    check(machine, hot_plugged=["0000:00:05.0"])
    assert line(machine, "disk", addr="0000:00:05.0")["sha256"] == sha256(content[:1 << 20])


@pytest.mark.parametrize("cpu, arguments", [
    ("power9", ""), ("power8", ""), ("power9", "-numa node,memdev=ram -object memory-backend-ram,id=ram,size=1G")])
def test_plug_a_processor(cpu, arguments):
    with running(*RESIDENT, do="devices,cpus,wait,await=/sys/devices/system/cpu/online:0-1,cpus,dmesg",
                 arguments=["-cpu", cpu, "-smp", "1,maxcpus=4", *arguments.split()]) as machine:
        machine.wait_for("^@wait$")
        slots = machine.qmp("query-hotpluggable-cpus")
        free = min((slot for slot in slots if "qom-path" not in slot), key=lambda slot: slot["props"]["core-id"])
        machine.qmp("device_add", driver=free["type"], id="plugged", **free["props"])
        machine.say("")
        machine.wait_for("^@done$")
    check(machine)
    assert [cpus["online"] for cpus in lines(machine, "cpus")] == ["0", "0-1"]


@pytest.mark.parametrize("append", ["", "disable_radix"])
def test_plug_memory(append):
    """The kernel takes it by itself."""
    with running(*RESIDENT, memory="1G,slots=4,maxmem=8G", append=append, do=(
            "devices,memory,wait,await=/sys/devices/system/memory/memory4/state:online,"
            "await=/sys/devices/system/memory/memory7/state:online,memory,tree,dmesg")) as machine:
        machine.wait_for("^@wait$")
        machine.qmp("object-add", **{"qom-type": "memory-backend-ram", "id": "more", "size": 1 << 30})
        machine.qmp("device_add", driver="pc-dimm", id="plugged", memdev="more")
        machine.say("")
        machine.wait_for("^@done$")
    check(machine)
    before, after = (int(memory["total-kib"]) for memory in lines(machine, "memory"))
    assert after - before > 900 << 10
    tree = flatten(sq.device_tree(machine.console))
    assert any(name.startswith("ibm,dynamic-memory") for name in tree["/ibm,dynamic-reconfiguration-memory"])


def test_memory_plugged_before_the_boot():
    machine = boot(*RESIDENT, "pc-dimm,memdev=more", memory="1G,slots=4,maxmem=8G", do="devices,memory",
                   arguments=["-object", "memory-backend-ram,id=more,size=2G"])
    assert int(line(machine, "memory")["total-kib"]) > 2900 << 10


def test_reboot_after_plugging(tmp_path):
    """After a reboot, what came by hot-plug is the firmware's to describe."""
    arguments, _ = disk_image(tmp_path / "disk.img")
    with running(*RESIDENT, arguments=[*arguments, "-smp", "1,maxcpus=2"], memory="1G,slots=2,maxmem=4G",
                 do="cpus,devices,memory,wait,reboot", reboot=True) as machine:
        start = machine.wait_for("^@wait$").end()
        machine.qmp("device_add", driver="virtio-blk-pci", drive="disk", addr="5", id="disk",
                    **{"disable-legacy": "on", "iommu_platform": "on"})
        machine.qmp("device_add", driver="virtio-rng-pci", addr="6", id="rng")
        slots = machine.qmp("query-hotpluggable-cpus")
        free = [slot for slot in slots if "qom-path" not in slot]
        machine.qmp("device_add", driver=free[0]["type"], id="plugged", **free[0]["props"])
        machine.qmp("object-add", **{"qom-type": "memory-backend-ram", "id": "more", "size": 1 << 30})
        machine.qmp("device_add", driver="pc-dimm", id="dimm", memdev="more")
        machine.expected = machine.expected_devices()
        machine.say("")
        machine.wait_for("^@wait$", start)
    check(machine)
    assert line(machine, "device", addr="0000:00:06.0")["bypass"] == "fixed"
    assert [cpus["online"] for cpus in lines(machine, "cpus")] == ["0", "0-1"]
    memory = lines(machine, "memory")
    assert int(memory[1]["total-kib"]) - int(memory[0]["total-kib"]) > 900 << 10


def test_plug_a_host_bridge():
    """A whole host bridge needs user space that this guest has not; the offer does no harm."""
    with running(*RESIDENT, do="modules,devices,wait,sleep=1,dmesg") as machine:
        machine.wait_for("^@wait$")
        machine.qmp("device_add", driver="spapr-pci-host-bridge", index=1, id="phb1")
        machine.say("")
        machine.wait_for("^@done$")
    check(machine)
