# The assembler knows instructions and registers by name: nothing to import here.
# ruff: noqa: F821
"""Varints of the bytes of a number as Thumb code.

Promises: the results of `varints_plain`; nothing allocates; no instruction that ARMv6-M lacks.
"""

import micropython


@micropython.asm_thumb
def varint(r0, r1, r2, r3):
    # b, p, w, n -> r0: where the next byte goes; r2 to r3: the bytes; r4: bits, r5 of them
    add(r0, r0, r1)
    add(r3, r3, r2)
    label(STRIP)
    sub(r4, r3, 1)
    cmp(r4, r2)
    bls(FROM)
    ldrb(r5, [r4, 0])
    cmp(r5, 0)
    bne(FROM)
    mov(r3, r4)
    b(STRIP)
    label(FROM)
    mov(r4, 0)
    mov(r5, 0)
    mov(r7, 127)
    label(NEXT)
    cmp(r5, 7)
    bge(OUT)
    cmp(r2, r3)
    bcs(OUT)
    ldrb(r6, [r2, 0])
    lsl(r6, r5)
    orr(r4, r6)
    add(r5, 8)
    add(r2, r2, 1)
    label(OUT)
    mov(r6, r4)
    and_(r6, r7)
    lsr(r4, r4, 7)
    sub(r5, 7)
    add(r1, r1, 1)
    cmp(r2, r3)
    bcc(MORE)
    cmp(r4, 0)
    bne(MORE)
    strb(r6, [r0, 0])
    mov(r0, r1)
    b(END)
    label(MORE)
    add(r6, 128)
    strb(r6, [r0, 0])
    add(r0, r0, 1)
    b(NEXT)
    label(END)


@micropython.asm_thumb
def zigzag(r0, r1):
    # w, n -> r0 to r1: the bytes; r2: 255 where it is negative, else 0; r3: the bit carried
    add(r1, r1, r0)
    sub(r3, r1, 1)
    ldrb(r2, [r3, 0])
    lsl(r2, r2, 24)
    asr(r2, r2, 31)
    mov(r3, 0)
    b(NEXT)
    label(BYTE)
    ldrb(r4, [r0, 0])
    lsl(r5, r4, 1)
    orr(r5, r3)
    eor(r5, r2)
    strb(r5, [r0, 0])
    lsr(r3, r4, 7)
    add(r0, r0, 1)
    label(NEXT)
    cmp(r0, r1)
    bcc(BYTE)
    mov(r0, 0)
