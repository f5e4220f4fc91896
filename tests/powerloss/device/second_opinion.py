"""A second opinion on power loss: another simulator and another oracle, from docs/format.md
alone; nothing of boards/models or harness.py is used, so that no error in them is shared.

    second_opinion.py flash SEED COUNT    COUNT random boards, each with 12 to 40 power cuts
    second_opinion.py card SEED COUNT     the same on a medium of sectors
    second_opinion.py case flash|card SEED    one of them, step by step

Each board is drawn: its sizes, the lease in it, the size and form of the state, what was on the
medium before. Time goes in byte steps: the power fails while a page, a unit or a sector is half
done, and each bit on its way is then old, new, or unsure (it reads this or that until its unit
is erased). The oracle knows only what a user knows: what was passed to checkpoint(), and which
calls returned.

The last line is JSON: what was counted, and the boards that failed.
"""

import json
import sys

from edgeckpt import BlockLease, CheckpointedStageState, CheckpointFlushObserver
from edgeckpt.lease import live


class Lost(BaseException):
    """The supply is gone."""


class Random:
    """Xorshift, 31 bits a call: the same on every interpreter."""

    def __init__(self, seed):
        self.x = (seed * 2654435761 + 88172645) & 0x7FFFFFFF or 1
        for _ in range(8):
            self()

    def __call__(self):
        x = self.x
        x ^= x << 13 & 0x7FFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0x7FFFFFFF
        self.x = x & 0x7FFFFFFF or 1
        return self.x >> 3

    def upto(self, low, high):
        return low + self() % (high - low + 1)

    def one(self, *choices):
        return choices[self() % len(choices)]

    def bytes(self, n):
        return bytes([self() & 255 for _ in range(n)])


class Memory:
    """Bytes, how many operations until the power fails, and a book of what was asked."""

    def __init__(self, size, random, dirty):
        self.random = random
        self.cells = bytearray(random.bytes(size) if dirty else b"\xff" * size)
        self.fuse = -1  # operations until the power fails in one; -1: never
        self.off = False
        self.unsure = {}  # address -> mask of bits that read this or that
        self.faint = False  # whether a cut may leave unsure bits
        self.allowed = None
        self.asked = 0
        self.erases = 0

    def power(self):
        self.off = False
        self.fuse = -1

    def use(self):
        if self.off:
            raise Lost
        self.asked += 1

    def burns(self):
        """Whether the power fails in this operation."""
        if self.fuse < 0:
            return False
        self.fuse -= 1
        return self.fuse < 0

    def dies(self):
        self.off = True
        raise Lost

    def within(self, start, end):
        if not self.allowed[0] <= start < end <= self.allowed[1]:
            raise AssertionError("asked for %d..%d, the lease is %r" % (start, end, self.allowed))

    def look(self, at, buf):
        self.use()
        buf[:] = self.cells[at : at + len(buf)]
        for a, mask in self.unsure.items():
            if at <= a < at + len(buf):
                buf[a - at] ^= mask & self.random()


