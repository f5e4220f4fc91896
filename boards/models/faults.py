"""What can go wrong with a flash chip, as objects to put into `NorChip.faults` or around a device.

What a cut leaves behind is what the contract of `edgeckpt.BlockLease` allows: any subset of
the pending bits of a program; any content, and marginal cells, after an erase. Nothing here is
kinder than that, and all of it replays from a seed, alike on MicroPython and CPython.

`Cut` cuts the power in one operation; `Worn`, `Stuck`, `Skips` make the chip lie; `Disturbs`
damages neighbours; `Liar` wraps a device and answers in the ways that real drivers answer.
"""

from hashlib import sha256

# Power cut in a page program. Of the bits that were to go to 0:
PROGRAM_CUTS = (
    "none",  # none did: cut before
    "all",  # all did: cut after
    "prefix",  # those of the first bytes
    "suffix",  # those of the last bytes
    "bits",  # each with a probability of 1/2
    "few",  # each with a probability of 1/8
    "most",  # all but one to four
    "last",  # those of the last byte only
    "but-last",  # all but those of the last byte
    "flicker",  # all, but one to four read differently each time
    "half-flicker",  # half of them, and some of the others read differently each time
    "fade",  # all, but one to three read 1 again after some reads
    "charge",  # none to see, but one to eight read 0 after some reads
)

# Power cut in an erase. The unit is left
ERASE_CUTS = (
    "none",  # as it was: cut before
    "all",  # erased: cut after
    "half1",  # erased in its first half
    "half2",  # erased in its second half
    "set",  # with a random half of its zeros set
    "zero",  # all zero (chips program before they erase)
    "noise",  # random
    "stale",  # erased but for one bit
    "flicker",  # erased, but one to eight cells read differently each time
    "fade",  # erased, but one to eight cells read 0 after some reads
    "old-flicker",  # as it was, but one to eight cells read differently each time
    "old-fade",  # as it was, but one to eight zeros read 1 after some reads
)

# A cut program that also takes cells of other pages of its unit with it: damage to committed
# slots, so that a clear error is as good as the state.
DISTURB_CUTS = ("disturb-all", "disturb-bits")


