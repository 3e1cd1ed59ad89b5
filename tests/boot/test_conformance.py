# SPDX-License-Identifier: BSD-2-Clause
"""The conformance kit on this firmware: every case passes, however the program is entered, and what
must never change has not changed."""
import re
import subprocess

import pytest
import spillway_qemu as sq
from debugger import ELF, TOOLS, symbols
from support import FIRMWARE, QEMU, program

END_OF_RAM = 1 << 30


def sections():
    """{name: range of addresses} of what is in the image."""
    output = subprocess.run([TOOLS + "readelf", "-S", "-W", ELF], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: range(int(start, 16), int(start, 16) + int(size, 16)) for name, start, size in re.findall(
        r"\] (\.\w+) +\w+ +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+) ", output)}


def places():
    """What is the firmware's own, besides the vectors, the heap and whatever else the program finds by itself."""
    found = {name[1:]: middle(area) for name, area in sections().items()
             if name in (".text", ".rodata", ".data", ".bss")}
    for stack in ("main", "client", "fault", "reset"):
        found[stack + "-stack"] = symbols()[stack + "_stack_top"] - 0x80
    found["frame"] = 0x1800
    return found


def middle(area):
    return (area.start + area.stop) // 2 & ~3


@pytest.mark.parametrize("mode", ["big_32", "big_64", "little_64"])
def test_conformance(mode, tmp_path):
    words = " ".join(f"conformance.place={name}:{address:x}" for name, address in places().items())
    machine = sq.Machine(["-no-shutdown"], firmware=FIRMWARE, qemu=QEMU, kernel=program(f"conformance-{mode}"),
                         append=words, timeout=120)
    print("$", machine.command_line)
    try:
        with machine:
            machine.go()
            end = machine.wait_for(r"^@(broken|done (\d+) of (\d+) cases passed)$")
            image = tmp_path / "memory"
            machine.qmp("pmemsave", val=0, size=symbols()["image_end"], filename=str(image))
    finally:
        print(machine.console)
    named = {int(address, 16): name for address, name in re.findall(r"^place 0x(\w+) (.*)$", machine.console,
                                                                   re.MULTILINE)}
    assert set(places().values()) <= named.keys()
    assert {0, 0x100, END_OF_RAM} <= named.keys()
    assert any(END_OF_RAM - (64 << 20) < address < END_OF_RAM and "taken" in name for address, name in named.items()), \
        "no place in the heap"
    groups = re.findall(r"(ok|FAIL|none) +(.+): good (\d+) of (\d+), bad (\d+) of (\d+)$", machine.console,
                        re.MULTILINE)
    assert len(groups) > 30
    assert not [group for group in groups if group[0] != "ok"]
    assert end[1] != "broken" and end[2] == end[3]
    assert sum(int(bad) for *_, bad in groups) >= 1000
    with open(FIRMWARE, "rb") as file:
        built = file.read()
    memory, image = image.read_bytes(), sections()
    constant = [range(0x100, 0x1800), image[".text"], image[".rodata"]]  # from 0x1800 on contexts are saved
    for area in constant:
        assert memory[area.start:area.stop] == built[area.start:area.stop]
