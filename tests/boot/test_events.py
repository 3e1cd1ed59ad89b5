# SPDX-License-Identifier: BSD-2-Clause
"""What happens in between: interrupts, resets, crashes, endings, and what the console says of them."""
import random
import re
import time

import pytest
from debugger import debugging, source_functions, symbols
from support import check, device_arguments, program, running

MODES = ["big_32", "big_64", "little_64"]
SEED = 20240607  # of everything random here; failures print the moment that they were about
MSR_LITTLE, MSR_RECOVERABLE, MSR_64 = 1, 2, 1 << 63
PANIC_PAUSES = ["-action", "panic=pause"]  # so that a test can see that QEMU was told


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


def start(words, mode, **options):
    """A machine in which the program does these words."""
    return running(client=f"events-{mode}", append=f"spillway.test={words} {options.pop('append', '')}", **options)


def wait_for_status(machine, status):
    """Until QEMU itself is in this state."""
    deadline = time.monotonic() + machine.timeout
    while (seen := machine.qmp("query-status")["status"]) != status:
        assert time.monotonic() < deadline, f"QEMU is {seen}, not {status}"
        time.sleep(0.02)


def stands_where(machine):
    """Stops the processor for a moment; the address that it was at."""
    machine.qmp("stop")
    where = int(re.search("NIP +([0-9a-f]+)", machine.hmp("info registers"))[1], 16)
    if machine.qmp("query-status")["status"] == "paused":
        machine.qmp("cont")
    return where


def wait_until_it_hangs(machine, mode, or_until=lambda: False):
    """Until the program is in its endless loop, or something else happens."""
    loop = symbols(program(f"events-{mode}")).functions["hang"]
    machine.wait_for("^@word hang$")
    deadline = time.monotonic() + machine.timeout
    while stands_where(machine) not in loop and not or_until():
        assert time.monotonic() < deadline


def reports(console):
    """What the firmware printed of each interrupt, as {name: value}: cause, vector, place, registers, and
    the addresses of the backtrace."""
    found = []
    for cause, vector, address, place, rest in re.findall(
            r"error: (.*), vector 0x([0-9a-f]+), at ([0-9a-f]{16}) in (the firmware|the program)\n"
            r"((?:^error:   .*\n|^error: called from.*\n)*)", console, re.MULTILINE):
        report = {"cause": cause, "vector": int(vector, 16), "pc": int(address, 16), "place": place,
                  "calls": [int(call, 16) for call in re.findall(r"^error:   ([0-9a-f]{8})\b", rest, re.MULTILINE)]}
        for name, value in re.findall(r"\b(MSR|DAR|DSISR|LR|CTR|CR|XER) +([0-9a-f]+)", rest):
            report[name.lower()] = int(value, 16)
        for first, values in re.findall(r"^error:   r(\d+) +([0-9a-f ]+)$", rest, re.MULTILINE):
            for number, value in enumerate(values.split(), int(first)):
                report[f"r{number}"] = int(value, 16)
        found.append(report)
    return found


def check_report(report, registers, cause="system reset (NMI)", vector=0x100):
    """That the report says what the debugger saw."""
    assert (report["cause"], report["vector"]) == (cause, vector)
    assert {name: report[name] for name in registers} == registers


def check_text(console):
    """Plain text: no escape sequences, nor anything else that a terminal would act on."""
    strange = set(re.findall(r"[^\n\t -~]", console))
    assert not strange, f"the console has {strange}"


def without_errors(console):
    """What was said besides the firmware's errors, which may come amid a line of the program."""
    return re.sub("error: .*\n", "", console)


# Interrupts.

def test_nmis_in_a_program_that_never_calls(mode):
    with start("hang", mode) as machine:
        for _ in range(20):
            wait_until_it_hangs(machine, mode)
            before = len(machine.console)
            machine.qmp("inject-nmi")
            machine.wait_for("^error: going on$", before)
    seen = reports(machine.console)
    assert len(seen) == 20
    assert {report["place"] for report in seen} == {"the program"}
    assert len({report["r1"] for report in seen}) == 1
    assert all(bool(report["msr"] & MSR_LITTLE) == (mode == "little_64") for report in seen)
    assert all(bool(report["msr"] & MSR_64) == (mode != "big_32") for report in seen)
    check_text(machine.console)


