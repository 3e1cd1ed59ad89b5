# SPDX-License-Identifier: BSD-2-Clause
"""What the firmware does when something goes wrong that QEMU does not let go wrong: a debugger makes the
call, damages the tree, takes the memory away, or has the hypervisor or a device lie."""
import contextlib
import re
import struct

import pytest
from debugger import debugging, symbols
from support import BIT_33, device_arguments, program, tokens

FAILED = 0xFFFFFFFF
NOBODY = 0x12345678  # a handle of nothing
PANIC_PAUSES = ["-action", "panic=pause"]


# Calls of the client interface, made by the debugger in the place of a program.

class Client:
    ARRAY, TEXTS, BUFFER = 0x2000000, 0x2001000, 0x2002000  # RAM that nobody uses
    ENTRY = 0x1400

    def __init__(self, debugger, back):
        self._debugger, self._back, self._text = debugger, back, self.TEXTS
        self.lies = {}

    def _cell(self, argument):
        """Texts are put into memory, and their addresses are passed."""
        if isinstance(argument, int):
            return argument & 0xFFFFFFFF
        self._debugger.write(self._text, argument.encode() + b"\0")
        address, self._text = self._text, self._text + len(argument) + 1
        return address

    def raw(self, array):
        """Calls with this argument array's address; returns r3 (its low half)."""
        for name, value in (("r3", array), ("lr", self._back), ("pc", self.ENTRY)):
            self._debugger.set_register(name, value)
        Lies(self._debugger, self.lies).tell(until=[self._back])
        return self._debugger.register("r3") & 0xFFFFFFFF

    def all(self, service, *arguments, returns=1):
        """Returns r3, and the returns, which were 0x55555555 before."""
        self._text = self.TEXTS
        cells = [self._cell(service), len(arguments), returns, *map(self._cell, arguments)]
        end = self.ARRAY + 4 * len(cells)
        self._debugger.write(self.ARRAY, struct.pack(f">{len(cells)}I", *cells) + b"\x55" * 4 * returns)
        result = self.raw(self.ARRAY)
        return result, *struct.unpack(f">{returns}I", self._debugger.read(end, 4 * returns))

    def __call__(self, service, *arguments):
        """Returns the one return of a call that succeeds as such."""
        result, value = self.all(service, *arguments)
        assert result == 0, service
        return value

    def text(self, size):
        return self._debugger.read(self.BUFFER, size)


@contextlib.contextmanager
def calling(*devices):
    """A machine that does what the debugger calls."""
    name = "events-big_32"
    with debugging(name, [*device_arguments(devices), *PANIC_PAUSES], append="spillway.test=hang") as (
            machine, debugger):
        hang = symbols(program(name))["hang"]
        debugger.run_to(hang)
        yield machine, Client(debugger, hang)


