# SPDX-License-Identifier: BSD-2-Clause
"""What the firmware may cost: instructions and hypercalls on three machines, which must not grow by
more than a twentieth over tests/boot/budget.json. `make budget` writes that file anew, on purpose.

The counts are exact: they do not depend on how busy the host is."""
import collections
import json
import os
import re

import pytest
import spillway_qemu as sq
from support import BIT_33, DEVICE_MIX, FIRMWARE, ROOT, running

BUDGET = os.path.join(ROOT, "tests", "boot", "budget.json")
GROWTH = 1.05
MACHINES = {
    "bare": [],
    "mixed": DEVICE_MIX,
    "many": [word for bridge in range(2) for word in (
        f"pci-bridge,id=bridge{bridge},addr={bridge + 1:x}",
        *(f"virtio-rng-pci-non-transitional,bus=bridge{bridge},addr={slot:x},{BIT_33}" for slot in range(1, 29)))],
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    return sq.build_plugin("count", tmp_path_factory.mktemp("plugin"))


def measure(name, plugin, folder):
    """{"boot": instructions until the program is entered, "calls": after that, name: hypercalls}."""
    out, log = folder / "counts", folder / "log"
    with running(*MACHINES[name], client="list-little_64", arguments=[
            "-icount", "shift=0", "-plugin", f"{plugin},image={FIRMWARE},out={out}",
            "-d", "int", "-D", str(log)]) as machine:
        machine.wait_for("^@done$")
        machine.wait_for_end()
    counts = dict(line.split() for line in out.read_text().splitlines() if not line.startswith("block"))
    numbers = collections.Counter(re.findall(r"hypercall r3=0*([0-9a-f]+)", log.read_text()))
    return {"boot": int(counts["boot"]), "calls": int(counts["calls"]),
            **{f"hypercall 0x{number}": count for number, count in sorted(numbers.items())}}


@pytest.mark.parametrize("name", MACHINES)
def test_budget(name, plugin, tmp_path):
    found = measure(name, plugin, tmp_path)
    if os.environ.get("SPILLWAY_WRITE_BUDGET"):
        budgets = {}
        if os.path.exists(BUDGET):
            with open(BUDGET) as file:
                budgets = json.load(file)
        with open(BUDGET, "w") as file:
            json.dump({**budgets, name: found}, file, indent=1)
            file.write("\n")
        return
    with open(BUDGET) as file:
        budget = json.load(file)[name]
    print("found ", found, "\nbudget", budget)
    over = {key: (count, budget.get(key, 0)) for key, count in found.items() if count > budget.get(key, 0) * GROWTH}
    assert not over, "more than the budget allows; `make budget` if that is meant"


def test_counts_are_exact(plugin, tmp_path):
    """Twice the same, so that growth is never noise."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    assert measure("mixed", plugin, tmp_path / "first") == measure("mixed", plugin, tmp_path / "second")
