# SPDX-License-Identifier: BSD-2-Clause
# What `make lint` looks at besides formatting and clang-tidy. What stays quiet is well.

need_gates := cppcheck shellcheck pyflakes3 python3-pytest python3-pytest-xdist
gate_room_headers := $(wildcard $(ROOMS:%=%/*.h))
gate_host_headers := $(wildcard tests/host/*.h)
gate_sources := $(sources) $(wildcard tests/client/*.cpp tests/client/*.c tests/boot/guest/*.c tests/plugin/*.c)

lint: $B/lint/cppcheck.ok $B/lint/headers.ok $B/lint/stack.ok $B/lint/image.ok gate-includes gate-files

.PHONY: gate-includes gate-files check-gates
gate-includes: | $B/need-gates
	@scripts/check-includes

gate-files: | $B/need-gates
	@scripts/check-files

# All of it takes seconds. Host tests are left out: GoogleTest's macros are not C++ to cppcheck.
$B/lint/cppcheck.ok: $(gate_sources) $(wildcard $(ROOMS:%=%/*.h) tests/client/*.h tests/plugin/*.h) scripts/cppcheck.suppressions | $B/need-gates
	@mkdir -p $(@D)
	@cppcheck -q --std=c++20 --platform=unix64 --enable=warning,style,performance,portability -I. \
	    -DSPILLWAY_VERSION='""' --suppressions-list=scripts/cppcheck.suppressions --error-exitcode=1 \
	    --template='{file}:{line}: {severity}: {message} [{id}]' $(gate_sources)
	@echo "cppcheck: $(words $(gate_sources)) files" | tee $@

# A header includes what it needs: each compiles alone.
$B/lint/headers.ok: $(gate_room_headers:%=$B/lint/%.ok) $(gate_host_headers:%=$B/lint/%.ok)
	@echo "headers: each of $(words $^) compiles alone" | tee $@

alone = -MMD -MP -MF $(@:.ok=.d) -MT $@ -fsyntax-only -include $< -x c++ /dev/null

$(gate_host_headers:%=$B/lint/%.ok): $B/lint/%.ok: % $B/third-party | $B/need-host
	@mkdir -p $(@D)
	$Q$(HOST_CXX) $(language) -frtti $(warnings) -isystem $(third_party)/source/libfdt $(alone)
	@touch $@

$(gate_room_headers:%=$B/lint/%.ok): $B/lint/%.ok: % $B/third-party | $B/need-build
	@mkdir -p $(@D)
	$Q$(CROSS)g++ $(language) $(target_flags) $(warnings) @$(third_party)/target/c++.includes \
	    -isystem $(third_party)/target/libfdt $(alone)
	@touch $@

$B/lint/stack.ok: $B/spillway.bin scripts/check-stack scripts/stack.table linker/layout.h | $B/need-gates
	@mkdir -p $(@D)
	@scripts/check-stack $B/spillway.elf > $@ || { rm $@; false; }
	@cat $@

# W^X, initialisers, relocations and the like: what the boot tests know of the image. (Whether a build
# is reproducible takes two more builds, and stays with them.)
gate_image := size or nothing_ or no_ or segments or elf_file
$B/lint/image.ok: $B/spillway.bin $(addprefix tests/boot/,test_image.py debugger.py support.py conftest.py) | $B/need-gates
	@mkdir -p $(@D)
	@SPILLWAY_TEST_FIRMWARE=$(abspath $B/spillway.bin) SPILLWAY_TEST_QEMU= $(PYTHON) -m pytest -q -p no:cacheprovider \
	    tests/boot/test_image.py -k '$(gate_image)' > $@ || { cat $@; rm $@; false; }
	@echo "image: $$(tail -n 1 $@)"

check-gates: $B/spillway.bin | $B/need-gates $B/need-boot ## shows that each gate of `make lint` finds what it is for
	$Q$(PYTHON) -m pytest -q -n 2 -p no:cacheprovider tests/gates