def test_tree_services():
    with calling("virtio-rng-pci,addr=1") as (_, call):
        root, chosen = call("peer", 0), call("finddevice", "/chosen")
        buffer = call.BUFFER
        assert [call("parent", chosen), call("parent", root)] == [root, 0]
        assert [call(service, NOBODY) for service in ("peer", "child", "parent")] == [0, 0, 0]
        vty = call("finddevice", "/vdevice/vty@71000000")
        path = b"/vdevice/vty@71000000"
        for specifier in ("vty", "serial", "/vdevice/vty", "/vdevice/vty@71000000:a:b/c"):
            assert call("finddevice", specifier) == vty, specifier
        for specifier in ("", "vt", "vty/no", "/no/vty", "/vdevice/vty/no", "//"):
            assert call("finddevice", specifier) == FAILED, specifier
        assert call("canon", "vty:9600/8", buffer, 64) == len(path) + 7
        assert call.text(29) == path + b":9600/8\0"
        assert call("canon", "/vdevice/vty", buffer, 64) == len(path)
        assert call("canon", "nothing", buffer, 64) == call("canon", "vty", 0x2000, 64) == FAILED
        assert call("getprop", chosen, "stdout-path", buffer + 4, 64) == len(path) + 1
        assert call("package-to-path", vty, buffer, 4) == len(path)
        assert call.text(6) == path[:4] + path[:2]  # what was there
        assert call("package-to-path", NOBODY, buffer, 4) == call("instance-to-path", NOBODY, buffer, 4) == FAILED
        # Properties.
        assert call("setprop", chosen, "new-one", call.TEXTS, 4) == 4
        assert call("setprop", chosen, "new-one", call.TEXTS, 0) == 0
        assert call("setprop", call("finddevice", "/aliases"), "loop", call.ARRAY, 8) == 8
        for name in ("name", "phandle", "", "a/b", "linux,phandle"):
            assert call("setprop", chosen, name, call.TEXTS, 4) == FAILED, name
        assert call("setprop", chosen, "a", 0x2000, 4) == call("setprop", NOBODY, "a", buffer, 4) == FAILED
        assert call("setprop", chosen, "x" * 64, buffer, 4) == FAILED
        assert [call("getproplen", chosen, name) for name in ("name", "none", "new-one")] == [7, FAILED, 0]
        assert call("getproplen", NOBODY, "name") == call("getprop", NOBODY, "name", buffer, 1) == FAILED
        assert call("getprop", chosen, "name", buffer, 64) == 7
        assert call.text(7) == b"chosen\0"
        assert call("getprop", chosen, "name", 0x2000, 64) == FAILED
        assert call("nextprop", chosen, 0, buffer) == 1
        assert call.text(5) == b"name\0"
        assert call("nextprop", chosen, "none", buffer) == call("nextprop", NOBODY, 0, buffer) == FAILED
        assert call("nextprop", chosen, 0, 0x2000) == call("nextprop", chosen, 0x2000, buffer) == FAILED


def test_device_services():
    with calling() as (machine, call):
        vty, buffer = call("finddevice", "vty"), call.BUFFER
        terminal = call("open", "vty")
        assert call("instance-to-package", terminal) == vty
        assert call("instance-to-path", terminal, buffer, 64) == 21
        assert call.text(22) == b"/vdevice/vty@71000000\0"
        assert call("instance-to-package", vty) == FAILED
        assert call("write", terminal, call.BUFFER, 4) == 4
        assert call("read", terminal, buffer, 4) == 0xFFFFFFFE  # nothing was typed
        machine.say("typed by hand")
        while (read := call("read", terminal, buffer, 5)) == 0xFFFFFFFE:
            pass
        assert call.text(read) == b"typed"[:read]
        assert call("read", terminal, buffer, 0) == 0
        assert call("read", terminal, 0x2000, 4) == call("write", terminal, 0x2000, 4) == FAILED
        assert call("read", terminal + 1, buffer, 4) == call("seek", terminal, 0, 0) == FAILED
        # What a node's instances can do.
        assert [call("test-method", vty, name) for name in ("open", "read", "draw")] == [0, 0, FAILED]
        assert call("test-method", NOBODY, "open") == FAILED
        assert call.all("call-method", "write", terminal, 2, call.TEXTS, returns=2) == (0, 0, 2)
        assert call.all("call-method", "read", terminal, 0, buffer, returns=2) == (0, 0, 0)
        assert call.all("call-method", "draw", terminal, returns=2) == (0, FAILED, 0)
        rtas = call("open", "/rtas")
        assert call.all("call-method", "instantiate-rtas", rtas, 0x3000000, returns=2) == (0, 0, 0x3000000)
        assert call.all("call-method", "instantiate-rtas", rtas, 0x2000, returns=2) == (0, FAILED, 0)
        root = call("open", "/")
        support = "ibm,client-architecture-support"
        assert call.all("call-method", support, root, 0x2000, returns=2) == (0, 0, FAILED)
        # Opening and closing.
        assert [call("open", path) for path in ("/none", "")] == [0, 0]
        assert call.all("close", terminal, returns=0) == (0,)
        assert call.all("close", terminal, returns=0) == (FAILED,)
        opened = [call("open", "/") for _ in range(70)]
        assert 0 in opened and opened[0] != 0
        assert [call("test", name) for name in ("open", "nothing")] == [0, FAILED]
        assert call("milliseconds") <= call("milliseconds")
        assert [call("interpret", text) for text in (" cursor-on ", "1 2 +")] == [0, FAILED]
        assert call("interpret", "x" * 200) == call("interpret", 0x2000) == FAILED
        assert call.all("boot", 0x2000, returns=0) == (FAILED,)


