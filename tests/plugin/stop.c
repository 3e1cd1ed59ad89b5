// SPDX-License-Identifier: BSD-2-Clause
// A plugin for QEMU's TCG (its API version 1) that stops the machine at an exact instruction:
//
//   -icount shift=N,sleep=off -plugin stop.so,control=FILE    (and `singlestep on` in the monitor)
//
// FILE begins with two 64-bit numbers of the host's byte order, which whoever drives the machine maps
// too and may write while the machine stands: how many instructions were executed, and at how many
// the machine stops. `singlestep` makes each instruction a block of its own, and QEMU looks between
// two blocks whether it should stop; -icount makes what the guest sees of time depend on nothing else.
#include "plugin.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Of QEMU itself, which exports it for its modules: from a processor's own thread it takes effect at
// the next block.
enum { RUN_STATE_PAUSED = 4 };
int vm_stop(int state);

static volatile struct {
    uint64_t executed, stop_at;
}* control;

static void executed(unsigned cpu, void* count) {
    (void)cpu;
    control->executed += (uintptr_t)count;
    if (control->executed >= control->stop_at) vm_stop(RUN_STATE_PAUSED);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS,
                                         (void*)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int count, char** arguments) {
    (void)info;
    static const char option[] = "control=";
    if (count != 1 || strncmp(arguments[0], option, strlen(option))) return 1;
    const int file = open(arguments[0] + strlen(option), O_RDWR);
    if (file < 0) return 1;
    void* mapped = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) return 1;
    control = mapped;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
