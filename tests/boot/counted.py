# SPDX-License-Identifier: BSD-2-Clause
"""A machine whose events happen at exact instructions: the same number, the same place, each time.

    with CountedMachine("tree-big_64", DEVICE_MIX) as machine:
        machine.reset()
        machine.run_to(1_234_567)
        machine.qmp("inject-nmi")
        assert machine.run() == "shutdown"
        print(machine.said())

QEMU counts instructions (-icount), so time is nothing but their number, and a plugin stops the
processor at a given one. Many boots are made in one QEMU: a program that powers off only stops it."""
import contextlib
import mmap
import os
import random
import re
import struct
import tempfile

import debugger
import spillway_qemu as sq
import support

# With 2^8 ns an instruction, a wait of seconds takes a fraction of one.
ARGUMENTS = ["-icount", "shift=8,sleep=off", "-seed", "1", "-action", "panic=pause,shutdown=pause"]
WITHOUT_END = 40_000_000  # instructions, 10 s: an undisturbed boot has a tenth of that
NEVER = 2**64 - 1


class CountedMachine(contextlib.ExitStack):
    """It stands where an undisturbed boot of it has ended; `boot_text` is what the second one said."""

    def __init__(self, client, devices=(), timeout=support.TIMEOUT, **options):
        super().__init__()
        self._client, self._devices, self._timeout, self._options = client, devices, timeout, options

    def __enter__(self):
        super().__enter__()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self):
        folder = self.enter_context(tempfile.TemporaryDirectory(prefix="spillway-"))
        control = os.path.join(folder, "control")
        with open(control, "wb") as file:
            file.write(bytes(16))
        with open(control, "r+b") as file:
            self._control = self.enter_context(contextlib.closing(mmap.mmap(file.fileno(), 16)))
        self._console_path = os.path.join(folder, "console")
        self.machine, self.debugger = self.enter_context(debugger.debugging(
            self._client, [*ARGUMENTS, "-plugin", f"{sq.build_plugin('stop', folder)},control={control}",
                           *support.device_arguments(self._devices)],
            serial=f"file:{self._console_path}", timeout=self._timeout, reboot=True, **self._options))
        self._console = self.enter_context(open(self._console_path, errors="replace", newline=""))
        self.qmp = self.machine.qmp
        # The first boot formats the NVRAM, so it is not like the others.
        for _ in range(2):
            self.reset()
            assert self.run() == "shutdown", self.said()
        self.boot_text, self.boot_length = self.said(), self.executed

    @property
    def executed(self):
        """Instructions since the last reset."""
        return struct.unpack_from("=Q", self._control)[0]

    def said(self):
        """What came to the console since the last reset."""
        self._console.seek(self._boot_start)
        return self._console.read().replace("\r", "")

    def devices(self):
        """What a program list-* said of each PCI function, by address."""
        return sq.parse_devices(self.said())

    def reset(self):
        """Stands at the first instruction afterwards. What the boot before left in the firmware's memory is
        overwritten, so that nothing depends on it."""
        self.qmp("system_reset")
        zeroed = range(debugger.symbols()["bss_start"], debugger.symbols()["bss_end"])
        self.debugger.write(zeroed.start, random.Random(0).randbytes(len(zeroed)))
        self._boot_start = os.path.getsize(self._console_path)
        self._control[:8] = bytes(8)

    def _go(self, stop_at):
        self._control[8:] = struct.pack("=Q", stop_at)
        self.debugger.go()
        self.debugger.wait_for_stop()
        self._control[8:] = struct.pack("=Q", NEVER)

    def run_to(self, count):
        """Until exactly that many instructions since the last reset are executed."""
        # Whole blocks are faster, but the processor stops only between them.
        longest_block = 512
        if count > self.executed + longest_block:
            self._go(count - longest_block)
        self.machine.hmp("singlestep on")
        if count > self.executed:
            self._go(count)
        self.machine.hmp("singlestep off")
        assert self.executed == count, f"{self.executed} instructions, not {count}: {self.status()}"

    def run(self, limit=WITHOUT_END):
        """Until the machine stops by itself, or has executed so many instructions, which is "paused";
        returns the status."""
        self._go(limit)
        return self.status()

    def status(self):
        return self.qmp("query-status")["status"]


def without_times(text):
    """What two boots have in common."""
    return re.sub(r" +\d+\.\d+ ms| +\d+ ms", " ms", text)
