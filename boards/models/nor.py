"""A NOR flash chip at the level of MicroPython's extended block protocol, as strict as the chip.

What `rp2.Flash` would corrupt or refuse, this refuses: programs are AND, whole pages, and never
cross an erase unit in one call; erases are whole units; a page programmed twice between two
erases is counted, and refused where `once` is set. The contract of programs and erases is that
of the W25Q128JV datasheet, revision F: 8.2.13 (page program, 02h) and 8.2.15 (sector erase, 20h);
the protocol is that of `vfs.AbstractBlockDev`.

Promises: each page program and each erase is one operation, in order, counted in `ops`; a power
cut leaves the chip dead until `power_on()`; nothing but an erase sets a bit. Runs on MicroPython
and CPython, needs no other module.
"""


class PowerCut(BaseException):
    """The supply failed. Not an Exception: nothing may catch it by accident."""


class Violation(Exception):
    """The chip was used in a way that real ones do not stand. Also kept in `chip.violations`."""


class NorChip:
    """`size` bytes in erase units of `unit` bytes and program pages of `page` bytes.

    path: file that holds the content (size bytes). It is made if there is none, and written in
        place, operation by operation, `grain` bytes at a time (0: each operation in one piece):
        a process that is killed leaves the chip as it was at that moment, torn where it was
        being written. `pause(us)`, if given, is called after each piece with the model time it
        took, so that a board can take as long as a chip.
    once: whether a second program of a page between two erases is a violation. Some chips with
        ECC forbid it; the slot ring never does it.
    page_us, erase_us, read_ns: model time of a page program, an erase, a byte read (W25Q128JV
        9.6, typical; reads: 0 counts none), summed up in `us`.

    `faults` (None or an object, see faults.py) takes over operations: `program(chip, at, data)`,
    `erase(chip, at)`, `sync(chip)`, `read(chip, at, buf)`; `at` in bytes, one page or unit. The
    answer is what the protocol call answers. They act through `store`, `clear`, `put` and
    `weaken`. In one erase of several units `erase` is called for each; `span` is (start, end) of
    the erase in bytes. `fence` (None or (start, end) in bytes): asking for a program or an erase
    outside of it is a violation; what faults do outside is not.

    Attributes for tests: `ops` (programs and erases started), `pages` (programs done),
    `programmed` (bytes), `erases`, `wear` (unit -> erases), `writes` (page -> programs since
    its unit was erased), `again` (programs of pages not erased before), `over` (programs that
    asked for a 1 where a 0 was), `reads` (calls), `read_bytes`, `syncs`, `us`, `violations`.
    """

    def __init__(
        self,
        size,
        unit=4096,
        page=256,
        path=None,
        *,
        once=False,
        grain=0,
        pause=None,
        page_us=700,
        erase_us=45000,
        read_ns=0,
    ):
        if size <= 0 or size % unit or unit % page:
            raise ValueError(
                "size %r, unit %r, page %r: not whole units, pages" % (size, unit, page)
            )
        self.size = size
        self.unit = unit
        self.page = page
        self.once = once
        self.grain = grain
        self.pause = pause
        self.page_us = page_us
        self.erase_us = erase_us
        self.read_ns = read_ns
        self.faults = None
        self.dead = False
        self.data = bytearray(size)
        self.view = memoryview(self.data)
        self._blank_page = b"\xff" * page
        self._blank_unit = b"\xff" * unit
        self.writes = bytearray(size // page)
        self.wear = [0] * (size // unit)
        self.span = (0, 0)
        self.weak = {}  # address -> [mask, reads left, becomes, dice], see weaken()
        self.fence = None
        self.violations = []
        self.ops = self.pages = self.programmed = self.erases = self.again = self.over = 0
        self.reads = self.read_bytes = self.syncs = 0
        self._ns = 0
        self.us = 0
        self.file = None
        if path is None:
            for at in range(0, size, unit):
                self.view[at : at + unit] = self._blank_unit
        else:
            self._open(path)

    def _open(self, path):
        try:
            f = open(path, "r+b", 0)
        except OSError:
            with open(path, "wb") as f:
                for _ in range(self.size // self.unit):
                    f.write(self._blank_unit)
            f = open(path, "r+b", 0)
        n = f.readinto(self.data)
        if n != self.size or f.read(1):
            f.close()
            raise ValueError("%s: not an image of %d bytes" % (path, self.size))
        self.file = f
        for i in range(self.size // self.page):
            at = i * self.page
            if self.data[at : at + self.page] != self._blank_page:
                self.writes[i] = 1

    def close(self):
        """Close the file of the content, if there is one."""
        if self.file is not None:
            self.file.close()
            self.file = None

    # The block protocol

    def readblocks(self, n, buf, off=None):
        if self.dead:
            raise PowerCut("the chip has no supply")
        at = n * self.unit + (off or 0)
        size = len(buf)
        if n < 0 or at < 0 or at + size > self.size:
            self._violate("read of %d bytes at 0x%x: outside the chip" % (size, at))
        if off is not None and (off < 0 or off + size > self.unit):
            self._violate("read of %d bytes at offset %d crosses an erase unit" % (size, off))
        self.reads += 1
        self.read_bytes += size
        if self.read_ns:
            self._ns += size * self.read_ns
            self.us += self._ns // 1000
            self._ns %= 1000
        if self.faults is not None:
            return self.faults.read(self, at, buf)
        if self.weak:
            return self.load(at, buf)
        buf[:] = self.view[at : at + size]

    def writeblocks(self, n, buf, off=None):
        if self.dead:
            raise PowerCut("the chip has no supply")
        size = len(buf)
        at = n * self.unit + (off or 0)
        if n < 0 or at < 0 or at + size > self.size:
            self._violate("program of %d bytes at 0x%x: outside the chip" % (size, at))
        if off is None:
            # As rp2.Flash: whole blocks, erased and then programmed.
            if size % self.unit:
                self._violate("write of %d bytes: not whole erase units" % size)
            for u in range(n, n + size // self.unit):
                self._erase(u)
        elif off < 0 or off + size > self.unit:
            self._violate("program of %d bytes at offset %d crosses an erase unit" % (size, off))
        if self.fence is not None and not self.fence[0] <= at <= self.fence[1] - size:
            self._violate("program of %d bytes at 0x%x: outside the fence" % (size, at))
        page = self.page
        if at % page or size % page or not size:
            self._violate("program of %d bytes at 0x%x: not whole pages of %d" % (size, at, page))
        if size == page:
            return self._program(at, buf)
        view = memoryview(buf)
        r = None
        for i in range(0, size, page):
            r = self._program(at + i, view[i : i + page])
        return r

    def ioctl(self, op, arg):
        if self.dead:
            raise PowerCut("the chip has no supply")
        if op == 4:
            return self.size // self.unit
        if op == 5:
            return self.unit
        if op == 6:
            return self._erase(arg)
        if op == 3:
            self.syncs += 1
            if self.faults is not None:
                return self.faults.sync(self)
        return 0

    # Operations, one page or one unit each

    def _program(self, at, data):
        self.ops += 1
        i = at // self.page
        if self.writes[i]:
            self.again += 1
            if self.once:
                self._violate("page 0x%x is programmed again without an erase" % at)
        if self.faults is not None:
            return self.faults.program(self, at, data)
        return self.store(at, data)

    def erase_units(self, u, count):
        """Erase `count` units from `u` on in one operation: no call of the block protocol, but
        what a chip's larger erases do."""
        if self.dead:
            raise PowerCut("the chip has no supply")
        return self._erase(u, count)

    def _erase(self, u, count=1):
        start, end = self.span = (u * self.unit, (u + count) * self.unit)
        if not 0 <= start < end <= self.size:
            self._violate("erase of %d units from %r on: outside the chip" % (count, u))
        if self.fence is not None and not self.fence[0] <= start < end <= self.fence[1]:
            self._violate("erase of %d units from %d on: outside the fence" % (count, u))
        self.ops += 1
        if count == 1:
            return self._erase_unit(start)
        r = None
        for at in range(start, end, self.unit):
            r = self._erase_unit(at)
        return r

    def _erase_unit(self, at):
        if self.faults is not None:
            return self.faults.erase(self, at)
        return self.clear(at)

    def _violate(self, text):
        self.violations.append(text)
        raise Violation(text)

    # What faults build on

    def load(self, at, buf):
        """Read the cells, weak ones as they come."""
        buf[:] = self.view[at : at + len(buf)]
        if self.weak:
            end = at + len(buf)
            for a in list(self.weak):
                if at <= a < end:
                    buf[a - at] = self._waver(a)

    def _waver(self, a):
        mask, left, becomes, dice = cell = self.weak[a]
        if becomes is None:
            return self.data[a] ^ (mask & dice.below(256))
        if left > 0:
            cell[1] -= 1
        else:
            self.data[a] = (self.data[a] & ~mask) | (becomes & mask)
            del self.weak[a]
        return self.data[a]

    def store(self, at, data):
        """A whole page program."""
        end = at + self.page
        i = at // self.page
        old = self.data[at:end]  # bytearrays compare at once, views item by item
        if old == self._blank_page:
            self.view[at:end] = data
        else:
            was = int.from_bytes(old, "little")
            want = int.from_bytes(data, "little")
            if want & ~was:
                self.over += 1
            self.view[at:end] = (was & want).to_bytes(self.page, "little")
        if self.writes[i] < 255:
            self.writes[i] += 1
        self.pages += 1
        self.programmed += self.page
        self.us += self.page_us
        if self.file is not None:
            self._keep(at, self.page, self.page_us)

    def clear(self, at):
        """A whole erase; heals weak cells."""
        u = at // self.unit
        self.view[at : at + self.unit] = self._blank_unit
        per = self.unit // self.page
        for i in range(u * per, u * per + per):
            self.writes[i] = 0
        if self.weak:
            for a in list(self.weak):
                if at <= a < at + self.unit:
                    del self.weak[a]
        self.wear[u] += 1
        self.erases += 1
        self.us += self.erase_us
        if self.file is not None:
            self._keep(at, self.unit, self.erase_us)
        return 0

    def put(self, at, data):
        """Bytes as they are after an accident: any value, pages count as written."""
        self.view[at : at + len(data)] = data
        for i in range(at // self.page, (at + len(data) - 1) // self.page + 1):
            self.writes[i] = self.writes[i] or 1
        if self.file is not None:
            self._keep(at, len(data), 0)

    def weaken(self, a, mask, dice=None, becomes=None, reads=0):
        """Make the cells `mask` of byte `a` marginal, until their unit is erased.

        They read differently each time (`dice.below(256)`); or, given `becomes` (a byte), as they
        are for `reads` reads of the byte, and as `becomes` says from then on. What is marginal
        already stays so: a second cut makes no cell firm.
        """
        self.weak.setdefault(a, [mask, reads, becomes, dice])

    def power_off(self):
        """End it here: raises PowerCut, and so does every call until `power_on()`."""
        self.dead = True
        raise PowerCut("at operation %d" % self.ops)

    def power_on(self):
        self.dead = False

    def save(self):
        """Content and marks of the chip, for `restore()`; not the statistics."""
        weak = None
        if self.weak:
            weak = {a: tuple(c) for a, c in self.weak.items()}
        return bytes(self.data), bytes(self.writes), weak

    def restore(self, saved):
        """Put back what `save()` gave, and power on."""
        self.view[:] = saved[0]
        self.writes[:] = saved[1]
        self.weak.clear()
        if saved[2]:
            for a, c in saved[2].items():
                self.weak[a] = list(c)
        self.dead = False
        if self.file is not None:
            self._keep(0, self.size, 0)

    def stats(self):
        """The counters as a dict, to be compared."""
        return {
            "ops": self.ops,
            "pages": self.pages,
            "programmed": self.programmed,
            "erases": self.erases,
            "again": self.again,
            "over": self.over,
            "reads": self.reads,
            "read_bytes": self.read_bytes,
            "syncs": self.syncs,
            "us": self.us,
            "wear_min": min(self.wear),
            "wear_max": max(self.wear),
        }

    def _keep(self, at, n, us):
        f = self.file
        f.seek(at)
        grain = self.grain or n
        for i in range(at, at + n, grain):
            k = min(grain, at + n - i)
            f.write(self.view[i : i + k])
            if self.pause is not None and us:
                self.pause(us * k // n)


class RangedChip(NorChip):
    """One whose device has `erase_range(first, count)`, as SPINor has: one operation."""

    def erase_range(self, first, count):
        return self.erase_units(first, count)
