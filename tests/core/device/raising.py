"""Whatever a device raises comes as an EdgeError with a reason, and the original as its cause.

But for an interrupt, which is passed on, and MemoryError while reading: that is the heap's, and
says nothing about the medium.
"""

from check import raises, run
from edgeckpt import (
    BlockLease,
    CheckpointedStageState,
    CheckpointFailed,
    LeaseError,
    RestoreFailed,
)
from edgeckpt.lease import live
from nor_device import Nor, Ram

SIZE = 3000  # of the state: on flash a slot is a unit, and each checkpoint erases
ERRORS = (RuntimeError("bus"), ValueError("range"), TypeError("buffer"), KeyError(3), OSError(5))


class Raises:
    """`device`, whose calls of the kind `when` ("read", "program", "erase", "sync", "ask") raise
    `error`, from the call number `at` (1 is the next one) on."""

    def __init__(self, device):
        self.device = device
        self.error = self.when = None
        self.at = 1

    def arm(self, when, error, at=1):
        self.when = when
        self.error = error
        self.at = at

    def _call(self, kind):
        if kind == self.when:
            self.at -= 1
            if self.at <= 0:
                raise self.error

    def readblocks(self, n, buf, *off):
        self._call("read")
        return self.device.readblocks(n, buf, *off)

    def writeblocks(self, n, buf, *off):
        self._call("program")
        return self.device.writeblocks(n, buf, *off)

    def ioctl(self, op, arg):
        self._call("erase" if op == 6 else "sync" if op == 3 else "ask")
        return self.device.ioctl(op, arg)


def lease_of(d):
    return BlockLease(d, 0, d.ioctl(4, 0), 7)


def stage_of(d, n=1):
    stage = CheckpointedStageState(bytearray(SIZE), lease_of(d))
    for i in range(n):
        stage.state[0] = i + 1
        stage.checkpoint()
    return stage


def restored(d):
    back = CheckpointedStageState.restore(lease_of(d))
    number = back.state[0]
    back.into_block_lease().release()
    return number


def test_lease():
    for error in ERRORS + (AttributeError("ioctl"),):
        d = Raises(medium())
        d.arm("ask", error)
        assert raises(LeaseError, "device", BlockLease, d, 0, 4, 7).cause is error
        if not isinstance(error, TypeError):  # that is how a simple device refuses an offset
            d.arm("read", error)
            if isinstance(error, OSError):  # it took the offset, and cannot read this page
                BlockLease(d, 0, 4, 7).release()
                continue
            assert raises(LeaseError, "device", BlockLease, d, 0, 4, 7).cause is error
    assert not live


def test_checkpoint():
    for error in ERRORS + (MemoryError("no room"),):
        for when in ("program", "sync", "read") + (("erase",) if flash else ()):
            d = Raises(medium())
            stage = stage_of(d, 2)
            d.arm(when, error)
            stage.state[0] = 3
            e = raises(CheckpointFailed, when, stage.checkpoint)
            assert e.cause is error and (isinstance(error, MemoryError) or repr(error) in str(e))
            d.arm(None, None)
            stage.into_block_lease().release()
            assert restored(d) == 2 or when == "sync"
            again = CheckpointedStageState.restore(lease_of(d))
            again.state[0] = 9
            again.checkpoint()
            again.into_block_lease().release()
            assert restored(d) == 9


def test_restore():
    for error in ERRORS:
        d = Raises(medium())
        stage_of(d, 2).into_block_lease().release()
        lease = lease_of(d)
        for call in (CheckpointedStageState.restore, resume_fresh):
            for capacity in (None, SIZE):
                d.arm("read", error)
                e = raises(RestoreFailed, "read", call, lease, capacity=capacity)
                assert e.cause is error
        d.arm("read", error)
        opened = raises(CheckpointFailed, "read", CheckpointedStageState, bytearray(SIZE), lease)
        assert opened.cause is error
        d.arm(None, None)
        lease.release()
        assert restored(d) == 2


def resume_fresh(lease, capacity):
    return CheckpointedStageState.resume(bytearray(SIZE), lease, capacity=capacity)


def test_reads_that_begin_to_fail():
    # At every read: the right state, or an error that carries the cause.
    for error in ERRORS:
        d = Raises(medium())
        stage_of(d, 2).into_block_lease().release()
        failed = at = 0
        while True:
            at += 1
            lease = lease_of(d)
            d.arm("read", error, at)
            try:
                back = CheckpointedStageState.restore(lease)
            except RestoreFailed as e:
                failed += 1
                assert e.cause is error, e.reason
                d.arm(None, None)
                lease.release()
                continue
            done = d.at > 0
            d.arm(None, None)
            assert not done or back.state[0] == 2
            back.into_block_lease().release()
            if done:
                break
        assert failed > 3, failed


def test_resume_does_not_start_anew_where_a_block_cannot_be_read():
    d = Raises(medium())
    stage_of(d, 1).into_block_lease().release()
    lease = lease_of(d)
    blind = Blind(d.device, 4096 if flash else 512)
    lease.device = blind
    if flash:
        e = raises(RestoreFailed, "read", resume_fresh, lease, None)
        assert e.cause is blind.error
    else:
        # The first one was written twice, and the second is read: nothing newer can be hidden.
        back = resume_fresh(lease, None)
        assert back.state[0] == 1 and not back.fell_back
        lease = live[0]
    blind.size = 0
    back = resume_fresh(lease, None)
    assert back.state[0] == 1
    back.into_block_lease().release()


class Blind:
    """`device`, whose first `size` bytes cannot be read."""

    def __init__(self, device, size):
        self.device = device
        self.size = size
        self.error = OSError(5)

    def readblocks(self, n, buf, off=None):
        if n * self.device.ioctl(5, 0) < self.size:
            raise self.error
        if off is None:
            return self.device.readblocks(n, buf)
        return self.device.readblocks(n, buf, off)

    def writeblocks(self, n, buf, *off):
        return self.device.writeblocks(n, buf, *off)

    def ioctl(self, op, arg):
        return self.device.ioctl(op, arg)


def test_wipe():
    for error in ERRORS:
        for when in ("sync", "erase" if flash else "program"):
            d = Raises(medium())
            lease = lease_of(d)
            d.arm(when, error)
            assert raises(CheckpointFailed, when, lease.wipe).cause is error
            lease.release()


def test_interrupts_are_passed_on():
    d = Raises(medium())
    stage = stage_of(d, 2)
    for when in ("program", "sync", "read") + (("erase",) if flash else ()):
        d.arm(when, KeyboardInterrupt())
        stage.state[0] = 7
        try:
            stage.checkpoint()
            raise AssertionError("not interrupted")
        except KeyboardInterrupt:
            pass
        d.arm(None, None)
        stage.state[0] = 8
        stage.checkpoint()
    lease = stage.into_block_lease()
    for error in (KeyboardInterrupt(), MemoryError()):
        d.arm("read", error)
        try:
            CheckpointedStageState.restore(lease)
            raise AssertionError("not passed on")
        except (KeyboardInterrupt, MemoryError) as e:
            assert e is error
    d.arm(None, None)
    lease.release()
    assert restored(d) == 8


medium, flash = (lambda: Nor(4)), True
run(globals())
medium, flash = (lambda: Ram(64)), False
run(globals())
assert not live
