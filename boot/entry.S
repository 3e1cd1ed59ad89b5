/* SPDX-License-Identifier: BSD-2-Clause */
/* Little-endian entry points, reached from boot/vectors.S, and the way into a program.
 *
 * r13 holds the lowest address that the stack may grow to: every C++ function with a frame traps
 * when it would go below (-fstack-limit-register).
 */
#include "linker/layout.h"

#define MSR_SF 0x8000000000000000
#define MSR_FP 0x2000
#define MSR_RI 0x2

    .section .vectors, "ax"
    .incbin "vectors.bin"

    .section .text.entry, "ax"

    .macro load_address register, symbol
    lis     \register, \symbol@h
    ori     \register, \register, \symbol@l
    .endm

    .macro use_stack name
    load_address %r1, \name\()_stack_top - 64
    load_address %r13, \name\()_stack_bottom + LAYOUT_STACK_MARGIN
    li      %r0, 0
    std     %r0, 0(%r1)
    load_address %r2, .TOC.
    .endm

/* r31 = vector; the interrupted context is saved in its frame. */
    .org LAYOUT_LITTLE_EXCEPTION - 0x2000
    b       little_exception
    .org LAYOUT_LITTLE_CLIENT - 0x2000
    b       little_client
    .org LAYOUT_LITTLE_JUMPED - 0x2000
    b       jumped
    .org LAYOUT_LITTLE_RETURN - 0x2000
    use_stack client
    bl      program_returned
    trap

    .type little_exception, @function
little_exception:
    cmpldi  %r31, 0x100
    bne     fault

    /* An interrupt sets SF (MSR at the vector is doubleword 40); QEMU's reset leaves it clear. */
    lbz     %r4, LAYOUT_RESET_FRAME + 40 * 8(0)
    andi.   %r4, %r4, MSR_SF >> 56
    beq     1f
    /* It also clears FP and RI, which programs have set from the start. */
    lbz     %r4, LAYOUT_RESET_FRAME + 40 * 8 + 6(0)
    andi.   %r4, %r4, MSR_FP >> 8
    bne     jumped
    lbz     %r4, LAYOUT_RESET_FRAME + 40 * 8 + 7(0)
    andi.   %r4, %r4, MSR_RI
    beq     injected
    b       jumped

    /* QEMU writes the image anew at each reset, and with it the stamp. */
1:  load_address %r5, running
    lwz     %r4, 0(%r5)
    cmpwi   %r4, 0
    bne     jumped
cold_start:
    /* Until the stamp is set, an NMI starts over; from then on it is served and comes back. */
    li      %r4, 0
    stw     %r4, LAYOUT_RESET_SERVING(0)
    li      %r4, MSR_RI
    mtmsrd  %r4, 1
    li      %r4, 1
    stw     %r4, 0(%r5)

    load_address %r4, bss_start
    load_address %r5, bss_end
    li      %r0, 0
1:  std     %r0, 0(%r4)
    std     %r0, 8(%r4)
    addi    %r4, %r4, 16
    cmpld   %r4, %r5
    blt     1b

    use_stack main
    li      %r4, 0
    mtcr    %r4
    mtxer   %r4
    bl      spillway_main           /* r3 is still the device tree's address */
    trap

injected:
    load_address %r5, running
    lwz     %r4, 0(%r5)
    cmpwi   %r4, 0
    li      %r4, LAYOUT_RESET_FRAME + 3 * 8
    ldbrx   %r3, 0, %r4
    beq     cold_start
    use_stack reset
    li      %r3, LAYOUT_RESET_FRAME
    bl      system_reset_interrupt  /* returns when the interrupted code can go on */
    li      %r31, LAYOUT_RESET_FRAME
    b       resume

jumped:
    use_stack reset
    bl      reset_vector_entered
    trap

fault:
    use_stack fault
    li      %r3, LAYOUT_FAULT_FRAME
    bl      exception
    trap
    .size little_exception, . - little_exception

/* Goes back to the context of the frame (big-endian doublewords) at r31. */
    .macro reload register, index
    li      %r30, 8 * \index
    ldbrx   \register, %r30, %r31
    .endm
    .type resume, @function
resume:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28
    reload  %r\n, \n
    .endr
    reload  %r29, 34
    mtlr    %r29
    reload  %r29, 35
    mtctr   %r29
    reload  %r29, 36
    mtxer   %r29
    reload  %r29, 37
    mtcr    %r29
    /* From here on SRR0 and SRR1 are live: another NMI is the end, and is reported as such. */
    li      %r29, 0
    stw     %r29, LAYOUT_RESET_SERVING(0)
    reload  %r29, 32
    mtsrr0  %r29
    reload  %r29, 33
    mtsrr1  %r29
    reload  %r29, 29
    li      %r30, 8 * 31
    ldbrx   %r30, %r30, %r31
    std     %r30, -8 + LAYOUT_RESET_FRAME + LAYOUT_FRAME_SIZE(0)
    li      %r30, 8 * 30
    ldbrx   %r30, %r30, %r31
    ld      %r31, -8 + LAYOUT_RESET_FRAME + LAYOUT_FRAME_SIZE(0)
    rfid
    .size resume, . - resume

/* r0 = caller's MSR, r11 = its return address, r3 = its argument array. */
    .type little_client, @function
little_client:
    mr      %r9, %r1
    mr      %r10, %r2
    mr      %r8, %r13
    mr      %r7, %r0
    mfcr    %r6
    use_stack client
    stdu    %r1, -96(%r1)
    std     %r7, 32(%r1)
    std     %r11, 40(%r1)
    std     %r9, 48(%r1)
    std     %r10, 56(%r1)
    std     %r8, 64(%r1)
    std     %r6, 72(%r1)
    /* The upper half of a register is no part of a 32-bit caller's address: SF is MSR's sign. */
    cmpdi   %r7, 0
    blt     1f
    clrldi  %r3, %r3, 32
1:  bl      client_interface_call
    ld      %r6, 72(%r1)
    mtcr    %r6
    ld      %r13, 64(%r1)
    ld      %r2, 56(%r1)
    ld      %r7, 32(%r1)
    ld      %r11, 40(%r1)
    ld      %r1, 48(%r1)
    li      %r12, 0
    mtmsrd  %r12, 1
    mtsrr0  %r11
    mtsrr1  %r7
    rfid
    .size little_client, . - little_client

/* void enter_program(const ProgramRegisters *): r1, r3..r7, LR, then SRR0 and SRR1. */
    .globl  enter_program
    .type enter_program, @function
enter_program:
    mr      %r31, %r3
    ld      %r1, 0(%r31)
    ld      %r3, 8(%r31)
    ld      %r4, 16(%r31)
    ld      %r5, 24(%r31)
    ld      %r6, 32(%r31)
    ld      %r7, 40(%r31)
    ld      %r8, 48(%r31)
    mtlr    %r8
    li      %r8, 0
    mtmsrd  %r8, 1
    ld      %r8, 56(%r31)
    mtsrr0  %r8
    ld      %r8, 64(%r31)
    mtsrr1  %r8
    .irp n, 0,2,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    li      %r\n, 0
    .endr
    mtctr   %r0
    mtxer   %r0
    mtcr    %r0
    isync
    rfid
    .size enter_program, . - enter_program

    .section .data.running, "aw"
    .balign 4
running:
    .long   0

    .section .note.GNU-stack, "", @progbits
