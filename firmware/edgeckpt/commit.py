"""`Commit`: how one checkpoint gets onto the medium (docs/format.md, "Commit").

Promises: the data lies on the medium and has been read back before the header is written; the
header is the commit, and has been read back before a commit counts. Where a unit fails the
checkpoint goes on in another one; nothing older has been touched. Nothing allocates.
"""

from . import crc32, header
from .errors import CheckpointFailed
from .loops import copy, fill
from .scan import read


class Commit:
    """Writes checkpoints through the SlotRing `ring`. RAM: a layout block for the header.

    `run()` writes a checkpoint that lies in RAM. `start()`, `write()`, `write_last()`, `prove()`
    and `seal()` are its steps, for one that does not: each answers True, or False with the reason
    in the lease, and then `fail()` gives the slot up.

    Attributes: `data_len` (bytes so far), `crc` (bytearray(4), CRC-32 of them), `slot`.
    """

    def __init__(self, ring):
        self.ring = ring
        self.block = ring.block
        self.size = ring.lease.block_size
        self.header = header.Template(
            self.size,
            ring.lease.blocks,
            ring.slot_blocks,
            ring.lease.id_bytes,
            ring.magic,
            ring.version,
        )
        self.crc = bytearray(4)
        self._back = bytearray(4)
        self._take_back = self._read_back  # bound once: that allocates
        self._left = 0
        self._doing = self._where = self._answer = self._cause = None  # of the first failure
        self._lost = -1
        self._again = 0  # groups given up before this call
        self._found = bytearray(4)
        self._made = bytearray(4)
        self.data_len = 0
        self.slot = -1
        self._at = 0  # layout block to be written next

    def check(self, size):
        """CheckpointFailed `too-large` unless a slot holds `size` bytes, `exhausted` where there
        is no number left, `foreign` where other checkpoints would be lost. Nothing is written."""
        ring = self.ring
        if size > ring.capacity:
            raise CheckpointFailed("too-large", None, size, ring.capacity)
        if ring.sequence + ring.reserved >= header.MAX_SEQUENCE:
            raise CheckpointFailed("exhausted", None, ring.sequence)
        if ring.refused is not None:
            from .look import refuse

            refuse(ring)

    def run(self, pieces, tail, n):
        """Make the checkpoint of the bytes in `pieces` (whole layout blocks each) and the `n`
        first ones of `tail`. True, or False with the first reason in the lease where no group
        took it.

        Each group is tried once; those given up before once more where there is no other. Where
        what is torn may read as an error, the first checkpoint of a lease is written twice: a
        lone header that cannot be read is then one that was cut.
        """
        if not self._place(pieces, tail, n):
            return False
        if self.ring.single and self.ring.lease.errs:
            self.ring.sequence -= 1  # the same one again
            if not self._place(pieces, tail, n):
                return False
        self.ring.single = False
        return True

    def _place(self, pieces, tail, n):
        self._anew()
        while self._erase():
            self.begin()
            if self._write_all(pieces, tail, n) and self.prove() and self.seal():
                return True
            self.fail()
            if not self._goes_on():
                break
        return self._tell()

    def prepare(self):
        """As `run()`, of the erase of the next group."""
        self._anew()
        return self._erase() or self._tell()

    def _anew(self):
        self._doing = None
        self._again = self.ring.given_up

    def _erase(self):
        while not self.ring.prepare():
            self._keep()
            if not self._goes_on():
                return False
        return True

    def _goes_on(self):
        # Whether there is a group to be tried, on a device that is still there.
        if not self.ring.answers():
            return False
        if self.ring.following() < 0:
            if not self._again:
                return False
            self._again = 0
            self.ring.forgive()
        return True

    def fail(self):
        """The slot that was begun is lost, and its group given up. The reason stays."""
        self._keep()
        self.ring.settle(self.ring.lease.timed_out())
        self.ring.give_up(self.slot)

    def _keep(self):
        # The reason of the first failure: those that follow from it say less.
        lease = self.ring.lease
        if self._doing is None:
            self._doing = lease.doing
            self._where = lease.at
            self._answer = lease.answer
            self._cause = lease.cause
            self._lost = self.slot
            copy(self._found, 0, self._back, 0, 4)
            copy(self._made, 0, self.crc, 0, 4)

    def _tell(self):
        lease = self.ring.lease
        lease.doing = self._doing
        lease.at = self._where
        lease.answer = self._answer
        lease.cause = self._cause
        return False

    def _write_all(self, pieces, tail, n):
        i = 0
        while i < len(pieces):
            if not self.write(pieces[i]):
                return False
            i += 1
        return self._write_tail(tail, n)

    def _write_tail(self, tail, n):
        i = 0
        while i + self.size < n:
            copy(self.block, 0, tail, i, self.size)
            if not self.write(self.block):
                return False
            i += self.size
        copy(self.block, 0, tail, i, n - i)
        return self.write_last(n - i)

    def start(self):
        """Take a slot, erased, in the first group that is good. CheckpointFailed."""
        if not self.prepare():
            raise self.failed()
        self.begin()

    def begin(self):
        """Take the slot that `prepare()` has erased. What follows is written to it."""
        self.data_len = 0
        crc32.reset(self.crc)
        self.slot = self.ring.take()
        self._at = self.ring.first_block(self.slot) + 1

    def write(self, data):
        """Program `data`, whole layout blocks; on flash in one unit."""
        return self._program(data, len(data))

    def write_last(self, n):
        """Program the `n` bytes in `block`, up to a layout block, and sync."""
        if n:
            fill(self.block, n, self.size, 0xFF)
            if not self._program(self.block, n):
                return False
        return self.ring.lease.sync()

    def _program(self, data, n):
        crc32.update(self.crc, data, 0, n)
        self.data_len += n
        blocks = len(data) // self.size
        if not self.ring.lease.program(self._at, blocks, data):
            return False
        self.ring.programs += blocks
        self._at += blocks
        return True

    def prove(self):
        """Read the data back: `data-verify` where it is not what was written."""
        lease = self.ring.lease
        at = self.ring.first_block(self.slot) + 1
        crc32.reset(self._back)
        self._left = self.data_len
        if not lease.read_each(at, self._at - at, self.block, self._take_back):
            return False
        if self._back != self.crc:
            lease.doing = "data-verify"
            return False
        return True

    def _read_back(self):
        n = self._left if self._left < self.size else self.size
        crc32.update(self._back, self.block, 0, n)
        self._left -= n
        return True

    def seal(self):
        """Write the header, sync, read it back: `header-verify`."""
        ring = self.ring
        # Counted before it is written: a header that lands in spite of an error keeps its number.
        ring.sequence += ring.reserved + 1
        ring.reserved = 0
        self.header.stamp(self.data_len, ring.sequence, self.slot, self.crc)
        at = ring.first_block(self.slot)
        ring.committing(self.header.block)
        if not ring.lease.program(at, 1, self.header.block):
            return False
        ring.programs += 1
        if not ring.lease.sync() or not read(ring.lease, at, self.block):
            return False
        if self.block != self.header.block:
            ring.lease.doing = "header-verify"
            return False
        ring.committed()
        return True

    def failed(self):
        """Why it failed first, as a CheckpointFailed. Allocates."""
        self._tell()
        doing = self._doing
        self._doing = None
        if doing == "data-verify":
            return CheckpointFailed(doing, self._lost, _hex(self._found), _hex(self._made))
        if doing == "header-verify":
            return CheckpointFailed(doing, self._lost)
        return self.ring.lease.failed()


def _hex(crc):
    return "0x" + "".join(["%02x" % crc[i] for i in (3, 2, 1, 0)])
