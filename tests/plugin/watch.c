// SPDX-License-Identifier: BSD-2-Clause
// A plugin for QEMU's TCG (its API version 1) that sees which of the firmware's instructions are
// executed, and judges where they store:
//
//   -plugin watch.so,image=build/spillway.bin,out=FILE,own=START-END,program=START-END,
//       main=A,enter=A,call=A,return=A
//   -object memory-backend-memfd,id=ram,size=SIZE,share=on -machine memory-backend=ram
//
// The firmware may store
//   always         in its own low memory (own=, any number), and in the 40 MiB below QEMU's tree,
//                  except where a client has claimed memory since
//   before enter=  in the stack and, where the firmware copies it, the memory of the program
//                  (program=, any number)
//   from call= until return=
//                  in the returns of the argument array, and in the buffer that the arguments of
//                  this service name
// All of this is found without the firmware's help: the tree is where the firmware first reads
// outside its own memory, and starts with the tree's magic number; the argument array is where it
// first does so in a call. FILE gets, when QEMU ends:
//
//   executed A N            the N words from A on
//   store A ADDRESS N WHEN  the instruction at A stored N bytes where it must not
#include "image.h"

enum { most_ranges = 16, most_cells = 10, most_violations = 1000, tree_magic = 0xd00dfeed };
static const uint64_t megabyte = 1 << 20, kept_free = 40 << 20;

struct range {
    uint64_t start, end;
};

static enum { reading, booting, running, called, serving } phase;
static const char* const phase_names[] = {"reading", "booting", "running", "called", "serving"};
static struct range own[most_ranges], program[most_ranges], home;
static int own_count, program_count;
static uint64_t main_address, enter_address, call_address, return_address;
static const char* out;
static uint64_t* executed; // times, a word of the image each
static uint8_t* clients;   // a byte for each of home's: a client has claimed it

static struct {
    uint32_t arguments[most_cells];
    struct range returns, buffer;
    enum { other, claim, release } service;
    int answered;
} call;

static struct {
    uint64_t from, address, size;
    int phase;
} violations[most_violations];
static int violation_count;

//------------------------------------------------------------------------------ the machine's memory
static struct range mapping; // where this process has it

static void find_memory(void) {
    char text[512];
    FILE* maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(text, sizeof text, maps)) {
        if (!strstr(text, "memory-backend-memfd")) continue;
        if (sscanf(text, "%lx-%lx", &mapping.start, &mapping.end) == 2) break;
    }
    if (maps) fclose(maps);
}

static const uint8_t* memory(uint64_t address, uint64_t size) {
    if (!mapping.start) find_memory();
    const uint64_t whole = mapping.end - mapping.start;
    return address <= whole && size <= whole - address ? (const uint8_t*)mapping.start + address : 0;
}

static uint32_t cell(uint64_t address) {
    const uint8_t* byte = memory(address, 4);
    return byte ? (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3] : 0;
}

static int says(uint64_t address, const char* text) {
    const uint8_t* bytes = memory(address, strlen(text) + 1);
    return bytes && !memcmp(bytes, text, strlen(text) + 1);
}

//------------------------------------------------------------------------------ what may be stored to
static int within(struct range range, uint64_t address, uint64_t size) {
    return address >= range.start && address <= range.end && size <= range.end - address;
}

static int within_any(const struct range* ranges, int count, uint64_t address, uint64_t size) {
    for (int i = 0; i < count; ++i) {
        if (within(ranges[i], address, size)) return 1;
    }
    return 0;
}

static int is_own(uint64_t address, uint64_t size) {
    if (within_any(own, own_count, address, size)) return 1;
    return within(home, address, size) && !memchr(clients + (address - home.start), 1, size);
}

static int may_store(uint64_t address, uint64_t size) {
    if (is_own(address, size)) return 1;
    if (phase == booting) return within_any(program, program_count, address, size);
    return phase == serving && (within(call.returns, address, size) || within(call.buffer, address, size));
}

/// What a client's claim or release leaves its own of the firmware's home.
static void set_claimed(uint64_t start, uint64_t size, int claimed) {
    const uint64_t end = start + size < home.end ? start + size : home.end;
    if (start < home.start) start = home.start;
    if (start < end) memset(clients + (start - home.start), claimed, end - start);
}

//------------------------------------------------------------------------------ following the firmware
static void find_tree(uint64_t address) {
    phase = booting;
    home = (struct range){0, 0};
    if (cell(address) != tree_magic || address < kept_free) return;
    home = (struct range){(address - kept_free + megabyte - 1) / megabyte * megabyte, address};
    free(clients);
    clients = calloc(1, kept_free);
    if (!clients) abort();
}

static struct range buffer_at(int address, int size) {
    return (struct range){call.arguments[address], (uint64_t)call.arguments[address] + call.arguments[size]};
}

/// The services that store for the client (IEEE 1275-1994, 6.3.2), and which arguments say where.
static void find_buffer(uint32_t service) {
    static const struct {
        const char* name;
        int address, size;
    } services[] = {{"getprop", 2, 3}, {"package-to-path", 1, 2}, {"instance-to-path", 1, 2},
                    {"canon", 1, 2},   {"read", 1, 2}};
    enum { longest_name = 64, rtas_size = 20 };
    for (unsigned i = 0; i < sizeof services / sizeof *services; ++i) {
        if (says(service, services[i].name)) call.buffer = buffer_at(services[i].address, services[i].size);
    }
    if (says(service, "nextprop")) {
        call.buffer = (struct range){call.arguments[2], (uint64_t)call.arguments[2] + longest_name};
    } else if (says(service, "call-method") && says(call.arguments[0], "instantiate-rtas")) {
        call.buffer = (struct range){call.arguments[2], (uint64_t)call.arguments[2] + rtas_size};
    } else if (says(service, "call-method") && says(call.arguments[0], "read")) {
        call.buffer = buffer_at(3, 2); // the top of the stack comes first
    } else if (says(service, "claim")) {
        call.service = claim;
    } else if (says(service, "release")) {
        call.service = release;
    }
}

