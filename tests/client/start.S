/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of the test programs and their way into the client interface, for all three modes. */

    .section .start, "ax"
    .globl  _start
_start:
    lis     %r9, client_entry@ha
    stw     %r5, client_entry@l(%r9)
    lis     %r9, entry_registers@ha
    addi    %r9, %r9, entry_registers@l
    stw     %r3, 0(%r9)
    stw     %r4, 4(%r9)
    mfmsr   %r10
    stw     %r10, 8(%r9)
#ifdef __powerpc64__
    lis     %r2, .TOC.@ha
    addi    %r2, %r2, .TOC.@l
#endif
    b       main

/* int call_firmware(void *argument_array) */
    .text
    .globl  call_firmware
call_firmware:
#if defined __LITTLE_ENDIAN__
    /* The interface is entered big-endian: rfid there, and back by rfid from big-endian code. */
    mflr    %r0
    std     %r0, 16(%r1)
    std     %r31, -8(%r1)
    stdu    %r1, -64(%r1)
    lis     %r9, client_entry@ha
    lwz     %r9, client_entry@l(%r9)
    lis     %r10, 1f@ha
    addi    %r10, %r10, 1f@l
    mtlr    %r10
    mfmsr   %r31
    li      %r11, 3                     /* LE; and RI, as SRR0 and SRR1 are live: on the way back too */
    andc    %r11, %r31, %r11
    li      %r12, 0
    mtmsrd  %r12, 1
    mtsrr0  %r9
    mtsrr1  %r11
    rfid
1:  /* Back in big-endian mode: the same as LE words with their bytes swapped. */
    .long   0x05009f42                  /* bcl 20,31,.+4 */
    .long   0xa602487d                  /* mflr r10 */
    .long   0x14004a39                  /* addi r10,r10,20 */
    .long   0xa6035a7d                  /* mtsrr0 r10 */
    .long   0xa603fb7f                  /* mtsrr1 r31 */
    .long   0x2400004c                  /* rfid */
    addi    %r1, %r1, 64
    ld      %r31, -8(%r1)
    ld      %r0, 16(%r1)
    mtlr    %r0
    extsw   %r3, %r3
    blr
#else
    lis     %r9, client_entry@ha
    lwz     %r9, client_entry@l(%r9)
    mtctr   %r9
    bctr                                /* returns to our caller */
#endif

/* int call_firmware_at(uint32_t upper, void *argument_array): with an upper half of the address. */
    .globl  call_firmware_at
call_firmware_at:
    .machine push
    .machine power8
    rldimi  %r4, %r3, 32, 0
    mr      %r3, %r4
    .machine pop
    b       call_firmware

    .data
    .balign 8
    .globl  client_entry
client_entry:                           /* r5 as the firmware passed it */
    .long   0
    .globl  entry_registers
entry_registers:                        /* r3, r4, MSR (low halves) as the firmware passed them */
    .long   0, 0, 0
    .section .note.GNU-stack, "", @progbits
