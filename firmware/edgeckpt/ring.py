"""`SlotRing`: which slot is written next, its erase and the proof of it; groups given up.

    before   | n-1 n+1 .   .   | n   .   .   .   | older           |   open: 0 and 1, in turn
    n+2      | n-1 n+1 .   .   | n   n+2 .   .   | older           |   never beside the newest
    cut      | n-1 n+1 ?   .   | n   n+2 .   .   | older           |   a torn n+3
    restart  | n-1 n+1 ?   .   | n   n+2 .   .   | n+3 .   .   .   |   both are opened anew

Promises (docs/format.md, "Which slot next"):
- the newest intact checkpoint is never in the group that is erased or programmed;
- no slot is programmed twice between two erases, none is used that was not erased in this
  session, and an erase counts only when the whole group has been read back blank;
- a group is given up at its first failure, and used again only when all others are.
Writing allocates nothing.
"""

from .header import MAGIC, SIZE, VERSION, is_older
from .lease import NOT_BLANK
from .loops import blank, fill
from .port import const
from .scan import Scan, read

_CONFIRMS = const(3)  # good reads that make a header a commit


class SlotRing(Scan):
    """The ring over `lease` (live; stays the owner's), as of `Scan`.

    Attributes: `given_up` (groups), `erases`, `programs` (operations done by this object, erase
    units and layout blocks), `number` (of the newest), `pending` (slot that was taken and not
    committed, or -1), `refused` (a finding: what keeps the ring from writing, or None),
    `single` (whether fewer than two sound headers are on the medium).
    """

    def __init__(self, lease, slot_blocks, magic=MAGIC, version=VERSION):
        self._bad = None
        Scan.__init__(self, lease, slot_blocks, magic, version)
        self.erases = self.programs = 0

    def forget(self):
        Scan.forget(self)
        self._bad = bytearray((self.groups + 7) // 8)
        self.given_up = 0
        self._hidden = ()
        self.refused = None
        self.pending = -1
        self.number = 0
        self.single = True
        self._proof = None
        self._acc = bytearray(4)
        self._look = self._blank_so_far  # bound once: that allocates
        self._next = [0, 0]  # of the two open groups: the next slot,
        self._left = [0, 0]  # and how many there are
        self._tested = False

    def scan(self):
        Scan.scan(self)
        for group in self.avoid:
            self._mark(group)
        if not self.lease.errs:
            hidden = [f[1] for f in self.findings if f[0] == "read" and f[2]]
            self._hidden = [slot // self.per_group for slot in hidden]
        self.single = len(self.sound) < 2
        self.number = self.found.sequence if self.found else 0
        # What a session needs no more.
        self.sound = {}
        self.notes = {}
        if self.newest < 0 and self.findings and self.findings[0][0] in ("odd", "foreign"):
            self.refused = self.findings[0]

    def protect(self, slot):
        """Take `slot` for the newest, whatever it holds: its group will not be erased."""
        self.newest = slot
        self.last = slot // self.per_group
        self.refused = None
        self.single = False

    # Groups given up

    def _mark(self, group):
        if not self._is_bad(group):
            self._bad[group >> 3] |= 1 << (group & 7)
            self.given_up += 1

    def _is_bad(self, group):
        return self._bad[group >> 3] >> (group & 7) & 1

    def give_up(self, slot):
        """The group of `slot` failed."""
        self._mark(slot // self.per_group)
        self._leave(slot // self.per_group)

    def _leave(self, group):
        # What is sound in a group are its first slots: after one that is not, none is used.
        if self._next[0] // self.per_group == group:
            self._left[0] = 0
        if self._next[1] // self.per_group == group:
            self._left[1] = 0

    def forgive(self):
        """Take the marks back: there is no other group left. But for those of headers that cannot
        be read and may be newer, where no cut leaves such: to erase one may lose it."""
        fill(self._bad, 0, len(self._bad), 0)
        self.given_up = 0
        i = 0
        while i < len(self._hidden):
            self._mark(self._hidden[i])
            i += 1

    def answers(self):
        """Whether the newest header block can be read, and is anything: of a device that is gone
        all bytes are the same. Then no group failed, and to try all others takes time for
        nothing."""
        if self.newest < 0:
            return True
        if not self.lease.read(self.first_block(self.newest), 1, self.block):
            return False
        i = 1
        while i < SIZE and self.block[i] == self.block[0]:
            i += 1
        return i < SIZE

    # The next slot

    def prepare(self):
        """See that an erased slot stands ready; False where it failed, and that group is given
        up, or none is left."""
        if self.pending >= 0:
            self.settle()
        return self._ready() >= 0 or self._open()

    def take(self):
        """The slot that `prepare()` has seen to. It is not handed out again."""
        i = self._ready()
        self._left[i] -= 1
        slot = self._next[i]
        self._next[i] = slot + 1 if self._left[i] else slot
        self._proof = None
        self.pending = slot
        return slot

    def _ready(self):
        # Which of the open groups has a slot left that is not beside the newest, or -1.
        i = 0
        while i < 2:
            if self._left[i] and not self._is_home(self._next[i] // self.per_group):
                return i
            i += 1
        return -1

    def _is_home(self, group):
        return self.newest >= 0 and self.newest // self.per_group == group

    def following(self):
        """The group that is opened next, or -1 where all are given up."""
        group = self.last
        left = self.groups
        # The first checkpoint lies in the first good slot, where a first look finds it.
        step = self.step if self.newest >= 0 else 1
        while left > 0:
            left -= 1
            group = (group + step) % self.groups
            if not self._is_bad(group) and not self._is_home(group):
                return group
        return -1

    def _open(self):
        group = self.following()
        if group < 0:
            return False
        # Moved on before the erase: one that is interrupted is not the next one tried.
        self.last = group
        i = 1 if self._left[0] else 0
        self._left[i] = 0
        if not (self._erase(group) if self.group_units else self._clear_header(group)):
            self._mark(group)
            return False
        self._next[i] = group * self.per_group
        self._left[i] = self.per_group
        return True

    def _erase(self, group):
        # The first erase of a lease that holds nothing: of what was blank before, it shows
        # nothing. So the group is erased, written to, and erased again.
        tested = self._tested or self.newest >= 0
        while self.lease.erase(group * self.group_units, self.group_units):
            self.erases += self.group_units
            if not self.lease.sync() or not self._is_blank(group):
                return False
            if tested:
                self._tested = True
                return True
            if not self._spoil((group + 1) * self.group_blocks - 1):
                return False
            tested = True
        return False

    def _spoil(self, at):
        fill(self.block, 0, len(self.block), 0)
        return self.lease.program(at, 1, self.block) and self.lease.sync()

    def _is_blank(self, group):
        lease = self.lease
        at = group * self.group_blocks
        if not lease.read_each(at, self.group_blocks, self.block, self._look):
            return False
        if not blank(self.block, len(self.block)):
            lease.doing = "erase"
            lease.at = (lease.at - 1) // lease.unit_blocks
            lease.answer = NOT_BLANK
            return False
        return True

    def _blank_so_far(self):
        return blank(self.block, len(self.block))

    def _clear_header(self, slot):
        # Nothing is erased here. What a cut has left of a header must not become a whole one when
        # the next is cut, with other data behind it.
        at = self.first_block(slot)
        if read(self.lease, at, self.block):
            if blank(self.block, len(self.block)):
                return True
            if is_older(self.block, self._acc, self.number):
                return True
        fill(self.block, 0, len(self.block), 0xFF)
        if not self.lease.program(at, 1, self.block):
            return False
        self.programs += 1
        if not self.lease.sync() or not read(self.lease, at, self.block):
            return False
        if not blank(self.block, len(self.block)):
            self.lease.doing = "header-verify"
            return False
        return True

    # The commit

    def committing(self, block):
        """The header of the slot that was taken is about to be programmed with `block`; its data
        is proved. Its number is taken, whatever comes."""
        self._proof = block

    def committed(self):
        """The slot that was taken holds the newest checkpoint now."""
        self.newest = self.pending
        self.number = self.sequence
        self.pending = -1

    def settle(self, silent=False):
        """The slot that was taken did not come to its end. Where its header has landed it is the
        newest all the same, as it would be after a restart. Its group is left.

        silent: the device did not answer in time, and is not asked.
        """
        slot = self.pending
        if self._proof is not None and not silent and self._has_landed(self.first_block(slot)):
            self.committed()
        self.pending = -1
        self._leave(slot // self.per_group)

    def _has_landed(self, at):
        i = 0
        while i < _CONFIRMS:
            if not read(self.lease, at, self.block) or self.block != self._proof:
                return False
            i += 1
        return True
