"""`SlotRing`: the slots of a lease, which one is the newest, and which one is written next.

Promises (docs/format.md, "Which slot next"):
- the erase units of the newest intact checkpoint are never erased, nor is a slot programmed
  twice between two erases;
- an erase counts only when the whole unit has been read back blank, in this session;
- reading finds the newest committed slot with few header reads and changes nothing.

A *group* is what is erased together: one erase unit that holds `per_group` slots, or the
`group_units` erase units of one large slot. Where the medium overwrites in place a group is a
slot, and nothing is erased.

Stricter than the format asks: after a restart the ring does not go on in the unit of the newest
slot (a cut writer may have been there more than once, without a trace), it erases the next one.
Only in a ring of two groups, where that would leave the newest checkpoint alone, does it take
the slot after the next, and only if the rest of the unit reads blank. Two groups do not hold
against marginal cells in every case (docs/format.md); three do.
"""

from . import header
from .errors import CheckpointFailed, LeaseError
from .loops import blank, copy, fill
from .port import const
from .probe import describe, hex_id, look_again, probe, read

_FULL_SCAN = const(64)  # rings up to this many slots are read whole
_WITNESSES = const(3)  # neighbours that must agree before a search turns back
_AHEAD = const(64)  # how far above the newest a torn header's number is looked for
_WEAK = const(8)  # cells of the number that may be marginal in a header that can turn valid
_CONFIRMS = const(3)  # good reads that make a header a commit
_READS = const(3)  # of data that do not give its CRC-32, before it counts as corrupt

SLACK = const(64)  # bytes an encoder may run past a layout block before it looks


def blocks_for(capacity, block_size):
    """Layout blocks of a slot that holds `capacity` bytes of state, the header included."""
    return 1 + (capacity + block_size - 1) // block_size


