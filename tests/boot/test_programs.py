# SPDX-License-Identifier: BSD-2-Clause
"""The forms that a program may have, and those that are refused."""
import os
import re
import struct
import subprocess

import pytest
import spillway_qemu as sq
from debugger import TOOLS
from support import FIRMWARE, QEMU, ROOT, check, complaints, program, running

MODES = {  # of a program: ld's name, and the name and MSR (its low half, as seen by the program)
    "big_32": ("elf32ppc", "ELF32 big-endian", 0x3002),
    "big_64": ("elf64ppc", "ELF64 big-endian", 0x3002),
    "little_64": ("elf64lppc", "ELF64 little-endian", 0x3003),
}
FLAT = {"big_32": ("flat big-endian image", 0x3002), "big_64": ("flat big-endian image", 0x3002),
        "little_64": ("flat little-endian image", 0x3003)}
DEVICES = ["virtio-rng-pci", "virtio-blk-pci"]


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


def run(kernel, *arguments, **options):
    """Boots this file as far as it gets; returns the console."""
    machine = sq.Machine(arguments, firmware=FIRMWARE, qemu=QEMU, kernel=str(kernel), timeout=60, **options)
    print("$", machine.command_line)
    try:
        with machine:
            machine.go()
            machine.wait_for_end()
    finally:
        print(machine.console)
    return machine.console


def entry_line(console):
    return re.search("^@entry r3=(.*) r4=(.*) msr=(.*)$", console, re.MULTILINE).groups()


@pytest.mark.parametrize("form", ["", "-flat"])
def test_form_and_mode(mode, form):
    """With the header in memory, the header decides; without, QEMU's word on the byte order. (A flat
    64-bit big-endian program is entered in 32-bit mode: nothing tells.)"""
    with running(*DEVICES, client=f"list-{mode}{form}") as machine:
        machine.wait_for("^@done$")
        machine.wait_for_end()
    check(machine)
    name, msr = FLAT[mode] if form else MODES[mode][1:]
    where = re.search(r"^program +\S+ ms  (.*), entry 0x(\w+)$", machine.console, re.MULTILINE)
    assert where[1] == name
    assert (int(where[2], 16) == 0x400000) == bool(form)
    assert entry_line(machine.console) == ("00000000", "00000000", f"{msr:08x}")


def test_initrd_in_registers(mode, tmp_path):
    (tmp_path / "initrd").write_bytes(b"initrd" * 1000)
    with running(client=f"list-{mode}", initrd=tmp_path / "initrd") as machine:
        machine.wait_for("^@done$")
        machine.wait_for_end()
    start, size, _ = (int(value, 16) for value in entry_line(machine.console))
    assert size == 6000
    assert start >= 0x400000 and start % 0x10000 == 0


# A file in a file: what the firmware finds in memory is an ELF file as it is on a disk.

def wrap(content, path):
    """Writes an ELF program with one segment at physical address 0: these bytes."""
    header = struct.pack("<4s12B2HI3QI6H", b"\x7fELF", 2, 1, 1, *bytes(9), 2, 21, 1, 0, 64, 0, 2, 64, 56, 1, 0, 0, 0)
    header += struct.pack("<2I6Q", 1, 7, 0x1000, 0, 0, len(content), len(content), 0x10000)
    path.write_bytes(header.ljust(0x1000, b"\0") + content)
    return path


def link(mode, address, path, name="list"):
    """Links a test program for this physical address; returns the file's bytes."""
    with open(os.path.join(ROOT, "tests", "client", "client.lds")) as file:
        script = file.read().replace("HEADERS FLAGS", "FLAGS").replace(" + SIZEOF_HEADERS", "")
    script = script.replace("- 0x400000", "").replace("0x400000", f"{address:#x}")
    (path / "script").write_text(script)
    folder = os.path.dirname(program(f"{name}-{mode}"))
    subprocess.run([TOOLS + "ld", "-m", MODES[mode][0], "--no-warn-rwx-segments", "-z", "noexecstack",
                    "-T", path / "script", *(f"{folder}/{part}-{mode}.o" for part in ("start", name, "runtime")),
                    "-o", path / "program"], check=True)
    return (path / "program").read_bytes()


