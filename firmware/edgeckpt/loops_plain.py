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


def strlen(s):
    """Bytes of the str `s` in UTF-8. Allocates, where viper does not."""
    return len(s.encode())


def utf8(s):
    """A buffer of the str `s` in UTF-8. Allocates, where viper does not."""
    return s.encode()


def varint(buf, p, src, n):
    """The n bytes of `src`, little-endian, as a varint at buf[p]; the position behind it."""
    while n > 1 and src[n - 1] == 0:
        n -= 1
    return _varint(buf, p, src, n)


def _varint(buf, p, src, n):
    bit = 0
    while True:
        # Seven bits from `bit` on lie in one byte or two.
        buf[p] = _seven(src, bit, n) | 128
        p += 1
        bit += 7
        if not _more(src, bit, n):
            break
    buf[p - 1] &= 127
    return p


def _seven(src, bit, n):
    i = bit >> 3
    x = src[i] >> (bit & 7)
    if i + 1 < n:
        x |= src[i + 1] << (8 - (bit & 7))
    return x & 127


def _more(src, bit, n):
    i = bit >> 3
    if i >= n:
        return False
    return i + 1 < n or src[i] >> (bit & 7) != 0


def zigzag(w, n):
    """Turn the n bytes of `w`, a two's complement number, into its zigzag, in place."""
    sign = 255 if w[n - 1] & 128 else 0
    n -= 1
    while n > 0:
        w[n] = (w[n] << 1 & 255 | w[n - 1] >> 7) ^ sign
        n -= 1
    w[0] = w[0] << 1 & 255 ^ sign


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
