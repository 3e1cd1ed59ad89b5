# SPDX-License-Identifier: BSD-2-Clause
"""Options of the boot tests, and what all of them share."""
import collections
import os
import shutil
import sys

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import pytest  # noqa: E402
import spillway_qemu as sq  # noqa: E402

pytest.register_assert_rewrite("support")  # so that its failures say what differed


def pytest_addoption(parser):
    parser.addoption("--firmware", default=os.path.join(ROOT, "build", "spillway.bin"),
                     help="--firmware=FILE instead of build/spillway.bin")
    parser.addoption("--qemu", default="qemu-system-ppc64", help="QEMU to run")
    parser.addoption("--capable", action="store_true",
                     help="only what needs a QEMU with the DMA bypass (scripts/qemu)")
    parser.addoption("--watch", metavar="FOLDER",
                     help="note there what the firmware executes, and where it stores (make coverage-target)")
    parser.addoption("--slow", action="store_true", help="also what takes minutes by itself, and tests that are sampled whole")


def pytest_configure(config):
    config.addinivalue_line("markers", "capable: needs a QEMU with the DMA bypass; only with --capable")
    config.addinivalue_line("markers", "slow: takes minutes by itself; only with --slow")
    config.addinivalue_line("markers", "sample(n): every n-th of its sets of parameters; with --slow or -k all")
    if "SPILLWAY_TEST_FIRMWARE" not in os.environ:
        find_everything(config)
    if folder := config.getoption("--watch"):
        import watch
        sq.Machine = watch.watched(sq.Machine, folder)


def find_everything(config):
    """Once; the workers of xdist inherit it."""
    firmware, qemu = (config.getoption(name) for name in ("--firmware", "--qemu"))
    if not os.path.exists(firmware):
        raise pytest.UsageError(f"no firmware at {firmware}: build it first (make)")
    if not shutil.which(qemu):
        raise pytest.UsageError(f"no {qemu}: scripts/need qemu-system-ppc")
    os.environ["SPILLWAY_TEST_FIRMWARE"] = os.path.realpath(firmware)
    os.environ["SPILLWAY_TEST_QEMU"] = qemu
    for name, path in sq.guest_files().items():
        os.environ[name.upper()] = path


def pytest_collection_modifyitems(config, items):
    """Leaves out what the QEMU at hand is not for, and what is slow unless asked."""
    seen = collections.Counter()

    def wanted(item):
        if bool(item.get_closest_marker("capable")) != config.getoption("--capable"):
            return False
        if config.getoption("--slow"):
            return True
        sample = item.get_closest_marker("sample")
        if sample and not config.getoption("keyword"):
            test = item.nodeid.partition("[")[0]
            seen[test] += 1
            return (seen[test] - 1) % sample.args[0] == 0
        return not item.get_closest_marker("slow")

    chosen = {item for item in items if wanted(item)}
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]
