"""`Scan`: the newest checkpoint of a lease, by reading alone.

Promises (docs/format.md, "Finding the newest"): nothing is written; what is sound is told here,
what is not by look.py, which is loaded then; the newest is the newest, or what could be newer is
among the findings. Long rings are searched by evidence: only sound headers lead the way, the end
that is found counts if none of the groups behind it is newer, else every header is read.
"""

from . import header
from .errors import CheckpointFailed
from .geometry import Geometry
from .lease import READS
from .loops import blank, copy
from .port import const

WHOLE = const(64)  # rings up to this many slots are read whole
_BEHIND = const(16)  # slots side by side that may be lost, and the search still finds the newest
_NEAR = const(20)  # the numbers of neighbours in time differ by no more, in an undisturbed ring
_CONFIRMS = const(2)  # more good reads that make a header a commit
_PATIENCE = const(16)  # and where its data is not what it says
_LEFT_OUT = const(64)  # numbers that cuts have burnt, on the whole
_CUTS = const(2)  # newest ones in a row that turn out to be none, and a long ring is read whole
_READS = const(3)  # of data that do not give their CRC-32


def read(lease, at, buf):
    """Read layout block `at`, in up to three tries: whether it could be read."""
    left = READS
    while left and not lease.read(at, 1, buf):
        left = 0 if lease.timed_out() else left - 1
    return left > 0


def read_data(lease, at, h, buf, into=None):
    """Read the `h.data_len` bytes behind the header in block `at`, block by block by `buf`, and
    into the writable buffer `into`, if there is one.

    Whether their CRC-32 is that of `h`, in one of three tries.
    """
    for _ in range(_READS):
        if _read_data(lease, at + 1, h, buf, into):
            return True
    return False


def _read_data(lease, block, h, buf, into):
    acc = bytearray(4)
    header.crc32.reset(acc)
    at = 0
    while at < h.data_len:
        n = min(len(buf), h.data_len - at)
        if not read(lease, block, buf):
            return False
        header.crc32.update(acc, buf, 0, n)
        if into is not None:
            copy(into, at, buf, 0, n)
        at += n
        block += 1
    return int.from_bytes(acc, "little") == h.data_crc


