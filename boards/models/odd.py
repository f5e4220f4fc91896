"""Devices that are not what their protocol says: no erase behind `ioctl(6)`, or two objects that
are one medium.

Runs on MicroPython and CPython.
"""


class NoErase:
    """Extended protocol over memory whose `ioctl(6)` says yes and does nothing.

    ands: programs only clear bits (raw flash behind a driver that does not erase); else they
    overwrite (EEPROM, FRAM). filled: the byte it holds at first.
    """

    def __init__(self, units, unit=1024, ands=False, filled=0xFF):
        self.unit = unit
        self.units = units
        self.ands = ands
        self.data = bytearray(bytes([filled]) * (units * unit))
        self.ops = 0
        self.cut_at = 0  # the operation that stops in its middle, raising `Cut`

    class Cut(BaseException):
        """The supply failed."""

    def readblocks(self, n, buf, off=0):
        at = n * self.unit + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, n, buf, off=0):
        self.ops += 1
        at = n * self.unit + off
        size = len(buf) // 2 if self.ops == self.cut_at else len(buf)
        new = bytes(buf[:size])
        if self.ands:
            new = bytes([a & b for a, b in zip(self.data[at : at + size], new)])
        self.data[at : at + size] = new
        if self.ops == self.cut_at:
            raise self.Cut()

    def ioctl(self, op, arg):
        if op == 4:
            return self.units
        if op == 5:
            return self.unit
        return 0


class Partition:
    """What `esp32.Partition.find()` gives: each time another object over the same flash.

    chip: the device below; first, count: its blocks. `info()` as that of the port.
    """

    def __init__(self, chip, first, count, label):
        self.chip = chip
        self.first = first
        self.count = count
        self.label = label

    def info(self):
        unit = self.chip.ioctl(5, 0)
        return (1, 129, self.first * unit, self.count * unit, self.label, False)

    def readblocks(self, n, buf, off=0):
        return self.chip.readblocks(self.first + n, buf, off)

    def writeblocks(self, n, buf, off=0):
        return self.chip.writeblocks(self.first + n, buf, off)

    def ioctl(self, op, arg):
        if op == 4:
            return self.count
        if op == 6:
            return self.chip.ioctl(6, self.first + arg)
        return self.chip.ioctl(op, arg)


class Through:
    """A driver object over `chip`; `medium` says what it drives."""

    def __init__(self, chip, medium):
        self.chip = chip
        self.medium = medium

    def readblocks(self, n, buf, off=0):
        return self.chip.readblocks(n, buf, off)

    def writeblocks(self, n, buf, off=0):
        return self.chip.writeblocks(n, buf, off)

    def ioctl(self, op, arg):
        return self.chip.ioctl(op, arg)