def test_nmi_when_instructions_are_counted():
    """QEMU's -icount, with which a guest's time depends on nothing outside."""
    with start("hang", "little_64", arguments=["-icount", "shift=auto"]) as machine:
        wait_until_it_hangs(machine, "little_64")
        machine.qmp("inject-nmi")
        machine.wait_for("^error: going on$")
        wait_until_it_hangs(machine, "little_64")
    assert len(reports(machine.console)) == 1


def test_nmi_during_the_report_of_another(mode):
    """The report starts over, with what it was about; then the program goes on."""
    with debugging(f"events-{mode}", append="spillway.test=hang") as (machine, debugger):
        debugger.run_to(symbols(program(f"events-{mode}"))["hang"])
        registers = debugger.registers
        machine.qmp("inject-nmi")
        for _ in range(20):
            debugger.run_to(symbols()["spillway::hcall::put_characters"])
            machine.qmp("inject-nmi")
        debugger.run_to(symbols(program(f"events-{mode}"))["hang"])
        assert debugger.registers == registers
    assert machine.console.count("error: going on\n") == 1
    check_report(reports(machine.console)[-1], registers)


def test_burst_of_nmis(mode):
    """Without an instruction in between, the second one destroys what the first one has not saved yet.
    That cannot be survived, so it must be reported; any other way they can."""
    def panicked():
        return machine.qmp("query-status")["status"] == "guest-panicked"

    with start("hang", mode, arguments=PANIC_PAUSES) as machine:
        wait_until_it_hangs(machine, mode)
        for _ in range(20):
            machine.qmp("inject-nmi")
        wait_until_it_hangs(machine, mode, or_until=panicked)
        lost = panicked()
        machine.wait_for(r"^error: MSR\[RI\] is clear: " if lost else "^error: going on$")
    print("lost" if lost else "survived")


def test_nmis_in_a_program_and_its_calls(mode):
    """At places that a debugger finds again, in turn in the program and in the firmware; afterwards the
    program goes on as if nothing had been."""
    places = [symbols(program(f"events-{mode}"))["call_firmware"], symbols()["client_interface_call"],
              symbols()["spillway::of::Client::find_service"], symbols()["spillway::of::Client::write"]]
    expected = []
    with debugging(f"events-{mode}", append="spillway.test=busy") as (machine, debugger):
        debugger.run_to(places[0])
        for number in range(20):
            debugger.run_to(places[number % len(places)])
            expected.append(debugger.registers)
            machine.qmp("inject-nmi")
        debugger.go()
        machine.wait_for("^@tick 0000004.$", machine.console.rindex("@tick"))
    seen = reports(machine.console)
    assert len(seen) == len(expected) == machine.console.count("error: going on")
    for report, registers in zip(seen, expected):
        check_report(report, registers)
    ticks = [int(tick, 16) for tick in re.findall("^@tick ([0-9a-f]{8})$", without_errors(machine.console), re.M)]
    assert ticks == list(range(len(ticks)))


def functions_of_the_boot(count, seed):
    """Seeded choice among the firmware's functions, but those in assembly and the one that ends it."""
    print("seed", seed)
    others = ("power_off_machine", "little_exception", "little_client", "resume", "enter_program")
    names = sorted(name for name in symbols().functions if not any(other in name for other in others))
    return {symbols()[name]: name for name in random.Random(seed).sample(names, count)}


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_nmis_in_the_firmware(seed):
    """One when each of some functions is first entered. All registers are printed as they were, and the
    boot succeeds. What is first entered for the report of another NMI is left alone."""
    places = functions_of_the_boot(100, seed)
    reset_stack = range(symbols()["reset_stack_bottom"], symbols()["reset_stack_top"])
    expected = []
    devices = device_arguments(["virtio-rng-pci", "pci-bridge,id=bridge", "virtio-rng-pci,bus=bridge,addr=1"])
    with debugging("list-little_64", devices) as (machine, debugger):
        machine.expected = machine.expected_devices()
        # Before this there is no console.
        debugger.run_to(symbols()["spillway::fdt::check_blob"])
        end = symbols()["spillway::boot::power_off_machine"]
        for address in [*places, end]:
            debugger.set_breakpoint(address)
        while True:
            debugger.go()
            address = debugger.wait()
            if address == end:
                break
            debugger.clear_breakpoint(address)
            registers = debugger.registers
            if registers["r1"] not in reset_stack:
                machine.qmp("inject-nmi")
                expected.append(registers)
        debugger.detach()
        machine.wait_for_end()
    seen = reports(machine.console)
    print(len(expected), "NMIs")
    assert len(expected) >= 20
    assert [hex(report["pc"]) for report in seen] == [hex(registers["pc"]) for registers in expected]
    for report, registers in zip(seen, expected):
        check_report(report, registers)
        assert report["place"] == "the firmware" and report["calls"][0] == registers["pc"]
    machine.console = re.sub(r"error: (.*, vector 0x100|  |called from|going on).*\n", "", machine.console)
    check(machine)


