# SPDX-License-Identifier: BSD-2-Clause
# Each check of the firmware is removed in turn: a host test must notice.
.PHONY: guards
guards: $B/host-tests | $B/need-gates ## remove each check of the firmware in turn; who notices, into docs/results (GUARDS="--sample 40")
	$Q$(PYTHON) scripts/guards --build $B/guards --output docs/results/guards.md $(GUARDS) \
	    --compile '$(HOST_CXX) $(language) -fno-exceptions -O1 -g $(sanitizers) -DSPILLWAY_VERSION=\"$(VERSION)\" -isystem $(third_party)/source/libfdt' \
	    --link='$(host_wraps)' \
	    --objects '$(filter-out %/firmware_life.o,$(filter $B/host/tests/% $B/host/libfdt/%,$(host_objects)))' \
	    $(filter-out tests/%,$(host_sources)) boot/heap.cpp boot/main.cpp
