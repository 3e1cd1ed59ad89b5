# SPDX-License-Identifier: BSD-2-Clause
"""The contract of docs/dma-bypass.md on a hypervisor that keeps it: `make check-bypass` builds that
QEMU (scripts/qemu) and runs these; the stock one cannot."""
import pytest
import spillway_qemu as sq
from support import BIT_33, CLIENTS, boot, lines, running
from test_drivers import check_data, disk_table
from test_random import random_mix

pytestmark = pytest.mark.capable

ON = "cap-pci-dma-bypass=on"
DEVICES = [
    f"virtio-net-pci,disable-legacy=on,{BIT_33}", "virtio-rng-pci", "virtio-rng-pci,disable-modern=on", "e1000",
    "pci-bridge,id=bridge", f"virtio-rng-pci,disable-legacy=on,{BIT_33},bus=bridge,addr=1",
    "virtio-rng-pci,bus=bridge,addr=2",
]
# What the contract's section 2.2 says of each call that tests/client/bypass.cpp makes.
CODES = {
    "buid-unknown": "-4", "buid-zero": "-4",
    "reserved-register": "-55", "reserved-high": "-55", "reserved-higher": "-55",
    "absent-function": "-55", "absent-bus": "-55",
    "action-3": "-56", "action-higher": "-56",
    "refused-on": "-67", "refused-off": "-67",
    "off-when-master": "-75",
}
STATES = {
    "off-when-off": "0", "on": "1", "on-when-on": "1", "query-on": "1", "on-when-master": "1",
    "query-master": "1", "off": "0", "query-off": "0", "on-from-master": "1", "off-again": "0",
}


@pytest.mark.parametrize("client", CLIENTS[::2])
@pytest.mark.parametrize("machine", ["", "cap-pci-dma-bypass=off", ON])
def test_verdicts(machine, client):
    """Switchable only where the capability is on, the function is on a root bus and is not fixed."""
    done = boot(*DEVICES, client=client, machine=machine)
    verdicts = [device["bypass"] for device in sq.parse_devices(done.console).values()]
    assert ("switchable" in verdicts) == (machine == ON)
    assert verdicts.count("fixed") == 3


@pytest.mark.parametrize("seed", range(1000, 1040))
@pytest.mark.sample(4)
def test_random_mix(seed):
    boot(*random_mix(seed), client=CLIENTS[seed % len(CLIENTS)], machine=ON, timeout=60)


@pytest.mark.parametrize("append", ["", "disable_ddw"])
def test_unaware_linux(append, tmp_path):
    """A kernel that knows nothing of the switch sees translated devices, and its data is right."""
    options = f",disable-legacy=on,{BIT_33}"
    check_data(tmp_path, disk_table(options), options, append, machine=ON)


@pytest.mark.parametrize("client", ["bypass-big_64", "bypass-little_64"])
def test_calls(client):
    """Every code of the contract, and the state and base of each success."""
    with running(*DEVICES, client=client, machine=ON) as machine:
        machine.wait_for("^@done")
        machine.wait_for_end()
    calls = {call["name"]: call for call in lines(machine, "bypass")}
    for name, code in CODES.items():
        assert calls[name]["rc"] == code, name
        assert (calls[name]["state"], calls[name]["base"]) == ("-", "-"), name
    for name, state in STATES.items():
        assert calls[name]["rc"] == "0", name
        assert (calls[name]["state"], calls[name]["base"]) == (state, "1000000000000000"), name


@pytest.mark.parametrize("machine", ["", "cap-pci-dma-bypass=off"])
def test_calls_without_the_capability(machine):
    """H_FUNCTION for whatever is asked."""
    with running(*DEVICES, client="bypass-little_64", machine=machine) as done:
        done.wait_for("^@done")
        done.wait_for_end()
    calls = lines(done, "bypass")
    assert len(calls) > len(DEVICES)
    assert {call["rc"] for call in calls} == {"-2"}
