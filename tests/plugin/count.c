// SPDX-License-Identifier: BSD-2-Clause
// A plugin for QEMU's TCG (its API version 1) that counts what a firmware does, exactly:
//
//   -plugin count.so,image=build/spillway.bin,out=FILE
//
// An instruction is the firmware's if it lies within the image's size and is the image's at that
// place; the first other one is the program's. Without image= all count until the first one at
// 0x400000, where QEMU loads kernels, and none after that. FILE gets, when QEMU ends:
//
//   boot N        instructions until the program is entered
//   calls N       instructions after that: client calls
//   written N     bytes of memory written, in lines of 64 bytes, each counted once
//   block A N B C a block of N instructions at A was executed B times before and C times after
#include "image.h"

enum { line = 64 };
static const uint64_t most_memory = 1ull << 36;

struct block {
    struct block* next;
    uint64_t address, instructions, count, count_at_entry;
};

static const uint64_t kernel = 0x400000;
static uint64_t lines_written;
static const char* out;
static struct block* blocks;
static uint8_t* written; // a bit a line
static int entered;

static void stored(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void* data) {
    (void)cpu, (void)data;
    if (address >= most_memory || !qemu_plugin_mem_is_store(info)) return;
    uint8_t* byte = &written[address / line / 8];
    const uint8_t bit = (uint8_t)(1u << address / line % 8);
    lines_written += (*byte & bit) == 0;
    *byte |= bit;
}

static void program_entered(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    if (entered) return;
    entered = 1;
    for (struct block* block = blocks; block; block = block->next) block->count_at_entry = block->count;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
    (void)id;
    const uint64_t address = qemu_plugin_tb_vaddr(tb);
    const size_t size = qemu_plugin_tb_n_insns(tb);
    if (image ? !is_firmware(tb, address, size) : address == kernel || entered) {
        if (!entered) qemu_plugin_register_vcpu_tb_exec_cb(tb, program_entered, QEMU_PLUGIN_CB_NO_REGS, 0);
        return;
    }
    struct block* block = calloc(1, sizeof *block);
    if (!block) abort();
    *block = (struct block){.next = blocks, .address = address, .instructions = size};
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &block->count, 1);
    for (size_t i = 0; image && i < size; ++i) {
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), stored, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_W, 0);
    }
}

static void ended(qemu_plugin_id_t id, void* data) {
    (void)id, (void)data;
    if (!entered) program_entered(0, 0);
    FILE* file = fopen(out, "w");
    if (!file) abort();
    uint64_t boot = 0, calls = 0;
    for (struct block* block = blocks; block; block = block->next) {
        boot += block->count_at_entry * block->instructions;
        if (image) calls += (block->count - block->count_at_entry) * block->instructions;
    }
    fprintf(file, "boot %lu\ncalls %lu\nwritten %lu\n", boot, calls, lines_written * line);
    for (struct block* block = blocks; block; block = block->next) {
        fprintf(file, "block 0x%lx %lu %lu %lu\n", block->address, block->instructions, block->count_at_entry,
                block->count - block->count_at_entry);
    }
    fclose(file);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int count, char** arguments) {
    (void)info;
    for (int i = 0; i < count; ++i) {
        const char* value = strchr(arguments[i], '=');
        if (!value++) return 1;
        if (!strncmp(arguments[i], "out=", 4)) {
            out = strdup(value);
        } else if (strncmp(arguments[i], "image=", 6) || !read_image(value)) {
            return 1;
        }
    }
    written = calloc(most_memory / line / 8, 1);
    if (!out || !written) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, 0);
    return 0;
}
