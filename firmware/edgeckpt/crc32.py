"""CRC-32 kept in a bytearray(4), little-endian."""

from binascii import crc32 as _c


def reset(acc):
    acc[0] = acc[1] = acc[2] = acc[3] = 0


def update(acc, buf, start, end):
    v = _c(memoryview(buf)[start:end], acc[0] | acc[1] << 8 | acc[2] << 16 | acc[3] << 24)
    acc[0] = v & 255
    acc[1] = v >> 8 & 255
    acc[2] = v >> 16 & 255
    acc[3] = v >> 24 & 255
