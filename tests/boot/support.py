# SPDX-License-Identifier: BSD-2-Clause
"""What the boot tests are made of.

    boot("virtio-rng-pci", "e1000,netdev=user", do="modules,net,devices")

starts a machine with these devices and what they need behind them, waits for the end of the guest's
work, and checks that the guest was told the truth of each device and that neither firmware nor kernel
complained. `running` is the same with a say in between. Whatever fails, the command line and the
whole console are printed."""
import contextlib
import hashlib
import os
import random
import re
import struct

import spillway_qemu as sq

ROOT = os.path.dirname(sq.SCRIPTS)
FIRMWARE = os.environ["SPILLWAY_TEST_FIRMWARE"]
QEMU = os.environ["SPILLWAY_TEST_QEMU"]
TIMEOUT = 120  # a boot takes a few seconds; machines are shared

# The programs that print the tree's devices in a tenth of a second, one per way to be entered.
CLIENTS = [f"list-{mode}{form}" for mode in ("big_32", "big_64", "little_64") for form in ("", "-flat")]

# What nobody may say; the firmware's own complaints first.
COMPLAINTS = [re.compile(text) for text in (
    r"^(error|warning): ",
    r"[Cc]an't (assign|claim)|failed to assign|no space for|no compatible bridge window",
    r"address space collision|BAR \d+.*: ((re)?assigned|error)",
    r"\bOops\b|\bBUG\b|WARNING: |Call Trace|Unable to handle|Kernel panic|kernel tried to",
    r"OF: .*([Ii]nvalid|[Ff]ailed|[Mm]issing|[Cc]ould not)|/pci@.*: (invalid|no|missing) ",
    r"irq: .*(fail|unable|no irq domain)|nobody cared|of_irq_parse|rejected",
    r"@modprobe |@unknown |@copy-failed|not found$",
)]


def program(name):
    """The file of a program of tests/client."""
    path = os.path.join(os.path.dirname(os.environ["SPILLWAY_TEST_FIRMWARE"]), "client", name + ".elf")
    assert os.path.exists(path), f"no {path}: make clients"
    return path


# Devices and what they need.

# Per pattern of type: an option, and its value or what makes the thing that the option names.
NEEDS = [
    (r"virtio-blk|nvme|scsi-hd|usb-storage", "drive",
     ["-drive", "driver=null-co,read-zeroes=on,size=64M,if=none,id={}"]),
    (r"nvme", "serial", "serial{}"),
    (r"virtio-9p", "fsdev", ["-fsdev", "synth,id={}"]),
    (r"virtio-9p", "mount_tag", "tag{}"),
    (r"virtio-crypto", "cryptodev", ["-object", "cryptodev-backend-builtin,id={}"]),
    (r"ivshmem-plain", "memdev", ["-object", "memory-backend-ram,size=1M,share=on,id={}"]),
    (r"pci-bridge", "chassis_nr", "{}"),
    # Option ROMs are packages of their own.
    (r"virtio-net|e1000|rtl8139|ne2k_pci|pcnet|vmxnet3|i82|tulip|sungem|rocker|VGA|.*-vga|"
     r".*-display|vmware-svga|virtio-gpu|sm501|megasas|mptsas|lsi|am53c974|dc390", "romfile", ""),
]


def device_arguments(devices):
    """QEMU's arguments for devices written like -device's. What they need is added where it is not
    given; netdev=user makes a network of its own."""
    arguments = []
    for number, text in enumerate(devices):
        type_, _, options = text.partition(",")
        given = dict(option.partition("=")[::2] for option in options.split(",") if option)
        if given.get("netdev") == "user":
            given["netdev"] = f"net{number}"
            arguments += ["-netdev", f"user,id=net{number}"]
        for pattern, option, value in NEEDS:
            if option not in given and re.match(pattern, type_):
                if isinstance(value, list):
                    name = f"{option}{number}"
                    arguments += [value[0], value[1].format(name)]
                    given[option] = name
                else:
                    given[option] = value.format(number + 1)
        options = "".join(f",{key}={value}" for key, value in given.items())
        arguments += ["-device", type_ + options]
    return arguments


BIT_33 = "iommu_platform=on"


# Every kind of device that the firmware tells apart.
DEVICE_MIX = [
    "virtio-blk-pci-transitional", f"virtio-net-pci-non-transitional,{BIT_33}",
    f"virtio-rng-pci,disable-legacy=on,{BIT_33}", "virtio-scsi-pci-non-transitional",
    "virtio-balloon-pci,disable-modern=on", "e1000", "qemu-xhci", "nvme",
    "pci-bridge,id=bridge", "virtio-blk-pci,bus=bridge,addr=1",
    f"virtio-blk-pci-non-transitional,bus=bridge,addr=2,{BIT_33}",
]


def host_bridges(last):
    """Devices: the host bridges 1 to `last` (0 is always there); their buses are phb1.0, ..."""
    return [f"spapr-pci-host-bridge,index={index},id=phb{index}" for index in range(1, last + 1)]


def disk_image(path, mib=4, seed=1):
    """Makes a disk of that size with random contents; returns -blockdev's arguments for it (the node
    has the file's name without its end) and the contents."""
    content = random.Random(seed).randbytes(mib << 20)
    path.write_bytes(content)
    return ["-blockdev", f"driver=raw,node-name={path.stem},file.driver=file,file.filename={path}"], content


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def initrd_with_programs(folder, **programs):
    """The tests' initrd with programs for the word run: texts of scripts, or files in `folder`."""
    files = {}
    for name, program in programs.items():
        files[name] = folder / name
        if isinstance(program, str):
            files[name].write_text(program)
    output = folder / "initrd.gz"
    sq.initrd_with(sq.guest_files()["initrd"], files, output)
    return output


