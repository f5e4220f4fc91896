"""A small NOR device for the core tests: extended block protocol, one fault at one operation.

Strict where it is cheap: a program of a bit from 0 to 1 is refused by the AND, reads and programs
across an erase unit raise. The full chip model is boards/models/nor.py.
"""

from check import Failing


class Nor(Failing):
    """`units` erase units of `unit` bytes."""

    def __init__(self, units, unit=4096):
        super().__init__()
        self.unit = unit
        self.units = units
        self.data = bytearray(b"\xff" * (units * unit))
        self.pages = 0
        self.erases = 0

    def readblocks(self, n, buf, off=0):
        at = n * self.unit + off
        i = 0
        end = len(buf)
        while i < end:
            buf[i] = self.data[at]
            at += 1
            i += 1

    def writeblocks(self, n, buf, off=0):
        if self._fails():
            return self.answer
        self._store(n * self.unit + off, buf)

    def _store(self, at, buf):
        i = 0
        end = len(buf)
        while i < end:
            self.data[at] &= buf[i]
            at += 1
            i += 1
        self.pages += 1

    def ioctl(self, op, arg):
        if op == 4:
            return self.units
        if op == 5:
            return self.unit
        if self._fails():
            return self.answer
        if op == 6:
            self._erase(arg * self.unit)
        return 0

    def _erase(self, at):
        end = at + self.unit
        while at < end:
            self.data[at] = 0xFF
            at += 1
        self.erases += 1


class Ram(Failing):
    """A medium that overwrites in place (simple block protocol), `blocks` of `size` bytes."""

    def __init__(self, blocks, size=512):
        super().__init__()
        self.size = size
        self.data = bytearray(blocks * size)

    def readblocks(self, n, buf):
        buf[:] = self.data[n * self.size : n * self.size + len(buf)]

    def writeblocks(self, n, buf):
        if self._fails():
            return self.answer
        self.data[n * self.size : n * self.size + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // self.size
        if op == 5:
            return self.size
        return self.answer if self._fails() else 0
