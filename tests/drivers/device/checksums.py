"""The checksums of SD cards: those in use, and every implementation that loads, against the
definition. The last line names them; it runs on a board as it is (tests/hil)."""

import sys

SOURCE = bytes([(i * 89 + 128 + (i >> 3)) & 0xFF for i in range(600)])


def crc16_by_bits(data):
    crc = 0
    for b in data:
        crc ^= b << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


def main():
    found = []
    for name in ("sdcard", "crc_plain", "crc_viper", "crc_thumb"):
        try:
            module = __import__("edgeckpt.drivers." + name)
        except (SyntaxError, ValueError, ImportError, AttributeError):
            continue  # none for this processor, or no package of that name on the host
        crc = getattr(module.drivers, name)
        found.append(name)
        assert crc.crc16(b"123456789", 0, 9) == 0x31C3  # CRC-16/XMODEM's check value
        assert crc.crc16(b"\xff" * 512, 0, 512) == 0x7FA1  # SD Physical Layer 4.5
        assert crc.crc7(b"\x40\x00\x00\x00\x00") == 0x95  # 7.2.2
        assert crc.crc7(b"\x51\x00\x00\x00\x00") == 0x55  # 4.5, CMD17
        for n in list(range(12)) + [37, 111, 590]:
            assert crc.crc16(SOURCE, 5, 5 + n) == crc16_by_bits(SOURCE[5 : 5 + n]), n
    print("ok", *sorted(found), "on", sys.implementation.name)


main()
