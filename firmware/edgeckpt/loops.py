"""Byte loops (temporary home)."""


def copy(dst, d, src, s, n):
    i = 0
    while i < n:
        dst[d + i] = src[s + i]
        i += 1


def fill(buf, start, end, value):
    while start < end:
        buf[start] = value
        start += 1


def blank(buf, n):
    while n > 0:
        n -= 1
        if buf[n] != 0xFF:
            return False
    return True
