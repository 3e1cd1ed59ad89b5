# SPDX-License-Identifier: BSD-2-Clause
"""Campaigns of events against the firmware on target: each is made of numbered cases, and a case is made
from its campaign's name and its number alone. `scripts/events` runs them whole, test_campaigns.py a part.

    for outcome in run("resets", [0, 1, 2]):
        print(outcome.number, outcome.text, outcome.failure)"""
import collections
import functools
import itertools
import os
import random
import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass

import debugger
import spillway_qemu as sq
import support
from counted import CountedMachine, without_times
from debugger import symbols
from test_events import check_report, reports, without_errors

MSR_RECOVERABLE = 2
SEED = "spillway"  # of all campaigns
PER_MACHINE = 50  # cases that one QEMU serves, one boot after the other
TIMEOUT = 900  # seconds for that: they take ten, but machines are shared

DEVICES = [support.DEVICE_MIX, [], [*support.host_bridges(1), "virtio-rng-pci,bus=phb1.0", "virtio-net-pci"]]
MODES = ["big_32", "big_64", "little_64"]


@dataclass
class Outcome:
    number: int
    text: str  # in few words; the same for all cases that ended alike
    failure: str = ""  # what is wrong with it


def ensure(condition, *words):
    """An assertion that does not depend on who imported this."""
    if not condition:
        raise AssertionError(" ".join(map(str, words)))


def same_boot(machine, text=None):
    """That the text is what every boot of this machine says, its tree included."""
    text = machine.said() if text is None else text
    ensure(without_times(text) == without_times(machine.boot_text), "another boot than before:\n" + text)


class Campaign:
    """`program` is a program of tests/client; a case is done on a machine that its reset has just left."""

    program = "tree"
    what = ""  # the case that is being done, in words

    def __init__(self, machine):
        self.machine = machine
        self.debugger = machine.debugger

    def case(self, dice):
        raise NotImplementedError


class Resets(Campaign):
    """A reset at any instruction of firmware and program; the boot after it is like any other."""

    def case(self, dice):
        count = dice.randrange(self.machine.boot_length)
        self.what = f"reset after {count} instructions"
        self.machine.run_to(count)
        self.machine.reset()
        status = self.machine.run()
        ensure(status == "shutdown", status, self.machine.said())
        same_boot(self.machine)
        return "booted again, with the same tree"


class Nmis(Campaign):
    """An NMI at any instruction, with more of them where the machine has just started and where a program
    enters and leaves the firmware."""

    CALLS = 20  # client calls whose ends are aimed at

    def __init__(self, machine):
        super().__init__(machine)
        enter = symbols()["little_client"]
        size = symbols()["enter_program"] - enter
        code = self.debugger.read(enter, size)
        leave = enter + code.index(bytes.fromhex("2400004c"))  # rfid
        machine.reset()
        self._borders = []
        with self.debugger.breakpoints(enter, leave):
            for _ in range(2 * self.CALLS):
                ensure(machine.run() == "debug", "the program does not call")
                self._borders.append(machine.executed)
                self.debugger.step()

    def case(self, dice):
        machine = self.machine
        count = dice.choice([
            *[dice.randrange(machine.boot_length)] * 4, dice.randrange(100), dice.randrange(4000),
            *[dice.choice(self._borders) + dice.randrange(-16, 8)] * 2])
        machine.run_to(count)
        registers = self.debugger.registers
        started = any(self.debugger.read(symbols()["running"], 4))
        machine.qmp("inject-nmi")
        status = machine.run()
        said = machine.said()
        self.what = f"NMI after {count} instructions, at {registers['pc']:#x}"
        where = f"{status}\n{said}"
        if not started:
            ensure(status == "shutdown" and "error:" not in said, where)
            same_boot(machine)
            return "before anything is done: starts over"
        found = reports(said)
        ensure(len(found) == 1, where)
        check_report(found[0], registers)
        if registers["msr"] & MSR_RECOVERABLE:
            ensure(status == "shutdown" and "error: going on\n" in said, where)
            same_boot(machine, without_errors(said))
            return f"in {found[0]['place']}: reported, and went on"
        ensure(status == "guest-panicked" and said.endswith("the interrupted code cannot go on\n"), where)
        return f"in {found[0]['place']} where SRR0 and SRR1 are live: reported, and ended"


