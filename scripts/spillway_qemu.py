# SPDX-License-Identifier: BSD-2-Clause
"""Runs a pseries machine, and knows from QEMU itself what its guest should be told.

    with Machine(["-device", "virtio-rng-pci"], firmware="build/spillway.bin",
                 **guest_files(), do="devices") as machine:
        expected = machine.expected_devices()
        machine.go()
        machine.wait_for("@done")
    reported = parse_devices(machine.console)
    assert not differences(expected, reported)

A machine has a hard limit of time. `timeout` (coreutils) guards it, so that no QEMU outlives its
limit even when Python is killed.
"""
import base64
import collections
import gzip
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

SCRIPTS = os.path.dirname(os.path.realpath(__file__))
# QEMU warns about mitigations that TCG lacks unless told that they are missing.
QUIET_TCG = "cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"


class MachineError(Exception):
    """QEMU or its guest did not do what was asked; the text says what, and ends with what was said."""


@dataclass
class Device:
    """What QEMU says of one PCI function, and so what the guest should find."""

    address: str  # as Linux writes it: domain:bus:slot.function
    type: str  # QEMU's name of the model
    id: str  # the command line's, or ""
    bridge: bool
    virtio: bool
    platform: bool  # virtio: offers feature bit 33
    modern: bool  # virtio: offers feature bit 32
    verdict: str  # "fixed", "switchable", or "-" for no property


def guest_files():
    """The kernel and initrd for Machine: Debian's, or those that KERNEL and INITRD name."""
    files = {"kernel": os.environ.get("KERNEL"), "initrd": os.environ.get("INITRD")}
    if not all(files.values()):
        run = subprocess.run([os.path.join(SCRIPTS, "guest")], stdout=subprocess.PIPE, text=True)
        if run.returncode:
            raise MachineError("scripts/guest failed")
        folder = run.stdout.strip()
        files["kernel"] = files["kernel"] or os.path.join(folder, "vmlinux")
        files["initrd"] = files["initrd"] or os.path.join(folder, "initrd.gz")
    return files