/// Whether this may be an argument array: it starts with the address of a name.
static int is_array(uint64_t address) {
    enum { longest_name = 64 };
    const uint32_t name = cell(address);
    for (uint64_t at = name; at >= image_size && at < (uint64_t)name + longest_name; ++at) {
        const uint8_t* character = memory(at, 1);
        if (!character || *character > '~' || (*character < ' ' && *character)) return 0;
        if (!*character) return at > name;
    }
    return 0;
}

/// Which of its three first cells is read first is the compiler's choice. The second and the third
/// one are counts, which no name's address is.
static void find_arguments(uint64_t first_read) {
    enum { cell_size = 4, header_cells = 3 };
    phase = serving;
    memset(&call, 0, sizeof call);
    uint64_t array = first_read;
    while (!is_array(array)) {
        array -= cell_size;
        if (array + header_cells * cell_size <= first_read) return;
    }
    const uint32_t arguments = cell(array + 4), returns = cell(array + 8);
    if (arguments > most_cells || returns > most_cells) return;
    for (uint32_t i = 0; i < arguments; ++i) call.arguments[i] = cell(array + cell_size * (header_cells + i));
    call.returns.start = array + cell_size * (header_cells + arguments);
    call.returns.end = call.returns.start + cell_size * returns;
    find_buffer(cell(array));
}

static void accessed(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void* data) {
    (void)cpu;
    const uint64_t size = 1ull << qemu_plugin_mem_size_shift(info);
    if (!qemu_plugin_mem_is_store(info)) {
        if (phase == reading && !is_own(address, size) && address >= image_size) find_tree(address);
        if (phase == called && !is_own(address, size) && address >= image_size) find_arguments(address);
        return;
    }
    if (phase == serving && within(call.returns, address, size)) call.answered = 1;
    if (may_store(address, size) || violation_count == most_violations) return;
    violations[violation_count].from = (uint64_t)data;
    violations[violation_count].address = address;
    violations[violation_count].size = size;
    violations[violation_count++].phase = phase;
}

static void main_entered(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    phase = reading;
    home = (struct range){0, 0};
}

static void program_entered(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    phase = running;
}

static void call_begins(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    phase = called;
}

static void call_ends(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    if (phase == serving && call.answered && call.service == claim) {
        const uint32_t place = cell(call.returns.start);
        if (place != UINT32_MAX) set_claimed(place, call.arguments[1], 1);
    }
    if (phase == serving && call.service == release) set_claimed(call.arguments[0], call.arguments[1], 0);
    phase = running;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
    (void)id;
    const uint64_t start = qemu_plugin_tb_vaddr(tb);
    const size_t size = qemu_plugin_tb_n_insns(tb);
    if (!is_firmware(tb, start, size)) return;
    for (size_t i = 0; i < size; ++i) {
        struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t address = start + 4 * i;
        const qemu_plugin_callback callback = address == main_address     ? main_entered
                                              : address == enter_address  ? program_entered
                                              : address == call_address   ? call_begins
                                              : address == return_address ? call_ends
                                                                          : 0;
        if (callback) qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, QEMU_PLUGIN_CB_NO_REGS, 0);
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64,
                                                   &executed[address / 4], 1);
        qemu_plugin_register_vcpu_mem_cb(instruction, accessed, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                         (void*)address);
    }
}

static void ended(qemu_plugin_id_t id, void* data) {
    (void)id, (void)data;
    FILE* file = fopen(out, "w");
    if (!file) abort();
    for (uint64_t word = 0; word < image_size / 4; ++word) {
        const uint64_t first = word;
        while (word < image_size / 4 && executed[word]) ++word;
        if (word > first) fprintf(file, "executed 0x%lx %lu\n", 4 * first, word - first);
    }
    for (int i = 0; i < violation_count; ++i) {
        fprintf(file, "store 0x%lx 0x%lx %lu %s\n", violations[i].from, violations[i].address,
                violations[i].size, phase_names[violations[i].phase]);
    }
    fclose(file);
}

//------------------------------------------------------------------------------ options
static int read_range(const char* text, struct range* range) {
    return sscanf(text, "%lx-%lx", &range->start, &range->end) == 2;
}

static int read_address(const char* text, uint64_t* address) {
    return sscanf(text, "%lx", address) == 1;
}

static int read_option(const char* name, const char* value) {
    if (!strcmp(name, "image")) return read_image(value);
    if (!strcmp(name, "out")) return (out = strdup(value)) != 0;
    if (!strcmp(name, "own")) return own_count < most_ranges && read_range(value, &own[own_count++]);
    if (!strcmp(name, "program")) {
        return program_count < most_ranges && read_range(value, &program[program_count++]);
    }
    if (!strcmp(name, "main")) return read_address(value, &main_address);
    if (!strcmp(name, "enter")) return read_address(value, &enter_address);
    if (!strcmp(name, "call")) return read_address(value, &call_address);
    return !strcmp(name, "return") && read_address(value, &return_address);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int count, char** arguments) {
    (void)info;
    for (int i = 0; i < count; ++i) {
        char* value = strchr(arguments[i], '=');
        if (!value) return 1;
        *value++ = '\0';
        if (!read_option(arguments[i], value)) return 1;
    }
    if (!image || !out) return 1;
    executed = calloc(image_size / 4, sizeof *executed);
    if (!executed) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, 0);
    return 0;
}