def ending(machine, status):
    """How a boot ended that was disturbed, in few words. It may only boot, or say why not."""
    said = machine.said()
    errors = re.findall("^error: (.*)", said, re.MULTILINE)
    where = f"{status} after {machine.executed} instructions\n{said}"
    places = {report["place"] for report in reports(said)}
    ensure("the firmware" not in places, "a fault of the firmware:", where)
    if places:
        return "a program crashed, and that was reported"
    if re.search("^(@done|the program powers off)$", said, re.MULTILINE):
        ensure(status == "shutdown" or errors[-1:] == ["halted"], "the end did not come:", where)
        return "booted"
    if status == "paused" and errors[-1:] != ["halted"]:
        place = machine.debugger.registers["pc"]
        ensure(place >= symbols()["memory_end"], f"silence, at {place:#x}:", where)
        return "what was entered as the program never ended"
    ensure(errors, "no boot, and no error said:", where)
    reason = re.sub(r"^/\S*: ", "PATH: ", errors[0])
    for pattern, word in [('".*"', "NAME"), (r"(propert(y|ies)) (?!cannot)\S+", r"\1 NAME"), (r"0x[0-9a-f]+|\d+", "N")]:
        reason = re.sub(pattern, word, reason)
    return "stopped, and said why: " + reason


CELLS = [0, 1, 2, 3, 4, 5, 8, 9, 64, 0x1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFC, 0xFFFFFFFF]


def any_cell(dice):
    return dice.choice([*CELLS, dice.randrange(256), dice.randrange(1 << 16), dice.randrange(1 << 32)])


class Blob:
    """Where things are in a flattened tree (Devicetree Specification, 5)."""

    def __init__(self, data):
        self.data = data
        self.tokens, self.names = [], []  # offsets; (offset, length)
        self.properties = []  # (offset of the length, name, length)
        (self.reservations,) = struct.unpack_from(">I", data, 16)
        for at, token, name in support.tokens(data):
            self.tokens.append(at)
            if token == 1:
                self.names.append((at + 4, len(name)))
            elif token == 3:
                self.properties.append((at + 4, name, *struct.unpack_from(">I", data, at + 4)))


# Properties that the firmware reads.
READ = """#address-cells #size-cells reg phandle linux,phandle device_type compatible ranges bus-range qemu,boot-kernel
    qemu,boot-kernel-le linux,initrd-start linux,initrd-end bootargs stdout-path timebase-frequency interrupt-map
    interrupt-parent ibm,pci-config-space-type ibm,read-pci-config ibm,write-pci-config power-off system-reboot
    ibm,os-term nvram-fetch nvram-store rtas-size #bytes""".split()