def initrd_with(initrd, files, output):
    """Writes to `output` the initrd and more `files`: {name in the guest: path here}, in folders that
    the initrd has. The word run=NAME runs one. (Linux takes archives one behind the other.)"""
    archive = b""
    for name, path in [*files.items(), ("TRAILER!!!", None)]:
        content = open(path, "rb").read() if path else b""
        fields = [0, 0o100755 if path else 0, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    with open(initrd, "rb") as first, open(output, "wb") as file:
        file.write(first.read() + gzip.compress(archive, mtime=0))


def qemu_version(qemu):
    """As in "QEMU 7.2.22"."""
    output = subprocess.run([qemu, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return "QEMU " + re.search(r"version (\S+)", output)[1]


def build_plugin(name, folder):
    """Compiles tests/plugin/NAME.c, unless the folder has it; returns the file."""
    path = os.path.join(folder, name + ".so")
    if not os.path.exists(path):
        source = os.path.join(os.path.dirname(SCRIPTS), "tests", "plugin", name + ".c")
        new = f"{path}.{os.getpid()}"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", new, source], check=True)
        os.rename(new, path)  # others may look for it meanwhile
    return path


class Machine:
    """One QEMU. `arguments` are QEMU's own; `do` are the words for the guest's init; `append` are
    further words for the kernel; `machine` are further options of -M. Without `firmware` QEMU uses
    its default one. A guest that reboots ends QEMU unless `reboot` is true. `defaults`: with QEMU's
    default devices. `serial`: where the first console goes; only "stdio" is read. `trace`: names of
    QEMU's trace points to count (see `traced`), with wildcards. The machine is made at `with` or
    `start()` and stands still until `go()`."""

    def __init__(self, arguments=(), *, firmware=None, kernel=None, initrd=None, do="", append="",
                 qemu="qemu-system-ppc64", machine="", memory="1G", reboot=False, defaults=False, serial="stdio",
                 timeout=120, on_text=None, trace=()):
        self.timeout = timeout
        self.console = ""  # all that the guest has said
        self._serial = serial
        self._on_text = on_text
        self._folder = self._errors = self._process = self._reader = None
        self._news = threading.Condition()  # guards the console
        self._ended = False
        self._trace = trace
        self._traced = self._waited = 0  # how much of the trace is counted, of the console waited for
        self._command = [
            qemu, "-M", ",".join(filter(None, ["pseries", QUIET_TCG, machine])), "-m", memory,
            *([] if defaults else ["-nodefaults"]), "-display", "none", "-S", *([] if reboot else ["-no-reboot"]),
            *(["-bios", firmware] if firmware else []), *(["-kernel", kernel] if kernel else []),
            *(["-initrd", initrd] if initrd else []), *arguments,
        ]
        # The kernel's tests of its cryptography take a fifth of its time and say nothing of firmware.
        words = " ".join(filter(None, [
            "console=hvc0 quiet cryptomgr.notests", append, do and "spillway.do=" + do]))
        if kernel:
            self._command += ["-append", words]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, interactive=False):
        """Starts QEMU, its guest not yet running. Interactive: its console is the terminal."""
        self._folder = tempfile.mkdtemp(prefix="spillway-")
        self._errors = open(os.path.join(self._folder, "errors"), "w+", errors="replace")
        try:
            self._start(interactive)
        except BaseException:
            self.stop()
            raise

    def _start(self, interactive):
        path = os.path.join(self._folder, "qmp")
        guard = ["timeout", "--foreground", "--kill-after=5", str(self.timeout)]
        self._deadline = time.monotonic() + self.timeout
        trace = [word for name in self._trace for word in ("-trace", name)]
        if trace:
            trace += ["-D", os.path.join(self._folder, "trace")]
        pipes = {} if interactive else {
            "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        self._process = subprocess.Popen(
            [*guard, *self._command, *trace, "-serial", "mon:stdio" if interactive else self._serial,
             "-qmp", f"unix:{path},server=on,wait=off"], **pipes)
        if not interactive:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        self._qmp = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self._qmp.connect(path)
                break
            except OSError:
                if self._process.poll() is not None or time.monotonic() > self._deadline:
                    self._fail("QEMU did not start")
                time.sleep(0.02)
        self._qmp.settimeout(self.timeout)
        self._replies = self._qmp.makefile("r")
        try:
            self._replies.readline()  # the greeting
            self.qmp("qmp_capabilities")
        except OSError:
            self._fail("QEMU ended at its start")

    @property
    def command_line(self):
        """What to type to see the same without this module."""
        return shlex.join(word for word in self._command if word != "-S")

    def stop(self):
        """Ends QEMU, if it still runs."""
        if self._process:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
                try:
                    self._process.wait(10)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            if self._reader:
                self._reader.join(10)
            self._process = None
        if self._folder:
            self._errors.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _fail(self, what):
        self._errors.seek(0)
        said = self._errors.read().strip()
        last = "\n".join(self.console.splitlines()[-15:])
        raise MachineError("\n".join(filter(None, [
            what, said and "QEMU said: " + said, last and "the console's last lines:\n" + last])))

    # The guest's side.

    def go(self):
        """Lets the guest run."""
        self.qmp("cont")

    def _read(self):
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            text = chunk.decode(errors="replace").replace("\r", "")
            with self._news:
                self.console += text
                self._news.notify_all()
            if self._on_text:
                self._on_text(text)
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, pattern, start=0):
        """Waits until the console holds a match of the pattern (a regular expression, ^ and $ for
        lines) from position `start`; returns the match. MachineError when QEMU ends or time does."""
        expression = re.compile(pattern, re.MULTILINE)
        with self._news:
            while not (match := expression.search(self.console, start)):
                left = self._deadline - time.monotonic()
                if left <= 0 or self._ended:
                    self._fail(f"the guest never said {pattern!r}: "
                               + ("QEMU ended" if self._ended else f"{self.timeout} s are over"))
                self._news.wait(left)
            return match

    @property
    def ended(self):
        """Whether QEMU has ended and all is read that its guest has said."""
        return self._ended

    def wait_for_end(self):
        """Waits until QEMU ends (the guest powered off, or with -no-reboot rebooted); returns its exit
        status."""
        try:
            self._process.wait(max(0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._fail(f"the guest still runs after {self.timeout} s")
        if self._reader:
            self._reader.join(10)
        return self._process.returncode

    def say(self, line):
        """Types a line at the guest's console."""
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def wait_for_pause(self):
        """Waits until the guest comes to its next word `wait`, where it stands until `resume`."""
        self._waited = self.wait_for("^@wait$", self._waited).end()

    def resume(self):
        """Lets a guest go on that waits."""
        self.say("")

    # QEMU's side.

    def traced(self):
        """How often each trace point was passed since the last call: {name: count}. Exact while the
        guest stands at a word `wait` and no device is at work."""
        with open(os.path.join(self._folder, "trace"), "rb") as file:
            file.seek(self._traced)
            news = file.read()
        self._traced += len(news)
        return collections.Counter(name.decode() for name in re.findall(rb"^(?:[0-9.@]+:)?(\w+) ", news, re.MULTILINE))

    def qmp(self, command, **arguments):
        """One QMP command; returns what it returns. Events are dropped."""
        self._qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while line := self._replies.readline():
            reply = json.loads(line)
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise MachineError(f"{command} {arguments}: {reply['error']['desc']}")
        self._fail(f"QEMU ended during {command}")

    def hmp(self, line):
        """One command of the human monitor; returns its text."""
        return self.qmp("human-monitor-command", **{"command-line": line})

    def _get(self, path, name, default=None):
        try:
            return self.qmp("qom-get", path=path, property=name)
        except MachineError:
            return default

    def _types(self, implements):
        return {t["name"] for t in self.qmp("qom-list-types", implements=implements, abstract=False)}

    def expected_devices(self):
        """Every PCI function of the machine, in the guest's order, with the verdict that the contract
        demands for it. Bus numbers follow QEMU's own enumeration: bridges in order, depth first."""
        functions, bridges, virtio, hosts = (
            self._types(t) for t in ("pci-device", "base-pci-bridge", "virtio-pci", "pci-host-bridge"))
        capable = self._get("/machine", "cap-pci-dma-bypass", False)
        children = {}  # of a bus's owner: [(devfn, path, type)]
        phbs = []
        for container in ("peripheral", "peripheral-anon", "unattached"):
            for child in self.qmp("qom-list", path=f"/machine/{container}"):
                type_ = child["type"].removeprefix("child<").removesuffix(">")
                path = f"/machine/{container}/{child['name']}"
                if type_ in hosts:
                    phbs.append((self._get(path, "index", 0), path))
                elif type_ in functions and (bus := self._get(path, "parent_bus")):
                    children.setdefault(os.path.dirname(bus), []).append(
                        (self._get(path, "addr"), path, type_))
        found = []

        def visit(owner, domain, bus, last_bus, phb_bypassed):
            for devfn, path, type_ in sorted(children.get(owner, [])):
                platform = type_ in virtio and self._get(path, "iommu_platform", False)
                if type_ in virtio and not platform:
                    verdict = "fixed"
                elif (capable and bus == 0 and type_ not in bridges and not phb_bypassed
                      and not type_.startswith("vfio-")):
                    verdict = "switchable"
                else:
                    verdict = "-"
                found.append(Device(
                    address=f"{domain:04x}:{bus:02x}:{devfn >> 3:02x}.{devfn & 7}",
                    type=type_, id=os.path.basename(path) if "/peripheral/" in path else "",
                    bridge=type_ in bridges, virtio=type_ in virtio, platform=platform,
                    modern=type_ in virtio and not self._get(path, "disable-modern", False),
                    verdict=verdict))
                if type_ in bridges:
                    last_bus = visit(path, domain, last_bus + 1, last_bus + 1, phb_bypassed)
            return last_bus

        for index, path in sorted(phbs):
            visit(path, index, 0, 0, self._get(path, "bypass-iommu", False))
        return sorted(found, key=lambda device: device.address)


# What the guest says.

def parse_lines(console, kind):
    """The console's "@kind key=value ..." lines as dictionaries."""
    return [dict(word.partition("=")[::2] for word in line.split()[1:])
            for line in re.findall(rf"^@{kind} .*", console, re.MULTILINE)]


def parse_devices(console):
    """The last report of the word `devices`: {address: {id, class, of, bypass, virtio, ...}}."""
    return {device["addr"]: device for device in parse_lines(console, "device")}


def section(console, name):
    """The text between the marks @name-begin and @name-end."""
    match = re.search(rf"^@{name}-begin\n(.*?)^@{name}-end", console, re.MULTILINE | re.DOTALL)
    if not match:
        raise MachineError(f"the guest printed no section {name}")
    return match[1]


def device_tree(console):
    """The flattened device tree that the word `tree` printed."""
    return gzip.decompress(base64.b64decode(section(console, "tree")))


def differences(expected, reported):
    """What the guest was told that QEMU denies, line by line; empty when they agree."""
    lines = []
    for device in expected:
        seen = reported.get(device.address)
        name = f"{device.address} {device.type}" + (f" ({device.id})" if device.id else "")
        if not seen:
            lines.append(f"{name}: the guest did not find it")
            continue
        if seen["bypass"] != device.verdict:
            lines.append(f"{name}: qemu,dma-bypass is {seen['bypass']}, should be {device.verdict}")
        if (seen["features"] != "-") != device.virtio or (seen["virtio"] != "-") != device.virtio:
            lines.append(f"{name}: says virtio={seen['virtio']} features={seen['features']}, but is "
                         + ("virtio" if device.virtio else "not virtio"))
        elif device.virtio:
            features = int(seen["features"], 16)
            for bit, offered in ((33, device.platform), (32, device.modern)):
                if features >> bit & 1 != offered:
                    lines.append(f"{name}: features {seen['features']}, but bit {bit} is "
                                 + ("offered" if offered else "not offered"))
    for address in sorted(set(reported) - {device.address for device in expected}):
        lines.append(f"{address} {reported[address]['id']}: not a device of this machine")
    return lines


def text_table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def table(expected, reported):
    """Both sides, device by device, for people."""
    rows = [("address", "device", "bit 33", "expected", "guest", "features", "node")]
    for device in expected:
        seen = reported.get(device.address, {})
        rows.append((device.address, device.id or device.type,
                     "" if not device.virtio else "yes" if device.platform else "no", device.verdict,
                     seen.get("bypass", "missing"), seen.get("features", ""), seen.get("of", "")))
    return text_table(rows)
