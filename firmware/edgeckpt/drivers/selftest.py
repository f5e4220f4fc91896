"""`selftest(device, start, count)`: what a device does on one's own board, before one trusts it.

Promises: it writes to the given blocks only, and to none of them unless all are blank (or
`anyway=True`), and leaves them blank; the blocks next to those it writes are compared. It prints
times, answers and a verdict, and returns whether the device is fit. May allocate.
"""

_PAGE = 256


def _pattern(n, seed):
    out = bytearray(n)
    x = seed * 40503 + 7
    for i in range(n):
        x = (x * 1021 + 41) & 0xFFFF
        out[i] = x >> 5 & 0xFF
    return out


class _Trial:
    def __init__(self, device, start, count, clock):
        self.device = device
        self.start = start
        self.count = count
        self.clock = clock
        self.size = device.ioctl(5, 0)
        self.wrong = []
        self.answers = {}
        self.times = {}
        try:
            device.readblocks(start, bytearray(16), 0)
            self.flash = True
        except TypeError:
            self.flash = False

    def timed(self, what, call, *args):
        begin = self.clock.ticks_us()
        try:
            answer = call(*args)
        except OSError as e:
            answer = e
            self.wrong.append("%s: %r" % (what, e))
        us = self.clock.ticks_diff(self.clock.ticks_us(), begin)
        self.times.setdefault(what, []).append(us)
        self.answers[what] = answer
        if answer is not None and answer is not True and (answer is False or answer != 0):
            if not isinstance(answer, OSError):
                self.wrong.append("%s answered %r" % (what, answer))

    def read(self, n, size, off=0):
        buf = bytearray(b"\xa5" * size)
        if self.flash:
            self.device.readblocks(n, buf, off)
        else:
            self.device.readblocks(n, buf)
        return buf

    def blank(self, n):
        step = min(self.size, 512) if self.flash else self.size
        for off in range(0, self.size, step):
            b = self.read(n, step, off)
            if bytes(b) != b"\xff" * step and (self.flash or bytes(b) != bytes(step)):
                return False
        return True

    def expect(self, true, why):
        if not true:
            self.wrong.append(why)

    def unit(self, n):
        device = self.device
        self.timed("erase", device.ioctl, 6, n)
        self.expect(self.blank(n), "block %d is not blank after an erase" % n)
        for off in range(0, min(self.size, 16 * _PAGE), _PAGE):
            self.timed("program", device.writeblocks, n, _pattern(_PAGE, off), off)
        self.timed("sync", device.ioctl, 3, 0)
        for off in range(0, min(self.size, 16 * _PAGE), _PAGE):
            same = self.read(n, _PAGE, off) == _pattern(_PAGE, off)
            self.expect(same, "block %d reads back otherwise than programmed, at %d" % (n, off))
        other = bytes([b ^ 0x5A for b in _pattern(_PAGE, 0)])
        self.timed("program", device.writeblocks, n, other, 0)
        replaced = self.read(n, _PAGE, 0) == other
        self.expect(not replaced, "a program replaced what was there: it erases by itself, no NOR")
        self.timed("erase", device.ioctl, 6, n)
        self.expect(self.blank(n), "block %d is not blank after the second erase" % n)

    def block(self, n):
        for seed in (1, 2, 0):
            data = _pattern(self.size, seed) if seed else bytearray(self.size)
            self.timed("write", self.device.writeblocks, n, data)
            self.timed("sync", self.device.ioctl, 3, 0)
            same = self.read(n, self.size) == data
            self.expect(same, "block %d reads back otherwise than written" % n)

    def neighbours(self, n):
        found = []
        for m in (n - 1, n + 1):
            if self.start <= m < self.start + self.count:
                found.append(bytes(self.read(m, _PAGE if self.flash else self.size)))
        return found

    def report(self):
        for what in sorted(self.times):
            us = self.times[what]
            print(
                "%-8s mean %8.2f ms, longest %8.2f ms, of %d; answered %r"
                % (what, sum(us) / len(us) / 1000, max(us) / 1000, len(us), self.answers[what])
            )
        for why in self.wrong[:8]:
            print("wrong:", why)
        print("verdict: %s" % ("NOT FIT for checkpoints" if self.wrong else "fit"))
        return not self.wrong


def selftest(device, start, count, anyway=False, clock=None):
    """Try blocks `start` to `start + count - 1`, at most 4 of flash, 16 of others; the verdict."""
    if clock is None:
        import time as clock
    last = device.ioctl(4, 0) - 1
    if start < 0 or count < 1 or start + count - 1 > last:
        raise ValueError("blocks %d..%d: expected within 0..%d" % (start, start + count - 1, last))
    trial = _Trial(device, start, count, clock)
    for n in range(start, start + count):
        if not anyway and not trial.blank(n):
            raise ValueError(
                "block %d is not blank: what is there would be lost (anyway=True)" % n
            )
    print(
        "%s: blocks %d..%d of %d bytes, %s"
        % (
            type(device).__name__,
            start,
            start + count - 1,
            trial.size,
            "erased and programmed" if trial.flash else "overwritten in place",
        )
    )
    for n in range(start, start + min(count, 4 if trial.flash else 16)):
        before = trial.neighbours(n)
        if trial.flash:
            trial.unit(n)
        else:
            trial.block(n)
        trial.expect(trial.neighbours(n) == before, "a neighbour of block %d changed" % n)
    return trial.report()
