# SPDX-License-Identifier: BSD-2-Clause
# Events in real QEMU, in numbers; `make check-boot` does a part of them.

event_options = --firmware $B/spillway.bin --qemu $(QEMU) --output $(or $(OUTPUT),docs/results)

.PHONY: check-events soak
check-events: $B/spillway.bin clients | $B/need-boot ## resets, NMIs, damaged trees, faults, soak (EVENTS="nmis 12")
	$Q$(PYTHON) scripts/events $(event_options) $(EVENTS)
	$Q$(if $(EVENTS),,$(MAKE) soak)

soak: $B/spillway.bin clients | $B/need-boot ## 10,000 cold boots (BOOTS=)
	$Q$(PYTHON) scripts/soak $(event_options) --boots $(or $(BOOTS),10000)
