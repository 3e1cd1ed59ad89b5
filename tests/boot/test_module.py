# SPDX-License-Identifier: BSD-2-Clause
"""The kernel module pci_dma_bypass (guest/module): which functions it switches, when it switches them
back, and that without it, or against it, everything is as it was. The module dma_probe of the tests is
a driver that does as it is told."""
import re

import pytest
import spillway_qemu as sq
from support import BIT_33, check, complaints, disk_image, initrd_with_programs, line, lines, running, sha256
from test_bypass_table import open_windows
from test_hotplug import connector

CAPABLE = pytest.mark.capable
ON = "cap-pci-dma-bypass=on"
BASE = 1 << 60
OFFERED = f",disable-legacy=on,{BIT_33}"
FIRST, SECOND, NVME, XHCI, E1000, FIXED, BRIDGE, BEHIND = (
    "0000:00:01.0", "0000:00:02.0", "0000:00:03.0", "0000:00:04.0", "0000:00:05.0", "0000:00:06.0",
    "0000:00:07.0", "0000:01:01.0")
OPENED, CLOSED = f"DMA window opened at {BASE:#x}", "DMA window closed"
LOAD = "load=pci_dma_bypass,modules"


def actions(machine, address):
    """What the module said of a function."""
    return re.findall(rf"{address}: pci_dma_bypass: (.*)$", sq.section(machine.console, "dmesg"), re.MULTILINE)


def module_said(machine):
    return re.findall(r"\] pci_dma_bypass: (.*)$", sq.section(machine.console, "dmesg"), re.MULTILINE)


def initrd_with_scripts(folder, **scripts):
    return initrd_with_programs(folder, **{name: "#!/bin/sh\n" + text for name, text in scripts.items()})


def mixed(folder):
    """A machine with what drivers of all kinds: (devices, arguments, contents of the three disks)."""
    arguments, contents = [], {}
    for seed, (name, address) in enumerate({"first": FIRST, "second": SECOND, "third": NVME}.items()):
        more, contents[address] = disk_image(folder / f"{name}.img", 4, seed)
        arguments += more
    return [
        f"virtio-blk-pci,drive=first,addr=1{OFFERED}", f"virtio-blk-pci,drive=second,addr=2{OFFERED}",
        "nvme,drive=third,addr=3", "qemu-xhci,addr=4", "e1000,netdev=user,addr=5",
        "virtio-rng-pci,disable-legacy=on,addr=6", "pci-bridge,id=bridge,addr=7",
        f"virtio-rng-pci,bus=bridge,addr=1{OFFERED}"], arguments, contents


def check_disks(machine, contents):
    for address, content in contents.items():
        sums = {disk["sha256"] for disk in lines(machine, "disk", addr=address)}
        assert sums == {sha256(content)}, address


# Which functions.

@CAPABLE
@pytest.mark.parametrize("policy, append, expected", [
    ("", "", {FIRST, SECOND, NVME, XHCI}),
    ("all", "disable_ddw", {FIRST, SECOND, NVME, XHCI}),
    ("all", "swiotlb=force disable_ddw", {FIRST, SECOND, NVME, XHCI}),
    ("none", "disable_ddw", set()),
    (f"{SECOND}", "", {SECOND}),
    (f"0000:00:0A.0,{NVME},{BEHIND},{FIXED},{E1000},{FIRST}", "", {FIRST, NVME}),
])
def test_policy(policy, append, expected, tmp_path):
    """Whoever asks for 64 bits and may; data is right for everybody."""
    devices, arguments, contents = mixed(tmp_path)
    append += f" pci_dma_bypass.policy={policy}" if policy else ""
    with running(*devices, arguments=arguments, machine=ON, append=append,
                 do=f"{LOAD},wait,disk=4,copy=2,net,devices,dmesg") as machine:
        machine.wait_for_pause()
        assert open_windows(machine) == expected
        machine.resume()
        machine.wait_for("^@done$")
        machine.wait_for_end()
    check(machine)
    check_disks(machine, contents)
    for name, address in (("first", FIRST), ("second", SECOND), ("third", NVME)):
        half = contents[address][:2 << 20]
        assert (tmp_path / f"{name}.img").read_bytes() == half + half
    assert line(machine, "net")["ping"] == "ok"
    assert module_said(machine)[-1] == f"watching 1 PHB, policy {policy or 'all'}"
    for address in (FIRST, SECOND, NVME, XHCI, E1000, FIXED, BRIDGE, BEHIND):
        assert actions(machine, address) == ([OPENED] if address in expected else []), address


