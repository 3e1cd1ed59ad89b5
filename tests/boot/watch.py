# SPDX-License-Identifier: BSD-2-Clause
"""Machines that are watched: tests/plugin/watch.c notes which of the firmware's instructions are
executed, and which of them store where the firmware may not."""
import itertools
import os
import re
import subprocess
import tempfile

import spillway_qemu as sq
from debugger import ELF, TOOLS, symbols

# linker/layout.h: where interrupted contexts are saved, and what programs call.
FRAMES = range(0x1800, 0x2000)
CLIENT_ENTRY = 0x1400
PROGRAM_STACK = 64 << 10  # boot/main.cpp
INSTRUCTION = 4
MEMORY = "watched"  # QEMU's name for the RAM, which the plugin finds by its kind
SEEN, TEST = ".seen", ".test"  # ends of file names: what the plugin saw, and of what


def readelf(option, path):
    """Of programs that are broken on purpose there is nothing to read."""
    return subprocess.run([TOOLS + "readelf", option, "-W", path], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout


def own_memory():
    """What the firmware may always store to."""
    (data,) = re.findall(r" \.data +PROGBITS +([0-9a-f]+) ", readelf("-S", ELF))
    return [FRAMES, range(int(data, 16), symbols()["memory_end"])]


def copied_program(kernel):
    """Where the firmware lays out a program that QEMU has not: an ELF file inside of QEMU's."""
    def segments(path):
        return [[int(word, 16) for word in words] for words in re.findall(
            r"^ +LOAD +0x(\w+) 0x\w+ 0x(\w+) 0x(\w+) 0x(\w+)", readelf("-l", path), re.MULTILINE)]

    with open(kernel, "rb") as file:
        offset, _, size, _ = segments(kernel)[0]
        file.seek(offset)
        content = file.read(size)
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        inner = segments(file.name) if content.startswith(b"\x7fELF") else []
    if inner and inner[0][0] == 0 and sum(size for *_, size in inner) == len(content):
        return []  # laid out, the header with it
    return [range(start, start + size) for _, start, _, size in inner]


def plugin_options(image, kernel, own):
    """What the plugin is told of the firmware and the program."""
    end = symbols()["memory_end"]
    stack = -(-end // PROGRAM_STACK) * PROGRAM_STACK  # the lowest free RAM
    program = [range(stack, stack + PROGRAM_STACK), *(copied_program(kernel) if kernel else [])]
    ranges = [*(("own", part) for part in own), *(("program", part) for part in program)]
    places = {"main": symbols()["spillway_main"], "enter": symbols()["enter_program"], "call": CLIENT_ENTRY,
              "return": symbols().functions["little_client"].stop - INSTRUCTION}
    return ",".join([f"image={image}", *(f"{name}={part.start:#x}-{part.stop:#x}" for name, part in ranges),
                     *(f"{name}={address:#x}" for name, address in places.items())])


def watched(machine_class, folder, own=None):
    """A class of machines that leave in `folder` what the plugin saw. `own`: what is taken for the
    firmware's memory."""
    numbers = itertools.count()
    plugin = sq.build_plugin("watch", folder)
    own = own or own_memory()

    class Watched(machine_class):
        def __init__(self, arguments=(), *, firmware, kernel=None, machine="", memory="1G", **options):
            self.record = os.path.join(folder, f"{os.getpid()}-{next(numbers)}")
            size = memory.partition(",")[0]
            super().__init__(
                [*arguments, "-object", f"memory-backend-memfd,id={MEMORY},size={size},share=on", "-plugin",
                 f"{plugin},{plugin_options(firmware, kernel, own)},out={self.record}{SEEN}"],
                firmware=firmware, kernel=kernel, memory=memory,
                machine=",".join(filter(None, [machine, f"memory-backend={MEMORY}"])), **options)
            with open(self.record + TEST, "w") as file:
                file.write(f"{os.environ.get('PYTEST_CURRENT_TEST', '')}\n{self.command_line}\n")
    return Watched
