# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's drivers move the right bytes through every kind of device."""
import pytest
from support import BIT_33, boot, disk_image, line, lines, sha256

MIB = 1 << 20
WORDS = "modules,disk=4,copy=2,net,devices"


def files_and_devices(folder, disks):
    """Disks with contents of their own: {"name": [device, ...]}, the last device having the drive."""
    arguments, devices, contents = [], [], {}
    for seed, (name, stack) in enumerate(disks.items()):
        more, contents[name] = disk_image(folder / f"{name}.img", 4, seed)
        arguments += more
        devices += [*stack[:-1], f"{stack[-1]},drive={name}"]
    return arguments, devices, contents


def disk_table(options, behind=""):
    """A disk behind each kind of adapter. options: of the virtio ones."""
    virtio = options + behind
    return {
        "blk": [f"virtio-blk-pci{virtio}"],
        "scsi": [f"virtio-scsi-pci,id=scsi{virtio}", "scsi-hd,bus=scsi.0"],
        "nvme": [f"nvme{behind}"],
        "usb": [f"qemu-xhci,id=usb{behind}", "usb-storage,bus=usb.0"],
        "ahci": [f"ahci,id=ahci{behind}", "ide-hd,bus=ahci.0"],
    }


@pytest.mark.parametrize("append", ["", "disable_ddw", "disable_radix", "swiotlb=force"])
@pytest.mark.parametrize("options", [
    "", ",disable-modern=on", ",disable-legacy=on", f",disable-legacy=on,{BIT_33}"])
@pytest.mark.sample(5)
def test_data(options, append, tmp_path):
    """Each disk is read whole, its first half copied to its second, and the file compared."""
    check_data(tmp_path, disk_table(options), options, append)


def test_data_behind_a_bridge(tmp_path):
    check_data(tmp_path, disk_table(f",disable-legacy=on,{BIT_33}", ",bus=bridge"),
               f",disable-legacy=on,{BIT_33}", "", "pci-bridge,id=bridge,addr=0x1f")


def test_data_on_another_host_bridge(tmp_path):
    check_data(tmp_path, disk_table("", ",bus=phb2.0"), "", "", "spapr-pci-host-bridge,index=2,id=phb2")


@pytest.mark.parametrize("append", ["", "disable_ddw"])
@pytest.mark.sample(2)
def test_data_with_more_processors_and_memory(append, tmp_path):
    """More memory than the first DMA window reaches."""
    options = f",disable-legacy=on,{BIT_33}"
    check_data(tmp_path, disk_table(options), options, append, arguments=["-smp", "4"], memory="4G")


def check_disks(machine, folder, contents):
    """That each was read right, and its first half copied to the second."""
    for name, content in contents.items():
        assert lines(machine, "disk", sha256=sha256(content)), f"{name} was not read right"
        half = content[:2 * MIB]
        assert (folder / f"{name}.img").read_bytes() == half + half, f"{name} was not written right"
    assert len(lines(machine, "disk")) == len(contents)


def check_data(folder, table, options, append, *first, arguments=(), **more):
    disk_arguments, devices, contents = files_and_devices(folder, table)
    machine = boot(*first, *devices, f"virtio-net-pci,netdev=user{options}", "e1000,netdev=user",
                   f"virtio-rng-pci{options}", arguments=[*disk_arguments, *arguments], append=append,
                   do=WORDS, **more)
    check_disks(machine, folder, contents)
    assert [card["ping"] for card in lines(machine, "net")] == ["ok", "ok"]
    assert line(machine, "driver", driver="virtio_rng")


@pytest.mark.parametrize("interrupts", ["xics", "xive"])
@pytest.mark.parametrize("options", ["", ",disable-modern=on", f",disable-legacy=on,{BIT_33}"])
@pytest.mark.sample(5)
def test_virtio_by_pins(options, interrupts, tmp_path):
    """Without MSI-X every interrupt of virtio comes by the pin."""
    arguments, content = disk_image(tmp_path / "disk.img")
    machine = boot(f"virtio-blk-pci,drive=disk,addr=6,vectors=0{options}",
                   f"virtio-net-pci,netdev=user,addr=7,vectors=0{options}",
                   arguments=arguments, machine=f"ic-mode={interrupts}", do=WORDS)
    assert line(machine, "disk")["sha256"] == sha256(content)
    assert line(machine, "net")["ping"] == "ok"
