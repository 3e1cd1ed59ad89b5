# SPDX-License-Identifier: BSD-2-Clause
# Spillway: guest firmware for QEMU's pseries machine. `make help` lists what there is to make.

VERSION := 0.1.0
GIT_ID := $(shell git describe --always --dirty --exclude='*' --abbrev=12 2>/dev/null || echo unknown)

CROSS ?= powerpc64le-linux-gnu-
HOST_CXX ?= g++
HOST_CC ?= gcc
PYTHON ?= /usr/bin/python3
QEMU ?= qemu-system-ppc64

# `make V=1` shows the commands.
Q := $(if $(V),,@)

SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules -j$(shell nproc)
.DELETE_ON_ERROR:
.SUFFIXES:

B := build
ROOMS := base hcall fdt pci virtio of boot
hot := fdt/index fdt/names fdt/properties of/client of/client_memory of/tree_services

warnings := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wuseless-cast \
    -Wcast-align -Wcast-qual -Wnon-virtual-dtor -Woverloaded-virtual -Wduplicated-cond -Wlogical-op \
    -Wnull-dereference -Wformat=2 -Werror
language := -std=c++23 -fno-rtti -I.

#------------------------------------------------------------------------------ the image
target_machine := -mcpu=power8 -mlittle-endian -mabi=elfv2 -mcmodel=medium -msoft-float -mno-altivec -mno-vsx \
    -mlong-double-64
target_flags := $(target_machine) -g -ffreestanding -fbuiltin -fno-pie -fno-common -fno-exceptions -fno-threadsafe-statics \
    -fno-use-cxa-atexit -fno-asynchronous-unwind-tables -fno-stack-protector -fno-delete-null-pointer-checks \
    --param=min-pagesize=0 -ffunction-sections -fdata-sections -fstack-limit-register=r13 \
    -Wframe-larger-than=1024 -ffile-prefix-map=$(CURDIR)=. \
    -DSPILLWAY_VERSION='"$(VERSION) ($(GIT_ID))"'

