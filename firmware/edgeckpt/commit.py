"""`SlotWriter`: how one checkpoint gets onto the medium (docs/format.md, "Commit").

Promises: the data lies on the medium and has been read back before the header is written; the
header is the commit, and has been read back before `finish()` returns. Nothing allocates. On any
failure it raises at once and nothing older has been touched.
"""

from . import crc32, header
from .errors import CheckpointFailed
from .loops import copy, fill


class SlotWriter:
    """Writes checkpoints through the SlotRing `ring`. RAM: the ring's block buffer and one
    more layout block for the header.

    Attributes: `data_len` (bytes so far), `crc` (bytearray(4), CRC-32 of them), `slot`.
    """

    def __init__(self, ring):
        self.ring = ring
        self.buf = ring.buf
        self.mark = ring.lease.block_size
        self.header = header.Template(
            self.mark,
            ring.lease.blocks,
            ring.slot_blocks,
            ring.lease.id_bytes,
            ring.magic,
            ring.version,
        )
        self.crc = bytearray(4)
        self._back = bytearray(4)
        self.data_len = 0
        self.slot = -1
        self._at = 0  # layout block to be written next

    def check(self, size):
        """CheckpointFailed `too-large` unless a slot holds `size` bytes."""
        if size > self.ring.capacity:
            self.ring.lease.doing = "too-large"
            raise CheckpointFailed("too-large", None, size, self.ring.capacity)

    def begin(self):
        """Take a slot, erased. What follows is written to it."""
        self.data_len = 0
        crc32.reset(self.crc)
        self.slot = self.ring.take()
        self._at = self.ring.first_block(self.slot) + 1

    def spill(self, pos):
        """Take `buf[:mark]` away, move `buf[mark:pos]` to the front; the new position."""
        self.write(1, self.mark, self.ring.block)
        pos -= self.mark
        copy(self.buf, 0, self.buf, self.mark, pos)
        return pos

    def write(self, blocks, size, data):
        """Program `data`, whole layout blocks, `size` bytes of it state; on flash in one unit."""
        self.check(self.data_len + size)
        crc32.update(self.crc, data, 0, size)
        self.data_len += size
        self.ring.lease.program(self._at, blocks, data)
        self.ring.programs += blocks
        self._at += blocks

    def put(self, data):
        """Put `data`, less than a layout block, at the front of `buf`; its length."""
        copy(self.buf, 0, data, 0, len(data))
        return len(data)

    def finish(self, pos):
        """Write the last `pos` bytes in `buf`, prove the data, commit, prove the commit."""
        self.flush(pos)
        self.prove()
        self.commit()

    def flush(self, pos):
        """Write the last `pos` (up to mark + SLACK) bytes in `buf` and sync."""
        while pos > self.mark:
            pos = self.spill(pos)
        if pos:
            fill(self.buf, pos, self.mark, 0xFF)
            self.write(1, pos, self.ring.block)
        self.ring.lease.sync()

    def prove(self):
        """Read the data back. CheckpointFailed `data-verify`."""
        crc32.reset(self._back)
        left = self.data_len
        at = self.ring.first_block(self.slot) + 1
        while left > 0:
            self.ring.lease.read(at, 1, self.ring.block)
            crc32.update(self._back, self.buf, 0, self.mark if left > self.mark else left)
            left -= self.mark
            at += 1
        if self._back != self.crc:
            self.ring.lease.doing = "data-verify"
            raise CheckpointFailed("data-verify", self.slot, _hex(self._back), _hex(self.crc))

    def commit(self):
        """Write the header, sync, read it back. CheckpointFailed `header-verify`."""
        ring = self.ring
        # Counted before it is written: a header that lands in spite of an error keeps its number.
        ring.sequence += 1
        self.header.stamp(self.data_len, ring.sequence, self.slot, self.crc)
        at = ring.first_block(self.slot)
        ring.committing(self.slot, self.header.block)
        ring.lease.program(at, 1, self.header.block)
        ring.programs += 1
        ring.lease.sync()
        ring.lease.read(at, 1, ring.block)
        if ring.block != self.header.block:
            ring.lease.doing = "header-verify"
            raise CheckpointFailed("header-verify", self.slot)
        ring.committed(self.slot)


def _hex(crc):
    return "0x" + "".join("%02x" % crc[i] for i in (3, 2, 1, 0))
