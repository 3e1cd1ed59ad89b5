// SPDX-License-Identifier: BSD-2-Clause
// What drmgr does on a real system when a PCI function is plugged in or out: the kernel leaves it to
// user space to fetch the function's node from the hypervisor (RTAS ibm,configure-connector) and to
// put it into the device tree (/proc/ppc64/ofdt).
//     plug add CONNECTOR [NAME TEXT]  prints the new node's path; adds a property of the caller's own
//     plug remove CONNECTOR           the driver and the PCI device must be gone by then
// CONNECTOR is a name of ibm,drc-names of a host bridge, also the name of the slot in sysfs.
// Functions only: a bridge that brings children is refused.

#include <endian.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TREE "/proc/device-tree"

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static size_t contents(const char *path, void *buffer, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t length = fread(buffer, 1, size, file);
    fclose(file);
    return length;
}

static uint32_t cell(const char *path)
{
    uint32_t value = 0;
    contents(path, &value, sizeof value);
    return be32toh(value);
}

static int32_t rtas(const char *name, int count, uint32_t a, uint32_t b, uint32_t c)
{
    char path[128];
    snprintf(path, sizeof path, TREE "/rtas/%s", name);
    struct {
        uint32_t token, inputs, outputs, values[16];
        uint32_t *results;
    } call = {htobe32(cell(path)), htobe32(count), htobe32(1), {htobe32(a), htobe32(b), htobe32(c)}, NULL};
    if (syscall(SYS_rtas, &call))
        fail(name);
    return (int32_t)be32toh(call.values[count]);
}

/// A PCI connector has this one state that matters; QEMU takes the function away once isolated.
static void isolate(uint32_t connector, int yes)
{
    int32_t status = rtas("set-indicator", 3, 9001, connector, !yes);
    if (status)
        fprintf(stderr, "set-indicator isolation-state: %d\n", status);
}

static void change_tree(const char *text, size_t length)
{
    int file = open("/proc/ppc64/ofdt", O_WRONLY);
    if (file < 0 || write(file, text, length) != (ssize_t)length)
        fail("/proc/ppc64/ofdt");
    close(file);
}

/// The connector's index; the host bridge's path in the tree goes to `bridge`.
static uint32_t find(const char *connector, char *bridge, size_t size)
{
    static char names[65536], path[512];
    static uint32_t indexes[4096];
    glob_t bridges;
    glob(TREE "/pci@*", 0, NULL, &bridges);
    for (size_t i = 0; i < bridges.gl_pathc; ++i) {
        snprintf(path, sizeof path, "%s/ibm,drc-indexes", bridges.gl_pathv[i]);
        contents(path, indexes, sizeof indexes);
        snprintf(path, sizeof path, "%s/ibm,drc-names", bridges.gl_pathv[i]);
        size_t length = contents(path, names, sizeof names - 1), number = 0;
        for (char *name = names + 4; name < names + length; name += strlen(name) + 1)
            if (++number < sizeof indexes / 4 && strcmp(name, connector) == 0) {
                snprintf(bridge, size, "%s", bridges.gl_pathv[i] + strlen(TREE));
                return be32toh(indexes[number]);
            }
    }
    fprintf(stderr, "no connector %s\n", connector);
    exit(1);
}

/// With `name_of_own`, the node also gets this property, whatever the hypervisor says of the function.
static void add(uint32_t index, const char *bridge, const char *name_of_own, const char *text_of_own)
{
    static char text[65536];
    size_t length = 0, path = 0;
    unsigned long address = 0;
    FILE *file = fopen("/proc/powerpc/rtas/rmo_buffer", "r");
    if (!file || fscanf(file, "%lx", &address) != 1)
        fail("/proc/powerpc/rtas/rmo_buffer");
    int memory = open("/dev/mem", O_RDWR | O_SYNC);
    uint32_t *work = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off_t)address);
    if (work == MAP_FAILED)
        fail("/dev/mem");

    isolate(index, 0);
    memset(work, 0, 4096);
    work[0] = htobe32(index);
    int32_t status;
    while ((status = rtas("ibm,configure-connector", 2, (uint32_t)address, 0, 0)) > 0) {
        char *name = (char *)work + be32toh(work[2]);
        if (status == 2 && !path) {
            path = strlen("add_node ");
            length = (size_t)sprintf(text, "add_node %s/%s ", bridge, name);
        } else if (status == 3) {
            uint32_t size = be32toh(work[3]);
            if (length + strlen(name) + size + 32 > sizeof text)
                break;
            length += (size_t)sprintf(text + length, "%s %u ", name, size);
            memcpy(text + length, (char *)work + be32toh(work[4]), size);
            length += size;
            text[length++] = ' ';
        } else if (status != 4) {
            break;
        }
    }
    if (status || !path) {
        fprintf(stderr, "ibm,configure-connector: %d\n", status);
        exit(1);
    }
    if (name_of_own)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s %zu %s%c ", name_of_own,
                                   strlen(text_of_own) + 1, text_of_own, 0);
    change_tree(text, length - 1);
    printf("%.*s\n", (int)strcspn(text + path, " "), text + path);
}

static void remove_node(uint32_t index, const char *bridge)
{
    char pattern[512];
    glob_t nodes;
    snprintf(pattern, sizeof pattern, TREE "%s/*/ibm,my-drc-index", bridge);
    glob(pattern, 0, NULL, &nodes);
    for (size_t i = 0; i < nodes.gl_pathc; ++i)
        if (cell(nodes.gl_pathv[i]) == index) {
            *strrchr(nodes.gl_pathv[i], '/') = 0;
            int length = snprintf(pattern, sizeof pattern, "remove_node %s",
                                  nodes.gl_pathv[i] + strlen(TREE));
            change_tree(pattern, (size_t)length);
            break;
        }
    isolate(index, 1);
}

int main(int count, char **words)
{
    char bridge[256];
    if (count != 3 && count != 5) {
        fprintf(stderr, "usage: plug add|remove CONNECTOR [NAME TEXT]\n");
        return 1;
    }
    uint32_t index = find(words[2], bridge, sizeof bridge);
    if (strcmp(words[1], "add") == 0)
        add(index, bridge, count == 5 ? words[3] : NULL, count == 5 ? words[4] : NULL);
    else
        remove_node(index, bridge);
    return 0;
}