sources := $(foreach room,$(ROOMS),$(sort $(wildcard $(room)/*.cpp)))
objects := $(sources:%.cpp=$B/target/%.o) $B/target/hcall/stub.o $B/target/boot/entry.o
third_party = $(shell cat $B/third-party)

.PHONY: all
all: $B/spillway.bin ## the firmware: build/spillway.bin, .elf and .map

# One stamp a set of packages, so that a second make does not even ask.
$B/need-%:
	@mkdir -p $B
	scripts/need $(need_$*)
	@touch $@
.PRECIOUS: $B/need-%
need_build := g++-powerpc64le-linux-gnu binutils-powerpc64le-linux-gnu
need_host := g++ libgtest-dev
need_boot := $(need_build) gcc libc6-dev qemu-system-ppc python3 python3-pytest python3-pytest-xdist device-tree-compiler
need_lint := clang-tidy clang-format

$B/third-party: scripts/third-party scripts/lib.sh scripts/need
	@mkdir -p $B
	scripts/third-party > $@

# Changes whenever version or git id do, so that they are never stale in the image.
$B/version: FORCE
	@mkdir -p $B
	@echo '$(VERSION) $(GIT_ID)' | cmp -s - $@ || echo '$(VERSION) $(GIT_ID)' > $@
$B/target/boot/version.o: $B/version

$B/target/%.o: %.cpp $B/third-party Makefile | $B/need-build
	@mkdir -p $(@D)
	@echo "  CXX     $@"
	$Q$(CROSS)g++ $(language) $(target_flags) $(if $(filter $(hot:%=%.cpp),$<),-O2,-Os) $(warnings) @$(third_party)/target/c++.includes \
	    -isystem $(third_party)/target/libfdt -MMD -MP -c $< -o $@

$B/target/hcall/stub.o: hcall/stub.S Makefile | $B/need-build
	@mkdir -p $(@D)
	@echo "  AS      $@"
	$Q$(CROSS)gcc $(target_machine) -g -ffile-prefix-map=$(CURDIR)=. -I. -MMD -MP -c $< -o $@

$B/target/boot/entry.o: boot/entry.S $B/target/vectors.bin Makefile
	@mkdir -p $(@D)
	@echo "  AS      $@"
	$Q$(CROSS)gcc $(target_machine) -g -ffile-prefix-map=$(CURDIR)=. -I. -Wa,-I$B/target -MMD -MP -c $< -o $@

# The vectors are big-endian, so they are linked apart.
$B/target/vectors.bin: boot/vectors.S linker/layout.h Makefile | $B/need-build
	@mkdir -p $(@D)
	@echo "  AS      $@"
	$Q$(CROSS)gcc -mbig-endian -mcpu=power8 -I. -c $< -o $B/target/vectors.o
	$Q$(CROSS)ld -EB -m elf64ppc -Ttext=0 --oformat binary -e 0x100 -o $@ $B/target/vectors.o

$B/target/spillway.lds: linker/spillway.lds linker/layout.h Makefile | $B/need-build
	@mkdir -p $(@D)
	$Q$(CROSS)gcc -E -P -x c -I. $< -o $@

$B/spillway.elf: $(objects) $B/target/spillway.lds
	@echo "  LD      $@"
	$Q$(CROSS)gcc $(target_machine) -nostdlib -static -no-pie -Wl,-T,$B/target/spillway.lds -Wl,-Map,$B/spillway.map \
	    -Wl,--gc-sections -Wl,--orphan-handling=error -Wl,--no-multi-toc -Wl,--build-id=none -Wl,-z,noexecstack \
	    $(objects) $(third_party)/target/lib/libfdt.a $(third_party)/target/lib/libc.a -lgcc -o $@

$B/spillway.bin: $B/spillway.elf
	$Q$(CROSS)objcopy -O binary $< $@
	@printf '%s: %d bytes\n' $@ $$(stat -c %s $@)

#------------------------------------------------------------------------------ programs for boot tests
# Each in the three modes that the firmware enters, with the ELF header in memory; and flat, without.
client_flags_c := -O1 -ffreestanding -fno-pie -fno-stack-protector -mno-altivec -mno-vsx -msoft-float \
    -mlong-double-64 -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns
client_flags := $(client_flags_c) $(language) -fno-exceptions -fno-threadsafe-statics $(warnings) -Wno-useless-cast
client_big_32 := -m32 -mbig-endian -mcpu=powerpc
client_big_64 := -m64 -mbig-endian -mabi=elfv2 -mcpu=power8
client_little_64 := -m64 -mlittle-endian -mabi=elfv2 -mcpu=power8
client_link_big_32 := elf32ppc
client_link_big_64 := elf64ppc
client_link_little_64 := elf64lppc
client_names := $(patsubst tests/client/%.cpp,%,$(wildcard tests/client/*.cpp))
clients := $(foreach name,$(client_names),$(foreach mode,big_32 big_64 little_64,$B/client/$(name)-$(mode).elf \
    $B/client/$(name)-$(mode)-flat.elf))

define client_rules
$B/client/start-$1.o: tests/client/start.S Makefile | $B/need-build
	@mkdir -p $$(@D)
	$Q$(CROSS)gcc $(client_$1) -c $$< -o $$@
$B/client/runtime-$1.o: tests/client/runtime.c Makefile | $B/need-build
	@mkdir -p $$(@D)
	$Q$(CROSS)gcc $(client_flags_c) $(client_$1) -c $$< -o $$@
$B/client/%-$1.o: tests/client/%.cpp tests/client/client.h base/endian.h Makefile $B/third-party | $B/need-build
	@mkdir -p $$(@D)
	$Q$(CROSS)g++ $(client_flags) $(client_$1) @$$(third_party)/target/c++.includes -c $$< -o $$@
$B/client/client-$1.lds: tests/client/client.lds
	@mkdir -p $$(@D)
	$Qsed 's/HEADERS FLAGS/FILEHDR PHDRS FLAGS/' $$< > $$@
$B/client/flat-$1.lds: tests/client/client.lds
	@mkdir -p $$(@D)
	$Qsed 's/HEADERS FLAGS/FLAGS/; s/ + SIZEOF_HEADERS//' $$< > $$@
$B/client/%-$1.elf: $B/client/client-$1.lds $B/client/start-$1.o $B/client/%-$1.o $B/client/runtime-$1.o
	@echo "  LD      $$@"
	$Q$(CROSS)ld -m $(client_link_$1) --no-warn-rwx-segments -z noexecstack -T $$^ -o $$@
$B/client/%-$1-flat.elf: $B/client/flat-$1.lds $B/client/start-$1.o $B/client/%-$1.o $B/client/runtime-$1.o
	@echo "  LD      $$@"
	$Q$(CROSS)ld -m $(client_link_$1) --no-warn-rwx-segments -z noexecstack -T $$^ -o $$@
.PRECIOUS: $B/client/%-$1.o
endef
$(foreach mode,big_32 big_64 little_64,$(eval $(call client_rules,$(mode))))

.PHONY: clients
clients: $(clients)

#------------------------------------------------------------------------------ host tests
# The library looks at indices too: of spans, arrays and views.
sanitizers := -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS
host_flags := -O1 -g $(sanitizers) -DSPILLWAY_VERSION='"$(VERSION) (host)"'
# What only the target has: its memory, its time base, its exceptions, its stacks. main.cpp and heap.cpp are part of
# tests/host/firmware_life.cpp, which starts what they keep afresh for each boot.
target_only := boot/physical.cpp boot/timebase.cpp boot/exceptions.cpp boot/enter.cpp boot/main.cpp boot/heap.cpp \
    boot/halt.cpp boot/runtime.cpp boot/emulator.cpp
host_sources := $(filter-out $(target_only),$(sources)) $(sort $(wildcard tests/host/*.cpp))
host_libfdt := fdt fdt_addresses fdt_check fdt_empty_tree fdt_ro fdt_rw fdt_strerror fdt_sw fdt_wip
host_objects := $(host_sources:%.cpp=$B/host/%.o) $(host_libfdt:%=$B/host/libfdt/%.o)

$B/host/%.o: %.cpp $B/third-party Makefile | $B/need-host
	@mkdir -p $(@D)
	@echo "  HOSTCXX $@"
	$Q$(HOST_CXX) $(language) $(if $(filter tests/%,$<),-frtti,-fno-exceptions) $(host_flags) $(warnings) \
	    -isystem $(third_party)/source/libfdt -MMD -MP -c $< -o $@

$B/host/libfdt/%.o: $B/third-party | $B/need-host
	@mkdir -p $(@D)
	@echo "  HOSTCC  $@"
	$Q$(HOST_CC) -O1 -g $(sanitizers) -I$(third_party)/source/libfdt -c $(third_party)/source/libfdt/$*.c -o $@

$B/host-tests: $(host_objects)
	@echo "  HOSTLD  $@"
	$Q$(HOST_CXX) $(sanitizers) $(host_wraps) $^ -lgtest -lgtest_main -pthread -o $@

.PHONY: check-host
check-host: $B/host-tests ## host tests: the same sources under sanitizers, against a fake hypervisor
	$B/host-tests --gtest_brief=1

#------------------------------------------------------------------------------ what people run
run_environment := $(if $(KERNEL),KERNEL='$(KERNEL)') $(if $(INITRD),INITRD='$(INITRD)')
run_script := $(run_environment) $(PYTHON) scripts/run --firmware $B/spillway.bin --qemu $(QEMU)

.PHONY: run inspect shell
run: $B/spillway.bin | $B/need-boot ## boot Debian's kernel with mixed devices and compare what it sees (QEMU_ARGS=, KERNEL=, INITRD=, QEMU=)
	$Q$(run_script) -- $(QEMU_ARGS)

inspect: $B/spillway.bin | $B/need-boot ## the tree that the operating system received, as build/inspect.dts
	$Q$(run_script) --inspect $B/inspect.dts -- $(QEMU_ARGS)

shell: $B/spillway.bin | $B/need-boot ## an interactive guest
	$Q$(run_script) --shell -- $(QEMU_ARGS)

.PHONY: check check-all check-boot
check: ## the tests that a change has to pass: a part of each kind
	$Q$(MAKE) lint
	$Q$(MAKE) check-host
	$Q$(MAKE) check-gates
	$Q$(MAKE) guards GUARDS='--sample 25'
	$Q$(MAKE) check-fuzz
	$Q$(MAKE) check-boot
	$Q$(MAKE) coverage-target
	$Q$(MAKE) check-bypass

check-all: ## every test there is (hours)
	$Q$(MAKE) lint
	$Q$(MAKE) check-gates
	$Q$(MAKE) check-host
	$Q$(MAKE) check-host-ppc64le
	$Q$(MAKE) coverage
	$Q$(MAKE) coverage-target
	$Q$(MAKE) sweep
	$Q$(MAKE) check-bus-trees
	$Q$(MAKE) guards
	$Q$(MAKE) check-boot TESTS=--slow
	$Q$(MAKE) check-bypass TESTS=--slow
	$Q$(MAKE) conformance
	$Q$(MAKE) check-events
	$Q$(MAKE) fuzz TIME=1800

boot_tests = $(run_environment) $(PYTHON) -m pytest -q -n 2 -p no:cacheprovider --firmware=$B/spillway.bin tests/boot $(TESTS)

check-boot: $B/spillway.bin clients | $B/need-boot ## boot tests: real QEMU, real kernels (TESTS='-k name' for some)
	$Q$(boot_tests) --qemu=$(QEMU)

#------------------------------------------------------------------------------ how fast it is
.PHONY: bench profile budget
bench: $B/spillway.bin | $B/need-boot ## boot times beside SLOF and VOF, into docs/results (about ten minutes; BENCH="--rounds 1")
	$Q$(PYTHON) scripts/bench --firmware $B/spillway.bin --qemu $(QEMU) --output $(or $(OUTPUT),docs/results) $(BENCH)

profile: $B/spillway.bin | $B/need-boot ## where a boot's time goes, as a table and as build/profile.svg (QEMU_ARGS=)
	$Q$(run_environment) $(PYTHON) scripts/profile --firmware $B/spillway.bin --qemu $(QEMU) --output $B/profile.svg -- $(QEMU_ARGS)

budget: $B/spillway.bin clients | $B/need-boot ## write anew what instructions and hypercalls may cost: tests/boot/budget.json
	$QSPILLWAY_WRITE_BUDGET=1 $(boot_tests) --qemu=$(QEMU) -k test_budget -n 0

#------------------------------------------------------------------------------ a hypervisor with the bypass
.PHONY: qemu check-bypass bench-bypass
qemu: ## build the QEMU of hypervisor/ (cached) and print where it is
	$Qscripts/qemu

check-bypass: $B/spillway.bin clients | $B/need-boot ## boot tests of the DMA bypass, under that QEMU
	$Qqemu=$$(scripts/qemu | tail -n 1) && $(boot_tests) --qemu="$$qemu" --capable

bench-bypass: $B/spillway.bin | $B/need-boot ## what the bypass saves, into docs/results (about ten minutes; BENCH=--quick)
	$Q$(PYTHON) scripts/bench-bypass --firmware $B/spillway.bin --output $(or $(OUTPUT),docs/results) $(BENCH)

#------------------------------------------------------------------------------ keeping order
cxx_files := $(wildcard $(ROOMS:%=%/*.h) $(ROOMS:%=%/*.cpp) tests/host/*.h tests/host/*.cpp tests/client/*.h tests/client/*.cpp \
    tests/guards/*.h tests/guards/*.cpp tests/sweep/*.cpp)

.PHONY: clean format lint help FORCE
FORCE:

clean: ## remove what was built (downloads stay in the cache)
	rm -rf $B

format: | $B/need-lint ## clang-format all C++
	$Qclang-format -i $(cxx_files)

# clang 14 knows enough of C++23 for <expected>, but does not say so.
tidy_flags := -std=c++2b -D__cpp_concepts=202002L -Wno-builtin-macro-redefined -fno-exceptions -fno-rtti -I. \
    -DSPILLWAY_VERSION='"lint"'

$B/lint/%.ok: %.cpp .clang-tidy $B/third-party Makefile $(wildcard $(ROOMS:%=%/*.h)) | $B/need-lint
	@mkdir -p $(@D)
	@echo "  TIDY    $<"
	$Qset -o pipefail; clang-tidy --quiet $< -- $(tidy_flags) -isystem $(third_party)/source/libfdt 2>&1 | \
	    { grep -v 'warnings\? generated\|Suppressed\|non-user code\|^$$' || true; }
	@touch $@

lint: $(filter-out $B/lint/boot/timebase.ok $B/lint/boot/runtime.ok,$(sources:%.cpp=$B/lint/%.ok)) | $B/need-lint ## formatting, clang-tidy, cppcheck, includes, headers alone, stacks, image, files
	$Qclang-format --dry-run --Werror $(cxx_files)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

include $(wildcard make/*.mk)
-include $(shell find $B -name '*.d' 2>/dev/null)