class Flash(Memory):
    """NOR: pages are programmed to 0, units erased to 1."""

    def __init__(self, unit, page, units, random, dirty):
        Memory.__init__(self, unit * units, random, dirty)
        self.unit = unit
        self.page = page
        self.units = units
        self.used = set(range(unit * units // page)) if dirty else set()

    def readblocks(self, n, buf, off):
        self.look(n * self.unit + off, buf)

    def writeblocks(self, n, buf, off):
        self.use()
        at = n * self.unit + off
        self.within(at, at + len(buf))
        if at % self.page or len(buf) % self.page or off + len(buf) > self.unit:
            raise AssertionError("a program of %d at %d" % (len(buf), at))
        for i in range(0, len(buf), self.page):
            self._program(at + i, bytes(buf[i : i + self.page]))

    def _program(self, at, data):
        if at // self.page in self.used:
            raise AssertionError("page %d is programmed twice" % (at // self.page))
        self.used.add(at // self.page)
        if not self.burns():
            for i in range(self.page):
                self.cells[at + i] &= data[i]
            return
        if self.faint and self.random() & 1:
            self._nearly(at, data)
        share = self.random.one(0, 1, 3, 8, 15, 16)  # sixteenths of the bits that made it
        stop = self.random.upto(1, self.page) if self.random() & 1 else self.page
        for i in range(stop):
            falls = self.cells[at + i] & ~data[i] & 255
            for bit in range(8):
                mask = falls & 1 << bit
                if mask and self.random() % 16 < share:
                    self.cells[at + i] &= ~mask
        self.dies()

    def _nearly(self, at, data):
        """All of the program came, but for one to three bits that are unsure."""
        falls = [i for i in range(self.page) if self.cells[at + i] & ~data[i] & 255]
        for i in range(self.page):
            self.cells[at + i] &= data[i]
        for _ in range(self.random.upto(1, 3) if falls else 0):
            i = falls[self.random() % len(falls)]
            mask = 1 << self.random() % 8
            self.unsure[at + i] = self.unsure.get(at + i, 0) | mask & ~data[i]
        self.dies()

    def ioctl(self, op, arg):
        self.use()
        if op == 4:
            return self.units
        if op == 5:
            return self.unit
        if op == 6:
            self._erase(arg * self.unit)
        return 0

    def _erase(self, at):
        end = at + self.unit
        self.within(at, end)
        self.erases += 1
        if self.burns():
            kind = self.random() % 5
            for a in range(at, end):
                if kind == 0 and a - at < self.unit // 2 or kind == 1:
                    self.cells[a] = 255
                elif kind == 2:
                    self.cells[a] |= self.random() & 255
                elif kind == 3:
                    self.cells[a] = 0
                if not self.random() % 400:
                    self.unsure[a] = self.unsure.get(a, 0) | 1 << self.random() % 8
            for page in range(at // self.page, end // self.page):
                self.used.add(page)  # not to be used before an erase that ran to its end
            self.dies()
        self.cells[at:end] = b"\xff" * self.unit
        for a in [a for a in self.unsure if at <= a < end]:
            del self.unsure[a]
        for page in range(at // self.page, end // self.page):
            self.used.discard(page)


class Card(Memory):
    """Sectors that are overwritten; one that is being written when the power fails is torn."""

    page = unit = 512

    def __init__(self, units, random, dirty):
        Memory.__init__(self, 512 * units, random, dirty)
        self.units = units

    def readblocks(self, n, buf):
        self.look(n * 512, buf)

    def writeblocks(self, n, buf):
        self.use()
        self.within(n * 512, n * 512 + len(buf))
        for i in range(0, len(buf), 512):
            at = n * 512 + i
            if self.burns():
                k = self.random.upto(0, 512)
                kind = self.random() % 4
                if kind < 2:
                    self.cells[at : at + k] = buf[i : i + k]
                elif kind == 2:
                    self.cells[at + k : at + 512] = buf[i + k : i + 512]
                else:
                    self.cells[at : at + 512] = self.random.bytes(512)
                self.dies()
            self.cells[at : at + 512] = buf[i : i + 512]

    def ioctl(self, op, arg):
        self.use()
        return {4: self.units, 5: 512}.get(op, 0)


class Ear(CheckpointFlushObserver):
    def __init__(self):
        self.open = self.told = 0

    def on_flush_start(self, lease_id):
        self.open += 1

    def on_flush_complete(self, lease_id):
        self.open -= 1
        self.told += 1


class Board:
    """One drawn board. `passed`: serials that may be restored: the last that returned, and what
    was passed since; None in it: that the board starts fresh."""

    SCHEMA = "{serial:u32,tail:Vec<u16>}"

    def __init__(self, kind, seed, say):
        r = self.random = Random(seed)
        self.say = say
        self.raw = r() & 1
        self.length = r.upto(8, 300)
        size = self.length if self.raw else 8 + 3 * self.length
        if kind == "flash":
            page = r.one(128, 256)
            slot = -(-size // page) + 1
            pages = r.one(4, 8, 16)
            per_slot = -(-slot // pages)  # units of a slot
            units = per_slot * r.upto(4, 7)
            self.media = Flash(pages * page, page, units + 3, r, r() & 1)
            self.group = per_slot
        else:
            slot = -(-size // 512) + 1
            units = slot * r.upto(3, 9)
            self.media = Card(units + 3, r, r() & 1)
            self.group = 0
        self.start = r.upto(0, 3)
        self.count = units
        self.capacity = size
        self.media.allowed = (self.start * self.media.unit, (self.start + units) * self.media.unit)
        self.around = self.outside()
        self.serial = 0
        self.passed = [None]
        self.cuts = self.returned = self.since = 0
        say("%s, unit %d, %d units, lease %d+%d, state %d"
            % (type(self.media).__name__, self.media.unit, self.media.units, self.start,
               self.count, size))  # fmt: skip

    def outside(self):
        a, b = self.media.allowed
        return bytes(self.media.cells[:a]), bytes(self.media.cells[b:])

    def value(self, serial):
        r = Random(serial * 7 + 3)
        if self.raw:
            return bytearray(serial.to_bytes(4, "little") + r.bytes(self.length - 4))
        return {"serial": serial, "tail": [r() & 0x3FFF for _ in range(self.length)]}

    def boot(self):
        """Begin; the state must be one that may be there."""
        live.clear()
        lease = BlockLease(self.media, self.start, self.count, 77, block_size=self.media.page)
        self.ear = Ear()
        first = self.value(0)
        self.stage = CheckpointedStageState.resume(
            first, lease, None if self.raw else self.SCHEMA, capacity=self.capacity,
            observer=self.ear,
        )  # fmt: skip
        found = self.stage.state
        serial = int.from_bytes(found[:4], "little") if self.raw else found["serial"]
        fresh = not serial
        self.say("boot: %s of %r" % ("fresh" if fresh else serial, self.passed))
        if found != self.value(serial):
            raise AssertionError("a state that never was: serial %d" % serial)
        if (None if fresh else serial) not in self.passed:
            raise AssertionError("state %d, right are %r" % (serial, self.passed))
        return serial

    def step(self):
        """One checkpoint, now and then with what programs do around it."""
        r = self.random
        if not r() % 5:
            self.stage.prepare()
        self.serial += 1
        self.stage.state = self.value(self.serial)
        self.passed.append(self.serial)
        self.stage.checkpoint()
        self.passed = [self.serial]
        self.returned += 1
        self.since = 0

    def live(self):
        """Up to some checkpoints and a cut, or an orderly end."""
        r = self.random
        media = self.media
        # Two marginal cuts, then firm ones until a checkpoint has returned: a lease of four units
        # holds against them (docs/format.md).
        media.faint = self.since < 2
        media.fuse = r.upto(0, 3 * (2 + self.capacity // media.page))
        try:
            self.boot()
            for _ in range(r.upto(1, 6)):
                erases = media.erases
                self.step()
                if media.erases - erases > self.group * 2:
                    raise AssertionError("%d erases a checkpoint" % (media.erases - erases))
            self.say("an orderly end at %d" % self.serial)
        except Lost:
            self.cuts += 1
            self.since += 1
            self.say("power lost at %d, %d asked" % (self.serial, media.asked))
            if self.ear.open:
                raise AssertionError("completion not told") from None
        media.power()
        if self.outside() != self.around:
            raise AssertionError("changed outside of the lease")


def one(kind, seed, say):
    board = Board(kind, seed, say)
    for _ in range(board.random.upto(12, 40)):
        board.live()
    board.boot()
    board.step()
    board.boot()
    return board


def quiet(text):
    pass


def main(kind, seed, count="1"):
    if kind == "case":
        one(seed, int(count), print)
        return 0
    counts = {"boards of a second simulator": 0, "cuts": 0, "checkpoints that returned": 0}
    failures = []
    for k in range(int(count)):
        number = int(seed) * 100000 + k
        try:
            board = one(kind, number, quiet)
        except Exception as e:
            failures.append(["%s %d" % (kind, number), "%s: %s" % (type(e).__name__, e)])
            if len(failures) > 20:
                break
            continue
        counts["boards of a second simulator"] += 1
        counts["cuts"] += board.cuts
        counts["checkpoints that returned"] += board.returned
    print(json.dumps({"cases": counts, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
