# SPDX-License-Identifier: BSD-2-Clause
"""A debugger for the machine's processor: QEMU's gdb stub, and the firmware's symbols.

    with debugging("list-big_64") as (machine, debugger):
        debugger.run_to(symbols()["spillway_main"])
        debugger.registers["r3"]
"""
import contextlib
import functools
import os
import re
import select
import socket
import subprocess
import tempfile

import spillway_qemu as sq
import support

TOOLS = "powerpc64le-linux-gnu-"
ELF = os.path.splitext(support.FIRMWARE)[0] + ".elf"


class Debugger:
    """A connection to the stub; the processor stands still while it is made. Numbers of registers
    are those that QEMU has for the 64-bit PowerPC."""

    SPECIAL = {"pc": 64, "msr": 65, "cr": 66, "lr": 67, "ctr": 68, "xer": 69}
    NUMBERS = {**{f"r{n}": n for n in range(32)}, **SPECIAL}

    def __init__(self, path, timeout):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(path)
        self._input = self._socket.makefile("rb")
        # Older QEMUs give no registers to those who have not read their description.
        self.command("qSupported:xmlRegisters=powerpc")
        assert self.command("qXfer:features:read:target.xml:0,ffb").startswith(("l", "m"))

    def close(self):
        self._input.close()
        self._socket.close()

    def _send(self, text):
        packet = f"${text}#{sum(text.encode()) & 0xFF:02x}"
        self._socket.sendall(packet.encode())

    def _receive(self):
        while (byte := self._input.read(1)) != b"$":
            assert byte, "QEMU has ended"
        text = b""
        while (byte := self._input.read(1)) != b"#":
            assert byte, "QEMU has ended"
            text += byte
        self._input.read(2)
        with contextlib.suppress(BrokenPipeError):  # QEMU may have ended since
            self._socket.sendall(b"+")
        return text.decode("latin-1")

    def command(self, text):
        self._send(text)
        return self._receive()

    def _done(self, text):
        answer = self.command(text)
        assert answer == "OK", f"{text}: {answer!r}"

    PIECE = 1024  # bytes that go into one of QEMU's packets

    def read(self, address, size):
        return b"".join(bytes.fromhex(self.command(f"m{address + at:x},{min(self.PIECE, size - at):x}"))
                        for at in range(0, size, self.PIECE))

    def write(self, address, data):
        for at in range(0, len(data), self.PIECE):
            piece = data[at:at + self.PIECE]
            self._done(f"M{address + at:x},{len(piece):x}:{piece.hex()}")

    def _order(self):
        """Registers come in the order that the processor has data in; MSR tells which."""
        raw = bytes.fromhex(self.command("p41"))
        return "little" if raw[0] & 1 and raw[7] != 1 else "big"

    def _register(self, name, order):
        return int.from_bytes(bytes.fromhex(self.command(f"p{self.NUMBERS[name]:x}")), order)

    def register(self, name):
        """One of them: much faster."""
        return self._register(name, self._order())

    @property
    def registers(self):
        order = self._order()
        return {name: self._register(name, order) for name in self.NUMBERS}

    def set_register(self, name, value):
        self._done(f"P{self.NUMBERS[name]:x}={value.to_bytes(8, self._order()).hex()}")

    def set_breakpoint(self, address):
        self._done(f"Z0,{address:x},4")

    def clear_breakpoint(self, address):
        self._done(f"z0,{address:x},4")

    def step(self):
        """One instruction, even if there is a breakpoint on it (go() would not leave it)."""
        self._send("s")
        self.wait_for_stop()

    @contextlib.contextmanager
    def breakpoints(self, *addresses):
        for address in addresses:
            self.set_breakpoint(address)
        yield
        for address in addresses:
            self.clear_breakpoint(address)

    def go(self):
        """Lets the processor run."""
        self._send("c")
        assert self._input.read(1) == b"+"

    def has_stopped(self):
        """After go(): wait() would return at once."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def wait(self):
        """Until the processor stands at a breakpoint; returns where."""
        answer = self._receive()
        assert answer.startswith("T05"), f"the processor did not stop at a breakpoint: {answer!r}"
        return self.register("pc")

    def wait_for_stop(self):
        """Until the processor stands, for whatever reason."""
        answer = self._receive()
        assert answer.startswith("T"), f"the processor did not stop: {answer!r}"

    def detach(self):
        """Removes all breakpoints and lets the processor run."""
        self._done("D")

    def run_to(self, address):
        """Runs until the processor is about to execute what is at `address`."""
        self.set_breakpoint(address)
        self.go()
        assert self.wait() == address
        self.clear_breakpoint(address)


@contextlib.contextmanager
def debugging(client, arguments=(), timeout=support.TIMEOUT, **options):
    """A machine with this program, its processor about to execute its first instruction."""
    with tempfile.TemporaryDirectory(prefix="spillway-") as folder:
        path = os.path.join(folder, "gdb")
        machine = sq.Machine(
            ["-gdb", f"unix:{path},server=on,wait=off", *arguments], firmware=support.FIRMWARE,
            qemu=support.QEMU, kernel=support.program(client), timeout=timeout, **options)
        print("$", machine.command_line)
        try:
            with machine:
                debugger = Debugger(path, timeout)
                try:
                    yield machine, debugger
                finally:
                    debugger.close()
        finally:
            print(machine.console)


class Symbols:
    """The functions and other symbols of an ELF file, by their full C++ names. `functions` holds the
    ranges of addresses of those that have a size; symbols["name"] is where a call of it arrives: with
    this ABI (ELFv2, 2.3.2.1) often behind the instructions that only calls through pointers need."""

    def __init__(self, path):
        self.path = path
        output = subprocess.run([TOOLS + "readelf", "-s", "-W", "-C", path],
                                stdout=subprocess.PIPE, text=True, check=True).stdout
        self._entries, self.functions = {}, {}
        for address, size, kind, skipped, name in re.findall(
                r"^ *\d+: ([0-9a-f]+) +(\d+) (FUNC|OBJECT|NOTYPE) +\w+ +\w+ +(?:\[<localentry>: (\d+)\])? +"
                r"\w+ (.+)$", output, re.MULTILINE):
            start = int(address, 16)
            self._entries[name] = start + int(skipped or 0)
            if kind == "FUNC" and int(size):
                self.functions[name] = range(start, start + int(size))

    def __getitem__(self, name):
        """Of functions the argument list may be left out."""
        pattern = re.compile(re.escape(name) + r"(\(.*\)( const)?)?")
        found = [address for full, address in self._entries.items() if pattern.fullmatch(full)]
        assert len(found) == 1, f"{len(found)} symbols {name} in {self.path}"
        return found[0]

    def function_at(self, address):
        """The full name of the function that `address` lies in, or None."""
        return next((name for name, place in self.functions.items() if address in place), None)


@functools.lru_cache
def symbols(path=ELF):
    return Symbols(path)


def source_functions(addresses, path=ELF):
    """For each address the functions that the debugging information names, inlined ones first."""
    found = []
    for address in addresses:
        output = subprocess.run([TOOLS + "addr2line", "-f", "-i", "-C", "-e", path, f"{address:x}"],
                                stdout=subprocess.PIPE, text=True, check=True).stdout
        found.append(output.splitlines()[::2])
    return found

