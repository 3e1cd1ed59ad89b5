# SPDX-License-Identifier: BSD-2-Clause
"""What the image is made of, and that anyone's build of it is the same. (Its stacks: scripts/check-stack.)"""
import os
import re
import shutil
import subprocess

import pytest
from debugger import ELF, TOOLS, symbols
from support import FIRMWARE, ROOT

SIZE_LIMIT = 128 << 10
PRODUCTS = ("build", ".git", "__pycache__", ".pytest_cache")


def tool(name, *arguments):
    return subprocess.run([TOOLS + name, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_size():
    assert os.path.getsize(FIRMWARE) <= SIZE_LIMIT


def test_nothing_is_undefined():
    assert tool("nm", "-u", ELF) == ""


def test_no_dynamic_initialisers():
    sections = re.findall(r"^ *\[ *\d+\] (\S+) +\S+ +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)", tool("readelf", "-S", "-W", ELF),
                          re.MULTILINE)
    assert not [name for name, size in sections if name.startswith((".init", ".fini", ".ctors")) and int(size, 16)]
    assert not [name for name in symbols().functions if "_GLOBAL__sub" in name or "static_initialization" in name]


def test_no_relocations():
    assert "There are no relocations in this file." in tool("readelf", "-r", ELF)


def test_segments():
    """Nothing is both writable and executable."""
    segments = re.findall(r"^  LOAD .* ([R ])([W ])([E ]) 0x", tool("readelf", "-l", "-W", ELF), re.MULTILINE)
    assert len(segments) >= 2
    assert all(not (writable == "W" and executable == "E") for _, writable, executable in segments)


def test_image_is_the_elf_file():
    """Byte for byte, from address 0."""
    with open(FIRMWARE, "rb") as file:
        image = file.read()
    assert image[0x100:0x104] == b"\x08\0\0\x48"
    assert symbols()["image_end"] == len(image)
    assert symbols()["memory_end"] <= 1 << 20


def instructions():
    """(address, mnemonic, operands) of all that is executed little-endian."""
    listing = tool("objdump", "-d", "--no-show-raw-insn", "-j", ".text", ELF)
    return re.findall(r"^ *([0-9a-f]+):\t(\S+)(?:\s+(\S.*))?$", listing, re.MULTILINE)


def test_no_floating_point_and_no_vectors():
    """The firmware runs with both switched off, and a program finds its own registers."""
    forbidden = re.compile("f|lf|stf|v|lv|stv|xv|xs|xx|lx[sv]|stx[sv]|mffs|mtfs|mtvs|mfvs|mcrfs|ds[ts]")
    code = instructions()
    assert len(code) > 10000
    assert not [entry for entry in code if forbidden.match(entry[1])]


def test_nothing_privileged_but_at_the_borders():
    """rfid and the machine state belong to assembly; the rest is one flush of translations, for QEMU's sake."""
    code = [entry for entry in instructions() if re.match("rfi|mtmsr|mfmsr|mtsrr|tlb|slb|mtsr|sc$", entry[1])]
    places = {symbols().function_at(int(address, 16)) for address, _, _ in code}
    assert places <= {"little_exception", "little_client", "resume", "enter_program", "spillway_hypercall",
                      "spillway::boot::enlarge_emulator_tlb()"}, places


@pytest.mark.slow
def test_builds_are_reproducible(tmp_path):
    """Of this tree into a folder elsewhere, and of a copy of the tree at another path."""
    copy = tmp_path / "a-longer-name" / "tree"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*PRODUCTS))
    outputs = [tmp_path / "build", copy / "build"]
    for folder, output in zip([ROOT, str(copy)], outputs):
        subprocess.run(["make", "-s", "-j2", "-C", folder, f"B={output}", "GIT_ID=test"], check=True,
                       env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")})
    for name in ("spillway.elf", "spillway.bin"):
        first, second = ((output / name).read_bytes() for output in outputs)
        assert first == second, name
    assert not re.search(rb"/(home|root|tmp|work|usr|build)/", first), "the image knows where it was built"
