# Viper knows its machine types (ptr8, ptr32, uint) by name: nothing to import here.
# ruff: noqa: F821
"""The byte loops as viper code. The import fails on ports without a native emitter.

Promises: the same names and results as `_plain`; nothing allocates.
"""

import micropython

from ._plain import TABLE


@micropython.viper
def crc(acc, buf, start: int, end: int):
    a = ptr8(acc)
    p = ptr8(buf)
    t = ptr32(TABLE)
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
    d = ptr8(dst)
    s = ptr8(src)
    i = 0
    while i < n:
        d[at + i] = s[start + i]
        i += 1


@micropython.viper
def fill(buf, start: int, end: int, value: int):
    p = ptr8(buf)
    while start < end:
        p[start] = value
        start += 1


@micropython.viper
def blank(buf, n: int) -> bool:
    p = ptr8(buf)
    while n > 0:
        n -= 1
        if p[n] != 255:
            return False
    return True
