"""Byte loops of the drivers in bytecode: what serves where the port has no native emitter.

Promises: the same names and results as `fast`; nothing allocates.
"""

_TABLE = (
    b"\x00\x00\x10\x21\x20\x42\x30\x63\x40\x84\x50\xa5\x60\xc6\x70\xe7"
    b"\x81\x08\x91\x29\xa1\x4a\xb1\x6b\xc1\x8c\xd1\xad\xe1\xce\xf1\xef"
)  # CRC-16 of the nibbles 0..15, two bytes each, big-endian


def crc7(buf):
    """CRC7 of buf[0:5] with the end bit: byte 5 of an SD command (SD Physical Layer 4.5)."""
    crc = 0
    for i in range(5):
        crc ^= buf[i]
        for _ in range(8):
            crc = (crc << 1 ^ 0x12) & 0xFF if crc & 0x80 else crc << 1
    return crc | 1


def crc16(buf, start, end):
    """CRC16 of buf[start:end], polynomial 0x1021, from 0 (SD Physical Layer 4.5)."""
    crc = 0
    while start < end:
        crc ^= buf[start] << 8
        t = crc >> 11 & 30
        crc = (crc << 4 ^ _TABLE[t] << 8 ^ _TABLE[t + 1]) & 0xFFFF
        t = crc >> 11 & 30
        crc = (crc << 4 ^ _TABLE[t] << 8 ^ _TABLE[t + 1]) & 0xFFFF
        start += 1
    return crc


def copy(dst, src, start):
    """dst[:] = src[start : start + len(dst)]."""
    for i in range(len(dst)):
        dst[i] = src[start + i]


def place(dst, start, src):
    """dst[start : start + len(src)] = src, which itself allocates before MicroPython 1.26."""
    for i in range(len(src)):
        dst[start + i] = src[i]


def overlay(dst, start, src, at, n):
    """dst[start : start + n] = src[at : at + n]; the rest of dst becomes 0xFF."""
    for i in range(len(dst)):
        dst[i] = 0xFF
    while n > 0:
        n -= 1
        dst[start + n] = src[at + n]
