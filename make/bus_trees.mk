# SPDX-License-Identifier: BSD-2-Clause
# A million random PCI trees, in two processes; a failing one is named by the command that boots it again.

TREES ?= 1000000
FIRST_TREE ?= 0
bus_trees = SPILLWAY_FIRST_TREE=$$(($1)) SPILLWAY_TREES=$$(($2)) $B/host-tests --gtest_brief=1 \
    --gtest_filter=PciRandomTree.KeepsEveryInvariant

.PHONY: check-bus-trees
check-bus-trees: $B/host-tests ## a million random PCI trees (TREES=, FIRST_TREE=; about ten minutes)
	@echo "trees $(FIRST_TREE) to $$(($(FIRST_TREE) + $(TREES) - 1))"
	$Q$(call bus_trees,$(FIRST_TREE),$(TREES) / 2) & half=$$!; \
	    $(call bus_trees,$(FIRST_TREE) + $(TREES) / 2,$(TREES) - $(TREES) / 2); rest=$$?; \
	    wait $$half && exit $$rest
