"""Rings of more than 64 slots, which are searched and not read whole, on a chip that wears out."""

from check import run
from edgeckpt import BlockLease, CheckpointedStageState
from nor_device import Nor

ID = 0xABCD


class Worn(Nor):
    """A chip of which some units are no longer erased, without a word."""

    worn = ()

    def ioctl(self, op, arg):
        if op == 6 and arg in self.worn:
            return 0
        return Nor.ioctl(self, op, arg)


def test_long_rings_go_on_where_units_are_worn():
    for count in (1, 2, 3, 5):
        d = Worn(20, 1024)
        stage = CheckpointedStageState(bytearray(100), BlockLease(d, 0, 20, ID, block_size=128))
        assert stage.ring.slots > 64  # searched, not read whole
        for _ in range(stage.ring.slots * 2 - 20):
            stage.checkpoint()
        at = stage.ring.newest // stage.ring.per_group
        d.worn = [(at + 1 + i) % 20 for i in range(count)]
        for i in range(60):
            stage.state[0] = i
            stage.checkpoint()
            if i % 7 == 6:
                returned = stage.sequence
                stage.into_block_lease().release()
                stage = CheckpointedStageState.restore(BlockLease(d, 0, 20, ID, block_size=128))
                assert stage.sequence == returned, (count, stage.sequence, returned)
                assert stage.state[0] == i
        stage.into_block_lease().release()


run(globals())
