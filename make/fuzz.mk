# SPDX-License-Identifier: BSD-2-Clause
# Fuzzing: each file of tests/fuzz with a run() is a target (docs/results/fuzzing.md).

fuzz_shared := elf fuzz guests machines trees
fuzz_targets := $(filter-out $(fuzz_shared),$(patsubst tests/fuzz/%.cpp,%,$(sort $(wildcard tests/fuzz/*.cpp))))
cxx_files += $(wildcard tests/fuzz/*.h tests/fuzz/*.cpp)
need_fuzz := clang libclang-rt-14-dev libgtest-dev python3

FUZZ_CXX ?= clang++
FUZZ_CC ?= clang
# GCC warns of everything else; clang lacks an attribute. For the language see `tidy_flags`.
fuzz_warnings := -Wall -Wextra -Wconversion -Wshadow -Werror -Wno-unknown-attributes
fuzz_language := -std=c++2b -D__cpp_concepts=202002L -Wno-macro-redefined -I.
fuzz_flags := -O2 -g1 $(sanitizers) -DSPILLWAY_VERSION='"$(VERSION) (fuzz)"'
# What the fuzzer learns from: the firmware, not the tests around it.
fuzz_covered := -fsanitize=fuzzer-no-link

# Host tests' helpers, without the tests. All go into one archive: a target links what it uses.
fuzz_sources := $(filter-out tests/host/%_test.cpp,$(host_sources)) $(fuzz_shared:%=tests/fuzz/%.cpp)
fuzz_objects := $(fuzz_sources:%.cpp=$B/fuzz/%.o) $(host_libfdt:%=$B/fuzz/libfdt/%.o)
fuzz_programs := $(fuzz_targets:%=$B/fuzz/bin/%)

$B/fuzz/%.o: %.cpp $B/third-party Makefile make/fuzz.mk | $B/need-fuzz
	@mkdir -p $(@D)
	@echo "  FUZZCXX $@"
	$Q$(FUZZ_CXX) $(fuzz_language) $(if $(filter tests/%,$<),,-fno-rtti $(fuzz_covered)) $(fuzz_flags) $(fuzz_warnings) \
	    -isystem $(third_party)/source/libfdt -MMD -MP -c $< -o $@

$B/fuzz/libfdt/%.o: $B/third-party make/fuzz.mk | $B/need-fuzz
	@mkdir -p $(@D)
	@echo "  FUZZCC  $@"
	$Q$(FUZZ_CC) $(fuzz_covered) $(fuzz_flags) -I$(third_party)/source/libfdt -c $(third_party)/source/libfdt/$*.c -o $@

$B/fuzz/shared.a: $(fuzz_objects)
	@rm -f $@
	$Qar rcs $@ $^

$B/fuzz/bin/%: $B/fuzz/tests/fuzz/%.o $B/fuzz/shared.a
	@mkdir -p $(@D)
	@echo "  FUZZLD  $@"
	$Q$(FUZZ_CXX) $(sanitizers) $(host_wraps) -fsanitize=fuzzer $^ -lgtest -pthread -o $@
.PRECIOUS: $B/fuzz/tests/fuzz/%.o

fuzz_script := $(PYTHON) scripts/fuzz --folder $B/fuzz
fuzz_chosen := $(or $(TARGET),$(fuzz_targets))
.PHONY: fuzz fuzz-merge check-fuzz
fuzz: $(fuzz_chosen:%=$B/fuzz/bin/%) ## fuzz each target for TIME=60 seconds (TARGET=name for one)
	$Q$(fuzz_script) run --time $(or $(TIME),60) $(fuzz_chosen)

check-fuzz: $(fuzz_programs) ## replay the corpora and fuzz each target for five seconds
	$Q$(fuzz_script) check $(fuzz_targets)

fuzz-merge: $(fuzz_chosen:%=$B/fuzz/bin/%) ## minimise tests/fuzz/corpus, with what `make fuzz` has found
	$Q$(fuzz_script) merge $(fuzz_chosen)
