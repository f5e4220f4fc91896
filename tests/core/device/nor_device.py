"""A small NOR device for the core tests: extended block protocol, one fault at one operation.

Strict where it is cheap: a program of a bit from 0 to 1 is refused by the AND, reads and programs
across an erase unit raise. The full chip model is boards/models/nor.py.
"""


class Nor:
    """`units` erase units of `unit` bytes. `fail_at`: the operation (1 is the next program,
    erase or sync) that answers `answer` (an exception is raised) without doing its work."""

    def __init__(self, units, unit=4096):
        self.unit = unit
        self.units = units
        self.data = bytearray(b"\xff" * (units * unit))
        self.fail_at = 0
        self.answer = -5
        self.ops = 0
        self.probe = None  # called at the failing operation
        self.pages = 0
        self.erases = 0

    def _fails(self):
        self.ops += 1
        if self.ops != self.fail_at:
            return False
        if self.probe is not None:
            self.probe()
        if isinstance(self.answer, Exception):
            raise self.answer
        return True

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


class Ram:
    """A medium that overwrites in place (simple block protocol), `blocks` of `size` bytes."""

    def __init__(self, blocks, size=512):
        self.size = size
        self.data = bytearray(blocks * size)

    def readblocks(self, n, buf):
        buf[:] = self.data[n * self.size : n * self.size + len(buf)]

    def writeblocks(self, n, buf):
        self.data[n * self.size : n * self.size + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // self.size
        if op == 5:
            return self.size
        return 0
