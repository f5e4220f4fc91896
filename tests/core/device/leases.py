"""BlockLease: bounds, ownership, overlap, geometry."""

from check import raises, run
from edgeckpt import BlockLease, CheckpointedStageState, LeaseError
from edgeckpt.lease import live
from nor_device import Nor, Ram


def test_bounds_are_refused():
    d = Nor(8)
    for start, count in ((-1, 2), (8, 1), (0, 9), (0, 0), (7, 2)):
        raises(LeaseError, "bounds", BlockLease, d, start, count, 1)
    lease = BlockLease(d, 2, 3, 1)
    assert (lease.blocks, lease.block_size, lease.unit_blocks, lease.units) == (48, 256, 16, 3)
    buf = bytearray(256)
    raises(LeaseError, "bounds", lease.read, -1, 1, buf)
    raises(LeaseError, "bounds", lease.read, 48, 1, buf)
    raises(LeaseError, "bounds", lease.program, 47, 2, bytearray(512))
    raises(LeaseError, "bounds", lease.program, 15, 2, bytearray(512))  # crosses an erase unit
    raises(LeaseError, "bounds", lease.erase, 3)
    lease.release()


def test_nothing_outside_is_touched():
    d = Nor(8)
    d.data[:] = bytes(range(256)) * (len(d.data) // 256)
    before = bytes(d.data)
    lease = BlockLease(d, 3, 2, 1)
    stage = CheckpointedStageState(bytearray(100), lease)
    for _ in range(60):
        stage.checkpoint()
    assert d.data[: 3 * 4096] == before[: 3 * 4096]
    assert d.data[5 * 4096 :] == before[5 * 4096 :]
    stage.into_block_lease().release()


def test_overlap_is_refused_while_live():
    d = Nor(8)
    a = BlockLease(d, 0, 4, 1)
    raises(LeaseError, "overlap", BlockLease, d, 3, 2, 2)
    b = BlockLease(d, 4, 4, 2)
    c = BlockLease(Nor(8), 0, 8, 3)  # another device
    a.release()
    e = BlockLease(d, 0, 4, 4)
    for lease in (b, c, e):
        lease.release()
    assert not live


class Partition(Nor):
    """As esp32.Partition: each find() gives another object of one partition."""

    def __init__(self, disk, label):
        super().__init__(8)
        self.data = disk
        self.label = label

    def info(self):
        return (1, 2, 0x1000, 32768, self.label, False)


def test_overlap_of_two_objects_of_one_partition_is_refused():
    disk = bytearray(8 * 4096)
    a = BlockLease(Partition(disk, "nvs"), 0, 4, 1)
    raises(LeaseError, "overlap", BlockLease, Partition(disk, "nvs"), 3, 2, 2)
    b = BlockLease(Partition(disk, "nvs"), 4, 4, 2)
    c = BlockLease(Partition(bytearray(8 * 4096), "other"), 0, 4, 3)
    for lease in (a, b, c):
        lease.release()
    assert not live


class SDCard(Ram):
    """As esp32's machine.SDCard: info() is the size, which another card may have, too."""

    def info(self):
        return (16 * 512, 512)


def test_two_cards_of_one_size_are_two_media():
    a = BlockLease(SDCard(16), 0, 16, 1)
    b = BlockLease(SDCard(16), 0, 16, 2)
    a.release()
    b.release()


class Torn(Nor):
    """Flash with ECC: a page that a cut left torn reads as an error until it is erased."""

    def readblocks(self, n, buf, off=0):
        if n * 4096 + off == 0:
            raise OSError(5)
        return super().readblocks(n, buf, off)


def test_a_lease_whose_first_page_is_unreadable():
    lease = BlockLease(Torn(4), 0, 4, 1)
    assert lease.erases and lease.block_size == 256
    lease.release()


def test_a_moved_lease_has_ended():
    d = Nor(4)
    lease = BlockLease(d, 0, 4, 1)
    stage = CheckpointedStageState(bytearray(8), lease)
    raises(LeaseError, "ended", lease.read, 0, 1, bytearray(256))
    raises(LeaseError, "ended", lease.release)
    raises(LeaseError, "ended", CheckpointedStageState, bytearray(8), lease)
    raises(LeaseError, "ended", CheckpointedStageState.restore, lease)
    back = stage.into_block_lease()
    for call in (stage.checkpoint, stage.prepare, stage.history, stage.into_block_lease):
        raises(LeaseError, "ended", call)
    assert live == [back]
    back.release()
    assert not live


def test_geometry_is_refused():
    d = Nor(4)
    for size in (64, 100, 300, 131072):
        raises(LeaseError, "argument", BlockLease, d, 0, 4, 1, block_size=size)
    raises(LeaseError, "argument", BlockLease, d, 0, 4, -1)
    raises(LeaseError, "argument", BlockLease, d, 0, 4, 1 << 128)
    raises(LeaseError, "argument", BlockLease, d, 0, 4, b"short")
    lease = BlockLease(d, 0, 1, 1)
    raises(LeaseError, "argument", CheckpointedStageState, bytearray(8), lease)  # one unit
    lease.release()
    lease = BlockLease(d, 0, 4, (1 << 128) - 1)
    raises(LeaseError, "argument", CheckpointedStageState, bytearray(9000), lease)
    lease.release()


def test_simple_media():
    d = Ram(64)
    lease = BlockLease(d, 0, 64, 1)
    assert not lease.erases and lease.block_size == 512 and lease.blocks == 64
    lease.release()
    lease = BlockLease(d, 0, 64, 1, block_size=4096)
    assert lease.blocks == 8
    stage = CheckpointedStageState(bytearray(b"x" * 3000), lease)
    for i in range(10):
        stage.state[0] = i
        stage.checkpoint()
    lease = stage.into_block_lease()
    assert CheckpointedStageState.restore(lease).state[0] == 9
    live[0].release()


def test_wipe():
    for d, n in ((Nor(4), 4), (Ram(64), 64)):
        lease = BlockLease(d, 0, n, 1)
        stage = CheckpointedStageState(bytearray(8), lease)
        stage.checkpoint()
        lease = stage.into_block_lease()
        lease.wipe()
        assert d.data == b"\xff" * len(d.data)
        lease.release()


def test_answers_of_the_device():
    for answer, good in (
        (None, True),
        (0, True),
        (True, True),
        (False, False),
        (-5, False),
        (1, False),
        ("x", False),
    ):
        d = Nor(4)
        lease = BlockLease(d, 0, 4, 1)
        d.fail_at = 1
        d.answer = answer
        assert lease.program(0, 1, bytes(256)) == good
        if not good:
            failed = lease.failed()
            assert failed.reason == "program" and repr(answer) in str(failed), failed
        lease.release()


run(globals())
