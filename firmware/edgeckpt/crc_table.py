"""CRC-32 (IEEE 802.3, reflected) of the 16 nibbles, for the byte loops that are in use.

Promises: built from halves, which are small ints everywhere.
"""

from array import array

from .port import const

_POLY_HIGH = const(0xEDB8)  # IEEE 802.3, reflected: 0xEDB88320
_POLY_LOW = const(0x8320)


def _table():
    table = array("I")
    for n in range(16):
        high, low = 0, n
        for _ in range(4):
            odd = low & 1
            low = (low >> 1 | (high & 1) << 15) ^ (_POLY_LOW if odd else 0)
            high = high >> 1 ^ (_POLY_HIGH if odd else 0)
        table.append(high << 16 | low)
    return table


TABLE = _table()
