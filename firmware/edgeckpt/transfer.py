"""A restore by the host: its data on the way through the steps of a commit, to one new checkpoint.

Promises: nothing becomes durable before all bytes have come and their CRC-32 is the announced
one; `take()` allocates nothing.
"""

from .commit import Commit
from .loops import copy


class Transfer:
    """Begun: the slot is erased, no byte has come. It outlives the agent, so that a later session
    goes on with it.

    token: what the host announced: (lease index, length in bytes, slot blocks, CRC-32 of the
    data and of the schema text and that text). nonce: 4 bytes, of this announcement.
    EdgeError as of `Commit.check()` and `Commit.start()`.
    """

    def __init__(self, token, nonce, lease, ring):
        self.token = token
        self.nonce = nonce
        self.lease = lease
        self.ring = ring
        self.length = token[1]
        self.commit = Commit(ring)
        self.pos = 0  # bytes in commit.block
        self.got = 0  # bytes received
        self.sequence = ring.sequence
        self.done = -1  # sequence of the commit
        self.commit.header.set_schema(token[3][8:], bytearray(token[3][4:8]))
        self.commit.check(self.length)
        self.commit.start()
        self.programs = ring.programs

    def untouched(self):
        """Whether the ring is as the transfer left it: no checkpoint was made in between."""
        return self.ring.sequence == self.sequence and self.ring.programs == self.programs

    def take(self, buf, n):
        """The next `n` bytes, in buf[:n]. CheckpointFailed `program`: then the slot is lost."""
        at = 0
        while at < n:
            at += self._fill(buf, at, n - at)
        self.got += n
        self.programs = self.ring.programs

    def _fill(self, buf, at, n):
        # As much of buf[at : at + n] as the block under way has room for; its length.
        commit = self.commit
        if n > commit.size - self.pos:
            n = commit.size - self.pos
        copy(commit.block, self.pos, buf, at, n)
        self.pos += n
        if self.pos == commit.size:
            self.pos = 0
            self._done(commit.write(commit.block))
        return n

    def finish(self):
        """Make the checkpoint; False if the data has another CRC-32 than announced."""
        self._done(self.commit.write_last(self.pos))
        if bytes(self.commit.crc) != self.token[3][0:4]:
            return False
        self._done(self.commit.prove() and self.commit.seal())
        self.done = self.ring.sequence
        return True

    def _done(self, done):
        if not done:
            self.commit.fail()
            raise self.commit.failed()
