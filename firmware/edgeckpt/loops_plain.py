"""The byte loops as bytecode, for ports without a native emitter and for the host.

Promises: nothing allocates on MicroPython: no int of 2^30 or more, no slice.
"""

import sys

from .crc_table import TABLE


def crc(acc, buf, start, end):
    """CRC-32 (IEEE, as zlib) of buf[start:end], on from the value in `acc` (4 bytes, LE)."""
    while start < end:
        # The register is the inverse of the value: so is every byte that goes in.
        _nibble(acc, (acc[0] ^ 255 ^ buf[start]) & 15)
        _nibble(acc, (acc[0] ^ 255 ^ buf[start] >> 4) & 15)
        start += 1


def _nibble(acc, i):
    # register = word i of TABLE ^ register >> 4, on the inverted bytes
    i <<= 2
    acc[0] = (acc[0] >> 4 | (acc[1] & 15) << 4) ^ TABLE[i]
    acc[1] = (acc[1] >> 4 | (acc[2] & 15) << 4) ^ TABLE[i + 1]
    acc[2] = (acc[2] >> 4 | (acc[3] & 15) << 4) ^ TABLE[i + 2]
    acc[3] = (acc[3] >> 4 | 0xF0) ^ TABLE[i + 3]


def copy(dst, at, src, start, n):
    """dst[at : at + n] = src[start : start + n]; front to back."""
    n += start
    while start < n:
        dst[at] = src[start]
        at += 1
        start += 1


def fill(buf, start, end, value):
    """buf[start:end] = value."""
    while start < end:
        buf[start] = value
        start += 1


def blank(buf, n):
    """Whether buf[0:n] is 0xFF throughout."""
    while n > 0:
        n -= 1
        if buf[n] != 255:
            return False
    return True


if sys.implementation.name != "micropython":
    # The host has slices for free; the loops above stay in reach of the tests.
    from zlib import crc32

    LOOPS = {"crc": crc, "copy": copy, "fill": fill, "blank": blank}
    _BLANK = b"\xff" * 65536

    def crc(acc, buf, start, end):  # noqa: F811
        value = crc32(memoryview(buf)[start:end], int.from_bytes(acc, "little"))
        acc[0:4] = value.to_bytes(4, "little")

    def copy(dst, at, src, start, n):  # noqa: F811
        dst[at : at + n] = src[start : start + n]

    def fill(buf, start, end, value):  # noqa: F811
        buf[start:end] = bytes([value]) * (end - start)

    def blank(buf, n):  # noqa: F811
        return buf[:n] == _BLANK[:n]