# Machines.

@contextlib.contextmanager
def running(*devices, client=None, kernel=True, initrd=True, arguments=(), firmware=FIRMWARE,
            timeout=TIMEOUT, **options):
    """A running machine. client: one of CLIENTS instead of Linux; initrd: a file instead of the
    tests', or False for none; further options are those of Machine. `machine.expected` is what the
    guest should be told."""
    files = {"kernel": program(client)} if client else sq.guest_files()
    if not kernel:
        files = {}
    if not initrd:
        files.pop("initrd", None)
    elif initrd is not True:
        files["initrd"] = str(initrd)
    machine = sq.Machine([*arguments, *device_arguments(devices)], firmware=firmware, qemu=QEMU,
                         timeout=timeout, **files, **options)
    print("$", machine.command_line)
    try:
        with machine:
            machine.expected = machine.expected_devices()
            machine.go()
            yield machine
    finally:
        print(machine.console)


def complaints(console, allowed=()):
    """The lines of the console that nobody should have said; `allowed` are expressions."""
    allowed = [re.compile(text) for text in allowed]
    return [line for line in console.splitlines()
            if any(c.search(line) for c in COMPLAINTS) and not any(a.search(line) for a in allowed)]


def check(machine, allowed=(), hot_plugged=()):
    """That the guest was told the truth, and that nobody complained. `hot_plugged`: addresses of which
    the firmware could say nothing; the guest must only have found them."""
    reported = sq.parse_devices(machine.console)
    allowed = list(allowed)
    for address in hot_plugged:
        assert address in reported
        del reported[address]
        # The kernel looks for what firmware has assigned first, then assigns.
        allowed.append(rf"pci {address}: BAR \d+.*: (can't claim; no address assigned|assigned)$")
    expected = machine.expected
    assert not sq.differences(expected, reported)
    assert not complaints(machine.console, allowed)


def boot(*devices, do="devices", client=None, until="^@done$", allowed=(), **options):
    """Starts a machine, waits for its guest's work, checks it, returns it. Linux also prints its log,
    which is checked for complaints."""
    with running(*devices, client=client, do=None if client else do + ",dmesg", **options) as machine:
        machine.wait_for(until)
        machine.wait_for_end()
    check(machine, allowed)
    return machine


def lines(machine, kind, **values):
    """The guest's lines of this kind that have these values."""
    return [line for line in sq.parse_lines(machine.console, kind)
            if all(line.get(key) == value for key, value in values.items())]


def line(machine, kind, **values):
    """The one such line."""
    found = lines(machine, kind, **values)
    assert len(found) == 1, f"{len(found)} lines @{kind} with {values}"
    return found[0]


def interrupt_numbers(console):
    """What /proc/interrupts said: {Linux's number: (controller, the machine's number)}."""
    return {int(number): (chip, int(hardware)) for number, chip, hardware in re.findall(
        r"^ *(\d+):[ \d]+ +(\S+) +(\d+) (?:Edge|Level)", sq.section(console, "interrupts"), re.MULTILINE)}


def pin_interrupt(phb, *slots):
    """The machine's number of the interrupt of pin A of the function behind these slots, the outermost
    first: each bridge turns the pins of what is behind it by the slot number (PCI-to-PCI bridge
    specification, 9.1), and a host bridge has four interrupts."""
    return 0x1200 + 4 * phb + sum(slots) % 4


# Device trees.

def tokens(blob):
    """Offset, token and name (of a node or a property) of each token of a flattened tree, up to the end token
    (Devicetree Specification, 5). A property's size is the cell behind its token, its value 12 bytes behind it."""
    magic, _, at, strings = struct.unpack_from(">4I", blob)
    assert magic == 0xD00DFEED
    token = 0
    while token != 9:
        (token,) = struct.unpack_from(">I", blob, at)
        name, size = None, 4
        if token == 1:
            end = blob.index(b"\0", at + 4)
            name, size = blob[at + 4:end].decode(), end + 1 - at
        elif token == 3:
            length, offset = struct.unpack_from(">2I", blob, at + 4)
            name, size = blob[strings + offset:blob.index(b"\0", strings + offset)].decode(), 12 + length
        yield at, token, name
        at = (at + size + 3) & ~3


def flatten(blob):
    """A flattened tree as {path: {property: bytes}}."""
    nodes, path = {}, []
    for at, token, name in tokens(blob):
        if token == 1:
            path.append(name)
            nodes["/".join(path) or "/"] = {}
        elif token == 2:
            path.pop()
        elif token == 3:
            (size,) = struct.unpack_from(">I", blob, at + 4)
            nodes["/".join(path) or "/"][name] = blob[at + 12:at + 12 + size]
    return nodes


def tree_differences(first, second, ignored=()):
    """In words; `ignored` are "path:property"."""
    found = []
    for path in sorted(first.keys() | second.keys()):
        one, two = first.get(path), second.get(path)
        if one is None or two is None:
            found.append(f"{path}: only in the {'second' if one is None else 'first'}")
            continue
        for name in sorted(one.keys() | two.keys()):
            if one.get(name) != two.get(name) and f"{path}:{name}" not in ignored:
                found.append(f"{path}:{name}: {one.get(name)!r}, then {two.get(name)!r}")
    return found