class Dice:
    """Random numbers from a seed (anything with a str()), the same on every interpreter."""

    def __init__(self, seed):
        self._key = str(seed).encode()
        self._count = 0
        self._pool = b""
        self._at = 0

    def _bytes(self, n):
        end = self._at + n
        if end > len(self._pool):
            parts = [self._pool[self._at :]]
            for _ in range((end - len(self._pool) + 31) // 32):
                self._count += 1
                parts.append(sha256(self._key + b"/%d" % self._count).digest())
            self._pool = b"".join(parts)
            self._at = 0
            end = n
        out = self._pool[self._at : end]
        self._at = end
        return out

    def below(self, n):
        """0 .. n-1, n up to 2^24."""
        return int.from_bytes(self._bytes(4), "little") % n

    def bits(self, n):
        """An int of `n` random bits, n a multiple of 8."""
        return int.from_bytes(self._bytes(n // 8), "little")

    def pick(self, sequence):
        return sequence[self.below(len(sequence))]


def _some(pending, n, dice):
    # Up to n of the set bits of the bytes `pending`, as {index: mask}.
    chosen = {}
    size = len(pending)
    for _ in range(n):
        start = dice.below(size)
        for k in range(size):
            i = (start + k) % size
            if pending[i]:
                bit = 1 << dice.below(8)
                while not pending[i] & bit:
                    bit = bit >> 1 or 0x80
                chosen[i] = chosen.get(i, 0) | bit
                break
    return chosen


def _weaken(chip, at, cells, dice, becomes=None):
    reads = dice.below(40)
    for i, mask in cells.items():
        chip.weaken(at + i, mask, dice, becomes, reads)


def cut_program(chip, at, data, mode, dice):
    """Leave the page at `at` as a program of `data` does that is cut in the way `mode`."""
    size = len(data)
    bits = 8 * size
    old = int.from_bytes(chip.data[at : at + size], "little")
    pending = old & ~int.from_bytes(data, "little")
    each = pending.to_bytes(size, "little")
    weak = {}
    becomes = None
    if mode.startswith("disturb"):
        _disturb(chip, at, dice)
        mode = mode[8:]
    if mode == "none":
        done = 0
    elif mode == "all":
        done = pending
    elif mode == "prefix" or mode == "suffix":
        done = pending & ((1 << 8 * dice.below(size)) - 1)
        if mode == "suffix":
            done = pending & ~done
    elif mode == "bits":
        done = pending & dice.bits(bits)
    elif mode == "few":
        done = pending & dice.bits(bits) & dice.bits(bits) & dice.bits(bits)
    elif mode == "most":
        done = pending & ~_int(_some(each, 1 + dice.below(4), dice), size)
    elif mode == "last" or mode == "but-last":
        end = size
        while end > 1 and not each[end - 1]:
            end -= 1
        done = pending & ((1 << 8 * (end - 1)) - 1)
        if mode == "last":
            done = pending & ~done
    elif mode == "flicker":
        done = pending
        weak = _some(each, 1 + dice.below(4), dice)
    elif mode == "half-flicker":
        done = pending & dice.bits(bits)
        rest = (pending & ~done).to_bytes(size, "little")
        weak = _some(rest, 1 + dice.below(8), dice)
    elif mode == "fade":
        done = pending
        weak = _some(each, 1 + dice.below(3), dice)
        becomes = 0xFF
    elif mode == "charge":
        done = 0
        weak = _some(each, 1 + dice.below(8), dice)
        becomes = 0
    else:
        raise ValueError("no way to cut a program: %r" % (mode,))
    chip.put(at, (old & ~done).to_bytes(size, "little"))
    _weaken(chip, at, weak, dice, becomes)


def _int(cells, size):
    raw = bytearray(size)
    for i, mask in cells.items():
        raw[i] = mask
    return int.from_bytes(raw, "little")


def _disturb(chip, at, dice):
    # One to four other pages of the unit lose a bit or a handful.
    unit = at // chip.unit * chip.unit
    for _ in range(1 + dice.below(4)):
        page = unit + dice.below(chip.unit // chip.page) * chip.page
        if page != at:
            for i, mask in _some(b"\xff" * chip.page, 1 + dice.below(4), dice).items():
                chip.put(page + i, bytes([chip.data[page + i] & ~mask]))


def cut_erase(chip, at, mode, dice):
    """Leave the unit at `at` as an erase does that is cut in the way `mode`."""
    size = chip.unit
    old = bytes(chip.data[at : at + size])
    blank = b"\xff" * size
    half = size // 2
    weak = {}
    becomes = None
    if mode == "all":
        chip.clear(at)
        return
    if mode == "none":
        new = old
    elif mode == "half1":
        new = blank[:half] + old[half:]
    elif mode == "half2":
        new = old[:half] + blank[half:]
    elif mode == "set":
        new = (int.from_bytes(old, "little") | dice.bits(8 * size)).to_bytes(size, "little")
    elif mode == "zero":
        new = bytes(size)
    elif mode == "noise":
        new = dice.bits(8 * size).to_bytes(size, "little")
    elif mode == "stale":
        new = bytearray(blank)
        new[dice.below(size)] ^= 1 << dice.below(8)
    elif mode == "flicker" or mode == "fade":
        new = blank
        weak = _some(blank, 1 + dice.below(8), dice)
        if mode == "fade":
            becomes = 0
    elif mode == "old-flicker":
        new = old
        weak = _some(blank, 1 + dice.below(8), dice)
    elif mode == "old-fade":
        new = old
        zeros = bytes([b ^ 0xFF for b in old])
        weak = _some(zeros, 1 + dice.below(8), dice)
        becomes = 0xFF
    else:
        raise ValueError("no way to cut an erase: %r" % (mode,))
    chip.put(at, new)
    _weaken(chip, at, weak, dice, becomes)


def cut_erases(chip, start, end, mode, dice):
    """The same of one erase of several units: all in the same way, or each in some way."""
    chosen = dice.below((end - start) // chip.unit) if end - start > chip.unit else 0
    alike = end - start == chip.unit or dice.below(2)
    for at in range(start, end, chip.unit):
        same = alike or at == start + chosen * chip.unit
        cut_erase(chip, at, mode if same else dice.pick(ERASE_CUTS), dice)


class Faults:
    """A sound chip; the base of the others."""

    def program(self, chip, at, data):
        return chip.store(at, data)

    def erase(self, chip, at):
        return chip.clear(at)

    def read(self, chip, at, buf):
        return chip.load(at, buf)

    def sync(self, chip):
        return 0


class Cut(Faults):
    """Cuts the power in operation `op` of the chip (`chip.ops` counts from 1).

    in_program, in_erase: how, of the tuples above; dice: what is random in it.
    """

    def __init__(self, op, in_program, in_erase, dice):
        self.op = op
        self.in_program = in_program
        self.in_erase = in_erase
        self.dice = dice
        self.done = None  # how the power was cut, once it was

    def program(self, chip, at, data):
        if chip.ops != self.op:
            return chip.store(at, data)
        self.done = "program 0x%x %s" % (at, self.in_program)
        cut_program(chip, at, data, self.in_program, self.dice)
        chip.power_off()

    def erase(self, chip, at):
        if chip.ops != self.op:
            return chip.clear(at)
        self.done = "erase 0x%x %s" % (at, self.in_erase)
        cut_erases(chip, at, chip.span[1], self.in_erase, self.dice)
        chip.power_off()


class Skips(Faults):
    """A chip that says yes and does not do it, in operations `first` .. `last` of `chip.ops`.

    how: "skip" does nothing, "half" does the first half, "bit" leaves one bit undone, "dead"
    does nothing and fills no read buffer either.
    """

    def __init__(self, first, last, how, dice):
        self.first = first
        self.last = last
        self.how = how
        self.dice = dice
        self.count = 0  # operations that were not done as told

    def _sound(self, chip):
        if self.first <= chip.ops <= self.last:
            self.count += 1
            return False
        return True

    def program(self, chip, at, data):
        if self._sound(chip):
            return chip.store(at, data)
        half = len(data) // 2
        if self.how == "half":
            cut_program(chip, at, bytes(data[:half]) + b"\xff" * half, "all", self.dice)
        elif self.how == "bit":
            cut_program(chip, at, data, "most", self.dice)
        return 0

    def erase(self, chip, at):
        if self._sound(chip):
            return chip.clear(at)
        if self.how == "half":
            cut_erase(chip, at, "half1", self.dice)
        elif self.how == "bit":
            cut_erase(chip, at, "stale", self.dice)
        return 0

    def read(self, chip, at, buf):
        if self.how == "dead" and self.first <= chip.ops <= self.last:
            return 0
        return chip.load(at, buf)


class Stuck(Faults):
    """Cells that stay as they are whatever is done to them: {address: (mask, value)}."""

    def __init__(self, chip, cells):
        self.cells = cells
        self._hold(chip, 0, chip.size)

    def _hold(self, chip, at, size):
        for a, (mask, value) in self.cells.items():
            if at <= a < at + size:
                chip.put(a, bytes([(chip.data[a] & ~mask) | (value & mask)]))

    def program(self, chip, at, data):
        r = chip.store(at, data)
        self._hold(chip, at, len(data))
        return r

    def erase(self, chip, at):
        r = chip.clear(at)
        self._hold(chip, at, chip.unit)
        return r


class Worn(Faults):
    """Units that are worn out: an erase of one leaves them in the way `how` of ERASE_CUTS.

    What is left as it was is not blank: "old-flicker" of a blank unit would be "flicker".
    """

    def __init__(self, units, how, dice):
        self.units = units
        self.how = how
        self.dice = dice

    def erase(self, chip, at):
        if at // chip.unit not in self.units:
            return chip.clear(at)
        blank = chip.data[at : at + chip.unit] == b"\xff" * chip.unit
        how = "none" if blank and self.how == "old-flicker" else self.how
        cut_erase(chip, at, how, self.dice)
        return 0


# How a bad unit takes erases and programs
UNIT_WEAR = (
    "erase-raises",
    "erase-answers",  # -5
    "erase-silent",
    "erase-garbage",
    "program-raises",
    "program-silent",
    "program-garbage",
    "dead",  # neither is done, both answer -5
)


class BadUnits(Faults):
    """Units `bad` that are worn out in the way `how` of UNIT_WEAR; what they hold stays readable.

    `met`: operations that met one.
    """

    def __init__(self, bad, how, dice):
        self.bad = set(bad)
        self.how = how
        self.dice = dice
        self.met = 0

    def _answer(self, chip, at, size, how):
        self.met += 1
        if how == "raises":
            raise OSError(5)
        if how == "garbage":
            # An erase that stopped somewhere, a program of which some bits came.
            old = bytes(chip.data[at : at + size])
            noise = self.dice.bits(8 * size).to_bytes(size, "little")
            if size == chip.unit:
                chip.put(at, noise)
            else:
                chip.put(at, bytes([a & b for a, b in zip(old, noise)]))
        return 0 if how == "silent" or how == "garbage" else -5

    def _is_bad(self, chip, at, kind):
        if at // chip.unit not in self.bad:
            return False
        return self.how == "dead" or self.how.startswith(kind)

    def program(self, chip, at, data):
        if self._is_bad(chip, at, "program"):
            return self._answer(chip, at, chip.page, self.how.split("-")[-1])
        return chip.store(at, data)

    def erase(self, chip, at):
        if self._is_bad(chip, at, "erase"):
            return self._answer(chip, at, chip.unit, self.how.split("-")[-1])
        return chip.clear(at)


def disturb_unit(chip, at, dice):
    """Every other page of the unit of page `at` loses one to four of its bits."""
    unit = at // chip.unit * chip.unit
    for page in range(unit, unit + chip.unit, chip.page):
        if page != at:
            for i, mask in _some(b"\xff" * chip.page, 1 + dice.below(4), dice).items():
                chip.put(page + i, bytes([chip.data[page + i] & ~mask]))


class UnitCut(Cut):
    """A cut whose program disturbs the whole unit that it runs in (SST26VF, M25P16)."""

    def program(self, chip, at, data):
        if chip.ops == self.op:
            disturb_unit(chip, at, self.dice)
        return Cut.program(self, chip, at, data)


class Misdirected(Faults):
    """Operation number `op` (of `chip.ops`) is done, but in unit `other`, at the same offset."""

    def __init__(self, op, other):
        self.op = op
        self.other = other
        self.done = None

    def _place(self, chip, at):
        if chip.ops != self.op:
            return at
        self.done = "0x%x" % at
        return self.other * chip.unit + at % chip.unit

    def program(self, chip, at, data):
        return chip.store(self._place(chip, at), data)

    def erase(self, chip, at):
        return chip.clear(self._place(chip, at))


class Disturbs(Faults):
    """Each program and erase also damages bytes of `start` .. `end`, where it was not asked to."""

    def __init__(self, start, end, dice):
        self.start = start
        self.end = end
        self.dice = dice

    def _damage(self, chip):
        a = self.start + self.dice.below(self.end - self.start)
        chip.put(a, bytes([self.dice.below(256)]))

    def program(self, chip, at, data):
        self._damage(chip)
        return chip.store(at, data)

    def erase(self, chip, at):
        self._damage(chip)
        return chip.clear(at)


# What drivers answer; the last two are raised. None, 0 and True mean "go on and read back".
ANSWERS = (None, 0, True, False, -5, 1, "done", OSError(5), RuntimeError("bus"))


def liar(device, *options):
    """A `Liar` in front of `device`, with `erase_range` where the device has it."""
    return (RangedLiar if hasattr(device, "erase_range") else Liar)(device, *options)


class Liar:
    """A device in front of `device` that at call `at` (1 is the first one) answers `answer`.

    Counted are the calls of one kind: "write", "erase", "sync" or "read". how: "done" does
    the work, "skip" does nothing, "half" does the first half of it (with "read": fills half
    of the buffer), a number reads and turns that bit of the buffer. `last`: it goes on so up to
    this call (default: only the one).
    """

    def __init__(self, device, kind, at, how, answer, last=None):
        self.device = device
        self.kind = kind
        self.at = at
        self.last = at if last is None else last
        self.how = how
        self.answer = answer
        self.calls = 0
        self.told = 0  # lies told

    def _lies(self, kind):
        if kind != self.kind:
            return False
        self.calls += 1
        if not self.at <= self.calls <= self.last:
            return False
        self.told += 1
        return True

    def _answer(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def readblocks(self, n, buf, *off):
        if not self._lies("read"):
            return self.device.readblocks(n, buf, *off)
        if self.how == "done":
            self.device.readblocks(n, buf, *off)
        elif self.how == "half":
            whole = bytearray(len(buf))
            self.device.readblocks(n, whole, *off)
            buf[: len(buf) // 2] = whole[: len(buf) // 2]
        elif self.how != "skip":
            self.device.readblocks(n, buf, *off)
            buf[self.how // 8 % len(buf)] ^= 1 << self.how % 8
        return self._answer()

    def writeblocks(self, n, buf, *off):
        if not self._lies("write"):
            return self.device.writeblocks(n, buf, *off)
        if self.how == "done":
            self.device.writeblocks(n, buf, *off)
        elif self.how == "half":
            if off:
                half = len(buf) // 2
                self.device.writeblocks(n, bytes(buf[:half]) + b"\xff" * (len(buf) - half), *off)
            else:
                whole = bytearray(len(buf))
                self.device.readblocks(n, whole)
                whole[: len(buf) // 2] = buf[: len(buf) // 2]
                self.device.writeblocks(n, whole)
        return self._answer()

    def ioctl(self, op, arg):
        kind = "erase" if op == 6 else "sync" if op == 3 else "ask"
        if not self._lies(kind):
            return self.device.ioctl(op, arg)
        if self.how == "done" or kind == "sync" and self.how == "half":
            self.device.ioctl(op, arg)
        elif self.how == "half":
            cut_erase(self.device, arg * self.device.unit, "half1", None)
        return self._answer()


class RangedLiar(Liar):
    def erase_range(self, first, count):
        if not self._lies("erase"):
            return self.device.erase_range(first, count)
        if self.how == "done":
            self.device.erase_range(first, count)
        elif self.how == "half":
            self.device.erase_range(first, count // 2)
        return self._answer()
