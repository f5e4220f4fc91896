"""A restore by the host: its data on the way through the slot writer, to one new checkpoint.

Promises: nothing becomes durable before all bytes have come and their CRC-32 is the announced
one; `take()` allocates nothing.
"""

from .commit import SlotWriter
from .loops import copy


class Transfer:
    """Begun: the slot is erased, no byte has come. It outlives the agent, so that a later session
    goes on with it.

    token: what the host announced: (lease index, length in bytes, slot blocks, CRC-32 of the
    data and of the schema text and that text). nonce: 4 bytes, of this announcement.
    EdgeError as of `SlotWriter.begin()`.
    """

    def __init__(self, token, nonce, lease, ring):
        self.token = token
        self.nonce = nonce
        self.lease = lease
        self.ring = ring
        self.length = token[1]
        self.writer = SlotWriter(ring)
        self.pos = 0  # bytes in writer.buf
        self.got = 0  # bytes received
        self.sequence = ring.sequence
        self.done = -1  # sequence of the commit
        self.writer.header.set_schema(token[3][8:], bytearray(token[3][4:8]))
        self.writer.begin()
        self.programs = ring.programs

    def untouched(self):
        """Whether the ring is as the transfer left it: no checkpoint was made in between."""
        return self.ring.sequence == self.sequence and self.ring.programs == self.programs

    def take(self, buf, n):
        """The next `n` bytes, in buf[:n]. EdgeError as of `SlotWriter.spill()`."""
        at = 0
        while at < n:
            at += self._fill(buf, at, n - at)
        self.got += n
        self.programs = self.ring.programs

    def _fill(self, buf, at, n):
        # As much of buf[at : at + n] as the block under way has room for; its length.
        writer = self.writer
        if n > writer.mark - self.pos:
            n = writer.mark - self.pos
        copy(writer.buf, self.pos, buf, at, n)
        self.pos += n
        if self.pos == writer.mark:
            self.pos = writer.spill(self.pos)
        return n

    def commit(self):
        """Make the checkpoint; False if the data has another CRC-32 than announced."""
        self.writer.flush(self.pos)
        if bytes(self.writer.crc) != self.token[3][0:4]:
            return False
        self.writer.prove()
        self.writer.commit()
        self.done = self.ring.sequence
        return True
