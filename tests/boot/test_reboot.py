# SPDX-License-Identifier: BSD-2-Clause
"""The second boot of a machine finds what the first one found."""
import re

import pytest
import spillway_qemu as sq
from support import BIT_33, DEVICE_MIX, check, complaints, flatten, running, tree_differences

# What may differ from boot to boot, and why.
PER_BOOT = {
    "/chosen:rng-seed": "random numbers",
    "/chosen:spillway,boot-ticks": "times",
}


def sections(console):
    """Each boot's own part of the console."""
    return re.split(r"Spillway (?=\d)", console)[1:]


@pytest.mark.parametrize("arguments, machine, append", [
    ("-smp 2", "", ""),
    ("-cpu power8", "", ""),
    ("-smp 1", "", "disable_radix"),
    ("-smp 2,maxcpus=4 -m 1G,slots=2,maxmem=4G", "ic-mode=xics", ""),
], ids=lambda text: text or "-")
def test_reboot(arguments, machine, append):
    with running(*DEVICE_MIX, do="tree,devices,modules,reboot", reboot=True, machine=machine,
                 append=append, arguments=arguments.split()) as guest:
        after = guest.wait_for("^@driver (?s:.)*reboot: Restarting").end()
        guest.wait_for("^@tree-end$", after)
        guest.wait_for("^@driver ", after)
    boots = sections(guest.console)
    assert len(boots) == 2
    first, second = (flatten(sq.device_tree(text)) for text in boots)
    assert not tree_differences(first, second, PER_BOOT)
    assert sq.parse_devices(boots[0]) == sq.parse_devices(boots[1])
    assert not complaints(guest.console)
    check(guest)


def test_reset_by_qemu():
    """system_reset hits the guest anywhere, with its devices running."""
    with running(*DEVICE_MIX, do="modules,tree,devices,wait", reboot=True) as guest:
        start = 0
        for _ in range(3):
            start = guest.wait_for("^@wait$", start).end()
            guest.qmp("system_reset")
        guest.wait_for("^@wait$", start)
    boots = sections(guest.console)
    assert len(boots) == 4
    trees = [flatten(sq.device_tree(text)) for text in boots]
    for tree in trees[1:]:
        assert not tree_differences(trees[0], tree, PER_BOOT)
    check(guest)


def test_reset_during_the_firmware():
    """Resets at random moments of the first tenths of a second leave nothing behind that harms."""
    with running(*DEVICE_MIX, f"virtio-scsi-pci-non-transitional,{BIT_33}", do="devices",
                 reboot=True) as guest:
        start = 0
        for word in ("Spillway ", "^pci ", "^virtio ", "^hand-off ", "client-architecture", "Booting Linux"):
            start = guest.wait_for(word, start).end()
            guest.qmp("system_reset")
        guest.wait_for("^@done$", start)
    check(guest)


def test_panic_ends_the_machine():
    """The kernel tells the hypervisor of its panic by RTAS."""
    with running(*DEVICE_MIX, do="devices,panic", arguments=["-action", "panic=shutdown"],
                 append="panic=0") as guest:
        guest.wait_for("Kernel panic - not syncing: sysrq triggered crash")
        guest.wait_for_end()
