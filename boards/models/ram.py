"""Media that overwrite in place, simple block protocol: a sector disk, and caches in front.

Promises: a sector that was written and synced reads back as written until a fault says else;
every fault replays from a seed. Runs on MicroPython and CPython.
"""

from .nor import PowerCut

# Power cut while a sector is written (SD): what the sector holds afterwards
SECTOR_CUTS = (
    "none",  # the old content: cut before
    "all",  # the new: cut after
    "prefix",  # the first bytes new, the rest old
    "suffix",  # the last bytes new, the rest old
    "mixed",  # each byte old or new
    "lost",  # zeros
    "blank",  # 0xFF
    "noise",  # random bytes
    "unreadable",  # reads raise OSError until it is written again
)

# The translation layer of a card may damage a sector that nobody wrote.
UNRELATED_CUTS = ("unrelated-noise", "unrelated-unreadable", "unrelated-lost")


class SectorDisk:
    """`blocks` sectors of `size` bytes that overwrite in place.

    Attributes for tests: `ops` (sectors written), `reads` (calls), `data`, `bad` (numbers of
    unreadable sectors), `faults` (None or an object with `write(disk, n, data)`), `fence`
    (None or (first, end) sectors that may be written), `violations`.
    """

    def __init__(self, blocks, size=512):
        self.blocks = blocks
        self.size = size
        self.data = bytearray(blocks * size)
        self.view = memoryview(self.data)
        self.bad = set()
        self.faults = None
        self.fence = None
        self.violations = []
        self.dead = False
        self.ops = self.reads = self.syncs = 0
        self.erases = self.again = 0  # as of NorChip: it has neither

    def readblocks(self, n, buf):
        if self.dead:
            raise PowerCut("the card has no supply")
        self._within(n, len(buf))
        self.reads += 1
        if self.bad:
            for i in range(n, n + len(buf) // self.size):
                if i in self.bad:
                    raise OSError(5)
        buf[:] = self.view[n * self.size : n * self.size + len(buf)]

    def writeblocks(self, n, buf):
        if self.dead:
            raise PowerCut("the card has no supply")
        self._within(n, len(buf))
        count = len(buf) // self.size
        if self.fence is not None and not self.fence[0] <= n <= self.fence[1] - count:
            self._violate("write of %d sectors at %d: outside the fence" % (count, n))
        view = memoryview(buf)
        for i in range(count):
            self.ops += 1
            data = view[i * self.size : (i + 1) * self.size]
            if self.faults is not None:
                self.faults.write(self, n + i, data)
            else:
                self.store(n + i, data)

    def ioctl(self, op, arg):
        if self.dead:
            raise PowerCut("the card has no supply")
        if op == 4:
            return self.blocks
        if op == 5:
            return self.size
        if op == 3:
            self.syncs += 1
        return 0

    def _within(self, n, size):
        if n < 0 or not size or size % self.size or n * self.size + size > len(self.data):
            self._violate("%d bytes at sector %r: not whole sectors of the disk" % (size, n))

    def _violate(self, text):
        self.violations.append(text)
        raise ValueError(text)

    def store(self, n, data):
        self.view[n * self.size : (n + 1) * self.size] = data
        self.bad.discard(n)

    def power_off(self):
        """End it here: raises PowerCut, and so does every call until `power_on()`."""
        self.dead = True
        raise PowerCut("at operation %d" % self.ops)

    def power_on(self):
        self.dead = False

    def save(self):
        return bytes(self.data), frozenset(self.bad)

    def restore(self, saved):
        """Put back what `save()` gave, and power on."""
        self.view[:] = saved[0]
        self.bad = set(saved[1])
        self.dead = False


def cut_sector(disk, n, data, mode, dice):
    """Leave sector `n` as a write of `data` does that is cut in the way `mode`."""
    size = disk.size
    old = bytes(disk.data[n * size : (n + 1) * size])
    data = bytes(data)
    if mode.startswith("unrelated"):
        other = dice.below(disk.blocks)
        if other != n:
            damage = mode[10:]
            cut_sector(disk, other, b"", damage, dice)
        mode = "all" if dice.below(2) else "mixed"
    if mode == "none":
        new = old
    elif mode == "all":
        new = data
    elif mode == "prefix":
        k = dice.below(size)
        new = data[:k] + old[k:]
    elif mode == "suffix":
        k = dice.below(size)
        new = old[:k] + data[k:]
    elif mode == "mixed":
        choice = dice.bits(size)
        new = bytes([data[i] if choice >> i & 1 else old[i] for i in range(size)])
    elif mode == "lost":
        new = bytes(size)
    elif mode == "blank":
        new = b"\xff" * size
    elif mode == "noise":
        new = dice.bits(8 * size).to_bytes(size, "little")
    elif mode == "unreadable":
        disk.bad.add(n)
        return
    else:
        raise ValueError("no way to cut a sector write: %r" % (mode,))
    disk.store(n, new)


class SectorCut:
    """Cuts the power in the write of sector number `op` (`disk.ops` counts from 1)."""

    def __init__(self, op, mode, dice):
        self.op = op
        self.mode = mode
        self.dice = dice
        self.done = None

    def write(self, disk, n, data):
        if disk.ops != self.op:
            disk.store(n, data)
            return
        self.done = self._tear(disk, n, data)
        disk.power_off()

    def _tear(self, disk, n, data):
        cut_sector(disk, n, data, self.mode, self.dice)
        return "sector %d %s" % (n, self.mode)


class ByteCut(SectorCut):
    """A medium written byte by byte (FRAM, EEPROM): its first `kept` bytes are new."""

    def __init__(self, op, kept):
        SectorCut.__init__(self, op, "byte", None)
        self.kept = kept

    def _tear(self, disk, n, data):
        view = disk.view[n * disk.size : (n + 1) * disk.size]
        view[: self.kept] = data[: self.kept]
        return "sector %d, %d bytes" % (n, self.kept)


# How a sector that is worn out takes a write
SECTOR_WEAR = ("raises", "silent", "garbage", "unreadable")


class BadSectors:
    """Sectors `bad` that take no write any more, in the way `how` of SECTOR_WEAR."""

    def __init__(self, bad, how, dice):
        self.bad = set(bad)
        self.how = how
        self.dice = dice
        self.met = 0  # writes that met one

    def write(self, disk, n, data):
        if n not in self.bad:
            disk.store(n, data)
            return
        self.met += 1
        if self.how == "garbage":
            disk.store(n, self.dice.bits(8 * disk.size).to_bytes(disk.size, "little"))
        elif self.how == "unreadable":
            disk.bad.add(n)
        if self.how == "raises" or self.how == "unreadable":
            raise OSError(5)


# What of the writes since the last sync is on the medium when a volatile cache loses power
CACHE_CUTS = (
    "lost",  # none
    "kept",  # all
    "some",  # a random part, in order
    "shuffled",  # a random part, in random order
    "last",  # only the last
    "but-first",  # all but the first
)


class Cache:
    """A volatile write cache in front of `device` (a SectorDisk or a NorChip).

    Reads see what was written. What was written since the last sync may be lost, or kept, or
    applied in another order when the power fails, in pieces of one page or sector; erases whole.

    cut(calls, how, dice) arms it: the power fails instead of the `calls`-th write, erase or sync
    from now on (1 is the next one), `how` is one of CACHE_CUTS.
    """

    def __init__(self, device):
        self.device = device
        self.pending = []  # since the last sync: (call, arguments)
        self._synced = device.save()
        self._calls = 0
        self._how = self._dice = None
        self.done = None
        self.dead = False

    def cut(self, calls, how, dice):
        self._calls = calls
        self._how = how
        self._dice = dice
        self.done = None

    def readblocks(self, n, buf, *off):
        if self.dead:
            raise PowerCut("the device has no supply")
        return self.device.readblocks(n, buf, *off)

    def writeblocks(self, n, buf, *off):
        self._tick()
        piece = self.device.page if off else self.device.size
        data = bytes(buf)
        for i in range(0, len(data), piece):
            part = data[i : i + piece]
            if off:
                self.pending.append((self.device.writeblocks, (n, part, off[0] + i)))
            else:
                self.pending.append((self.device.writeblocks, (n + i // piece, part)))
        return self.device.writeblocks(n, buf, *off)

    def ioctl(self, op, arg):
        if op == 6 or op == 3:
            self._tick()
        if op == 6:
            self.pending.append((self.device.ioctl, (6, arg)))
        r = self.device.ioctl(op, arg)
        if op == 3:
            self._flushed()
        return r

    def _tick(self):
        if self.dead:
            raise PowerCut("the device has no supply")
        if self._calls:
            self._calls -= 1
            if not self._calls:
                self._lose()

    def _flushed(self):
        self.pending = []
        self._synced = self.device.save()

    def _lose(self):
        pending = self.pending
        dice = self._dice
        how = self._how
        self.device.restore(self._synced)
        if how == "lost":
            chosen = []
        elif how == "kept":
            chosen = pending
        elif how == "last":
            chosen = pending[-1:]
        elif how == "but-first":
            chosen = pending[1:]
        elif how == "some" or how == "shuffled":
            chosen = [p for p in pending if dice.below(2)]
            if how == "shuffled":
                for i in range(len(chosen) - 1, 0, -1):
                    j = dice.below(i + 1)
                    chosen[i], chosen[j] = chosen[j], chosen[i]
        else:
            raise ValueError("no way to lose a cache: %r" % (how,))
        for call, arguments in chosen:
            call(*arguments)
        self._flushed()
        self.done = "%s: %d of %d" % (how, len(chosen), len(pending))
        self.dead = True
        raise PowerCut("with %d writes in the cache" % len(pending))

    def power_on(self):
        self.dead = False