class Scan(Geometry):
    """The slots of `slot_blocks` layout blocks on `lease`, as they are read.

    Attributes, after `scan()`: `newest` (slot of the newest intact checkpoint, -1: none),
    `found` (its header as it was read: marginal cells may read differently next time),
    `sequence` (the highest number that was seen), `findings`, `reads` (header reads, in all),
    `cause` (of the last block that could not be read).

    A finding is (kind, slot, found, expected), and the worst comes first:
    "odd": a newer commit that no writer of this ring can have made; "data": a newer commit whose
    data is corrupt; "foreign": a header of another lease, geometry, version or writer (found: the
    header); "read", "damaged": a header block that cannot be read, or that no cut explains
    (found: whether it may be a newer checkpoint); "torn": one that a cut explains.
    """

    def __init__(self, lease, slot_blocks, magic=header.MAGIC, version=header.VERSION):
        Geometry.__init__(self, lease, slot_blocks)
        self.magic = magic
        self.version = version
        self.block = bytearray(lease.block_size)
        self.behind = _BEHIND // self.per_group + 2  # groups, of which one is not lost
        self.reads = 0
        self.forget()

    def forget(self):
        """As if nothing were on the medium."""
        self.newest = -1
        self.found = None
        self.sequence = 0
        self.findings = []
        self.cause = None
        self.reserved = 0  # numbers above `sequence` that unsound headers may carry
        self.last = self.groups - 1  # the group that was opened last
        self.avoid = []  # groups that may hold what is newer, and cannot be read
        self.sound = {}  # slot -> number of a sound header
        self.notes = {}  # slot -> (kind, found, expected) of one that is not: look.py

    def read_header(self, slot):
        """The header of `slot` if it is sound and of this ring, as a `header.Header`, or None."""
        self.reads += 1
        at = self.first_block(slot)
        self.notes.pop(slot, None)
        self.sound.pop(slot, None)
        if not read(self.lease, at, self.block):
            self.cause = self.lease.cause
            self.notes[slot] = ("read", None, None)
            return None
        if blank(self.block, len(self.block)):
            return None
        h = header.parse(self.block, self.magic, self.version)
        if h is None or h.kind != header.VALID or self._misfit(h, slot):
            from .look import examine

            h = examine(self, slot, h)
        if h is not None:
            self.sound[slot] = h.sequence
        return h

    def _misfit(self, h, slot):
        return (
            h.lease_id != self.lease.id_bytes
            or h.lease_blocks != self.lease.blocks
            or h.slot_blocks != self.slot_blocks
            or h.block_size != self.lease.block_size
            or h.slot_index != slot & 0xFFFF
            or header.impossible(h)
        )

    def read_data(self, h, slot, into=None):
        """Read the data of `slot` by its header `h`; see `read_data` of this module."""
        done = read_data(self.lease, self.first_block(slot), h, self.block, into)
        self.cause = self.lease.cause
        return done

    def history(self):
        """All sound headers of this ring as (sequence, slot), newest first. Reads every one."""
        for slot in range(self.slots):
            self.read_header(slot)
        return self._in_order()

    def _in_order(self):
        return sorted([(n, slot) for slot, n in self.sound.items()], reverse=True)

    def scan(self):
        """Find the newest intact checkpoint. CheckpointFailed `read` where no header at all can
        be read."""
        self.forget()
        whole = self.slots <= WHOLE or not self._search()
        if whole:
            self.history()
        order = self._in_order()
        tried = {}
        top = -1
        while order:
            sequence, slot = order.pop(0)
            tried[slot] = sequence
            self.sequence = max(self.sequence, sequence)
            h = self._confirmed(sequence, slot, _CONFIRMS)
            intact = h and self.read_data(h, slot)
            if h and not intact:
                # Corrupt, or what a cut erase left of a slot whose header was never firm.
                h = self._confirmed(sequence, slot, _PATIENCE)
            if h and top < 0:
                # Not for one that is not confirmed: its group is the one to be erased next.
                top = slot
            if intact and h:
                self.newest = slot
                self.found = h
                break
            if h:
                self.notes[slot] = ("data", sequence, None)
            if not whole:
                whole = h is not None or len(tried) > _CUTS
                self._read_more(-1 if whole else slot)
                order = [x for x in self._in_order() if x[1] not in tried]
        if len(self.notes) >= self.slots and self.cause is not None:
            if all([note[0] == "read" for note in self.notes.values()]):
                raise CheckpointFailed(
                    "read", 0, "no header of %d can be read" % self.slots, cause=self.cause
                )
        if top >= 0:
            self.last = self._opened_last(top)
        if self.notes:
            from .look import conclude

            conclude(self)

    def _read_more(self, slot):
        # Where a header that a cut left was the newest: its group and the one before it; else all.
        if slot < 0:
            self.history()
            return
        group = slot // self.per_group
        for g in (group, (group - self.step) % self.groups):
            for other in range(g * self.per_group, (g + 1) * self.per_group):
                if other not in self.sound and other not in self.notes:
                    self.read_header(other)

    def _confirmed(self, sequence, slot, times):
        # Cells of a cut program may read differently each time: one good read is no commit.
        for _ in range(times):
            h = self.read_header(slot)
            if h is None or h.sequence != sequence:
                return None
        return h

    def _opened_last(self, top):
        # Of the two groups that are open in turn: the one whose first number is higher.
        limit = self.sound.get(top, self.sequence)
        group = top // self.per_group
        first = self._numbers(group)[0]
        for slot, number in self.sound.items():
            other = slot // self.per_group
            if number <= limit and other != group:
                n = self._numbers(other)[0]
                if n > first:
                    group = other
                    first = n
        # The newest may have been cut and not last: then the one before it must be there still.
        # Where that lies in the group whose turn it is, the group after it is older, and is next.
        turn = self.after(group)
        if self.per_group > 1 and self._numbers(turn)[-1] > self._numbers(self.after(turn))[-1]:
            return turn
        return group

    def _numbers(self, group):
        # Of the sound headers of `group`, in order; (0,) where there is none.
        slots = range(group * self.per_group, (group + 1) * self.per_group)
        return [self.sound[slot] for slot in slots if slot in self.sound] or (0,)

    # The search on long rings

    def _number(self, turn):
        # The number in the first slot of the group used as number `turn`; 0: not sound.
        return self._number_in(self._slot(turn))

    def _slot(self, turn):
        return self.at(turn % self.groups) * self.per_group

    def _number_in(self, slot):
        if slot not in self.sound and slot not in self._unsound:
            if self.read_header(slot) is None:
                self._unsound[slot] = 0
        return self.sound.get(slot, 0)

    def _search(self):
        # Whether the evidence suffices; the headers of the newest are in `sound` then.
        self._unsound = {}
        done = self._evidence()
        self._unsound = None
        return done

    def _evidence(self):
        behind = self.behind
        begin = 0  # at the first that is sound: the one before may be erased for the next lap
        while not self._number(begin):
            begin += 1
            if begin > behind:
                return False
        full = self._number(self.groups - 1) > 0
        end = self._end(begin, behind if full else 0)
        if end < 0:
            return False
        newest = self._top(end)
        for i in range(1, behind + 1):
            number = self._number(end + i)
            if not number and self._slot(end + i) in self.notes:
                # The first slot is lost, or the group was never used: then its last is not blank.
                last = self._slot(end + i) + self.per_group - 1
                number = self._number_in(last)
                if not number and last not in self.notes:
                    number = self._top(end + i)
            if number > newest or 0 < number < newest - 2 * self.slots - _LEFT_OUT:
                return False  # the latter was given up long ago: what is behind it may be newer
        first = self._number(end)
        if not self.lease.erases:
            # Neighbours in time, as the order says: else this ring was filled in another order.
            return 0 < first - self._number(end - 1) <= _NEAR or end == 0 and not full
        # The other group that is open holds the number before the first of this one.
        before = first
        for i in range(1, behind + 1):
            if end < i and not full:
                return True
            number = self._number(end - i)
            if not 0 < number < before:
                continue  # given up, or of another lap
            top = self._top(end - i)
            if top >= first - 1 or top < before < first:
                return True
            before = number
        return False

    def _end(self, low, skip):
        # The last turn of the lap that turn `low` began; -1 where too many on the way are not
        # sound.
        floor = self._number(low)
        high = self.groups
        while high - low > 1:
            turn = middle = (low + high) // 2
            while not self._number(turn):
                turn += 1
                if turn >= high or turn > middle + skip:
                    break
            if turn < high and self._number(turn) >= floor:
                low = turn
            elif turn > middle + skip and skip:
                return -1
            else:
                high = middle
        return low

    def _top(self, turn):
        # The highest number in a group: the last one that is sound, they are used in order.
        low = self._slot(turn)
        high = low + self.per_group
        if not self._number_in(low):
            return self._top_of_all(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self._number_in(middle):
                low = middle
            elif middle in self.notes:
                return self._top_of_all(self._slot(turn))
            else:
                high = middle
        return self._number_in(low)

    def _top_of_all(self, first):
        top = 0
        for slot in range(first, first + self.per_group):
            top = max(top, self._number_in(slot))
        return top
