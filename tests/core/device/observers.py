"""Observers: one completion per start, whatever fails; what a start that raises means.

All of it on flash, and on a medium that overwrites in place.
"""

from check import raises, run
from edgeckpt import (
    BlockLease,
    CheckpointedStageState,
    CheckpointFailed,
    CheckpointFlushObserver,
    FlushPin,
    LeaseError,
    NonPreemptibleReason,
    Observers,
    PreemptionCheckpointObserver,
    PreemptionManager,
)
from edgeckpt.lease import live
from nor_device import Nor, Ram


class Log(CheckpointFlushObserver):
    def __init__(self, log, name="", fail_start=None, fail_complete=None):
        self.log = log
        self.name = name
        self.fail_start = fail_start
        self.fail_complete = fail_complete

    def on_flush_start(self, lease_id):
        self.log.append(self.name + "start")
        assert lease_id == 77
        if self.fail_start:
            raise self.fail_start

    def on_flush_complete(self, lease_id):
        self.log.append(self.name + "complete")
        if self.fail_complete:
            raise self.fail_complete


def stage_on(device, observer, size=600):
    lease = BlockLease(device, 0, device.ioctl(4, 0), 77)
    return CheckpointedStageState.with_observer(bytearray(size), lease, 77, observer)


def end(stage):
    stage.into_block_lease().release()


def test_success():
    log = []
    stage = stage_on(medium(), Log(log))
    stage.checkpoint()
    assert log == ["start", "complete"], log
    end(stage)


def test_every_failing_operation():
    seen = set()
    for answer in (-5, False, 1, OSError(5), ValueError("x")):
        for k in range(1, 40):
            log = []
            d = medium()
            stage = stage_on(d, Log(log), 3000)  # a slot is a unit: each checkpoint erases
            stage.state[0] = 1
            stage.checkpoint()
            stage.state[0] = 2
            d.ops = 0
            d.fail_at = k
            d.for_good = True
            d.answer = answer
            try:
                stage.checkpoint()
                assert d.ops < k
                end(stage)
                break
            except CheckpointFailed as e:
                reason = e.reason
                seen.add(reason)
                assert isinstance(answer, Exception) == (e.cause is not None)
            assert log == ["start", "complete"] * 2, log
            d.fail_at = 0
            lease = stage.into_block_lease()
            back = CheckpointedStageState.restore(lease)
            # The header may have landed before the sync that failed.
            assert back.state[0] in (1, 2) and (back.state[0] == 1 or reason == "sync")
            back.state[0] = 3
            back.checkpoint()
            end(back)
    assert seen == {"program", "sync", first}, seen


def test_a_start_that_raises_writes_nothing():
    for error in (ValueError("no"), LeaseError("argument", "x", 1, 2)):
        log = []
        d = medium()
        stage = stage_on(d, Log(log, fail_start=error))
        e = raises(CheckpointFailed, "observer", stage.checkpoint)
        assert e.cause is error
        raises(CheckpointFailed, "observer", stage.prepare)
        assert log == ["start", "complete"] * 2, log
        assert d.ops == 0
        end(stage)


def test_a_completion_that_raises():
    log = []
    d = medium()
    stage = stage_on(d, Log(log, fail_complete=ValueError("late")))
    raises(CheckpointFailed, "observer", stage.checkpoint)
    assert log == ["start", "complete"]
    assert stage.sequence == 1  # durable all the same
    d.fail_at = d.ops + 1
    d.for_good = True
    raises(CheckpointFailed, first, stage.checkpoint)  # the flush's own error comes first
    end(stage)


def test_an_interrupt_is_passed_on():
    log = []
    d = medium()
    stage = stage_on(d, Log(log))
    d.fail_at = 2

    def interrupt():
        raise KeyboardInterrupt

    d.probe = interrupt
    try:
        stage.checkpoint()
        raise AssertionError("not interrupted")
    except KeyboardInterrupt:
        pass
    assert log == ["start", "complete"]
    stage.checkpoint()
    end(stage)


def test_several():
    log = []
    a, b, c = Log(log, "a"), Log(log, "b", fail_start=ValueError("b")), Log(log, "c")
    stage = stage_on(medium(), Observers(a, b, c))
    raises(CheckpointFailed, "observer", stage.checkpoint)
    assert log == ["astart", "bstart", "bcomplete", "acomplete"], log
    end(stage)
    log.clear()
    b.fail_start = None
    b.fail_complete = ValueError("b")
    stage = stage_on(medium(), Observers(a, b, c))
    for _ in range(2):
        raises(CheckpointFailed, "observer", stage.checkpoint)
    assert log == ["astart", "bstart", "cstart", "ccomplete", "bcomplete", "acomplete"] * 2, log
    end(stage)


def test_preemption_is_marked_while_a_flush_runs():
    manager = PreemptionManager()
    d = medium()
    marks = []

    def look():
        marks.append((manager.is_preemptible(77), manager.reason(77), manager.is_preemptible(78)))

    stage = stage_on(d, PreemptionCheckpointObserver(manager))
    d.probe = look
    d.fail_at = 1
    stage.checkpoint()  # in another unit
    assert marks == [(False, NonPreemptibleReason.CheckpointInProgress, True)], marks
    assert manager.is_preemptible(77) and manager.reason(77) is None
    # A lease that the scheduler has marked itself is refused, and its mark kept.
    manager.mark_non_preemptible(77, "mine")
    raises(CheckpointFailed, "observer", stage.checkpoint)
    assert manager.reason(77) == "mine"
    manager.clear_non_preemptible(77)
    stage.checkpoint()
    end(stage)
    raises(LeaseError, "argument", manager.clear_non_preemptible, 77)
    small = PreemptionManager(1)
    small.mark_non_preemptible(1, "x")
    raises(LeaseError, "argument", small.mark_non_preemptible, 2, "x")


def test_pin():
    class Pin:
        def __init__(self):
            self.seen = []

        def value(self, v):
            self.seen.append(v)

    pin = Pin()
    stage = stage_on(medium(), FlushPin(pin))
    stage.checkpoint()
    assert pin.seen == [0, 1, 0], pin.seen
    end(stage)


def test_the_lease_id_must_be_that_of_the_lease():
    d = medium()
    lease = BlockLease(d, 0, d.ioctl(4, 0), 77)
    raises(
        LeaseError,
        "argument",
        CheckpointedStageState.with_observer,
        bytearray(4),
        lease,
        78,
        CheckpointFlushObserver(),
    )
    lease.release()


medium, first = (lambda: Nor(4)), "erase"  # and the first operation of a checkpoint on it
run(globals())
medium, first = (lambda: Ram(32)), "program"
run(globals())
assert not live