MALFORMED = ["", "some", "al", "alll", "00:01.0", "0000:00:01", "0000:00:01.8", "0000:00:20.0", "0000:100:01.0",
             "0000:00:1.0", "0000:00:01.0,", ",0000:00:01.0", "0000:00:01.0,,0000:00:02.0", "0000:00:01.0 0000:00:02.0",
             "0x000:00:01.0", "all,none", "0000:00:01.00", "none,0000:00:01.0"]


@CAPABLE
def test_policy_at_run_time(tmp_path):
    """What is malformed is refused and changes nothing; what is not reads back as it was written."""
    good = ["none", "all", FIRST, f"{SECOND},{FIRST}", "abcd:EF:1f.7"]
    parameter = "/sys/module/pci_dma_bypass/parameters/policy"
    script = f"""for text in {" ".join(f"'{text}'" for text in MALFORMED + good)}; do
        state=refused
        echo "$text" 2>/dev/null >{parameter} && state=taken
        echo "@policy state=$state now=$(cat {parameter}) $text"
    done
    """
    with running(machine=ON, initrd=initrd_with_scripts(tmp_path, policies=script),
                 do="load=pci_dma_bypass,run=policies,dmesg") as machine:
        machine.wait_for("^@done$")
    said = lines(machine, "policy")
    assert [policy["state"] for policy in said] == ["refused"] * len(MALFORMED) + ["taken"] * len(good)
    assert [policy["now"] for policy in said] == ["all"] * len(MALFORMED) + good
    errors = [text for text in module_said(machine) if text.startswith("policy: ")]
    assert len(errors) == len(MALFORMED)
    assert not complaints(machine.console)


@CAPABLE
def test_malformed_policy_at_load(tmp_path):
    """The module does not come, the guest does."""
    devices, arguments, contents = mixed(tmp_path)
    with running(*devices, arguments=arguments, machine=ON, append="pci_dma_bypass.policy=0000:00:01.0,oops",
                 do=f"{LOAD},wait,disk=4,devices,dmesg") as machine:
        machine.wait_for_pause()
        assert not open_windows(machine)
        machine.resume()
        machine.wait_for("^@done$")
    check(machine, allowed=["@modprobe modprobe: can't load module pci_dma_bypass .*: [Ii]nvalid"])
    check_disks(machine, contents)
    assert 'policy: "oops" is neither "all" nor "none" nor an address like 0000:00:01.0' in module_said(machine)


# When.

@CAPABLE
@pytest.mark.parametrize("append", ["", "disable_ddw"])
def test_life(append, tmp_path):
    """Open while the driver is there; no unloading meanwhile; afterwards as if it had never been."""
    arguments, content = disk_image(tmp_path / "disk.img", 4)
    unload = "unload=pci_dma_bypass"
    with running(f"virtio-blk-pci,drive=disk,addr=1{OFFERED}", arguments=arguments, machine=ON, append=append, do=(
            f"{LOAD},disk=4,{unload},wait,unbind={FIRST},wait,bind={FIRST},disk=4,wait,unbind={FIRST},{unload},wait,"
            f"bind={FIRST},disk=4,wait,load=pci_dma_bypass,disk=4,wait,devices,dmesg")) as machine:
        for is_open in (True, False, True, False, False, False):
            machine.wait_for_pause()
            assert open_windows(machine) == ({FIRST} if is_open else set())
            machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert len(lines(machine, "disk", sha256=sha256(content))) == 4
    assert len(re.findall("^@rmmod ", machine.console, re.MULTILINE)) == 1
    assert actions(machine, FIRST) == [OPENED, CLOSED, OPENED, CLOSED]
    assert [text for text in module_said(machine) if "PHB" in text or text == "unloaded"] == [
        "watching 1 PHB, policy all", "unloaded", "watching 1 PHB, policy all"]