def test_memory_services():
    with calling() as (_, call):
        assert call("claim", 0x4000000, 0x1000, 0) == 0x4000000
        for start, size in ((0x4000000, 0x1000), (0x4000800, 0x10), (0, 0x10000), (0xFFFFF000, 0x2000),
                            (0xF0000000, 0x1000), (0x5000000, 0)):
            assert call("claim", start, size, 0) == FAILED, hex(start)
        assert call("claim", 0, 0x1000, 0x10000) % 0x10000 == 0
        assert call("claim", 0, 0x1000, 0x10001) % 0x20000 == 0
        for size, alignment in ((0x80000000, 1), (0, 1)):
            assert call("claim", 0, size, alignment) == FAILED
        assert call.all("release", 0x4000400, 0x100, returns=0) == (0,)
        for start, size in ((0x4000400, 0x100), (0, 0x1000), (0x5000000, 0x1000), (0x4000000, 0)):
            assert call.all("release", start, size, returns=0) == (FAILED,), hex(start)
        # So many pieces that there is no room for another one.
        places = range(0x6000000, 0x6000000 + 600 * 0x2000, 0x2000)
        assert FAILED in [call("claim", place, 0x1000, 0) for place in places]


def test_arrays_that_are_none():
    with calling() as (machine, call):
        for array in (0, 1, 0x2000, 0x3FFFFFFC, 0xFFFFFFFC, call.ARRAY + 2):
            assert call.raw(array) == FAILED, hex(array)
        assert call.all("none", returns=1)[0] == call.all("peer", returns=1)[0] == FAILED
        assert call.all("\x01\x02", returns=0)[0] == call.all("x" * 70, returns=0)[0] == FAILED
        assert call.all(0x2000, returns=0)[0] == FAILED
        assert call.all("peer", *range(11))[0] == call.all("peer", 0, returns=11)[0] == FAILED
        # The returns of a call are not a place for its results, nor is its array.
        assert call("getprop", call("finddevice", "/"), "compatible", call.ARRAY, 64) == FAILED
    assert "error" not in machine.console


def test_calls_after_quiesce():
    with calling("virtio-rng-pci", "virtio-balloon-pci,disable-modern=on") as (machine, call):
        root = call("open", "/")
        for _ in range(2):
            assert call.all("quiesce", returns=0) == (0,)
        assert call("finddevice", "/chosen") != FAILED
        assert call.all("call-method", "ibm,client-architecture-support", root, call.BUFFER,
                        returns=2) == (0, 0, FAILED)
    assert machine.console.count("quiesced") == 1


# Boots that something happens to. Each ends: with the program, or with words that say why not.

ENDS = "^(@done|error: (powering off|halted|the boot cannot go on))$"


def end_of(machine):
    """Waits for the boot's end. The firmware itself must never be what fails."""
    machine.wait_for(ENDS)
    assert not re.search("^error: .*, vector 0x", machine.console, re.MULTILINE)


