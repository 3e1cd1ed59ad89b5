// SPDX-License-Identifier: BSD-2-Clause
// The firmware's image, for plugins that tell its instructions from others.
#pragma once

#include "plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char* image;
static uint64_t image_size;

static int read_image(const char* path) {
    FILE* file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) return 0;
    image_size = (uint64_t)ftell(file);
    rewind(file);
    unsigned char* bytes = malloc(image_size);
    const int whole = bytes && fread(bytes, 1, image_size, file) == image_size;
    fclose(file);
    image = bytes;
    return whole;
}

/// All instructions of a block of `size` lie within the image's size and are the image's there.
static int is_firmware(const struct qemu_plugin_tb* tb, uint64_t address, size_t size) {
    if (address > image_size || size * 4 > image_size - address) return 0;
    for (size_t i = 0; i < size; ++i) {
        if (memcmp(qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), image + address + 4 * i, 4)) return 0;
    }
    return 1;
}
