# Viper knows its machine types (ptr8, ptr32, uint) by name: nothing to import here.
# ruff: noqa: F821
"""The byte loops as viper code. The import fails on ports without a native emitter.

Promises: the names and results of `loops_plain`; nothing allocates.
"""

from array import array

import micropython

from .crc_table import TABLE

_WORDS = array("I", TABLE)


@micropython.viper
def crc(acc, buf, start: int, end: int):
    a = ptr8(acc)
    p = ptr8(buf)
    t = ptr32(_WORDS)
    # Inverted byte by byte: viper has no literal of 32 ones.
    c = uint(a[0] ^ 255) | uint((a[1] ^ 255) << 8)
    c |= uint((a[2] ^ 255) << 16) | uint((a[3] ^ 255) << 24)
    while start < end:
        c ^= uint(p[start])
        c = uint(t[c & 15]) ^ (c >> 4)
        c = uint(t[c & 15]) ^ (c >> 4)
        start += 1
    a[0] = c & 255 ^ 255
    a[1] = c >> 8 & 255 ^ 255
    a[2] = c >> 16 & 255 ^ 255
    a[3] = c >> 24 & 255 ^ 255


@micropython.viper
def copy(dst, at: int, src, start: int, n: int):
    d = int(ptr8(dst)) + at
    s = int(ptr8(src)) + start
    end = d + n
    # By words where both are aligned alike.
    if n > 15 and not (d ^ s) & 3:
        while d & 3:
            ptr8(d)[0] = ptr8(s)[0]
            d += 1
            s += 1
        while d + 16 <= end:
            ptr32(d)[0] = ptr32(s)[0]
            ptr32(d)[1] = ptr32(s)[1]
            ptr32(d)[2] = ptr32(s)[2]
            ptr32(d)[3] = ptr32(s)[3]
            d += 16
            s += 16
    while d < end:
        ptr8(d)[0] = ptr8(s)[0]
        d += 1
        s += 1


@micropython.viper
def fill(buf, start: int, end: int, value: int):
    p = ptr8(buf)
    # By words where they are aligned.
    while start < end and (int(p) + start) & 3:
        p[start] = value
        start += 1
    w = ptr32(int(p) + start)
    value &= 255
    word = value | value << 8
    word |= word << 16
    i = 0
    while start + 4 <= end:
        w[i] = word
        i += 1
        start += 4
    while start < end:
        p[start] = value
        start += 1


@micropython.viper
def blank(buf, n: int) -> bool:
    p = ptr8(buf)
    while n > 0 and (int(p) + n) & 3:
        n -= 1
        if p[n] != 255:
            return False
    w = ptr32(int(p) + n)
    i = 0
    while n > 3:
        n -= 4
        i -= 1
        if int(w[i]) & 0xFFFF != 0xFFFF or int(w[i]) >> 16 & 0xFFFF != 0xFFFF:
            return False
    while n > 0:
        n -= 1
        if p[n] != 255:
            return False
    return True
