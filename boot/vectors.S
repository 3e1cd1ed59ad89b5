/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything that the processor or a program enters in big-endian mode. Assembled big-endian and
 * linked at 0 on its own; each path ends in an rfid to little-endian code in boot/entry.S.
 *
 * QEMU enters at 0x100 in 32-bit mode with all of MSR clear (7.2) or with ME and FP (10.0), r3 =
 * device tree. An injected NMI enters there too, with SF set as any interrupt does.
 */
#include "linker/layout.h"

    .text
    .org 0

/* Where programs of either byte order may arrive: the first word is a trap that is never taken in
 * big-endian mode, and a branch over the second one in little-endian mode.
 */
    .macro either_order big, little
from_\@:
    .byte   0x08, 0x00, 0x00, 0x48
    b       \big
    .set    far_\@, \little - 8 - (from_\@ - .text)
    .byte   far_\@ & 0xfc, (far_\@ >> 8) & 0xff, (far_\@ >> 16) & 0xff, 0x48 | ((far_\@ >> 24) & 3)
    .endm

/* Saves r31 and leaves for save_context with r31 = vector number. */
    .macro vector number, frame
    .org \number
    std     %r31, \frame + 31 * 8(0)
    li      %r31, \number
    b       save_\frame
    .endm

    .set reset_frame, LAYOUT_RESET_FRAME
    .set fault_frame, LAYOUT_FAULT_FRAME

/* The system reset vector may be entered again while it is being served (a second NMI): the first
 * context is still needed then, so it is kept, and serving it starts over.
 */
    .set kept_r31, LAYOUT_RESET_FRAME + 45 * 8
    .set kept_cr, LAYOUT_RESET_FRAME + 46 * 8
    .org 0x100
    either_order 1f, LAYOUT_LITTLE_JUMPED
1:  std     %r31, kept_r31(0)
    mfcr    %r31
    std     %r31, kept_cr(0)
    lwz     %r31, LAYOUT_RESET_SERVING(0)
    cmpwi   %r31, 0
    ld      %r31, kept_cr(0)
    bne     2f
    mtcr    %r31
    ld      %r31, kept_r31(0)
    std     %r31, reset_frame + 31 * 8(0)
    li      %r31, 0x100
    b       save_reset_frame
2:  li      %r31, 0x100
    b       serve_reset_frame

    .irp number, 0x200, 0x300, 0x380, 0x400, 0x480, 0x500, 0x600, 0x700, 0x800, 0x900, 0x980, 0xa00, 0xb00, 0xc00, 0xd00, 0xe00, 0xe20, 0xe40, 0xe60, 0xe80, 0xea0, 0xf00, 0xf20, 0xf40, 0xf60, 0xf80
    vector \number, fault_frame
    .endr

/* MSR = SF | ME | LE, and RI too where state that an interrupt destroys is not live. */
    .macro little_endian_msr register, recoverable
    li      \register, 1
    rldicr  \register, \register, 63, 0
    ori     \register, \register, 0x1001 + 2 * \recoverable
    .endm

/* Context as struct Frame of boot/exceptions.cpp has it: r0..r31, then special registers. */
    .macro save_context frame
save_\frame:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    std     %r\n, \frame + \n * 8(0)
    .endr
    mfsrr0  %r30
    std     %r30, \frame + 32 * 8(0)
    mfsrr1  %r30
    std     %r30, \frame + 33 * 8(0)
    mflr    %r30
    std     %r30, \frame + 34 * 8(0)
    mfctr   %r30
    std     %r30, \frame + 35 * 8(0)
    mfxer   %r30
    std     %r30, \frame + 36 * 8(0)
    mfcr    %r30
    std     %r30, \frame + 37 * 8(0)
    mfdar   %r30
    std     %r30, \frame + 38 * 8(0)
    mfdsisr %r30
    std     %r30, \frame + 39 * 8(0)
    mfmsr   %r30
    std     %r30, \frame + 40 * 8(0)
    std     %r31, \frame + 41 * 8(0)
    .ifc    \frame, reset_frame
    li      %r30, 1
    stw     %r30, LAYOUT_RESET_SERVING(0)
    .endif
serve_\frame:
    little_endian_msr %r29, 0
    mtsrr1  %r29
    li      %r29, LAYOUT_LITTLE_EXCEPTION
    mtsrr0  %r29
    rfid
    .endm

    .org 0x1000
    save_context reset_frame
    save_context fault_frame

/* The client interface: r3 = argument array; 32- or 64-bit caller. r0 and r11 carry the caller's MSR
 * and return address over; all that is changed here is volatile for the caller.
 */
    .org LAYOUT_CLIENT_ENTRY
    mfmsr   %r0
    mflr    %r11
    li      %r12, 0
    mtmsrd  %r12, 1                 /* EE and RI off: SRR0 and SRR1 are about to be live */
    little_endian_msr %r12, 1
    mtsrr1  %r12
    li      %r12, LAYOUT_LITTLE_CLIENT
    mtsrr0  %r12
    rfid

/* Where a program that returns ends up. */
    .org LAYOUT_PROGRAM_RETURN
    either_order 1f, LAYOUT_LITTLE_RETURN
1:  little_endian_msr %r12, 1
    mtsrr1  %r12
    li      %r12, LAYOUT_LITTLE_RETURN
    mtsrr0  %r12
    rfid

    .org LAYOUT_VECTORS_SIZE
