"""`machine.SPI` and `Pin` look-alikes over chip models, with simulated time.

What is on the other side is a model with `select(level)`, `transfer(byte) -> byte`, and the fast
paths `write(buf)`, `readinto(buf, fill)`, `exchange(out, into)`, which mean the same byte by
byte. Promises: every byte takes its time on the simulated clock, every byte and every call is
counted, nothing ever sleeps for real. Runs on MicroPython and CPython.
"""

from .nor import PowerCut  # one name for it, whatever the model


class Clock:
    """Simulated time with the names of MicroPython's `time` that drivers use.

    `us` (int) is the time since the start in microseconds; `slept` counts the part of it that
    was passed in `sleep_us` and `sleep_ms`.
    """

    def __init__(self):
        self.us = 0
        self.slept = 0
        self._ns = 0

    def ticks_us(self):
        return self.us & 0x3FFFFFFF

    def ticks_ms(self):
        return (self.us // 1000) & 0x3FFFFFFF

    def ticks_add(self, t, delta):
        return (t + delta) & 0x3FFFFFFF

    def ticks_diff(self, a, b):
        d = (a - b) & 0x3FFFFFFF
        return d if d < 0x20000000 else d - 0x3FFFFFFF - 1  # no int of 2^30: those allocate

    def sleep_us(self, us):
        self.us += us
        self.slept += us

    def sleep_ms(self, ms):
        self.sleep_us(ms * 1000)

    def pass_ns(self, ns):
        ns += self._ns
        self.us += ns // 1000
        self._ns = ns % 1000


class Pin:
    """A chip-select line, active low, as `machine.Pin`: `pin(0)`, `pin.value()`, `pin.init()`."""

    IN = 0
    OUT = 1

    def __init__(self, bus, chip):
        self.level = 1
        self.chip = chip
        self.bus = bus
        bus.pins.append(self)

    def init(self, mode=-1, pull=-1, value=None):
        if value is not None:
            self(value)

    def __call__(self, level=None):
        if level is None:
            return self.level
        level = 1 if level else 0
        if level != self.level:
            self.level = level
            self.bus.selects += 1
            self.chip.select(level)

    value = __call__

    def on(self):
        self(1)

    def off(self):
        self(0)


class SPI:
    """One bus with the chips of its `Pin`s.

    Attributes: `bytes` on the wire, `calls` of write/readinto, `selects` (edges of the pins),
    `baudrate` in Hz, `call_ns` (what a call costs the caller besides, 0 by default), `log`
    (None, or a list that takes `(kind, bytes)` of what went out and came in), `cut_after` (None,
    or the count of bytes after which a PowerCut is raised), `event` (None, or (count of bytes,
    function that is called then, once)).
    """

    MSB = 0
    LSB = 1

    def __init__(self, clock, baudrate=20_000_000):
        self.clock = clock
        self.pins = []
        self.bytes = 0
        self.calls = 0
        self.selects = 0
        self.log = None
        self.cut_after = None
        self.event = None
        self.call_ns = 0
        self.init(baudrate)

    def init(self, baudrate=None, *, polarity=0, phase=0, bits=8, firstbit=0, **pins):
        if polarity != phase or bits != 8 or firstbit != self.MSB:
            raise ValueError("the chips take mode 0 or 3, 8 bits, MSB first")
        if baudrate is not None:
            self.baudrate = baudrate
            self._byte_ns = 8_000_000_000 // baudrate

    def deinit(self):
        pass

    def _count(self, n):
        self.calls += 1
        self.bytes += n
        self.clock.pass_ns(n * self._byte_ns + self.call_ns)
        if self.event is not None and self.bytes > self.event[0]:
            call = self.event[1]
            self.event = None
            call()
        if self.cut_after is not None and self.bytes > self.cut_after:
            self.cut_after = None
            for pin in self.pins:
                pin.chip.power_off()
            raise PowerCut("after %d bytes" % self.bytes)

    def _chip(self):
        # Chips that are not selected still see the clock: an SD card needs 74 of them (sdspi.py).
        chosen = None
        for pin in self.pins:
            if not pin.level:
                if chosen is not None:
                    raise AssertionError("two chips selected on one bus")
                chosen = pin.chip
        return chosen

    def write(self, buf):
        self._count(len(buf))
        chip = self._chip()
        if self.log is not None:
            self.log.append(("w", bytes(buf)))
        if chip is not None:
            chip.write(buf)
        else:
            self._idle(len(buf))

    def readinto(self, buf, fill=0):
        self._count(len(buf))
        chip = self._chip()
        if chip is not None:
            chip.readinto(buf, fill)
        else:
            self._idle(len(buf))
            for i in range(len(buf)):
                buf[i] = 0xFF
        if self.log is not None:
            self.log.append(("r", bytes(buf)))

    def read(self, n, fill=0):
        buf = bytearray(n)
        self.readinto(buf, fill)
        return bytes(buf)

    def write_readinto(self, out, into):
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        self._count(len(out))
        chip = self._chip()
        sent = bytes(out) if self.log is not None else None
        if chip is not None:
            chip.exchange(out, into)
        else:
            self._idle(len(out))
            for i in range(len(out)):
                into[i] = 0xFF
        if self.log is not None:
            self.log.append(("x", sent, bytes(into)))

    def _idle(self, n):
        for pin in self.pins:
            pin.chip.idle(n)


class Noise:
    """A chip behind a line that damages bytes, one in `every` on the average, either way.

    All else is the chip's own. `hits` counts them.
    """

    def __init__(self, chip, dice, every):
        self.chip = chip
        self.dice = dice
        self.every = every
        self.hits = 0
        self.select = chip.select
        self.idle = chip.idle
        self._next()

    def _next(self):
        self._left = 1 + self.dice.below(2 * self.every - 1)

    def _line(self, byte):
        self._left -= 1
        if self._left <= 0:
            self._next()
            self.hits += 1
            byte ^= 1 << self.dice.below(8)
        return byte

    def transfer(self, byte):
        return self._line(self.chip.transfer(self._line(byte)))

    def write(self, buf):
        if len(buf) * 2 < self._left:
            self._left -= len(buf)
            self.chip.write(buf)
        else:
            for b in buf:
                self.transfer(b)

    def readinto(self, buf, fill=0):
        if len(buf) * 2 < self._left:
            self._left -= len(buf)
            self.chip.readinto(buf, fill)
        else:
            for i in range(len(buf)):
                buf[i] = self.transfer(fill)

    def exchange(self, out, into):
        for i in range(len(out)):
            into[i] = self.transfer(out[i])


class Tape:
    """A bus that plays back a recorded `SPI.log`: for measuring what the driver itself allocates.

    It allocates nothing; what is sent is compared with the record, and so is its order
    (AssertionError).
    """

    MSB = 0

    class Pin:
        """The chip select that goes with a tape."""

        OUT = 1

        def init(self, mode=-1, pull=-1, value=None):
            pass

        def __call__(self, level):
            pass

    def __init__(self, log):
        self._kind = [r[0] for r in log]
        self._a = [bytearray(r[1]) for r in log]
        self._b = [bytearray(r[-1]) for r in log]
        self.at = 0
        self.left = len(log)

    def init(self, baudrate=None, *, polarity=0, phase=0):
        pass

    def _next(self, kind, buf):
        at = self.at
        if at >= len(self._kind) or self._kind[at] != kind or len(self._a[at]) != len(buf):
            raise AssertionError("the driver left the recorded path at record %d" % at)
        self.at = at + 1
        self.left -= 1
        return at

    def write(self, buf):
        at = self._next("w", buf)
        if self._a[at] != buf:
            raise AssertionError("other bytes than recorded at %d" % at)

    def readinto(self, buf, fill=0):
        at = self._next("r", buf)
        self._copy(buf, self._a[at])

    def write_readinto(self, out, into):
        at = self._next("x", out)
        if self._a[at] != out:
            raise AssertionError("other bytes than recorded at %d" % at)
        self._copy(into, self._b[at])

    def _copy(self, into, data):
        for i in range(len(data)):  # a slice allocates before MicroPython 1.26
            into[i] = data[i]
