"""The byte loops: those in use, and every implementation that loads, against the definition.

The last line names them; `tests/core/test_device.py` and `tests/hil` know which must be there.
A board has those in use only, where the module is merged.
"""

import sys
from binascii import crc32

SOURCE = bytes([(i * 89 + 128 + (i >> 3)) & 0xFF for i in range(300)])
LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 18, 19, 31, 33, 63, 200, 256]


class Bytewise:
    """The loops of `loops_plain` that slices stand in for on the host."""


def implementations():
    found = {"in-use": __import__("edgeckpt.loops").loops}
    for name in ("plain", "viper", "thumb"):
        try:
            package = __import__("edgeckpt.loops_" + name)
        except (SyntaxError, ValueError, ImportError, AttributeError):
            continue  # none for this processor, or no package of that name on the host
        found[name] = getattr(package, "loops_" + name)
    if sys.implementation.name != "micropython":
        for name in found["plain"].LOOPS:
            setattr(Bytewise, name, staticmethod(found["plain"].LOOPS[name]))
        found["bytewise"] = Bytewise
    return found


def test_crc(loops):
    acc = memoryview(bytearray(9))
    for at in range(4):
        for start in range(5):
            for n in LENGTHS:
                acc[at : at + 4] = bytes(4)
                loops.crc(acc[at : at + 4], SOURCE, start, start + n // 2)
                loops.crc(acc[at : at + 4], SOURCE, start + n // 2, start + n)
                got = int.from_bytes(bytes(acc[at : at + 4]), "little")
                assert got == crc32(SOURCE[start : start + n]), (at, start, n, got)


def test_copy(loops):
    for at in range(5):
        for start in range(5):
            for n in LENGTHS:
                target = bytearray(b"\x5a" * 320)
                loops.copy(target, at, SOURCE, start, n)
                wanted = b"\x5a" * at + SOURCE[start : start + n] + b"\x5a" * (320 - at - n)
                assert target == wanted, (at, start, n)
    # Towards the front, in place.
    for by in range(1, 70):
        for n in (0, 15, 16, 17, 63, 64, 200):
            same = bytearray(SOURCE)
            loops.copy(same, 3, same, 3 + by, n)
            assert same[3 : 3 + n] == SOURCE[3 + by : 3 + by + n], (by, n)
            assert same[:3] == SOURCE[:3] and same[3 + n :] == SOURCE[3 + n :], (by, n)


def test_fill(loops):
    for start in range(6):
        for n in LENGTHS:
            for value in (0, 0x5A, 0x9C, 0xFF):
                buf = bytearray(SOURCE)
                loops.fill(buf, start, start + n, value)
                wanted = SOURCE[:start] + bytes([value]) * n + SOURCE[start + n :]
                assert buf == wanted, (start, n, value)


def test_blank(loops):
    buf = bytearray(b"\xff" * 300)
    view = memoryview(buf)
    for start in range(4):
        for n in LENGTHS:
            for i in range(start + n):
                # Just one bit is missing: inside it counts, outside it does not.
                if start <= i and 8 < i - start < n - 9:
                    continue  # the middle of long ones, one in 8 there would find no more
                buf[i] = 0xFF ^ 1 << (i & 7)
                got = loops.blank(view[start:], n)
                assert got is (i < start), (start, n, i, got)
                buf[i] = 0xFF
            buf[start + n] = 0
            assert loops.blank(view[start:], n) is True, (start, n)
            buf[start + n] = 0xFF


def main():
    found = implementations()
    for name in found:
        for test in (test_crc, test_copy, test_fill, test_blank):
            test(found[name])
    print("ok", *sorted(found))


main()
