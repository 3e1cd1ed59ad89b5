# SPDX-License-Identifier: BSD-2-Clause
# The host tests once more, as little-endian PowerPC: the target's integers, alignment, variable
# arguments and code generator. Undefined behaviour traps; no other sanitizer runs under qemu-user.

need_ppc64le := $(need_build) libc6-dev-ppc64el-cross libstdc++-12-dev-ppc64el-cross googletest qemu-user
ppc64le_flags := -O1 -g1 -mcpu=power8 -fsanitize=undefined -fno-sanitize=vptr -fsanitize-undefined-trap-on-error \
    -DSPILLWAY_VERSION='"$(VERSION) (host)"'
ppc64le_objects := $(host_sources:%.cpp=$B/ppc64le/%.o) $(host_libfdt:%=$B/ppc64le/libfdt/%.o) \
    $B/ppc64le/gtest-all.o $B/ppc64le/gtest_main.o

$B/ppc64le/%.o: %.cpp $B/third-party Makefile make/ppc64le.mk | $B/need-ppc64le
	@mkdir -p $(@D)
	@echo "  PPC64LE $@"
	$Q$(CROSS)g++ $(language) $(if $(filter tests/%,$<),-frtti,-fno-exceptions) $(ppc64le_flags) $(warnings) \
	    -isystem $(third_party)/source/libfdt -isystem /usr/src/googletest/googletest/include -MMD -MP -c $< -o $@

$B/ppc64le/libfdt/%.o: $B/third-party make/ppc64le.mk | $B/need-ppc64le
	@mkdir -p $(@D)
	$Q$(CROSS)gcc $(filter-out -std=%,$(ppc64le_flags)) -I$(third_party)/source/libfdt \
	    -c $(third_party)/source/libfdt/$*.c -o $@

$B/ppc64le/gtest%.o: make/ppc64le.mk | $B/need-ppc64le
	@mkdir -p $(@D)
	@echo "  PPC64LE $@"
	$Q$(CROSS)g++ -O1 -I/usr/src/googletest/googletest -I/usr/src/googletest/googletest/include \
	    -c /usr/src/googletest/googletest/src/gtest$*.cc -o $@

# Not static: what the C++ library takes from malloc is not the firmware's (host_wraps).
$B/host-tests-ppc64le: $(ppc64le_objects)
	@echo "  LD      $@"
	$Q$(CROSS)g++ $(host_wraps) $^ -pthread -o $@

.PHONY: check-host-ppc64le
check-host-ppc64le: $B/host-tests-ppc64le ## the host tests as ppc64le programs, under qemu-user
	timeout 1200 qemu-ppc64le -L /usr/powerpc64le-linux-gnu $< --gtest_brief=1
