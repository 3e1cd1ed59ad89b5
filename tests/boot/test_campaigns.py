# SPDX-License-Identifier: BSD-2-Clause
"""A part of what `make check-events` does: some cases of each campaign on several machines, some cold boots."""
import collections
import os
import subprocess

import campaigns
import pytest
import spillway_qemu as sq
from support import FIRMWARE, QEMU


@pytest.mark.parametrize("name", campaigns.CAMPAIGNS)
@pytest.mark.parametrize("group", range(3))
def test_campaign(name, group):
    first = 4 * group * campaigns.PER_MACHINE  # each on other devices and in another mode
    outcomes = campaigns.run(name, range(first, first + 15))
    print(collections.Counter(outcome.text for outcome in outcomes))
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    assert not failures, "\n\n".join(failures)


def test_cold_boots(tmp_path):
    done = subprocess.run([os.path.join(sq.SCRIPTS, "soak"), "--firmware", FIRMWARE, "--qemu", QEMU, "--boots", "36",
                           "--keep", tmp_path], stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    assert done.returncode == 0