@pytest.mark.parametrize("address", [0x1000000, 0x2000000, 0x10000000])
def test_file_in_memory(mode, address, tmp_path):
    console = run(wrap(link(mode, address, tmp_path), tmp_path / "kernel"), "-device", "virtio-rng-pci")
    assert f"{MODES[mode][1]}, entry {address:#x}" in console
    assert entry_line(console) == ("00000000", "00000000", f"{MODES[mode][2]:08x}")
    assert len(sq.parse_devices(console)) == 1
    assert "@done" in console
    assert not complaints(console)


@pytest.mark.parametrize("address, words", [
    (0, "wants 0x0 \\+ 0x\\w+, which is not free RAM"),
    (0x4000, "wants 0x4000 \\+ 0x\\w+, which is not free RAM"),
    (0x400000, "wants 0x400000 \\+ 0x\\w+, which is not free RAM"),
    (0x3fe00000, "wants 0x3fe00000 \\+ 0x\\w+, which is not free RAM"),
    (0x40000000, "wants 0x40000000 \\+ 0x\\w+, which is not free RAM"),
    (0x7ffff000, "wants 0x7ffff000 \\+ 0x\\w+, which is not free RAM"),
], ids=lambda value: value if isinstance(value, str) else hex(value))
def test_file_for_memory_that_is_taken(address, words, tmp_path):
    """By the firmware, the program's own file, the device tree; or there is no RAM."""
    console = run(wrap(link("big_32", address, tmp_path), tmp_path / "kernel"))
    assert re.search(f"^error: ELF: segment 0 {words}\nerror: the boot cannot go on\n$", console, re.MULTILINE)


HEADER = struct.pack(">4s12B2HI3QI6H", b"\x7fELF", 2, 2, 1, *bytes(9), 2, 21, 1, 0x2000000, 64, 0, 0, 64, 56, 1, 0,
                     0, 0)
SEGMENT = struct.pack(">2I6Q", 1, 7, 0, 0x2000000, 0x2000000, 0x100, 0x200, 0x10000)
GOOD = (HEADER + SEGMENT).ljust(0x1000, b"\0")


def patched(offset, data):
    return GOOD[:offset] + data + GOOD[offset + len(data):]


@pytest.mark.parametrize("content, words", [
    (patched(4, b"\x03"), "ELF: class 3 with byte order 2 is not run here"),
    (patched(4, b"\x01\x01"), "ELF: class 1 with byte order 1 is not run here"),
    (patched(16, b"\0\1"), "ELF: type 1 is not a program"),
    (patched(18, b"\0\x3e"), "ELF: a program for machine 62, not PowerPC"),
    (patched(32, b"\xff" * 8), "ELF: 1 program headers at 0xffffffffffffffff lie outside the 4096 bytes there are"),
    (patched(56, b"\xff\xff"), "ELF: 65535 program headers at 0x40 lie outside the 4096 bytes there are"),
    (patched(56, b"\0\0"), "ELF: nothing to load"),
    (patched(64 + 8, b"\0\0\0\0\0\0\x0f\x01"), "ELF: segment 0 ends at 0x1001 of a file of 0x1000 bytes"),
    (patched(64 + 32, b"\xff" * 8), "ELF: segment 0 has 0xffffffffffffffff bytes for 0x200"),
    (patched(64 + 40, b"\xff" * 8), "ELF: segment 0 wraps around the address space"),
    (patched(24, b"\xff" * 8), "ELF: entry point 0xffffffffffffffff is in no executable segment"),
    (GOOD[:63], "ELF: 63 bytes are less than a header"),
    (b"\x7fELF", "ELF: 4 bytes are less than a header"),
    (bytes(64), "nothing to run at 0x400000: "),
    (b"\x60\0", "nothing to run at 0x400000: "),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_refused(content, words, tmp_path):
    """A line that says why, and a machine that ends; tests/host/program_test.cpp has all the cases."""
    console = run(wrap(content, tmp_path / "kernel"))
    assert f"\nerror: {words}" in console
    assert console.endswith("\nerror: the boot cannot go on\n")


def test_empty_program(tmp_path):
    """QEMU says that there is a kernel of 0 bytes."""
    console = run(wrap(b"", tmp_path / "kernel"))
    assert re.search("^error: nothing to (boot|run)", console, re.MULTILINE)