@pytest.mark.parametrize("seed", range(SEED, SEED + 2))
def test_nmis_at_any_moment_of_a_long_boot(seed):
    """The times are random; that the boot then succeeds is not. Each one waits for the report of the one
    before, and the last ones for the program: without an instruction in between, two are one too many."""
    print("seed", seed)
    dice = random.Random(seed)
    bridges = [f"pci-bridge,id=bridge{number}" for number in range(8)]
    devices = [f"virtio-rng-pci,bus=bridge{number % 8},addr={1 + number // 8:#x}" for number in range(216)]
    count = 0
    with debugging("list-big_32", device_arguments(bridges + devices)) as (machine, debugger):
        machine.expected = machine.expected_devices()
        debugger.set_breakpoint(symbols()["enter_program"])
        debugger.go()
        machine.wait_for("^Spillway")
        while not debugger.has_stopped():
            time.sleep(dice.uniform(0, 0.08))
            machine.qmp("inject-nmi")
            count += 1
            while machine.console.count("error: going on") < count and not debugger.has_stopped():
                time.sleep(0.002)
        debugger.wait()
        debugger.detach()
        machine.wait_for("^@done$")
        machine.wait_for_end()
    print(count, "NMIs")
    assert len(reports(machine.console)) == machine.console.count("error: going on") >= count - 1
    machine.console = without_errors(machine.console)
    check(machine)


def test_nmi_where_it_cannot_be_survived(mode):
    with start("unrecoverable,hang", mode, arguments=PANIC_PAUSES) as machine:
        wait_until_it_hangs(machine, mode)
        machine.qmp("inject-nmi")
        machine.wait_for(r"^error: MSR\[RI\] is clear: the interrupted code cannot go on$")
        wait_for_status(machine, "guest-panicked")
    (report,) = reports(machine.console)
    assert not report["msr"] & MSR_RECOVERABLE


def test_nmi_on_the_way_out_of_the_firmware():
    """SRR0 and SRR1 are live there: the way on is lost, and the machine says so and ends."""
    with debugging("events-big_64", PANIC_PAUSES, append="spillway.test=busy") as (machine, debugger):
        debugger.run_to(symbols()["little_client"])
        last = next(address for address in range(debugger.registers["pc"], symbols()["enter_program"], 4)
                    if debugger.read(address, 4) == bytes.fromhex("2400004c"))  # rfid
        debugger.run_to(last)
        machine.qmp("inject-nmi")
        debugger.go()
        machine.wait_for("the interrupted code cannot go on$")
        wait_for_status(machine, "guest-panicked")


# Resets.

def test_resets_at_any_function():
    """From a debugger, so at exactly repeatable moments: firmware and program alike."""
    places = functions_of_the_boot(70, SEED)
    resets = 0
    with debugging("list-little_64", reboot=True) as (machine, debugger):
        machine.expected = machine.expected_devices()
        for address in places:
            debugger.set_breakpoint(address)
        debugger.set_breakpoint(symbols()["spillway::boot::power_off_machine"])
        while True:
            debugger.go()
            address = debugger.wait()
            debugger.clear_breakpoint(address)
            if address not in places:
                break
            machine.qmp("system_reset")
            resets += 1
        debugger.detach()
        machine.wait_for_end()
    print(resets, "resets")
    assert resets >= 25
    machine.console = machine.console[machine.console.rindex("Spillway "):]
    check(machine)


def test_resets_at_any_moment_of_linux():
    print("seed", SEED)
    dice = random.Random(SEED)
    moments = ([dice.uniform(0, 0.1) for _ in range(12)] + [dice.uniform(0.1, 1) for _ in range(8)]
               + [dice.uniform(1, 3) for _ in range(5)])
    dice.shuffle(moments)
    with running("virtio-blk-pci", "virtio-net-pci,netdev=user", do="modules,net,disk,devices", reboot=True) as machine:
        for moment in moments:
            time.sleep(moment)
            machine.qmp("system_reset")
        machine.wait_for("^@done$")
        machine.wait_for_end()
    machine.console = machine.console[machine.console.rindex("Spillway "):]
    check(machine)
    assert "ping=ok" in machine.console
    check_text(machine.console)