class Trees(Campaign):
    """Damage to the tree before the first instruction."""

    LIMIT = 12_000_000  # instructions; many of these end in a loop, as only the tree says how to power off

    def __init__(self, machine):
        super().__init__(machine)
        machine.reset()
        self._address = self.debugger.registers["r3"]
        size = int.from_bytes(self.debugger.read(self._address + 4, 4), "big")
        self._blob = Blob(self.debugger.read(self._address, size))

    def _random_bytes(self, dice, count):
        for _ in range(count):
            yield dice.randrange(len(self._blob.data)), dice.randbytes(1)

    def _header(self, dice):
        yield 4 * dice.randrange(10), struct.pack(">I", any_cell(dice))

    def _token(self, dice):
        yield dice.choice(self._blob.tokens), struct.pack(">I", dice.choice([1, 2, 3, 4, 9, any_cell(dice)]))

    def _length(self, dice):
        at, _, length = dice.choice(self._blob.properties)
        yield at, struct.pack(">I", dice.choice([any_cell(dice), max(0, length + dice.randrange(-8, 9))]))

    def _name_offset(self, dice):
        at, _, _ = dice.choice(self._blob.properties)
        yield at + 4, struct.pack(">I", any_cell(dice))

    def _node_name(self, dice):
        at, length = dice.choice(self._blob.names)
        yield at + dice.randrange(length + 1), dice.choice([b"\0", b"/", b"@", b",", b" ", b"\xff", dice.randbytes(1)])

    def _reservation(self, dice):
        yield self._blob.reservations + 8 * dice.randrange(2), struct.pack(">2I", any_cell(dice), any_cell(dice))

    def _value(self, dice):
        read = [found for found in self._blob.properties if found[1] in READ and found[2]]
        at, _, length = dice.choice(read)
        kind = dice.randrange(3)
        if kind == 0 and length >= 4:
            yield at + 8 + 4 * dice.randrange(length // 4), struct.pack(">I", any_cell(dice))
        else:
            yield at + 8, dice.randbytes(length) if kind == 1 else bytes([dice.choice([0, 0xFF])]) * length

    def case(self, dice):
        kinds = {
            **{f"{count} random bytes": functools.partial(self._random_bytes, count=count) for count in (1, 4, 16)},
            "a field of the header": self._header, "a token": self._token, "a length": self._length,
            "the name of a property": self._name_offset, "the name of a node": self._node_name,
            "a reservation": self._reservation, "a value": self._value, "another value": self._value,
        }
        kind = dice.choice(list(kinds))
        for offset, data in kinds[kind](dice):
            self.what = f"{kind}: at {offset:#x} {data[:32].hex()}"
            self.debugger.write(self._address + offset, data)
        return ending(self.machine, self.machine.run(self.LIMIT))


@dataclass
class Call:
    """A hypercall of the undisturbed boot: the instructions before it, its number, of RTAS the token, and where in the
    block the results begin, the status first."""

    count: int
    number: int
    token: int = 0
    results: int = 0
    reads: bool = False  # its second result is a value


H_RTAS, H_PUT_TERM_CHAR = 0xF000, 0x58
H_BUSY, RTAS_BUSY = 1, -2
# PAPR 14.5: busy, closed, not available, long busy, hardware, function, privilege, parameter, no memory, authority,
# resource, P2, P3, unsupported, state; and one that nobody knows.
CODES = [H_BUSY, 2, 3, 9900, 9905, -1, -2, -3, -4, -9, -10, -16, -55, -56, -67, -75, -12345]
# PAPR 7.2.8: hardware, busy, parameter, isolated, not authorized, extended delays; and one that nobody knows.
STATUSES = [-1, RTAS_BUSY, -3, -9001, -9002, 9900, 9905, -12345]

# In place of `sc 1` from one call on: calls of one kind are not made, but have this result. Entered with the
# call's number in r3 and its first argument in r4; r11, r12 and CR0 are free.
INSTEAD_OF_CALL = """
    cmpldi 3, {number}
    bne 1f
    li 3, {code}
    b target
1:  sc 1
    b target
"""
INSTEAD_OF_RTAS = """
    cmpldi 3, {number}
    bne 1f
    lwbrx 11, 0, 4
    lis 12, {token}@h
    ori 12, 12, {token}@l
    cmplw 11, 12
    bne 1f
    li 11, {results}
    li 12, {code}
    stwbrx 12, 11, 4
    li 3, 0
    b target
1:  sc 1
    b target
"""
FREE = 0x20  # RAM below the vectors, which the firmware does not use


@functools.cache
def assemble(text, address, target):
    """The code that runs at `address`; `b target` goes there."""
    with tempfile.TemporaryDirectory(prefix="spillway-") as folder:
        out = os.path.join(folder, "code")
        linker = f"-Wl,-N,-Ttext={address:#x},-e0,--build-id=none,--oformat=binary,--defsym=target={target:#x}"
        subprocess.run([debugger.TOOLS + "gcc", "-nostdlib", "-static", "-x", "assembler", "-", linker, "-o", out],
                       input=text.encode(), check=True)
        with open(out, "rb") as file:
            return file.read()


class Faults(Campaign):
    """Results of hypercalls, RTAS included: of one call, or of all of its kind from one on."""

    program = "list"

    def __init__(self, machine):
        super().__init__(machine)
        stub = symbols()["spillway_hypercall"]
        self._call = stub + self.debugger.read(stub, 64).index(bytes.fromhex("22000044"))  # sc 1
        machine.reset()
        self._calls = []
        end = symbols()["spillway::boot::power_off_machine"]
        with self.debugger.breakpoints(self._call, end):
            while machine.run() == "debug" and self.debugger.register("pc") != end:
                self._calls.append(self._read_call())
                self.debugger.step()
        machine.run()
        self._devices = machine.devices()
        self._kinds = {}
        for call in self._calls:
            self._kinds.setdefault((call.number, call.token), []).append(call)

    def _read_call(self):
        call = Call(self.machine.executed, self.debugger.register("r3"))
        if call.number == H_RTAS:
            call.token, arguments, results = struct.unpack(">3I", self.debugger.read(self.debugger.register("r4"), 12))
            call.results = 12 + 4 * arguments
            call.reads = results > 1
        return call

    def _result(self, dice, call):
        """What the call returns instead: (offset in the RTAS block or None, value)."""
        if call.number != H_RTAS or dice.random() < 0.2:
            return None, dice.choice(CODES)
        if call.reads and dice.random() < 0.4:
            return call.results + 4, dice.choice([-1, 0, 1, dice.randrange(1 << 15)])
        return call.results, dice.choice(STATUSES)

    def _once(self, call, offset, value, made):
        self.machine.run_to(call.count)
        ensure(self.debugger.register("pc") == self._call, "not where it was")
        block = self.debugger.register("r4")
        if made:
            self.debugger.step()
        else:
            self.debugger.set_register("pc", self._call + 4)
        if offset is not None:
            self.debugger.write(block + offset, struct.pack(">I", value % (1 << 32)))
            value = 0
        self.debugger.set_register("r3", value % (1 << 64))

    def _from_now_on(self, call, offset, value):
        self.machine.run_to(call.count)
        text = INSTEAD_OF_CALL if offset is None else INSTEAD_OF_RTAS
        code = text.format(number=call.number, token=call.token, results=call.results, code=value)
        self.debugger.write(FREE, assemble(code, FREE, self._call + 4))
        self.debugger.write(self._call, assemble("b target\n", self._call, FREE))

    def case(self, dice):
        machine = self.machine
        call = dice.choice(self._kinds[dice.choice(list(self._kinds))] if dice.random() < 0.3 else self._calls)
        offset, value = self._result(dice, call)
        how = dice.choice(["made", "not made", "not made from now on"])
        self.what = f"{call}, {how}: {offset} {value}"
        if how == "not made from now on":
            self._from_now_on(call, offset, value)
        else:
            self._once(call, offset, value, how == "made")
        status = machine.run()
        asks_again = [(None, H_BUSY)] if call.number == H_PUT_TERM_CHAR else [(call.results, RTAS_BUSY)]
        if how == "not made" and (offset, value) in asks_again:
            same_boot(machine)
        if call.number == H_PUT_TERM_CHAR:
            ensure(status == "shutdown", status)
            return "booted, though some text was lost"
        text = ending(machine, status)
        if text != "booted" or offset == call.results + 4:
            return text
        return self._compare()

    def _compare(self):
        """No device that is not there, and nothing wrong said of one."""
        changed = 0
        devices = self.machine.devices()
        for address, device in devices.items():
            before = self._devices.get(address, {})
            for name, value in device.items():
                ensure(value in (before.get(name), "-", "unknown"),
                       f"{address}: {name} is {value}, not {before.get(name)}\n{self.machine.said()}")
            changed += device != before
        lost = len(devices) < len(self._devices)
        return "booted" + (", some devices missing" if lost else "") + (", less said of some" if changed else "")


CAMPAIGNS = {"resets": Resets, "nmis": Nmis, "trees": Trees, "faults": Faults}


def run(name, numbers):
    """Runs these cases of the campaign, those of one machine together; returns their outcomes. What a failing case
    leaves behind harms no other: its machine is not used again."""
    campaign = CAMPAIGNS[name]
    outcomes = []
    for group, members in itertools.groupby(sorted(numbers), lambda number: number // PER_MACHINE):
        waiting = collections.deque(members)
        while waiting:
            with CountedMachine(f"{campaign.program}-{MODES[group % len(MODES)]}",
                                DEVICES[group // len(MODES) % len(DEVICES)], timeout=TIMEOUT) as machine:
                cases = campaign(machine)
                failed = False
                while waiting and not failed:
                    outcome = try_case(cases, name, waiting.popleft())
                    failed = bool(outcome.failure)
                    outcomes.append(outcome)
    return outcomes


def try_case(campaign, name, number):
    try:
        campaign.machine.reset()
        return Outcome(number, campaign.case(random.Random(f"{SEED} {name} {number}")))
    except (AssertionError, sq.MachineError, OSError, ValueError) as error:  # the last two: what QEMU said as it died
        return Outcome(number, "failed", f"{campaign.what}\n{error!r}\nagain: scripts/events {name} {number}")
