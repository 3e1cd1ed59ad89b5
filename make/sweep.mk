# SPDX-License-Identifier: BSD-2-Clause
# Whole boots on the build machine, and the sweep over everything that can fail in them.

# Allocations and claims of the firmware pass through tests/host/firmware_life.cpp.
claims := _ZN8spillway9MemoryMap5claimENS_5RangeINS_7AddressINS_12PhysicalKindEEEEENS0_5OwnerE \
    _ZN8spillway9MemoryMap12claim_lowestEmmNS_5RangeINS_7AddressINS_12PhysicalKindEEEEENS0_5OwnerE
host_wraps := $(foreach name,malloc calloc free $(claims),-Wl,--wrap=$(name))

$B/sweep: $(filter-out %_test.o,$(host_objects)) $B/host/tests/sweep/sweep.o
	@echo "  HOSTLD  $@"
	$Q$(HOST_CXX) $(sanitizers) $(host_wraps) $^ -lgtest -pthread -o $@

.PHONY: sweep trees
sweep: $B/sweep ## boots with everything failing in every way, into docs/results (minutes)
	$Q$(PYTHON) scripts/sweep --sweep $< --output $(or $(OUTPUT),docs/results)/fault-sweep.md

trees: | $B/need-boot ## write QEMU's trees anew that whole boots start from: tests/host/data/trees
	$Q$(PYTHON) scripts/trees --qemu $(QEMU) tests/host/data/trees