# Crashes.

@pytest.mark.parametrize("word, cause, vector", [
    ("illegal", "illegal instruction", 0x700), ("load", "alignment", 0x600)])
def test_crash_of_a_program(word, cause, vector, mode):
    with start(word, mode, arguments=PANIC_PAUSES) as machine:
        machine.wait_for(f"^error: {cause}, vector")
        wait_for_status(machine, "guest-panicked")
    (report,) = reports(machine.console)
    assert (report["cause"], report["vector"], report["place"]) == (cause, vector, "the program")
    assert symbols(program(f"events-{mode}")).function_at(report["pc"]), "not an address of the program"
    assert word != "load" or report["dar"] == 0x400001
    check_text(machine.console)


def test_crash_ends_qemu():
    """With QEMU's own policy, and with one that tells whoever waits for it."""
    for policy, status in [([], 0), (["-action", "panic=exit-failure"], 1)]:
        with start("illegal", "little_64", arguments=policy) as machine:
            assert machine.wait_for_end() == status


@pytest.mark.parametrize("name", [
    "spillway::pci::allocate", "spillway::fdt::Tree::child", "spillway::hcall::Rtas::read_pci_config",
    "spillway::boot::prepare_program", "memcmp"])
def test_crash_of_the_firmware(name):
    """An instruction that is none; the addresses that are printed must be those of the calls."""
    address = symbols()[name]
    with debugging("list-big_64", [*PANIC_PAUSES, "-device", "virtio-rng-pci"]) as (machine, debugger):
        # From here on there are a console and a service that ends the machine.
        debugger.run_to(symbols()["spillway::pci::enumerate"])
        debugger.run_to(address)
        registers = debugger.registers
        debugger.write(address, bytes(4))
        debugger.go()
        wait_for_status(machine, "guest-panicked")
    seen = reports(machine.console)
    registers["msr"] |= 0x80000  # of SRR1: illegal instruction
    check_report(seen[0], registers, "illegal instruction", 0x700)
    assert seen[0]["place"] == "the firmware"
    names = [symbols().function_at(call) for call in seen[0]["calls"]]
    assert all(names), "an address that is in no function"
    assert names[0].startswith(name)
    assert names[-2:] == ["spillway_main", "little_exception"]
    sources = source_functions(seen[0]["calls"])
    assert all("??" not in inlined for inlined in sources), sources


def test_crash_of_a_service(mode):
    """The same while a program is being served, on the other stack."""
    with debugging(f"list-{mode}", PANIC_PAUSES) as (machine, debugger):
        debugger.run_to(symbols()["client_interface_call"])
        address = symbols()["spillway::of::Client::getprop"]
        debugger.write(address, bytes(4))
        debugger.go()
        wait_for_status(machine, "guest-panicked")
    (report,) = reports(machine.console)
    names = [symbols().function_at(call) for call in report["calls"]]
    assert names[0].startswith("spillway::of::Client::getprop(")
    assert "client_interface_call" in names[-2:] and names[-1] == "little_client", names


def test_crash_of_what_reports_crashes():
    """A console that cannot be formatted for any more: a bare line, and the machine still ends."""
    with debugging("list-big_64", PANIC_PAUSES) as (machine, debugger):
        debugger.run_to(symbols()["spillway::pci::enumerate"])
        debugger.write(symbols()["vsnprintf"], bytes(4))
        debugger.go()
        wait_for_status(machine, "guest-panicked")
    assert machine.console.endswith("\nerror: another fault while reporting one\n")


@pytest.mark.parametrize("stack, name", [
    ("main", "spillway::pci::enumerate"), ("main", "spillway::pci::describe"),
    ("client", "spillway::of::Client::call"), ("client", "spillway::of::Client::write")])
def test_stack_overflow(stack, name):
    """A stack with a few bytes left above its limit."""
    with debugging("list-little_64", PANIC_PAUSES) as (machine, debugger):
        debugger.run_to(symbols()["spillway::fdt::read_blob" if stack == "main" else "client_interface_call"])
        debugger.run_to(symbols()[name])
        assert debugger.registers["r13"] == symbols()[stack + "_stack_bottom"] + 0x1000
        debugger.set_register("r1", debugger.registers["r13"] + 16)
        debugger.go()
        wait_for_status(machine, "guest-panicked")
    report = reports(machine.console)[0]
    assert report["cause"] == "trap (a failed check, or the stack is used up)"
    assert symbols().function_at(report["pc"]).startswith(name)


