# SPDX-License-Identifier: BSD-2-Clause
"""What the guest is started with, and the machine around it: initrd, command line, consoles, VIO."""
import os
import re
import shlex

import pytest
import spillway_qemu as sq
from support import (BIT_33, boot, check, complaints, disk_image, line, lines, running, sha256)

DEVICES = ["virtio-blk-pci", f"virtio-rng-pci-non-transitional,{BIT_33}"]


def test_without_initrd():
    with running(*DEVICES, initrd=False) as machine:
        machine.wait_for("Kernel panic - not syncing: VFS: Unable to mount root fs")
    assert not complaints(machine.console, allowed=["Kernel panic - .*root fs", "Call Trace:"])


def test_large_initrd(tmp_path):
    """Behind the real one lie 64 MiB that cannot be compressed."""
    files = sq.guest_files()
    (tmp_path / "ballast").write_bytes(os.urandom(64 << 20))
    content = (tmp_path / "ballast").read_bytes()
    (tmp_path / "sum").write_text("#!/bin/sh\necho @sum $(sha256sum </tmp/ballast)\n")
    sq.initrd_with(files["initrd"], {"tmp/ballast": tmp_path / "ballast", "sum": tmp_path / "sum"},
                   tmp_path / "initrd")
    machine = boot(*DEVICES, initrd=tmp_path / "initrd", do="devices,run=sum")
    assert f"@sum {sha256(content)}" in machine.console


LONG = " ".join(f"test.word{number:03}=value{number:03}" for number in range(200))


@pytest.mark.parametrize("append", [
    "one two=2 three='quoted words' four=\"more words\" five=$HOME;six&seven|eight=(nine)~#@!%^",
    LONG[:200], LONG[:1000], LONG[:1900].rstrip(),
    "spillway.log=quiet a", "a spillway.log=verbose", "-- init argument",
], ids=lambda text: f"{len(text)}-characters")
def test_command_line(append):
    do = "cmdline,devices"
    machine = boot(*DEVICES, append=append, do=do)
    # boot adds a word to see the log
    assert f"\"console=hvc0 quiet cryptomgr.notests {append} spillway.do={do},dmesg\"" == re.search(
        "^@cmdline (.*)$", machine.console, re.MULTILINE)[1]
    quiet = "spillway.log=quiet" in append
    assert ("Spillway 0" in machine.console) != quiet


def test_log_levels():
    sizes = []
    for level in ("quiet", "normal", "verbose"):
        with running(*DEVICES, append=f"spillway.log={level}", do="devices") as machine:
            machine.wait_for("^@done$")
        sizes.append(len(machine.console[:machine.console.index("Preparing to boot Linux")]))
        check(machine)
    assert sizes[0] < sizes[1] < sizes[2]


# Other consoles than one.

def copied(content):
    """A disk after the word `copy` (1 MiB)."""
    return content[:1 << 20] + content[:1 << 20] + content[2 << 20:]


@pytest.mark.parametrize("serial", ["none", "null"])
def test_no_console(serial, tmp_path):
    """What the guest did is seen on its disk."""
    arguments, content = disk_image(tmp_path / "disk.img")
    with running("virtio-blk-pci,drive=disk", *DEVICES[1:], arguments=arguments, serial=serial,
                 do="modules,copy=1") as machine:
        machine.wait_for_end()
    assert machine.console == ""
    assert (tmp_path / "disk.img").read_bytes() == copied(content)


def test_second_terminal(tmp_path):
    """The first one is the console; the other one stays silent."""
    boot(*DEVICES, "spapr-vty,chardev=second,reg=0x71000010",
         arguments=["-chardev", f"file,id=second,path={tmp_path}/second"])
    assert (tmp_path / "second").read_text() == ""


def test_terminals_in_descending_order(tmp_path):
    """The hypervisor's first terminal is the one with the lowest number, whatever comes first."""
    with running(*DEVICES, "spapr-vty,chardev=low,reg=0x30000000", do="devices",
                 arguments=["-chardev", f"file,id=low,path={tmp_path}/low"]) as machine:
        machine.wait_for_end()
    console = machine.console + (tmp_path / "low").read_text().replace("\r", "")
    print(console)
    assert re.search("^@done$", console, re.MULTILINE)
    assert "Spillway" in console