class Tree:
    """The hypervisor's tree in the machine's memory."""

    def __init__(self, debugger):
        self._debugger, self._start = debugger, debugger.registers["r3"]
        size = int.from_bytes(debugger.read(self._start + 4, 4), "big")
        self._blob = debugger.read(self._start, size)
        self._places = {}  # path: of its name; (path, property): of its token
        self._find_places()

    def _cell(self, at):
        return int.from_bytes(self._blob[at:at + 4], "big")

    def _find_places(self):
        path = []
        for at, token, name in tokens(self._blob):
            if token == 1:
                path.append(name)
                self._places["/".join(path) or "/"] = at + 4
            elif token == 2:
                path.pop()
            elif token == 3:
                self._places["/".join(path) or "/", name] = at

    def _write(self, at, data):
        self._debugger.write(self._start + at, data)

    def set(self, path, name, value, offset=0):
        self._write(self._places[path, name] + 12 + offset, value)

    def set_all(self, name, value):
        for place in self._places:
            if place[1:] == (name,):
                self.set(*place, value)

    def hide(self, path, name):
        """Gives the property another name: its own without the first letter."""
        at = self._places[path, name] + 8
        self._write(at, (self._cell(at) + 1).to_bytes(4, "big"))

    def shorten(self, path, name):
        """Leaves the property without a value; tokens that do nothing take its place."""
        at = self._places[path, name]
        size = self._cell(at + 4) + 3 & ~3
        self._write(at + 4, bytes(4))
        self._write(at + 12, (4).to_bytes(4, "big") * (size // 4))

    def rename(self, path, name):
        """Of the same length."""
        self._write(self._places[path], name.encode())

    def reserve(self, start, size):
        """In the place of the first reservation."""
        self._write(self._cell(16), struct.pack(">2Q", start, size))


PHB = "/pci@800000020000000"
BRIDGED = ["virtio-rng-pci,addr=1", "pci-bridge,id=bridge,addr=2",
           f"virtio-blk-pci-non-transitional,bus=bridge,addr=3,{BIT_33}"]


def cells(*values):
    return struct.pack(f">{len(values)}I", *values)


UNHEARD = "^hand-off "  # what the program says after that goes nowhere
TREES = {  # what is done to it: what is said
    "no memory": (lambda tree: tree.hide("/memory@0", "device_type"), "error: memory@0 has 0 MiB, needs 128"),
    "memory elsewhere": (lambda tree: tree.set("/memory@0", "reg", cells(0, 0x1000000)), "error: memory@0 has"),
    "memory without end": (lambda tree: tree.set("/memory@0", "reg", cells(0, 0x1000, ~0 & 0xFFFFFFFF, 0)), "error: "),
    "memory without reg": (lambda tree: tree.shorten("/memory@0", "reg"), "error: memory@0 has 0 MiB"),
    "no RTAS calls": (lambda tree: [tree.hide("/rtas", f"ibm,{way}-pci-config") for way in ("read", "write")],
                      "^pci .* 0 functions"),
    "reserved over the firmware": (lambda tree: tree.reserve(0, 0x200000), "error: "),
    "nothing reserved": (lambda tree: tree.reserve(0x3000000, 0), "^@done$"),
    "ranges hidden": (lambda tree: tree.hide(PHB, "ranges"), "^@done$"),
    "ranges empty": (lambda tree: tree.shorten(PHB, "ranges"), "^@done$"),
    "ranges overlap": (lambda tree: tree.set(PHB, "ranges", bytes(28 * 3)), "^@done$"),
    "ranges beyond the address space": (
        lambda tree: tree.set(PHB, "ranges", cells(0x2000000, ~0 & 0xFFFFFFFF, 0, 0, 0, 0xFFFF, 0)), "^@done$"),
    "bus range hidden": (lambda tree: tree.hide(PHB, "bus-range"), "^@done$"),
    "bus range reversed": (lambda tree: tree.set(PHB, "bus-range", cells(9, 1)), "^(warning|error): "),
    "bus range of one": (lambda tree: tree.set(PHB, "bus-range", cells(0, 0)), "^@done$"),
    "host bridge without reg": (lambda tree: tree.hide(PHB, "reg"), "^(warning|error): "),
    "not enumerated": (lambda tree: tree.hide(PHB, "qemu,phb-enumerated"), "^@done$"),
    "functions without reg": (lambda tree: [tree.hide(f"{PHB}/legacy-device@1", "reg"),
                                            tree.hide(f"{PHB}/pci@2", "reg")], "^@done$"),
    "functions of another name": (lambda tree: [tree.hide(f"{PHB}/pci@2", "reg"),
                                                tree.rename(f"{PHB}/pci@2", "pci@7")], "^@done$"),
    "one phandle for all": (lambda tree: tree.set_all("phandle", cells(0x1111)), ENDS),
    "phandles of nothing": (lambda tree: tree.set_all("phandle", cells(0)), ENDS),
    "no time base": (lambda tree: tree.hide("/cpus/PowerPC,POWER9@0", "timebase-frequency"), "^@done$"),
    "no processors": (lambda tree: tree.rename("/cpus", "cpuz"), "^@done$"),
    "no terminal": (lambda tree: tree.hide("/vdevice/vty@71000000", "device_type"), UNHEARD),
    "no devices": (lambda tree: tree.rename("/vdevice", "vdevicf"), UNHEARD),
    "terminal of another address": (lambda tree: [tree.hide("/chosen", "stdout-path"),
                                                  tree.hide("/vdevice/vty@71000000", "reg")], "^@done$"),
    "root with one cell": (lambda tree: tree.set("/", "#address-cells", cells(1)), ENDS),
    "nothing chosen": (lambda tree: tree.rename("/chosen", "choses"), "error: nothing to boot"),
    "kernel cut": (lambda tree: tree.shorten("/chosen", "qemu,boot-kernel"), "error: nothing to boot"),
    "kernel on the firmware": (lambda tree: tree.set("/chosen", "qemu,boot-kernel", cells(0, 0x1000, 0, 0x2000)),
                               "error: the program at 0x1000 .* covers the firmware"),
    "kernel nowhere": (lambda tree: tree.set("/chosen", "qemu,boot-kernel", cells(0, 0xF0000000)),
                       "error: the program at 0xf0000000 .* is not in RAM"),
    "blank NVRAM": (lambda tree: tree.set("/vdevice/nvram@71000001", "#bytes", cells(0x10000)), "^@done$"),
    "NVRAM larger than it is": (lambda tree: tree.set("/vdevice/nvram@71000001", "#bytes", cells(0x200000)), "^@done$"),
}


@pytest.mark.parametrize("damage", TREES)
def test_trees_of_another_shape(damage):
    act, words = TREES[damage]
    with debugging("list-big_64", [*device_arguments(BRIDGED), *PANIC_PAUSES], append="spillway.log=verbose") as (
            machine, debugger):
        act(Tree(debugger))
        debugger.detach()
        machine.wait_for(words)
        if words != UNHEARD:
            end_of(machine)


# Answers that QEMU does not give.

class Lies:
    """Answers in the place of functions of the firmware. A lie is a function that gets this object at the
    entry of one of them, and returns whether it has answered."""

    def __init__(self, debugger, lies):
        self.debugger = debugger
        self._lies = {symbols()[name]: lie for name, lie in lies.items()}

    def argument(self, number):
        return self.debugger.register(f"r{2 + number}")

    def callers(self, depth):
        """The last return addresses; frames are the ABI's (ELFv2, 2.2.2)."""
        addresses, frame = [self.debugger.register("lr")], self.debugger.register("r1")
        while len(addresses) < depth:
            frame = int.from_bytes(self.debugger.read(frame, 8), "little")
            addresses.append(int.from_bytes(self.debugger.read(frame + 16, 8), "little"))
        return tuple(addresses)

    def answer(self, value):
        """Returns to the caller."""
        self.debugger.set_register("r3", value & (1 << 64) - 1)
        self.debugger.set_register("pc", self.debugger.register("lr"))
        return True

    def tell(self, until):
        """Runs until one of these places is reached."""
        for address in [*self._lies, *until]:
            self.debugger.set_breakpoint(address)
        while True:
            self.debugger.go()
            if (address := self.debugger.wait()) in until:
                break
            if not self._lies[address](self):
                self.debugger.step()
        for address in [*self._lies, *until]:
            self.debugger.clear_breakpoint(address)


def boot_with(lies, devices=BRIDGED, append=""):
    """Boots with these lies, {function: lie}; returns the console."""
    with debugging("list-big_64", [*device_arguments(devices), *PANIC_PAUSES], append=append) as (machine, debugger):
        debugger.run_to(symbols()["spillway::fdt::read_blob"])  # the first thing that can end the machine
        ends = [symbols()[f"spillway::boot::{end}"] for end in ("power_off_machine", "stop_after_fault")]
        Lies(debugger, lies).tell(until=ends)
        debugger.detach()
        end_of(machine)
    return machine.console


@pytest.mark.parametrize("asked, depth", [("malloc", 1), ("spillway::fdt::Arena::allocate", 3)])
def test_memory_that_runs_out(asked, depth):
    """Each way to ask for memory, by who called whom, is refused it once: the first time."""
    refused, ways = set(), {None}
    while ways - refused:
        wanted = min(ways - refused, key=str)
        seen = set()

        def refuse(lies, wanted=wanted, seen=seen):
            way = lies.callers(depth)
            first = way not in seen
            seen.add(way)
            return first and way == wanted and lies.answer(0)

        boot_with({asked: refuse})
        refused.add(wanted)
        ways |= seen
    print(len(ways), "ways")
    assert wanted is not None


# Config space. Addresses are bus << 16 | device << 11 | register (PAPR 7.3.8).

RNG, BRIDGE, BLOCK, CARD = 1 << 11, 2 << 11, 1 << 16 | 3 << 11, 4 << 11
MACHINE = [*BRIDGED, "e1000,addr=4"]
STATUS, CLASS, HEADER, BAR0, POINTER, ROM = 0x06, 0x08, 0x0C, 0x10, 0x34, 0x30


def config_lie(values):
    """Config space reads as this, {address: value}; writes are lost on nobody."""
    def lie(lies):
        address = lies.argument(3)
        if address not in values:
            return False
        lies.debugger.write(lies.argument(5), values[address].to_bytes(4, "little"))
        return lies.answer(0)
    return {"spillway::hcall::Rtas::read_pci_config": lie}


def structures(function, *wanted):
    """Lies about a list of virtio structures: (type, BAR, offset, length) each."""
    values, at = {function + POINTER: 0x40}, 0x40
    for type_, bar, offset, length in wanted:
        following = at + 16 if (type_, bar, offset, length) != wanted[-1] else 0
        values.update({function + at: type_ << 24 | 16 << 16 | following << 8 | 9, function + at + 4: bar,
                       function + at + 8: offset, function + at + 12: length})
        at += 16
    return values


WARNING = "^warning: virtio 0000:01:03.0: "
NOTIFY, ISR = (2, 4, 0x3000, 0x1000), (3, 4, 0x1000, 0x1000)
CONFIGS = {
    "header of another type": ({BLOCK + HEADER: 0x7F0000}, "^warning: pci 0000:01:03.0 has header type 0x7f"),
    "status of all ones": ({BLOCK + STATUS: 0xFFFF}, WARNING + "status register reads all ones"),
    "capabilities in the header": ({BLOCK + POINTER: 0x10}, WARNING + "capability pointer is 0x10"),
    "capability of all ones": ({BLOCK + POINTER: 0xF0, BLOCK + 0xF0: 0xFFFF},
                               WARNING + "capability at 0xf0 reads all ones"),
    "capabilities in a loop": ({BLOCK + POINTER: 0x40, BLOCK + 0x40: 0x4009},
                               WARNING + "capability list loops at 0x40"),
    "structure outside": (structures(BLOCK, (1, 4, 0x10000000, 0x1000), NOTIFY, ISR), "is outside BAR 4"),
    "structure off its place": (structures(BLOCK, (1, 4, 2, 0x1000), NOTIFY, ISR), "common .* is not aligned"),
    "structure too short": (structures(BLOCK, (1, 4, 0, 8), NOTIFY, ISR), "common .* has 8 bytes, needs 56"),
    "structure in no BAR": (structures(BLOCK, (1, 3, 0, 0x1000), NOTIFY, ISR), "names a BAR that does not exist"),
    "structure in a reserved BAR": (structures(BLOCK, (1, 7, 0, 0x1000), NOTIFY, ISR), "common .* is missing"),
    "structure missing": (structures(BLOCK, (1, 4, 0, 0x1000), NOTIFY), "ISR status is missing"),
    "no structures": ({BLOCK + POINTER: 0}, "common configuration is missing"),
    "no access by config space": (structures(BLOCK, (1, 4, 0, 0x1000), NOTIFY, ISR), "01:03.0 .* virtio block "),
    "legacy without a BAR": ({RNG + POINTER: 0, RNG + BAR0: 0}, "nor a legacy I/O BAR"),
    "BAR of a reserved kind": ({CARD + BAR0: 6}, "^warning: pci 0000:00:04.0: BAR at 0x10 is malformed"),
    "BAR of a reserved bit": ({CARD + BAR0: 0xFFFFFF03}, "^warning: pci 0000:00:04.0: BAR at 0x10 is malformed"),
    "BAR with holes": ({CARD + BAR0: 0xFF0F0000}, "^warning: pci 0000:00:04.0: BAR at 0x10 is malformed"),
    "64 bits in the last BAR": ({CARD + BAR0 + 20: 0xFFFFFFF4}, "^warning: pci 0000:00:04.0: BAR at 0x24 is malf"),
    "I/O of 16 bits": ({CARD + BAR0: 0xFFE1}, "^@done$"),
    "BAR of 64 bits that has no end": ({CARD + BAR0: 4, CARD + BAR0 + 4: 0}, "0x10 is malformed"),
    "ROM that cannot be disabled": ({CARD + ROM: 0xFFFF0001}, "^warning: pci 0000:00:04.0: BAR at 0x30 is malformed"),
    "a new bridge": ({CARD + HEADER: 0x010000}, "0000:00:04.0 .*\\(bridge\\)"),
    "more functions": ({CARD + HEADER: 0x800000, CARD + 0x100: 0x12345678, CARD + 0x10C: 0}, "0000:00:04.1 5678:1234"),
    "bridge without windows": ({BRIDGE + 0x1C: 0, BRIDGE + 0x20: 0, BRIDGE + 0x24: 0}, ENDS),
    "bridge of 32 bits": ({BRIDGE + 0x24: 0xFFF0FFF0, BRIDGE + 0x1C: 0xF1F1}, ENDS),
    "class of nothing": ({CARD + CLASS: 0}, "class 000000"),
    "class unknown": ({CARD + CLASS: 0x77000000}, "class 770000"),
}


@pytest.mark.parametrize("config", CONFIGS)
def test_config_space_that_lies(config):
    values, words = CONFIGS[config]
    console = boot_with(config_lie(values), MACHINE, append="spillway.log=verbose")
    assert re.search(words, console, re.MULTILINE)
    assert "@done" in console


def always(value):
    return lambda lies: lies.answer(value)


VIRTIO = {
    "gone": ({"Transport::status": always(0xFF)}, "device status reads as all ones"),
    "never resets": ({"Transport::status": always(1)}, "device status does not become 0 after a reset"),
    "offers everything": ({"Transport::offered_features": always(0xFFFFFFFF)}, "offered features read as all ones"),
    "offers nothing": ({"Transport::offered_features": always(0)}, "VIRTIO_F_VERSION_1 is not offered"),
}


@pytest.mark.parametrize("device", VIRTIO)
def test_virtio_device_that_lies(device):
    lies, words = VIRTIO[device]
    console = boot_with({f"spillway::virtio::{name}": lie for name, lie in lies.items()})
    assert f"{words}; nothing is claimed about its DMA" in console
    assert "@done" in console


# The hypervisor.

SUCCESS, HARDWARE, PARAMETER = 0, -1, -4
BYPASS, RTAS, UPDATE_DT, CAS, GET_CHARACTERS = 0xF006, 0xF000, 0xF003, 0xF002, 0x54


def hypercall_lie(numbers, status, *results):
    """These calls answer so, the results in r4 and on."""
    def lie(lies):
        if lies.argument(1) not in numbers:
            return False
        if results:
            lies.debugger.write(lies.argument(2), struct.pack(f"<{len(results)}Q", *results))
        return lies.answer(status)
    return {"spillway_hypercall": lie}


HYPERVISOR = {
    "no RTAS": (hypercall_lie([RTAS], HARDWARE), "^pci .* 0 functions"),
    "no final tree": (hypercall_lie([UPDATE_DT], PARAMETER), "^warning: the hypervisor does not get the final tree: "
                                                           "H_UPDATE_DT of [0-9]+ bytes: H_PARAMETER"),
    "a switch": (hypercall_lie([BYPASS], SUCCESS, 0, 1 << 60), " bypass=switchable "),
    "a switch that stays on": (hypercall_lie([BYPASS], SUCCESS, 1, 1 << 60), "its DMA bypass cannot be turned off"),
    "a switch that breaks": (hypercall_lie([BYPASS], HARDWARE), "^@done$"),
}


@pytest.mark.parametrize("answer", HYPERVISOR)
def test_hypervisor_that_lies(answer):
    lies, words = HYPERVISOR[answer]
    console = boot_with(lies, MACHINE)
    assert re.search(words, console, re.MULTILINE)


@pytest.mark.parametrize("status", [HARDWARE, SUCCESS])
def test_negotiation_that_fails(status):
    """Refused, or answered with nothing."""
    with calling() as (machine, call):
        call.lies = hypercall_lie([CAS], status)
        root = call("open", "/")
        assert call.all("call-method", "ibm,client-architecture-support", root, call.BUFFER,
                        returns=2) == (0, 0, FAILED)
        assert call("finddevice", "/chosen") != FAILED
