# The assembler knows instructions and registers by name: nothing to import here.
# ruff: noqa: F821
"""crc, blank and fill as Thumb code; a CRC-32 takes 19 cycles a byte on a Cortex-M0+.

Promises: the results of `loops_plain`; nothing allocates; no instruction that ARMv6-M lacks.
Thumb functions have four arguments at most: what takes more is viper code.
"""

import micropython

from .loops_viper import copy

__all__ = ["blank", "copy", "crc", "fill"]


@micropython.asm_thumb
def crc(r0, r1, r2, r3):
    # acc, buf, start, end -> r0: the register; r1 to r2: the bytes; r3: the table; r7: acc
    mov(r7, r0)
    add(r3, r3, r1)
    add(r1, r1, r2)
    mov(r2, r3)
    # Byte by byte, since acc may lie anywhere.
    ldrb(r0, [r7, 3])
    lsl(r0, r0, 8)
    ldrb(r4, [r7, 2])
    orr(r0, r4)
    lsl(r0, r0, 8)
    ldrb(r4, [r7, 1])
    orr(r0, r4)
    lsl(r0, r0, 8)
    ldrb(r4, [r7, 0])
    orr(r0, r4)
    mvn(r0, r0)
    # Frozen code lies at even addresses; words are read at multiples of four. So there are two
    # tables, an odd number of halfwords apart, and one of them is aligned.
    align(4)
    mov(r3, pc)  # the address of this instruction and 4: the first table
    b(CHOOSE)
    data(2, 0, 0, 0x1064, 0x1DB7, 0x20C8, 0x3B6E, 0x30AC, 0x26D9)
    data(2, 0x4190, 0x76DC, 0x51F4, 0x6B6B, 0x6158, 0x4DB2, 0x713C, 0x5005)
    data(2, 0x8320, 0xEDB8, 0x9344, 0xF00F, 0xA3E8, 0xD6D6, 0xB38C, 0xCB61)
    data(2, 0xC2B0, 0x9B64, 0xD2D4, 0x86D3, 0xE278, 0xA00A, 0xF21C, 0xBDBD)
    data(2, 0)
    data(2, 0, 0, 0x1064, 0x1DB7, 0x20C8, 0x3B6E, 0x30AC, 0x26D9)
    data(2, 0x4190, 0x76DC, 0x51F4, 0x6B6B, 0x6158, 0x4DB2, 0x713C, 0x5005)
    data(2, 0x8320, 0xEDB8, 0x9344, 0xF00F, 0xA3E8, 0xD6D6, 0xB38C, 0xCB61)
    data(2, 0xC2B0, 0x9B64, 0xD2D4, 0x86D3, 0xE278, 0xA00A, 0xF21C, 0xBDBD)
    label(CHOOSE)
    mov(r4, 2)
    and_(r4, r3)
    beq(NEXT)
    add(r3, 66)
    b(NEXT)
    label(BYTE)
    ldrb(r4, [r1, 0])
    add(r1, r1, 1)
    eor(r0, r4)
    lsl(r4, r0, 28)
    lsr(r4, r4, 26)
    data(2, 0x58E4)  # ldr(r4, [r4, r3]), which the assembler does not know
    lsr(r0, r0, 4)
    eor(r0, r4)
    lsl(r4, r0, 28)
    lsr(r4, r4, 26)
    data(2, 0x58E4)
    lsr(r0, r0, 4)
    eor(r0, r4)
    label(NEXT)
    cmp(r1, r2)
    bcc(BYTE)
    mvn(r0, r0)
    strb(r0, [r7, 0])
    lsr(r0, r0, 8)
    strb(r0, [r7, 1])
    lsr(r0, r0, 8)
    strb(r0, [r7, 2])
    lsr(r0, r0, 8)
    strb(r0, [r7, 3])
    mov(r0, 0)


@micropython.asm_thumb
def fill(r0, r1, r2, r3):
    # buf, start, end, value -> r1 to r2: the bytes; r3: the value, in each byte of the word
    add(r2, r2, r0)
    add(r1, r1, r0)
    lsl(r3, r3, 24)
    lsr(r3, r3, 24)
    lsl(r4, r3, 8)
    orr(r3, r4)
    lsl(r4, r3, 16)
    orr(r3, r4)
    b(HEAD)
    label(ONE)
    strb(r3, [r1, 0])
    add(r1, r1, 1)
    label(HEAD)
    cmp(r1, r2)
    bcs(END)
    lsl(r4, r1, 30)
    bne(ONE)
    b(WORDS)
    label(WORD)
    str(r3, [r1, 0])
    mov(r1, r4)
    label(WORDS)
    add(r4, r1, 4)
    cmp(r4, r2)
    bls(WORD)
    cmp(r1, r2)
    bcc(ONE)
    label(END)
    mov(r0, 0)


@micropython.asm_thumb
def blank(r0, r1) -> bool:
    # buf, n -> r0 to r1: the bytes; r3: 0xFF
    add(r1, r1, r0)
    mov(r3, 255)
    b(HEAD)
    label(ONE)
    ldrb(r2, [r0, 0])
    cmp(r2, r3)
    bne(NO)
    add(r0, r0, 1)
    label(HEAD)
    cmp(r0, r1)
    bcs(YES)
    lsl(r4, r0, 30)
    bne(ONE)
    b(WORDS)
    label(WORD)
    ldr(r2, [r0, 0])
    add(r2, r2, 1)
    bne(NO)
    mov(r0, r4)
    label(WORDS)
    add(r4, r0, 4)
    cmp(r4, r1)
    bls(WORD)
    cmp(r0, r1)
    bcc(ONE)
    label(YES)
    mov(r0, 1)
    b(END)
    label(NO)
    mov(r0, 0)
    label(END)
