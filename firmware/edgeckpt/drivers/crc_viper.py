# Viper knows its machine types by name: nothing to import here.
# ruff: noqa: F821
"""The checksums of SD cards as viper code. The import fails on ports without a native emitter.

Promises: the names and results of `crc_plain`; nothing allocates.
"""

import micropython


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
    crc = 0
    while start < end:
        x = crc >> 8 ^ p[start]
        x ^= x >> 4
        crc = (crc << 8 ^ x << 12 ^ x << 5 ^ x) & 0xFFFF
        start += 1
    return crc
