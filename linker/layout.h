/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses and sizes that assembly, the linker script and C++ share. Plain numbers only. */
#ifndef SPILLWAY_LINKER_LAYOUT_H
#define SPILLWAY_LINKER_LAYOUT_H

/* Real-mode vectors and big-endian stubs (boot/vectors.S), assembled apart and placed at 0. */
#define LAYOUT_VECTORS_SIZE 0x2000

/* Where an interrupted context is saved, in big-endian doublewords (struct Frame). One frame for
 * the system reset vector, one for all others, so that either may interrupt the other's printing.
 */
#define LAYOUT_RESET_FRAME 0x1800
#define LAYOUT_FAULT_FRAME 0x1a00
#define LAYOUT_FRAME_SIZE 0x200
/* Word in the reset frame: what is in the frame is being served. */
#define LAYOUT_RESET_SERVING (LAYOUT_RESET_FRAME + 44 * 8)

/* Big-endian entry points that programs are given. */
#define LAYOUT_CLIENT_ENTRY 0x1400
#define LAYOUT_PROGRAM_RETURN 0x1500

/* Little-endian entry points (boot/entry.S), reached from the big-endian ones. */
#define LAYOUT_LITTLE_EXCEPTION 0x2000
#define LAYOUT_LITTLE_CLIENT 0x2010
#define LAYOUT_LITTLE_JUMPED 0x2018
#define LAYOUT_LITTLE_RETURN 0x2020

#define LAYOUT_MAIN_STACK_SIZE 0x8000
#define LAYOUT_CLIENT_STACK_SIZE 0x8000
#define LAYOUT_FAULT_STACK_SIZE 0x4000
/* Code that is built without the limit check (libfdt, picolibc, assembly) may use this much more. */
#define LAYOUT_STACK_MARGIN 0x1000

/* The image's promise to QEMU's users; QEMU itself takes up to 4 MiB. */
#define LAYOUT_IMAGE_LIMIT 0x20000
/* Everything of ours, zeroed memory and stacks included, ends below this. */
#define LAYOUT_MEMORY_LIMIT 0x100000

#endif
