# Viper knows its machine types (ptr8, ptr32, uint) by name: nothing to import here.
# ruff: noqa: F821
"""The byte loops as viper code. The import fails on ports without a native emitter.

Promises: the same names and results as `_plain`; nothing allocates.
"""

import micropython

from .crc_table import TABLE


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
    if n > 15:
        # By words, the target's aligned; single bytes up to there, and at the end.
        while (int(d) + at) & 3:
            d[at] = s[start]
            at += 1
            start += 1
            n -= 1
        e = ptr32(int(d) + at)
        k = (int(s) + start) & 3
        t = ptr32(int(s) + start - k)
        w = n >> 2
        at += w << 2
        start += w << 2
        n &= 3
        i = 0
        if k == 0:
            while i + 3 < w:
                e[i] = t[i]
                e[i + 1] = t[i + 1]
                e[i + 2] = t[i + 2]
                e[i + 3] = t[i + 3]
                i += 4
            while i < w:
                e[i] = t[i]
                i += 1
        else:
            # Not aligned alike: each word (little-endian) from two, none behind the last byte.
            k <<= 3
            r = 32 - k
            low = (1 << r) - 1
            x = int(t[0])
            while i < w:
                y = int(t[i + 1])
                e[i] = x >> k & low | y << r
                x = y
                i += 1
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


@micropython.viper
def strlen(s) -> int:
    p = ptr8(s)
    n = int(len(s))
    i = 0
    # Behind the last character there is a NUL, which is no continuation byte.
    while n > 0 or (p[i] & 0xC0) == 0x80:
        if (p[i] & 0xC0) != 0x80:
            n -= 1
        i += 1
    return i


def utf8(s):
    return s


@micropython.viper
def varint(buf, p: int, src, n: int) -> int:
    b = ptr8(buf)
    s = ptr8(src)
    while n > 1 and s[n - 1] == 0:
        n -= 1
    have = 0
    bits = 0
    i = 0
    while i < n or bits > 0:
        if bits < 7 and i < n:
            have |= s[i] << bits
            bits += 8
            i += 1
        b[p] = have & 127 | 128
        p += 1
        have >>= 7
        bits -= 7
        if i == n and have == 0:
            break
    b[p - 1] &= 127
    return p


@micropython.viper
def zigzag(w, n: int):
    p = ptr8(w)
    sign = 255 if p[n - 1] & 128 else 0
    i = n - 1
    while i > 0:
        p[i] = (p[i] << 1 | p[i - 1] >> 7) ^ sign
        i -= 1
    p[0] = (p[0] << 1) ^ sign
