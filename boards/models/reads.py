"""Reads that go wrong, in front of any device: blocks that cannot be read, that read as something
else, for good or now and then.

Promises: writes and erases reach the device as they are; what is spoiled is what `spoil` and
`rate` say, in pieces of `grain` bytes; all of it replays from a seed. Runs on MicroPython and
CPython.
"""

# What a lost block reads as
READ_FAULTS = ("error", "noise", "zeros")


class _Reads:
    # `spoil`: piece of the device (address // grain) -> one of READ_FAULTS. `heals`: a write or
    # erase of a piece makes it good. `rate`: of 65536 reads, how many raise, by `dice`.

    def __init__(self, device, grain, dice=None, heals=True):
        self.device = device
        self.grain = grain
        self.dice = dice
        self.heals = heals
        self.spoil = {}
        self.rate = 0
        self.calls = 0  # reads
        self.size = 0  # bytes read
        self.met = 0  # that met a spoiled piece, or raised by chance
        self.unit = device.ioctl(5, 0)

    def _look(self, at, buf):
        self.calls += 1
        self.size += len(buf)
        if self.rate and self.dice.below(65536) < self.rate:
            self.met += 1
            raise OSError(5)
        if not self.spoil:
            return
        for piece in range(at // self.grain, (at + len(buf) - 1) // self.grain + 1):
            how = self.spoil.get(piece)
            if how is None:
                continue
            self.met += 1
            if how == "error":
                raise OSError(5)
            a = max(piece * self.grain, at) - at
            n = min((piece + 1) * self.grain - at, len(buf)) - a
            noise = bytes(n) if how == "zeros" else self.dice.bits(8 * n).to_bytes(n, "little")
            buf[a : a + n] = noise

    def _heal(self, at, size):
        if self.heals and self.spoil:
            for piece in range(at // self.grain, (at + size - 1) // self.grain + 1):
                self.spoil.pop(piece, None)

    def ioctl(self, op, arg):
        r = self.device.ioctl(op, arg)
        if op == 6:
            self._heal(arg * self.unit, self.unit)
        return r


class SimpleReads(_Reads):
    """In front of a device of the simple protocol."""

    def readblocks(self, n, buf):
        r = self.device.readblocks(n, buf)
        self._look(n * self.unit, buf)
        return r

    def writeblocks(self, n, buf):
        r = self.device.writeblocks(n, buf)
        self._heal(n * self.unit, len(buf))
        return r


class FlashReads(_Reads):
    """In front of a device of the extended protocol."""

    def readblocks(self, n, buf, off):
        r = self.device.readblocks(n, buf, off)
        self._look(n * self.unit + off, buf)
        return r

    def writeblocks(self, n, buf, off):
        return self.device.writeblocks(n, buf, off)
