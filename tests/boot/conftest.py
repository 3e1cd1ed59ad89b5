# SPDX-License-Identifier: BSD-2-Clause
"""Options of the boot tests, and what all of them share."""
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
    parser.addoption("--slow", action="store_true", help="also what takes minutes by itself")


def pytest_configure(config):
    """Finds everything once; the workers of xdist inherit it."""
    config.addinivalue_line("markers", "slow: takes minutes by itself; only with --slow")
    if "SPILLWAY_TEST_FIRMWARE" in os.environ:
        return
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
    """Leaves the slow ones out unless asked."""
    if not config.getoption("--slow"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("slow")])
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