# Endings.

@pytest.mark.parametrize("word, message", [
    ("exit", "the program has left (exit); powering off"), ("enter", "the program has left (enter); powering off"),
    ("return", "the program returned; powering off"), ("boot", "the program asks for a restart"),
    ("jump", "the reset vector was entered by a branch; restarting the machine")])
def test_ending(word, message, mode):
    with start(word, mode) as machine:
        assert machine.wait_for_end() == 0
    assert machine.console.rstrip().splitlines()[-1].removeprefix("error: ") == message
    assert machine.console.count("Spillway ") == 1  # without -no-reboot it would start again
    check_text(machine.console)


@pytest.mark.parametrize("word", ["boot", "jump"])
def test_restart(word, mode):
    with start(word, mode, reboot=True) as machine:
        machine.wait_for(f"(^@word {word}$(.|\n)*){{10}}")
        machine.qmp("stop")
    assert machine.console.count("Spillway ") >= 10


def test_bad_calls(mode):
    with start("badcalls", mode) as machine:
        machine.wait_for("^@done$")
        assert machine.wait_for_end() == 0
    assert re.findall(r"^@bad (\S+) (\S+)$", machine.console, re.M) == [
        (name, "ffffffff") for name in ("null", "odd", "unknown", "few", "many", "nameless", "far", "node",
                                        "buffer", "instance")]


def test_no_kernel():
    with running(kernel=False) as machine:
        assert machine.wait_for_end() == 0
    assert re.search("^error: nothing to boot: .*-kernel.*\nerror: powering off\n$", machine.console, re.M)
    check_text(machine.console)


def test_no_kernel_no_shutdown():
    with running(kernel=False, arguments=["-no-shutdown"]) as machine:
        wait_for_status(machine, "shutdown")


# A tree that is not one. The services that end a machine are in it, so this cannot.

def patch(offset, data):
    def apply(debugger):
        debugger.write(debugger.registers["r3"] + offset, data)
    return apply


DAMAGES = {
    "magic": patch(0, b"\xd0\x0d\xfe\xec"),
    "size 0": patch(4, bytes(4)),
    "size too large": patch(4, b"\xff\xff\xff\xf8"),
    "structure outside": patch(8, b"\x7f\xff\xff\xf8"),
    "strings outside": patch(12, b"\x7f\xff\xff\xf8"),
    "old version": patch(20, b"\0\0\0\x10"),
    "first token": lambda debugger: debugger.write(
        debugger.registers["r3"] + int.from_bytes(debugger.read(debugger.registers["r3"] + 8, 4), "big"), b"\0\0\0\7"),
    "no address": lambda debugger: debugger.set_register("r3", 0),
    "odd address": lambda debugger: debugger.set_register("r3", debugger.registers["r3"] + 1),
    "address beyond RAM": lambda debugger: debugger.set_register("r3", 0x7FF00000),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_tree(damage):
    with debugging("list-big_32") as (machine, debugger):
        DAMAGES[damage](debugger)
        debugger.go()
        machine.wait_for("^error: halted$")
    assert re.search("^error: .*\nerror: the boot cannot go on\nerror: halted\n$", machine.console, re.M)
    assert not reports(machine.console)
    check_text(machine.console)


# The console.

def test_log_levels():
    said = {}
    for level in ("quiet", "normal", "verbose", "no-such-level"):
        with running("virtio-rng-pci", client="list-big_64", append=f"spillway.log={level}") as machine:
            machine.wait_for("^@done$")
            machine.wait_for_end()
        check(machine)
        check_text(machine.console)
        said[level] = machine.console[:machine.console.index("@entry")].splitlines()
    assert said["quiet"] == []
    assert said["normal"][0].startswith("Spillway ")
    for step in ("memory", "tree", "pci", "virtio", "program", "hand-off"):
        assert any(line.startswith(step + " ") for line in said["normal"])
    assert len(said["verbose"]) > len(said["normal"]) == len(said["no-such-level"])


def test_quiet_linux_boot():
    """The kernel's lines follow at once; quiet is also the kernel's word, so there are hardly any."""
    with running("virtio-blk-pci", "e1000", do="devices", append="spillway.log=quiet") as machine:
        machine.wait_for("^@done$")
        machine.wait_for_end()
    check(machine)
    check_text(machine.console)
    assert "Spillway" not in machine.console and "quiesced" not in machine.console