class SlotRing:
    """The ring over `lease` (live; stays the owner's) with slots of `slot_blocks` layout blocks.

    Attributes: `slots`, `groups`, `per_group`, `capacity` (bytes of state a slot holds);
    after `scan()`: `newest` (slot of the newest intact checkpoint, -1 if none), `found` (its
    header as it was read: marginal cells may read differently next time), `sequence` (the
    last one used), `corrupt` (a newer committed slot whose data is corrupt, or -1), `torn`
    (whether a header that a cut explains was seen on the way), `damaged` (a slot whose header is
    corrupt otherwise, or -1), `foreign` (a header of another lease, geometry, version or writer
    seen on the way, or None), `odd` (slot, found, expected: a commit of this lease, newer than
    the newest, that no writer of this ring can have made there, or None), `reads` (header reads,
    in all), `trouble` (why the last block that could not be read was not: what the device raised
    or answered; or None);
    `erases`, `programs` (operations done by this object, erase units and layout blocks).
    """

    def __init__(self, lease, slot_blocks, magic=header.MAGIC, version=header.VERSION):
        self.lease = lease
        self.magic = magic
        self.version = version
        self.slot_blocks = slot_blocks
        unit = lease.unit_blocks
        self.per_group = 1
        self.group_units = 0
        self._group_blocks = slot_blocks
        if lease.erases:
            self.group_units = (slot_blocks + unit - 1) // unit
            self._group_blocks = self.group_units * unit
            if slot_blocks < unit:
                self.per_group = unit // slot_blocks
        self.groups = lease.blocks // self._group_blocks
        self.slots = self.groups * self.per_group
        self.capacity = (slot_blocks - 1) * lease.block_size
        if slot_blocks < 2 or self.groups < 2:
            raise LeaseError(
                "argument",
                "slots of %d layout blocks of %d bytes" % (slot_blocks, lease.block_size),
                "%d in %d erase units" % (self.slots, self.groups),
                "at least 2, in different erase units",
            )
        self.buf = bytearray(lease.block_size + SLACK)
        self.block = memoryview(self.buf)[: lease.block_size]
        self.reads = self.erases = self.programs = 0
        # Where nothing is erased: a bit for each slot whose header is blank, or an older one.
        self._clean = None if lease.erases else bytearray((self.slots + 7) // 8)
        self._forget()

    def _forget(self):
        if self._clean is not None:
            fill(self._clean, 0, len(self._clean), 0)
        self.newest = -1
        self.found = None
        self.sequence = 0
        self.corrupt = -1
        self.torn = False
        self._skip = 0  # sequence numbers that the next checkpoint leaves out,
        self._skip_more = 0  # and where the next group is not erased
        self._claims = {}  # slot of a torn header -> what its sequence field reads
        self.damaged = -1
        self.unreadable = 0
        self.trouble = None
        self.foreign = None
        self.odd = None
        self._odd_sequence = -1
        self.pending = -1  # slot whose header was programmed, with an outcome that is not known
        self._proof = None  # and what it was programmed with
        self._group = self.groups - 1  # the group touched last
        self._home = self._group  # the group of the last commit
        self._next = 0  # next slot of the virgin range
        self._limit = 0  # its end; the range is empty unless _next < _limit

    def first_block(self, slot):
        """Layout block, in the lease, of the header of `slot`."""
        return slot // self.per_group * self._group_blocks + slot % self.per_group * (
            self.slot_blocks
        )

    # Reading

    def read_header(self, slot):
        """The valid header of `slot` that belongs to this ring, as a `header.Header`, or None.

        Damaged, foreign and unreadable ones are counted and None.
        """
        self.reads += 1
        self._mark(slot, False)
        at = self.first_block(slot)
        if not self._read(at):
            self.unreadable += 1
            return None
        if blank(self.buf, self.lease.block_size):
            self._mark(slot, True)
            return None
        h = header.parse(self.block, self.magic, self.version)
        if h is None or h.kind != header.VALID:
            h, claim = look_again(h, self.lease, at, self.block, self.magic, self.version)
            if claim is not None:
                self.torn = True
                self._claims[slot] = claim
                return None
        if h is None:
            return None
        if h.kind == header.DAMAGED:
            self.damaged = slot
            return None
        if h.kind == header.PLAIN and slot:
            return None
        if self.mismatch(h):
            return self._strange(h, slot)
        if h.slot_index != slot & 0xFFFF:
            return self._note(h, slot, "slot index %d" % h.slot_index, "%d" % (slot & 0xFFFF))
        if header.impossible(h):
            return self._note(h, slot, *header.impossible(h))
        self._mark(slot, True)
        return h

    def _mark(self, slot, clean):
        if self._clean is not None:
            if clean:
                self._clean[slot >> 3] |= 1 << (slot & 7)
            else:
                self._clean[slot >> 3] &= ~(1 << (slot & 7))

    def _strange(self, h, slot):
        self.foreign = h
        if self.mismatch(h) == "geometry":
            self._note(h, slot, describe(h), describe_ring(self))

    def _note(self, h, slot, got, want):
        # A header whose CRC holds is a commit: it must not be passed over for an older one.
        if h.sequence > self._odd_sequence:
            self._odd_sequence = h.sequence
            self.odd = (slot, got, want)

    def _read(self, at):
        error = read(self.lease, at, self.block)
        if error is not None:
            self.trouble = error
        return error is None

    def mismatch(self, h):
        """Why the valid header `h` is not of this ring, as a reason of RestoreFailed, or None."""
        if h.kind == header.PLAIN:
            return "plain"
        if h.kind != header.VALID:
            return "version"
        if h.lease_id != self.lease.id_bytes:
            return "lease-id"
        if (
            h.lease_blocks != self.lease.blocks
            or h.slot_blocks != self.slot_blocks
            or h.block_size != self.lease.block_size
        ):
            return "geometry"
        return None

    def intact(self, h, slot):
        """Whether the data of `slot` has the CRC-32 that its header `h` promises."""
        return self.read_data(h, slot, None)

    def read_data(self, h, slot, into):
        """Read the `h.data_len` bytes of `slot` into the writable buffer `into` (None: nowhere).

        Returns whether their CRC-32 is that of the header, in one of three reads. Does not
        allocate per block.
        """
        for _ in range(_READS):
            if self._read_data(h, slot, into):
                return True
        return False

    def _read_data(self, h, slot, into):
        self.trouble = None
        acc = bytearray(4)
        header.crc32.reset(acc)
        block = self.first_block(slot) + 1
        size = self.lease.block_size
        at = 0
        while at < h.data_len:
            n = min(size, h.data_len - at)
            if not self._read(block):
                return False
            header.crc32.update(acc, self.buf, 0, n)
            if into is not None:
                copy(into, at, self.buf, 0, n)
            at += n
            block += 1
        return int.from_bytes(acc, "little") == h.data_crc

    def scan(self):
        """Find the newest intact checkpoint; see the attributes of the class.

        Reads headers, and the data of the newest slot. Up to 64 slots all headers are read;
        longer rings are searched: for 4,096 slots at most 40 headers, 60 after cuts (the
        search turns back only where three neighbouring units agree, and looks at the units
        after the one it found); that there is no checkpoint at all takes all headers.
        CheckpointFailed `read` where no header at all can be read.
        """
        self._forget()
        seen = {}
        order = []
        if self.slots > _FULL_SCAN:
            self._find_next(order, seen)
        else:
            order = self._all()
        for sequence, slot in order:
            h = self._confirmed(sequence, slot, 2)
            intact = h and self.intact(h, slot)
            if h and not intact:
                # Corrupt, or what a cut erase left of a slot whose header was never firm.
                h = self._confirmed(sequence, slot, 16)
            if h and self.newest < 0 and self.corrupt < 0:
                # Not for one that is not confirmed: its unit is the one to be erased next.
                self._group = self._home = slot // self.per_group
            self.sequence = max(self.sequence, sequence)
            if intact:
                self.newest = slot
                self.found = h
                break
            self._mark(slot, False)
            if h and self.corrupt < 0:
                self.corrupt = slot
            if seen and (sequence, slot) == order[-1]:
                self._find_next(order, seen)
        self._judge_odd()
        if self.unreadable >= self.slots:
            raise CheckpointFailed(
                "read", 0, "no header of %d can be read" % self.slots, cause=self.trouble
            )
        self._skip = self._claimed(self._following())
        self._skip_more = self._claimed(-1)
        self._claims = {}
        self._resume()

    def _judge_odd(self):
        # One that is older than the newest is no matter; a newer one is to be outdone.
        if self.found is not None and self._odd_sequence < self.found.sequence:
            self.odd = None
        elif self.odd is not None and self._odd_sequence <= header.MAX_SEQUENCE:
            self.sequence = max(self.sequence, self._odd_sequence)

    def doubt(self):
        """Where `scan()` found nothing, look at every block for checkpoints of another geometry,
        unless the medium is one that overwrites in place and shows no trace of any."""
        if self.newest >= 0 or self.foreign is not None or self.odd is not None:
            return
        traces = self.torn or self.damaged >= 0 or self.unreadable
        if self.lease.erases or traces:
            blocks, other, _, _ = probe(self.lease, self.magic, self.version)
            if blocks and blocks != self.slot_blocks:
                self.odd = (0, "slots of %d layout blocks" % blocks, "%d" % self.slot_blocks)
            elif other is not None and other.kind != header.DAMAGED:
                self.foreign = other

    def _claimed(self, erased):
        # How many numbers to leave out so that the next is above all that torn headers may
        # carry, but for those in the group `erased`. Marginal cells may make such a header read
        # valid one day: then it must be older than what was committed since. A cut program has
        # left all ones of the number in place, and of a header that can still become valid all
        # but a few cells are as they are to be.
        top = 0
        for slot, claim in self._claims.items():
            if slot // self.per_group != erased:
                for n in range(_AHEAD, top, -1):
                    if _may_be(claim, self.sequence + n):
                        top = n
                        break
        return top

    def _all(self):
        found = []
        for slot in range(self.slots):
            h = self.read_header(slot)
            if h:
                found.append((h.sequence, slot))
        found.sort()
        found.reverse()
        return found

    def _confirmed(self, sequence, slot, times):
        # Cells of a cut program may read differently each time: one good read is no commit.
        for _ in range(times):
            h = self.read_header(slot)
            if h is None or h.sequence != sequence:
                return None
        return h

    def history(self):
        """All valid headers of this ring as (sequence, slot), newest first. Reads every header."""
        return self._all()

    def _find_next(self, order, seen):
        # Append the newest slot but for those in `order`; give up searching after a few.
        if len(order) < _WITNESSES:
            for _, slot in order:
                seen[slot] = 0
            found = self._search(seen)
            if found:
                order.append(found)
                return
        seen.clear()
        order.extend([other for other in self._all() if other not in order])

    def _search(self, seen):
        # (sequence, slot) of the newest header; `seen` keeps the sequences read on the way.
        start = 0
        best = None
        for _ in range(_WITNESSES):
            group = self._last_group(start, seen)
            if group < 0:
                return best
            found = self._last_slot(group * self.per_group, self.per_group, seen)
            if found and (best is None or found > best):
                best = found
            # The frontier: a unit whose first slot was given up, or one skipped as worn out.
            newer = -1
            for i in range(1, _WITNESSES + 1):
                g = (group + i) % self.groups
                found = self._last_slot(g * self.per_group, min(self.per_group, _WITNESSES), seen)
                if found and (best is None or found > best):
                    newer = g
                    best = self._last_slot(g * self.per_group, self.per_group, seen)
            if newer < 0:
                return best
            start = newer
        return best

    def _sequence(self, slot, seen):
        # The sequence in the header of `slot`, 0 where there is none; each is read once.
        if slot not in seen:
            h = self.read_header(slot)
            seen[slot] = h.sequence if h else 0
        return seen[slot]

    def _last_group(self, start, seen):
        # The last group, counted on from `start`, of the lap that the first valid one begins.
        lo = 0
        floor = 0
        while lo < self.groups:
            first = (start + lo) % self.groups * self.per_group
            for slot in range(first, first + min(self.per_group, _WITNESSES)):
                floor = floor or self._sequence(slot, seen)
            if floor:
                break
            lo += 1
        if not floor:
            return -1
        hi = self.groups
        while hi - lo > 1:
            mid = (lo + hi) // 2
            for i in range(mid, min(mid + _WITNESSES, hi)):
                if self._sequence((start + i) % self.groups * self.per_group, seen) >= floor:
                    lo = i
                    break
            else:
                hi = mid
        return (start + lo) % self.groups

    def _last_slot(self, first, n, seen):
        # The newest of n slots of one group: the last valid one, they are used in order.
        lo = 0
        hi = n
        while hi - lo > 1:
            mid = (lo + hi) // 2
            for i in range(mid, min(mid + _WITNESSES, hi)):
                if self._sequence(first + i, seen):
                    lo = i
                    break
            else:
                hi = mid
        sequence = self._sequence(first + lo, seen)
        return (sequence, first + lo) if sequence else None

    def protect(self, slot):
        """Take `slot` for the newest, whatever it holds: its unit will not be erased."""
        self.newest = slot
        self._group = self._home = slot // self.per_group
        self.foreign = self.odd = None

    def _resume(self):
        # Two groups only: see the head of this module.
        if self.groups > 2 or self.per_group == 1 or self.newest < 0:
            return
        last = (self._group + 1) * self.per_group
        after = self.newest + 1
        if self.newest // self.per_group != self._group or after + 1 >= last:
            return
        if self._older_beside():
            return
        at = self.first_block(after)
        end = (self._group + 1) * self._group_blocks
        while at < end:
            if not self._read(at) or not blank(self.buf, self.lease.block_size):
                return
            at += 1
        self._next = after + 1
        self._limit = last
        self._skip = self._skip_more

    def _older_beside(self):
        # Whether the unit of the newest slot holds another intact one: then the other unit can
        # be erased, and no slot is taken that a cut writer may have been in without a trace.
        first = self._group * self.per_group
        for slot in range(self.newest - 1, first - 1, -1):
            h = self.read_header(slot)
            if h and self.intact(h, slot):
                return True
        return False

    # Writing; allocation-free

    def prepare(self):
        """See that an erased slot stands ready, so that the next checkpoint only programs."""
        if self.pending >= 0:
            self._settle()
        if self._next < self._limit:
            return
        if self.newest < 0 and (self.foreign is not None or self.odd is not None):
            self._refuse()
        group = self._following()
        # Moved on before the erase: one that fails or is interrupted is not tried twice in a row.
        self._group = group
        self._limit = 0
        skip = self._skip
        self._skip = self._skip_more
        self._erase(group)
        self._skip = self._skip_more = skip
        self._next = group * self.per_group
        self._limit = self._next + self.per_group

    def take(self):
        """The slot for the next checkpoint, erased; it is not handed out again."""
        self.prepare()
        if self.sequence + self._skip >= header.MAX_SEQUENCE:
            self.lease.doing = "exhausted"
            raise CheckpointFailed("exhausted", None, self.sequence)
        self.sequence += self._skip
        self._skip = 0
        self._next += 1
        return self._next - 1

    def _following(self):
        # The group that is erased next: not that of the newest checkpoint, and on rings that are
        # searched not so far from the last commit that the search would not see it.
        group = self._after(self._group)
        if self.slots > _FULL_SCAN and self.newest >= 0:
            if (group - self._home) % self.groups > _WITNESSES:
                group = self._after(self._home)
        if self.newest >= 0 and group == self.newest // self.per_group:
            group = self._after(group)
        return group

    def committing(self, slot, block):
        """The header of `slot` is about to be programmed with `block`; its data is proved."""
        self.pending = slot
        self._proof = block
        self._mark(slot, False)

    def committed(self, slot):
        """`slot` holds the newest checkpoint now."""
        self.pending = -1
        self.newest = slot
        self._home = slot // self.per_group
        self._mark(slot, True)

    def _settle(self):
        # A header that landed in spite of an error is a commit, as it would be after a restart:
        # an erase of its unit that is cut would leave a newest one without its data.
        slot = self.pending
        self.pending = -1
        i = 0
        while i < _CONFIRMS:
            self.lease.read(self.first_block(slot), 1, self.block)
            if self.block != self._proof:
                return
            i += 1
        self.committed(slot)

    def _after(self, group):
        group += 1
        return group if group < self.groups else 0

    def _erase(self, group):
        if self.group_units:
            self.lease.erase(group * self.group_units, self.group_units)
            self.erases += self.group_units
            self.lease.sync()
            self._prove_blank(group)
        elif not self._clean[group >> 3] & 1 << (group & 7):
            self._clear(group)

    def _clear(self, slot):
        # What a cut has left of a header here must not become a whole one when the next is cut,
        # with other data behind it.
        at = self.first_block(slot)
        fill(self.buf, 0, self.lease.block_size, 0xFF)
        self.lease.program(at, 1, self.block)
        self.programs += 1
        self.lease.sync()
        self.lease.read(at, 1, self.block)
        if not blank(self.buf, self.lease.block_size):
            self.lease.doing = "header-verify"
            raise CheckpointFailed("header-verify", slot)
        self._mark(slot, True)

    def _prove_blank(self, group):
        at = group * self._group_blocks
        end = at + self._group_blocks
        while at < end:
            self.lease.read(at, 1, self.block)
            if not blank(self.buf, self.lease.block_size):
                self.lease.doing = "erase"
                raise CheckpointFailed(
                    "erase",
                    at // self.lease.unit_blocks,
                    "layout block %d does not read 0xFF afterwards" % at,
                )
            at += 1

    def _refuse(self):
        self.lease.doing = "foreign"
        if self.odd is not None:
            raise CheckpointFailed("foreign", None, "slot %d: %s" % self.odd[:2], self.odd[2])
        f = self.foreign
        raise CheckpointFailed("foreign", None, describe(f), describe_ring(self))


def _may_be(claim, number):
    extra = claim ^ number
    if claim & number != number:
        return False
    ones = 0
    while extra and ones <= _WEAK:
        extra &= extra - 1
        ones += 1
    return ones <= _WEAK


def describe_ring(ring):
    """The same of a ring."""
    return "version %d, lease id %s, %d blocks of %d, slots of %d" % (
        ring.version,
        hex_id(ring.lease.id_bytes),
        ring.lease.blocks,
        ring.lease.block_size,
        ring.slot_blocks,
    )
