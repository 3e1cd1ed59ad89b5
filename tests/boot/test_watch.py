# SPDX-License-Identifier: BSD-2-Clause
"""That stores to the wrong place do not pass unseen: a debugger leads some astray, and the plugin that
judges all stores of the firmware (tests/plugin/watch.c) names them. And that what the firmware executes,
and what not, is counted as it is."""
import glob
import os
import re
import subprocess

import pytest
import spillway_qemu as sq
import watch
from debugger import ELF, debugging, symbols
from support import ROOT, running
from test_errors import FAILED, calling

ASTRAY = 0x3000000  # RAM that nobody uses
HOME = 0x3E000000  # below QEMU's tree, which is at the end of 1 GiB


@pytest.fixture
def machines(monkeypatch, tmp_path):
    """All machines are watched; the folder that they leave their records in."""
    monkeypatch.setattr(sq, "Machine", watch.watched(sq.Machine, tmp_path))
    return tmp_path


def seen(folder, kind):
    """What the last machine that ended has left of this kind."""
    newest = max(glob.glob(os.path.join(folder, "*" + watch.SEEN)), key=os.path.getmtime)
    with open(newest) as file:
        return [line.split()[1:] for line in file if line.startswith(kind)]


def stores(folder):
    return [(symbols().function_at(int(source, 16)), int(address, 16), when)
            for source, address, _, when in seen(folder, "store")]


def lead_astray(debugger, caller, place):
    """The next copy that this function makes goes elsewhere."""
    debugger.run_to(symbols()[caller])
    debugger.run_to(symbols()["memcpy"])
    debugger.set_register("r3", place)


def boot(arguments=()):
    with running("virtio-rng-pci", client="list-big_32", arguments=arguments) as machine:
        machine.wait_for("^@done$")
        machine.wait_for_end()


def report(folder):
    """Status and complaints of the report on a folder."""
    run = subprocess.run([os.path.join(ROOT, "scripts", "coverage"), "target", folder, "--image",
                          os.path.splitext(ELF)[0]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    print(run.stderr)
    return run.returncode, run.stderr


def test_a_good_boot(machines):
    boot()
    assert not stores(machines)
    executed = {address for start, count in seen(machines, "executed")
                for address in range(int(start, 16), int(start, 16) + 4 * int(count), 4)}
    assert symbols()["spillway_main"] in executed and symbols()["spillway::of::Client::nextprop"] not in executed
    assert symbols()["abort"] not in executed


def test_memory_that_is_taken_for_somebody_elses(monkeypatch, tmp_path):
    """Every store of a good boot is judged: without the firmware's data the first ones are complained of."""
    monkeypatch.setattr(sq, "Machine", watch.watched(sq.Machine, tmp_path, own=[watch.FRAMES]))
    boot()
    low = watch.own_memory()[1]
    found = stores(tmp_path)
    assert {when for *_, when in found} == {"reading"}  # it stops to count at some time
    assert all(address in low for _, address, _ in found)
    status, complaints = report(tmp_path)
    assert status == 1 and re.search(" stores outside, .* in little_exception", complaints)


@pytest.mark.parametrize("place", [ASTRAY, 0x4000, 0x400000], ids=["RAM", "its own code", "the program"])
def test_a_store_during_the_boot(machines, place):
    with debugging("list-big_32") as (machine, debugger):
        lead_astray(debugger, "spillway::fdt::read_blob", place)
        debugger.go()
        machine.wait_for("^(tree|error)")
    assert ("memcpy", place, "booting") in stores(machines)


def test_a_store_during_a_call(machines):
    """What the call names is the firmware's until it returns, and nothing else; nor is what a client has
    claimed of memory that the firmware would use."""
    with calling() as (_, call):
        chosen = call("finddevice", "/chosen")
        assert call("getprop", chosen, "stdout-path", call.BUFFER, 64) != FAILED
    assert not stores(machines)
    for place, claimed in ((ASTRAY, False), (HOME, False), (HOME, True)):
        with calling() as (_, call):
            chosen = call("finddevice", "/chosen")
            assert not claimed or call("claim", HOME, 0x1000, 0) == HOME
            call.lies = {"memcpy": lambda lies, place=place: lies.debugger.set_register("r3", place)}
            call("getprop", chosen, "stdout-path", call.BUFFER, 64)
        outside = {(address, when) for _, address, when in stores(machines)}
        assert ((place, "serving") in outside) == (place != HOME or claimed)


def test_reports_of_too_little_and_too_much(machines):
    assert report(machines)[0] == 1  # nothing has run
    boot()
    status, complaints = report(machines)
    assert status == 1 and " % of words are reached, 85 % must be" in complaints
    (record,) = glob.glob(os.path.join(machines, "*" + watch.SEEN))
    with open(record, "w") as file:
        file.write(f"executed 0x0 {symbols()['text_end'] // 4}\n")
    status, complaints = report(machines)
    assert status == 0 and "a reason for what is reached" in complaints
    os.remove(record)
    assert "left no record" in report(machines)[1]