@CAPABLE
def test_nothing_changes_under_a_driver(tmp_path):
    """A driver that asks again, as nvme does when its controller is reset, keeps what it has: whether it
    came before the module, or the policy has changed since."""
    arguments, content = disk_image(tmp_path / "disk.img", 4)
    scripts = initrd_with_scripts(
        tmp_path, reset="echo 1 >/sys/class/nvme/nvme0/reset_controller; sleep 1",
        none="echo none >/sys/module/pci_dma_bypass/parameters/policy",
        all="echo all >/sys/module/pci_dma_bypass/parameters/policy")
    again = f"unbind={NVME},bind={NVME},sleep=1"
    with running("nvme,drive=disk,addr=3", arguments=arguments, machine=ON, initrd=scripts, do=(
            f"modules,load=pci_dma_bypass,run=reset,disk=4,wait,run=none,{again},run=all,run=reset,disk=4,wait,"
            f"{again},run=none,run=reset,disk=4,wait,{again},disk=4,wait,devices,dmesg")) as machine:
        for is_open in (False, False, True, False):
            machine.wait_for_pause()
            assert open_windows(machine) == ({NVME} if is_open else set())
            machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert len(lines(machine, "disk", sha256=sha256(content))) == 4
    assert actions(machine, NVME) == [OPENED, CLOSED]


