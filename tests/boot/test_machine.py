# SPDX-License-Identifier: BSD-2-Clause
"""Memory, processors and interrupt controllers of every size and kind."""
import pytest
from support import BIT_33, boot, interrupt_numbers, line, lines, running

# What every one of these machines also has, to see that devices work on it.
DEVICES = ["virtio-blk-pci", f"virtio-rng-pci-non-transitional,{BIT_33}", "e1000"]


def unreserved(size):
    """Arguments and options for that much memory, of which the host spends only what is touched."""
    return {"arguments": ["-object", f"memory-backend-ram,id=ram,size={size},reserve=off"],
            "memory": size, "machine": "memory-backend=ram"}


def memory_of(machine):
    """MiB, by the nodes of the tree."""
    sizes = [int(node["size"], 16) for node in lines(machine, "memory-node")]
    return sum(sizes) >> 20


@pytest.mark.parametrize("size", ["256M", "512M", "768M", "4G", "64G"])
def test_memory(size):
    mib = int(size[:-1]) << (10 if size.endswith("G") else 0)
    machine = boot(*DEVICES, do="devices,memory", **unreserved(size))
    assert memory_of(machine) == mib
    assert 0.75 < int(line(machine, "memory")["total-kib"]) / 1024 / mib < 1


# QEMU itself needs time that grows faster than this number: minutes for 8T.
@pytest.mark.parametrize("most", ["16G", "2T", pytest.param("8T", marks=pytest.mark.slow)])
def test_much_room_for_memory(most):
    machine = boot(*DEVICES, do="devices,memory", memory=f"1G,slots=4,maxmem={most}",
                   timeout=1800 if most == "8T" else 240)
    assert memory_of(machine) == 1024


@pytest.mark.parametrize("size", ["256M", "4G"])
def test_memory_with_a_big_endian_program(size):
    boot(*DEVICES, client="list-big_32", **unreserved(size))


NODES = ["-numa", "node,memdev=m0,cpus=0", "-numa", "node,memdev=m1,cpus=1"]


@pytest.mark.parametrize("sizes", [("512M", "512M"), ("256M", "768M"), ("1G", "256M")])
def test_numa(sizes):
    objects = [word for number, size in enumerate(sizes)
               for word in ("-object", f"memory-backend-ram,id=m{number},size={size}")]
    mib = sum(int(size[:-1]) << (10 if size.endswith("G") else 0) for size in sizes)
    machine = boot(*DEVICES, do="devices,memory,cpus", memory=f"{mib}M",
                   arguments=["-smp", "2", *objects, *NODES])
    assert memory_of(machine) == mib
    assert line(machine, "cpus")["online"] == "0-1"
    assert "Partition configured for 2 NUMA nodes" in machine.console
    assert "Node 1 CPUs: 1" in machine.console


def test_numa_node_without_memory():
    """A node of processors alone."""
    machine = boot(*DEVICES, do="devices,memory,cpus", arguments=[
        "-smp", "2", "-object", "memory-backend-ram,id=m0,size=1G",
        "-numa", "node,memdev=m0,cpus=0", "-numa", "node,cpus=1"])
    assert memory_of(machine) == 1024


@pytest.mark.parametrize("count", [1, 4, 16])
def test_processors(count):
    machine = boot(*DEVICES, do="devices,cpus", arguments=["-smp", str(count)])
    cpus = line(machine, "cpus")
    assert cpus["count"] == str(count)
    assert cpus["online"] == (f"0-{count - 1}" if count > 1 else "0")


@pytest.mark.parametrize("arguments, machine, append, cpu, mmu, interrupts", [
    ("-cpu power8", "", "", "POWER8(architected)", "Hash", "xics"),
    ("-cpu power8 -smp 4", "ic-mode=dual", "", "POWER8(architected)", "Hash", "xics"),
    ("-cpu power9", "", "", "POWER9(architected)", "Radix", "xive"),
    ("-cpu power9 -smp 2", "", "disable_radix", "POWER9(architected)", "Hash", "xive"),
    ("-cpu power9", "ic-mode=xics", "", "POWER9(architected)", "Radix", "xics"),
    ("-cpu power9", "ic-mode=xive", "", "POWER9(architected)", "Radix", "xive"),
    ("-cpu power9", "ic-mode=dual", "", "POWER9(architected)", "Radix", "xive"),
    ("-cpu power9", "ic-mode=dual", "xive=off", "POWER9(architected)", "Radix", "xics"),
    ("-cpu power9", "ic-mode=xics", "disable_radix", "POWER9(architected)", "Hash", "xics"),
    ("-cpu power9 -smp 2", "max-cpu-compat=power8", "", "POWER8(architected)", "Hash", "xics"),
    ("-cpu power10", "", "", "POWER10(architected)", "Radix", "xive"),
    ("-cpu power10", "", "disable_radix", "POWER10(architected)", "Hash", "xive"),
    ("-cpu power10", "max-cpu-compat=power9", "", "POWER9(architected)", "Radix", "xive"),
])
def test_processor_types(arguments, machine, append, cpu, mmu, interrupts):
    booted = boot(*DEVICES, do="devices,cpus,interrupts", arguments=arguments.split(), machine=machine,
                  append=append)
    cpus = line(booted, "cpus")
    assert (cpus["cpu"], cpus["mmu"], cpus["interrupts"]) == (cpu, mmu, interrupts)
    chips = {chip for chip, _ in interrupt_numbers(booted.console).values()}
    assert any(chip.startswith(interrupts.upper()) for chip in chips), chips


@pytest.mark.parametrize("version", ["2.12", "3.1", "4.2", "5.2", "6.2", "7.1"])
def test_older_machines(version):
    boot(*DEVICES, client="list-big_64", machine=f"type=pseries-{version}")


def test_processors_that_could_be_added():
    machine = boot(*DEVICES, do="devices,cpus", arguments=["-smp", "2,maxcpus=8"])
    assert line(machine, "cpus")["count"] == "2"


def test_no_kernel():
    """Nothing to boot: one line says so, and the machine is powered off."""
    with running(*DEVICES, kernel=False) as machine:
        machine.wait_for("^error: nothing to boot: ")
        machine.wait_for_end()
