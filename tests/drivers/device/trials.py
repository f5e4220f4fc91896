"""`drivers.selftest` on devices that do what they say, and on those that do not."""

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import rig
from edgeckpt.drivers.selftest import selftest

from boards.models import ports
from boards.models.nor import NorChip
from boards.models.spi import Clock


def test_drivers_are_fit():
    r = rig.nor()
    assert selftest(r.start(), 4, 6, clock=r.clock)
    assert sum(r.array.wear) == 4 * 2 and not r.array.violations
    assert selftest(r.dev, 4, 6, clock=r.clock), "it was not left blank"
    r = rig.sd()
    assert selftest(r.start(), 64, 20, clock=r.clock)
    assert selftest(r.dev, 64, 20, clock=r.clock)


def test_what_is_there_is_not_lost():
    r = rig.nor()
    d = r.start()
    d.writeblocks(7, b"\x00", 4095)
    for anyway in (False, True):
        try:
            assert selftest(d, 4, 4, anyway, clock=r.clock) and anyway
        except ValueError as e:
            assert "block 7" in str(e) and not anyway
            assert not r.array.erases
    for start, count in ((-1, 2), (0, 0), (60, 5)):
        try:
            selftest(d, start, count, clock=r.clock)
            raise AssertionError("taken")
        except ValueError as e:
            assert "0..63" in str(e)


def test_devices_that_lie_are_not_fit():
    clock = Clock()
    chip = NorChip(1 << 16)
    assert selftest(ports.Esp32Partition(chip), 2, 3, clock=clock)
    r = rig.nor()
    d = r.start()
    for name, lie in (
        ("an erase that does nothing", lambda op, n: 0 if op == 6 else type(d).ioctl(d, op, n)),
        ("answers +1", lambda op, n: 1 if op == 6 else type(d).ioctl(d, op, n)),
        ("the wrong unit", lambda op, n: type(d).ioctl(d, op, n + 1 if op == 6 else n)),
    ):
        d.ioctl = lie
        if "nothing" in name:
            assert selftest(d, 2, 3, clock=r.clock) is False
        else:
            assert selftest(d, 2, 3, True, clock=r.clock) is False, name
        del d.ioctl

    class Erases:  # a driver with a cache, which erases by itself
        def __init__(self):
            self.data = bytearray(b"\xff" * 65536)

        def readblocks(self, n, buf, off=0):
            buf[:] = self.data[n * 4096 + off : n * 4096 + off + len(buf)]

        def writeblocks(self, n, buf, off=0):
            self.data[n * 4096 + off : n * 4096 + off + len(buf)] = buf

        def ioctl(self, op, n):
            if op == 6:
                self.data[n * 4096 : n * 4096 + 4096] = b"\xff" * 4096
            return {4: 16, 5: 4096}.get(op, 0)

    assert selftest(Erases(), 2, 3, clock=clock) is False


print("edgeckpt", edgeckpt.__version__)
rig.run(globals())