# What QEMU adds by itself.

def test_default_machine():
    """Without -nodefaults: network and more terminals of QEMU's choice, USB."""
    boot(*DEVICES, defaults=True, arguments=["-vga", "none"], do="devices,interrupts")


@pytest.mark.parametrize("client", [None, "list-big_32"])
def test_default_machine_with_screen(client):
    """The screen brings a keyboard and a mouse on USB."""
    boot(*DEVICES, defaults=True, arguments=["-vga", "std", "-global", "VGA.romfile="], client=client)


def test_screen_alone():
    boot(*DEVICES, "VGA", "bochs-display", "virtio-gpu-pci")


def test_usb():
    boot(*DEVICES, "usb-kbd", "usb-tablet", "usb-storage", machine="usb=on", do="modules,disk,devices")


def modules_initrd(names, output):
    """The tests' initrd with further kernel modules, which the word run=load loads."""
    files = sq.guest_files()
    folder = os.path.join(os.path.dirname(files["initrd"]), "modules")
    needed = {}
    with open(os.path.join(folder, "modules.dep")) as file:
        for text in file:
            path, _, more = text.partition(":")
            for name in names:
                if path.endswith(f"/{name}.ko"):
                    for module in [*reversed(more.split()), path]:
                        needed[f"tmp/{os.path.basename(module)}"] = os.path.join(folder, module)
    assert len(needed) >= len(names), f"not all of {names} are in {folder}"
    script = output.parent / "load"
    script.write_text("".join(
        ["#!/bin/sh\n", *(f"insmod /{shlex.quote(name)}\n" for name in needed), "sleep 1\n"]))
    sq.initrd_with(files["initrd"], {**needed, "load": script}, output)
    return output


def test_vio_devices(tmp_path):
    """The paravirtual disk, network and random numbers of PAPR."""
    arguments, content = disk_image(tmp_path / "disk.img")
    initrd = modules_initrd(["scsi_transport_srp", "ibmvscsi", "ibmveth", "pseries-rng"], tmp_path / "initrd")
    machine = boot(
        *DEVICES, "spapr-vscsi,id=vscsi", "scsi-hd,bus=vscsi.0,drive=disk",
        "spapr-vlan,netdev=user", "spapr-rng,rng=random", initrd=initrd,
        arguments=[*arguments, "-object", "rng-builtin,id=random"],
        do="modules,run=load,net,disk,interrupts,devices")
    assert line(machine, "disk", sha256=sha256(content[:1 << 20]))["disk"].startswith("sd")
    assert [card["ping"] for card in lines(machine, "net")] == ["ok"]


def test_nvram_and_settings(tmp_path):
    """An NVRAM with contents, and OpenBIOS-style settings."""
    boot(*DEVICES, arguments=["-prom-env", "auto-boot?=false", "-prom-env", "boot-device=disk",
                              "-prom-env", "boot-command=0 to my-self"])
    (tmp_path / "nvram").write_bytes(os.urandom(64 << 10))
    boot(*DEVICES, client="list-big_64", arguments=[
        "-drive", f"if=pflash,format=raw,file={tmp_path}/nvram"])


@pytest.mark.parametrize("arguments", [
    "-boot order=cdn", "-boot once=d", "-boot menu=on", "-boot strict=on", "-name a,guest=b",
    "-uuid 12345678-9abc-def0-1234-56789abcdef0", "-watchdog-action none", "-rtc base=2000-01-01",
    "-M vsmt=8", "-M cap-htm=off", "-icount shift=auto",
])
def test_qemu_settings(arguments):
    boot(*DEVICES, client="list-little_64", arguments=arguments.split())


def test_boot_order():
    boot("virtio-blk-pci,bootindex=2", "virtio-net-pci,bootindex=1", "e1000,bootindex=3")


def test_kernel_address():
    boot(*DEVICES, machine="kernel-addr=0x2000000")
