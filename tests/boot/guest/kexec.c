// SPDX-License-Identifier: BSD-2-Clause
// Starts another kernel in place of this one, as kexec does on a real system:
//     kexec DISK
// At the disk's beginning is a line "KERNEL-SIZE INITRD-SIZE" in bytes, at 4096 the kernel, an ELF file,
// and right behind it the initrd. The new kernel's command line is this one's, with spillway.then=WORDS
// in place of spillway.do; its device tree is the one that this one was given.
// Debian's kernel for ppc64el has no kexec_file_load(2), so all of that is done here.

#include <elf.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Where things go: above what the running kernel itself takes, below RTAS.
enum {
    KERNEL = 0x08000000,
    INITRD = 0x0C000000,
    TREE = 0x10000000,
    START = 0x10800000,
    PAGE = 0x10000,
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static size_t read_all(int file, char *buffer, size_t size)
{
    size_t done = 0;
    ssize_t got;
    while (done < size && (got = read(file, buffer + done, size - done)) > 0)
        done += (size_t)got;
    return done;
}

static char *read_part(int disk, size_t size)
{
    char *buffer = malloc(size);
    if (!buffer || read_all(disk, buffer, size) != size)
        fail("read");
    return buffer;
}

/// "... spillway.do=FIRST ... spillway.then=SECOND ..." loses FIRST, and SECOND takes its place.
static void change_command_line(char *line)
{
    char *first = strstr(line, "spillway.do="), *second = strstr(line, "spillway.then=");
    char words[4096];
    if (!first || !second || strlen(line) >= sizeof words)
        fail("the command line");
    snprintf(words, sizeof words, " spillway.do=%.*s", (int)strcspn(second + 14, " "), second + 14);
    memset(first, ' ', strcspn(first, " "));
    memset(second, ' ', strcspn(second, " "));
    size_t length = strlen(line);
    while (length && line[length - 1] == ' ')
        --length;
    // What has been blanked out is longer than what is added.
    strcpy(line + length, words);
}

static void set(char *value, size_t size, uint64_t number)
{
    while (size) {
        value[--size] = (char)number;
        number >>= 8;
    }
}

/// Changes values in place, their sizes stay.
static void change_tree(char *tree, size_t initrd_size)
{
    const uint32_t *header = (const uint32_t *)tree;
    char *at = tree + be32toh(header[2]);
    const char *strings = tree + be32toh(header[3]);
    int changed = 0;
    for (uint32_t token; (token = be32toh(*(uint32_t *)at)) != 9;) {
        at += 4;
        if (token == 1) {
            at += (strlen(at) + 4) & ~3ul;
        } else if (token == 3) {
            size_t size = be32toh(*(uint32_t *)at);
            const char *name = strings + be32toh(*(uint32_t *)(at + 4));
            at += 8;
            if (strcmp(name, "bootargs") == 0 && ++changed)
                change_command_line(at);
            if (strcmp(name, "linux,initrd-start") == 0 && ++changed)
                set(at, size, INITRD);
            if (strcmp(name, "linux,initrd-end") == 0 && ++changed)
                set(at, size, INITRD + initrd_size);
            at += (size + 3) & ~3ul;
        }
    }
    if (changed != 3)
        fail("the device tree");
}

static struct kexec_segment segment(const void *content, size_t size, size_t place, size_t memory)
{
    return (struct kexec_segment){content, size, (void *)place, (memory + PAGE - 1) & ~(PAGE - 1ul)};
}

int main(int count, char **words)
{
    static char header[4097], tree[1 << 20];
    size_t kernel_size, initrd_size;
    int disk = open(count == 2 ? words[1] : "", O_RDONLY);
    if (disk < 0 || read_all(disk, header, 4096) != 4096 ||
        sscanf(header, "%zu %zu", &kernel_size, &initrd_size) != 2)
        fail("usage: kexec DISK");
    char *kernel = read_part(disk, kernel_size), *initrd = read_part(disk, initrd_size);
    size_t tree_size = read_all(open("/sys/firmware/fdt", O_RDONLY), tree, sizeof tree);
    change_tree(tree, initrd_size);

    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)kernel;
    const Elf64_Phdr *load = (const Elf64_Phdr *)(kernel + elf->e_phoff);
    while (load->p_type != PT_LOAD)
        ++load;
    // r3 = the tree, r4 = the kernel, r5 to r7 = 0, and there.
    const uint32_t start[] = {
        0x3C600000 | TREE >> 16, 0x3C800000 | KERNEL >> 16, 0x38A00000, 0x38C00000, 0x38E00000,
        0x7C8903A6, 0x4E800420,
    };
    struct kexec_segment segments[] = {
        segment(kernel + load->p_offset, load->p_filesz, KERNEL, load->p_memsz),
        segment(initrd, initrd_size, INITRD, initrd_size),
        segment(tree, tree_size, TREE, tree_size),
        segment(start, sizeof start, START, sizeof start),
    };
    if (syscall(SYS_kexec_load, START, sizeof segments / sizeof *segments, segments, KEXEC_ARCH_PPC64))
        fail("kexec_load");
    sync();
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
    fail("reboot");
}
