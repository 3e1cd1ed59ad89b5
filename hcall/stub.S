/* SPDX-License-Identifier: BSD-2-Clause */
/* int64_t spillway_hypercall(uint64_t number, Registers *registers)
 *
 * PAPR hypercalls follow the ELFv2 calling convention, so every register that a call may change is
 * one that our caller expects to lose. QEMU and KVM leave LR alone; Linux relies on that as well.
 */
    .section .text.spillway_hypercall, "ax"
    .globl  spillway_hypercall
    .type   spillway_hypercall, @function
spillway_hypercall:
    std     %r4, -8(%r1)            /* ELFv2 protected zone: ours until the next frame */
    ld      %r9, 40(%r4)
    ld      %r8, 32(%r4)
    ld      %r7, 24(%r4)
    ld      %r6, 16(%r4)
    ld      %r5, 8(%r4)
    ld      %r4, 0(%r4)
    sc      1
    ld      %r10, -8(%r1)
    std     %r4, 0(%r10)
    std     %r5, 8(%r10)
    std     %r6, 16(%r10)
    std     %r7, 24(%r10)
    std     %r8, 32(%r10)
    std     %r9, 40(%r10)
    blr
    .size   spillway_hypercall, . - spillway_hypercall
    .section .note.GNU-stack, "", @progbits
