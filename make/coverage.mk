# SPDX-License-Identifier: BSD-2-Clause
# What of the firmware the tests execute: on the host by gcov, on target by a plugin for QEMU.

need_coverage := $(need_host) gcovr python3

.PHONY: coverage coverage-target coverage-results

# The host tests once more, by the same rules, with counters in place of sanitizers.
$B/coverage/host-tests: FORCE
	$Q$(MAKE) B=$B/coverage sanitizers='--coverage -O0' $@

coverage: $B/coverage/host-tests | $B/need-coverage ## lines and branches that the host tests execute
	$Qfind $B/coverage -name '*.gcda' -delete
	$Q$< --gtest_brief=1
	$Q$(PYTHON) scripts/coverage host $B/coverage --output $B/coverage-host.md

# As few boots as reach what boots can reach.
watched_events := ending or bad_calls or no_kernel or damaged_tree or crash or overflow or nmi_ or burst or log_levels
watched_boots := test_errors or test_programs or test_events and ($(watched_events)) or \
    test_devices and (list-big_32 or legacy or malformed or bypassing) or test_options and (boot_order or nvram)

coverage-target: TESTS = --watch=$B/watched -k '$(watched_boots)'
coverage-target: $B/spillway.bin clients | $B/need-boot ## words of the image that boots execute; judges all its stores
	$Qrm -rf $B/watched && mkdir -p $B/watched
	$Q$(boot_tests) --qemu=$(QEMU)
	$Q$(PYTHON) scripts/coverage target $B/watched --image $B/spillway --output $B/coverage-target.md

coverage-results: ## both, into docs/results/coverage.md
	$Q$(MAKE) coverage
	$Q$(MAKE) coverage-target
	$Q{ printf '# What the tests execute\n\n'; cat $B/coverage-host.md; echo; cat $B/coverage-target.md; } \
	    > docs/results/coverage.md
