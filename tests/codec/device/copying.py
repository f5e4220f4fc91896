"""`loops.copy` at every alignment and short length, and towards the front in place."""

from edgeckpt import loops

SOURCE = bytes([(i * 89 + 128) & 0xFF for i in range(300)])


def check(at, start, n):
    target = bytearray(b"\x5a" * 320)
    loops.copy(target, at, SOURCE, start, n)
    wanted = b"\x5a" * at + SOURCE[start : start + n] + b"\x5a" * (320 - at - n)
    assert target == wanted, (at, start, n)


for at in range(9):
    for start in range(9):
        for n in list(range(40)) + [255, 256]:
            check(at, start, n)
            check(at + start, start, n)
for by in range(1, 70):
    for n in (0, 15, 16, 17, 63, 64, 200):
        same = bytearray(SOURCE)
        loops.copy(same, 3, same, 3 + by, n)
        assert same[3 : 3 + n] == SOURCE[3 + by : 3 + by + n], (by, n)
        assert same[:3] == SOURCE[:3] and same[3 + n :] == SOURCE[3 + n :], (by, n)
print("ok")
