# SPDX-License-Identifier: BSD-2-Clause
# The conformance kit for client interfaces.

client_objects = $(foreach mode,big_32 big_64 little_64,$B/client/$1-$(mode).o)
$(call client_objects,conformance): $(wildcard tests/client/conformance*.h)
$(call client_objects,conformance) $(call client_objects,bypass): tests/client/hypervisor.h

.PHONY: conformance
conformance: $B/spillway.bin clients | $B/need-boot ## the client interface beside SLOF's and VOF's (about 15 minutes)
	$Q$(PYTHON) scripts/conformance --firmware $B/spillway.bin --qemu $(QEMU) --output $(or $(OUTPUT),docs/results)
