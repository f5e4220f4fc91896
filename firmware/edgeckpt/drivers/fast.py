# Viper annotates with its machine types, and knows `ptr8` and `int` only: nothing to import here.
# ruff: noqa: F821
"""Byte loops of the drivers as viper code; the import fails where there is no native emitter.

Promises: the same names and results as `plain`; nothing allocates.
"""

import micropython

from .plain import _TABLE


@micropython.viper
def crc7(buf) -> int:
    p = ptr8(buf)
    crc = 0
    i = 0
    while i < 5:
        crc ^= p[i]
        k = 0
        while k < 8:
            crc <<= 1
            if crc & 0x100:
                crc ^= 0x112
            k += 1
        i += 1
    return crc | 1


@micropython.viper
def crc16(buf, start: int, end: int) -> int:
    p = ptr8(buf)
    t = ptr8(_TABLE)
    crc = 0
    while start < end:
        crc ^= p[start] << 8
        i = crc >> 11 & 30
        crc = (crc << 4 ^ t[i] << 8 ^ t[i + 1]) & 0xFFFF
        i = crc >> 11 & 30
        crc = (crc << 4 ^ t[i] << 8 ^ t[i + 1]) & 0xFFFF
        start += 1
    return crc


@micropython.viper
def copy(dst, src, start: int):
    d = ptr8(dst)
    s = ptr8(src)
    n = int(len(dst))
    i = 0
    while i < n:
        d[i] = s[start + i]
        i += 1


@micropython.viper
def place(dst, start: int, src):
    d = ptr8(dst)
    s = ptr8(src)
    n = int(len(src))
    i = 0
    while i < n:
        d[start + i] = s[i]
        i += 1


@micropython.viper
def overlay(dst, start: int, src, at: int, n: int):
    d = ptr8(dst)
    s = ptr8(src)
    size = int(len(dst))
    i = 0
    while i < size:
        d[i] = 0xFF
        i += 1
    i = 0
    while i < n:
        d[start + i] = s[at + i]
        i += 1