@CAPABLE
def test_everything_at_once(tmp_path):
    """Functions bound and unbound on several processors while the module comes and goes. (Not virtio-rng:
    its driver waits for seconds before it lets go.)"""
    functions = [f"0000:00:{slot:02x}.0" for slot in range(1, 7)]
    script = f"""bind() {{
        for round in 1 2 3 4 5 6 7 8 9 10; do
            echo $1 >/sys/bus/pci/drivers/virtio-pci/unbind; echo $1 >/sys/bus/pci/drivers_probe
        done
    }}
    for function in {" ".join(functions)}; do bind $function & done
    for round in 1 2 3 4 5 6 7 8 9 10; do modprobe pci_dma_bypass; rmmod pci_dma_bypass; done 2>/dev/null
    wait
    for function in {" ".join(functions)}; do echo $function >/sys/bus/pci/drivers/virtio-pci/unbind; done
    """
    with running(*(f"virtio-blk-pci,addr={slot}{OFFERED}" for slot in range(1, 7)), machine=ON,
                 append="disable_ddw", arguments=["-smp", "4"], initrd=initrd_with_scripts(tmp_path, shake=script),
                 do=f"{LOAD},run=shake,wait,unload=pci_dma_bypass,devices,dmesg") as machine:
        machine.wait_for_pause()
        assert not open_windows(machine)
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert "@rmmod" not in machine.console
    for function in functions:
        said = actions(machine, function)
        assert said == [OPENED, CLOSED] * (len(said) // 2)
        assert len(said) >= 2


@CAPABLE
def test_unplug(tmp_path):
    """The function goes under an open window."""
    with running(f"virtio-rng-pci,addr=2,id=stays{OFFERED}", f"virtio-rng-pci,addr=5,id=leaves{OFFERED}", machine=ON, do=(
            f"{LOAD},wait,hotunplug={connector(5)},wait,unbind={SECOND},unload=pci_dma_bypass,dmesg")) as machine:
        machine.wait_for_pause()
        assert open_windows(machine) == {SECOND, "0000:00:05.0"}
        machine.qmp("device_del", id="leaves")
        machine.resume()
        machine.wait_for_pause()
        assert open_windows(machine) == {SECOND}
        machine.resume()
        machine.wait_for("^@done$")
    assert actions(machine, "0000:00:05.0") == [OPENED, CLOSED]
    assert module_said(machine)[-1] == "unloaded"
    assert not complaints(machine.console)


@CAPABLE
def test_persistent_memory(tmp_path):
    """It is no RAM, so a window does not hold it, but files on it are DMA's too."""
    arguments, content = disk_image(tmp_path / "disk.img", 4)
    arguments += ["-object", f"memory-backend-ram,id=memory,size={(256 << 20) + (128 << 10)}",
                  "-device", "nvdimm,memdev=memory,label-size=128k,uuid=75a3cdd7-6a2f-4791-8d15-fe0a920e8e9e"]
    with running(f"virtio-blk-pci,drive=disk,addr=1{OFFERED}", arguments=arguments, machine=f"{ON},nvdimm=on",
                 memory="1G,slots=2,maxmem=4G", do=f"{LOAD},wait,disk=4,devices,dmesg") as machine:
        machine.wait_for_pause()
        assert not open_windows(machine)
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert line(machine, "disk")["sha256"] == sha256(content)
    assert actions(machine, FIRST) == ["DMA window not opened: it would lack persistent memory"]


@CAPABLE
def test_two_host_bridges(tmp_path):
    arguments, content = disk_image(tmp_path / "disk.img", 4)
    with running("spapr-pci-host-bridge,index=1,id=phb1", f"virtio-blk-pci,bus=phb1.0,addr=1,drive=disk{OFFERED}",
                 f"virtio-rng-pci,bus=pci.0,addr=1{OFFERED}", arguments=arguments, machine=ON,
                 append="disable_ddw pci_dma_bypass.policy=0001:00:01.0", do=(
                     f"{LOAD},wait,disk=4,unbind=0001:00:01.0,unload=pci_dma_bypass,bind=0001:00:01.0,disk=4,"
                     "devices,dmesg")) as machine:
        machine.wait_for_pause()
        assert open_windows(machine) == {"0001:00:01.0"}
        machine.resume()
        machine.wait_for("^@done$")
    check(machine)
    assert len(lines(machine, "disk", sha256=sha256(content))) == 2
    assert "watching 2 PHBs, policy 0001:00:01.0" in module_said(machine)


# A driver that does as it is told: [(steps, where memory and streams are, what the module says)].

DIRECT, TRANSLATED = "direct", "translated"
STEPS = [
    ("b64.alloc.map", [DIRECT, DIRECT], [OPENED, CLOSED]),
    ("b32.alloc.map", [TRANSLATED, TRANSLATED], []),
    ("b63.alloc.map", [TRANSLATED, TRANSLATED], []),
    # Each by its own mask.
    ("c32.s64.alloc.map", [TRANSLATED, DIRECT], [OPENED, CLOSED]),
    # The kernel goes by the last mask that was set. Nothing is lost but speed.
    ("s64.c32.alloc.map", [TRANSLATED, TRANSLATED], [OPENED, CLOSED]),
    ("b64.b32.alloc.map", [TRANSLATED, TRANSLATED], [OPENED, CLOSED]),
    ("b64.b64.alloc.map", [DIRECT, DIRECT], [OPENED, CLOSED]),
    ("b64.alloc.master", [DIRECT], [OPENED, "bus mastering was left on: cleared", CLOSED]),
    # What the failed probe has allocated is freed after the notification.
    ("b64.alloc.map.fail", [DIRECT, DIRECT], [OPENED, CLOSED]),
    ("b64.alloc.master.fail", [DIRECT], [OPENED, "bus mastering was left on: cleared", CLOSED]),
    ("b32.alloc.fail", [TRANSLATED], []),
    ("managed b64", [], []),
]


@CAPABLE
def test_masks(tmp_path):
    """Masks in every order, a driver that fails, one that leaves its device bus master, one that manages
    the IOMMU itself. The module can be unloaded after each."""
    script = f"load() {{ modprobe dma_probe device={FIRST} steps=$1 $2; rmmod dma_probe; sleep 0.2; }}\n"
    for steps, *_ in STEPS:
        managed, _, steps = steps.rpartition(" ")
        script += f"""modprobe pci_dma_bypass; load {steps} {"managed=1" if managed else ""}
            rmmod pci_dma_bypass; echo "@probed"; read -r line
        """
    machine_options = {"machine": ON, "append": "disable_ddw", "initrd": initrd_with_scripts(tmp_path, probe=script)}
    with running(f"virtio-rng-pci,addr=1{OFFERED}", do="run=probe,devices,dmesg", **machine_options) as machine:
        at = 0
        for _ in STEPS:
            at = machine.wait_for("^@probed$", at).end()
            assert not open_windows(machine)
            machine.say("")
        machine.wait_for("^@done$")
    check(machine)
    assert "can't unload" not in machine.console
    runs = sq.section(machine.console, "dmesg").split("pci_dma_bypass: unloaded\n")
    assert len(runs) == len(STEPS) + 1
    for (steps, places, said), text in zip(STEPS, runs):
        addresses = [int(address, 16) for address in re.findall(r"did \w+ result=0 address=(0x[1-9a-f]\w*)", text)]
        assert [DIRECT if address >= BASE else TRANSLATED for address in addresses] == places, steps
        assert re.findall(rf"{FIRST}: pci_dma_bypass: (.*)$", text, re.MULTILINE) == said, steps
        # Each step was taken; only the last may fail.
        assert len(re.findall(r": did .* result=0 ", text)) == len(steps.split(".")) - steps.endswith("fail"), steps


@CAPABLE
def test_what_another_kernel_left(tmp_path):
    """A window that is open already is closed: at once where there is no driver, else after it, and before
    the next driver."""
    script = f"""driver="modprobe dma_probe device={FIRST} steps"
        mark() {{ echo "@mark"; read -r line; }}
        $driver=open.master; rmmod dma_probe; mark; modprobe pci_dma_bypass; mark
        rmmod pci_dma_bypass; $driver=open.master; modprobe pci_dma_bypass; mark; rmmod dma_probe; mark
        $driver=open managed=1; rmmod dma_probe; mark
    """
    with running(f"virtio-rng-pci,addr=1{OFFERED}", machine=ON, do="run=left,devices,dmesg",
                 initrd=initrd_with_scripts(tmp_path, left=script)) as machine:
        at = 0
        for is_open in (True, False, True, False, False):
            at = machine.wait_for("^@mark$", at).end()
            assert open_windows(machine) == ({FIRST} if is_open else set())
            machine.say("")
        machine.wait_for("^@done$")
    check(machine)
    cleared = "bus mastering was left on: cleared"
    assert actions(machine, FIRST) == [cleared, CLOSED, cleared, CLOSED, CLOSED]
    assert "switchable functions that have a driver already, to be bound again: 1" in module_said(machine)


# A tree that lies.

FORCE = """for device in /sys/bus/pci/devices/*; do
    printf 'add_property 0x%s qemu,dma-bypass 11 switchable\\0' \\
        "$(hexdump -v -e '4/1 "%02x"' $device/of_node/phandle)" >/proc/ppc64/ofdt
done
"""


@pytest.mark.parametrize("append", ["", "disable_ddw"])
def test_lie(append, tmp_path):
    """A hypervisor that never heard of the hypercall: all goes on as it did, one line per function."""
    devices, arguments, contents = mixed(tmp_path)
    with running(*devices, arguments=arguments, append=append, initrd=initrd_with_scripts(tmp_path, force=FORCE),
                 do=f"run=force,{LOAD},disk=4,net,unload=pci_dma_bypass,devices,dmesg") as machine:
        machine.wait_for("^@done$")
    said = sq.parse_devices(machine.console)
    assert {said[address]["bypass"] for address in (FIRST, SECOND, NVME, XHCI, E1000, BEHIND)} == {"switchable"}
    check_disks(machine, contents)
    assert line(machine, "net")["ping"] == "ok"
    for address in (FIRST, SECOND, NVME, XHCI, BEHIND):
        assert actions(machine, address) == ["DMA window refused: H_FUNCTION -2"]
    for address in (E1000, BRIDGE):
        assert not actions(machine, address)
    assert module_said(machine)[-1] == "unloaded"
    assert not complaints(machine.console)


@CAPABLE
def test_lie_behind_a_bridge(tmp_path):
    """What cannot be switched is refused; its neighbours are not disturbed."""
    devices, arguments, contents = mixed(tmp_path)
    with running(*devices, arguments=arguments, machine=ON, initrd=initrd_with_scripts(tmp_path, force=FORCE),
                 do=f"run=force,{LOAD},wait,disk=4,net,devices,dmesg") as machine:
        machine.wait_for_pause()
        assert open_windows(machine) >= {FIRST, SECOND, NVME, XHCI}
        machine.resume()
        machine.wait_for("^@done$")
    check_disks(machine, contents)
    assert line(machine, "net")["ping"] == "ok"
    assert actions(machine, BEHIND) == ["DMA window refused: H_UNSUPPORTED -67"]
    assert actions(machine, FIRST) == [OPENED]


def test_nothing_to_do(tmp_path):
    """A stock QEMU and what its firmware says of it."""
    devices, arguments, contents = mixed(tmp_path)
    with running(*devices, arguments=arguments,
                 do=f"{LOAD},disk=4,net,unload=pci_dma_bypass,devices,dmesg") as machine:
        machine.wait_for("^@done$")
    check(machine)
    check_disks(machine, contents)
    assert module_said(machine)[-2:] == ["watching 1 PHB, policy all", "unloaded"]
    assert "0: pci_dma_bypass: " not in machine.console
