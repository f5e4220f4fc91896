"""The drivers' byte loops: viper and bytecode agree, with the definition and with each other."""

import sys

import edgeckpt
import rig
from edgeckpt.drivers import plain


def modules():
    if sys.implementation.name == "micropython":
        from edgeckpt.drivers import fast

        return (plain, fast)
    return (plain,)


def crc16_by_bits(data):
    crc = 0
    for b in data:
        crc ^= b << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


def test_crc():
    for m in modules():
        assert m.crc16(b"123456789", 0, 9) == 0x31C3  # CRC-16/XMODEM's check value
        assert m.crc16(b"\xff" * 512, 0, 512) == 0x7FA1  # SD Physical Layer 4.5
        assert m.crc7(b"\x40\x00\x00\x00\x00") == 0x95  # 7.2.2
        assert m.crc7(b"\x51\x00\x00\x00\x00") == 0x55  # 4.5, CMD17
        for n in range(0, 600, 37):
            data = rig.pattern(n + 9, n)
            assert m.crc16(data, 5, 5 + n) == crc16_by_bits(data[5 : 5 + n]), n


def test_moves():
    src = rig.pattern(700, 1)
    for m in modules():
        for at in (0, 1, 188):
            dst = bytearray(512)
            m.copy(dst, src, at)
            assert dst == src[at : at + 512]
            dst = bytearray(1000)
            m.place(dst, at, src)
            assert dst == bytes(at) + src + bytes(300 - at)
        for start, at, n in ((0, 0, 256), (0, 3, 1), (255, 9, 1), (10, 100, 100), (7, 7, 0)):
            dst = bytearray(256)
            m.overlay(dst, start, src, at, n)
            want = b"\xff" * start + src[at : at + n] + b"\xff" * (256 - start - n)
            assert dst == want, (start, at, n)


print("edgeckpt", edgeckpt.__version__)
rig.run(globals())
