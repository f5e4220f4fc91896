"""Rings of more than 64 slots, which are searched and not read whole, on a chip that wears out."""

from check import run
from edgeckpt import BlockLease, CheckpointedStageState, CheckpointFailed
from nor_device import Nor

ID = 0xABCD


class Worn(Nor):
    """A chip of which some units are no longer erased, without a word."""

    worn = ()

    def ioctl(self, op, arg):
        if op == 6 and arg in self.worn:
            return 0
        return Nor.ioctl(self, op, arg)


def test_long_rings_step_over_no_more_units_than_the_search_sees():
    for count in (1, 2, 3, 5):
        d = Worn(20, 1024)
        stage = CheckpointedStageState(bytearray(100), BlockLease(d, 0, 20, ID, block_size=128))
        failed = -1
        assert stage.ring.slots > 64  # searched, not read whole
        for _ in range(stage.ring.slots * 2 - 20):
            stage.checkpoint()
        at = stage.ring.newest // stage.ring.per_group
        d.worn = [(at + 1 + i) % 20 for i in range(count)]
        returned = stage.sequence
        for i in range(60):
            stage.state[0] = i
            try:
                stage.checkpoint()
                returned = stage.sequence
            except CheckpointFailed as e:
                assert e.reason == "erase"
                failed = i
        # Up to two units in a row are stepped over; more is an error at every checkpoint.
        assert (failed == 59) == (count > 2), (count, failed)
        stage.into_block_lease().release()
        stage = CheckpointedStageState.restore(BlockLease(d, 0, 20, ID, block_size=128))
        assert stage.sequence == returned, (count, stage.sequence, returned)
        stage.into_block_lease().release()


run(globals())
