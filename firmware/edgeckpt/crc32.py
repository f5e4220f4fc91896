"""CRC-32 (IEEE 802.3, as zlib.crc32) that is kept in a bytearray(4), little-endian.

Promises: nothing allocates, on 32-bit too, where 75 % of all values are no small ints.
"""

from .loops import crc as update

__all__ = ["reset", "update"]


def reset(acc):
    """Start: the CRC-32 of no bytes. `update(acc, buf, start, end)` goes on from there."""
    acc[0] = acc[1] = acc[2] = acc[3] = 0
