"""The checksums of SD cards as bytecode, for ports without a native emitter and for the host.

Promises: nothing allocates.
"""


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
        # The eight shifts at once: what falls out at the top, x, meets itself only 4 bits on.
        x = crc >> 8 ^ buf[start]
        x ^= x >> 4
        crc = (crc << 8 ^ x << 12 ^ x << 5 ^ x) & 0xFFFF
        start += 1
    return crc
