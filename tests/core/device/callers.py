"""What callers do with a stage: assign states, resume, call from within, move a lease."""

import struct
import sys
from array import array
from binascii import crc32

from check import raises, run
from edgeckpt import (
    BlockLease,
    CheckpointedStageState,
    CheckpointFailed,
    CheckpointFlushObserver,
    LeaseError,
    Observers,
    PreemptionCheckpointObserver,
    PreemptionManager,
    RestoreFailed,
    SchemaError,
)
from edgeckpt.lease import live
from nor_device import Nor, Ram

ID = 0xABCD
SCHEMA = "{count:u32,rest:bytes}"


class Record:
    SCHEMA = SCHEMA

    def __init__(self, count=0):
        self.count = count
        self.rest = b"rest"


def lease_on(device, start=0, count=8):
    return BlockLease(device, start, count, ID)


def end(stage):
    stage.into_block_lease().release()


def restored(device, **options):
    stage = CheckpointedStageState.restore(lease_on(device), **options)
    value = stage.state
    end(stage)
    return value


def test_another_buffer_may_be_assigned():
    d = Nor(8)
    for first, second in (
        (b"a" * 700, b"b" * 700),
        (bytearray(5000), bytearray(b"x" * 5000)),
        (array("H", range(300)), array("H", range(1, 301))),
    ):
        stage = CheckpointedStageState(first, lease_on(d))
        stage.checkpoint()
        stage.state = second
        stage.checkpoint()
        assert stage.older(stage.sequence) == bytes(second)
        for wrong in (bytes(3), 5, "text", None):
            raises(SchemaError, "argument", setattr, stage, "state", wrong)
        assert stage.state is second
        end(stage)
        d = Nor(8)


def count_up(state):
    if isinstance(state, Record):
        state.count += 1
        return state.count
    key = "count" if isinstance(state, dict) else 0
    state[key] += 1
    return state[key]


def test_resume_fills_the_state_that_was_given():
    for make, schema in (
        (Record, None),
        (lambda: {"count": 0, "rest": b""}, SCHEMA),
        (lambda: bytearray(600), None),
        (lambda: array("H", [0] * 300), None),
        (lambda: [0, 0], "[u8;2]"),
    ):
        d = Nor(8)
        for boot in range(4):
            state = make()
            stage = CheckpointedStageState.resume(state, lease_on(d), schema, fallback=True)
            assert stage.state is state and stage.sequence == boot
            assert count_up(state) == boot + 1
            stage.checkpoint()
            end(stage)


def test_resume_of_what_cannot_be_changed():
    for state, schema in ((b"ab", None), ((1, 2), "(u8,u8)"), (7, "u8"), (None, "Option<u8>")):
        d = Nor(8)
        for boot in range(3):
            stage = CheckpointedStageState.resume(state, lease_on(d), schema, plain=True)
            assert stage.state == state and stage.sequence == boot
            stage.checkpoint()
            end(stage)


class Calls(CheckpointFlushObserver):
    """Calls `call` in the start or in the completion of a flush."""

    def __init__(self, at_start):
        self.at_start = at_start
        self.errors = []

    def _try(self):
        try:
            self.call()
        except (CheckpointFailed, LeaseError) as e:
            self.errors.append(e.reason)

    def on_flush_start(self, lease_id):
        if self.at_start:
            self._try()

    def on_flush_complete(self, lease_id):
        if not self.at_start:
            self._try()


class Interrupted(Nor):
    """Calls `call` in the middle of each program, as a scheduled function may."""

    call = None
    errors = 0

    def writeblocks(self, n, buf, off=0):
        if self.call is not None:
            try:
                self.call()
            except CheckpointFailed as e:
                assert e.reason == "busy", e.reason
                self.errors += 1
        return super().writeblocks(n, buf, off)


def test_calls_from_within_a_flush_are_refused():
    for at_start in (True, False):
        for name in ("checkpoint", "prepare", "history", "into_block_lease"):
            observer = Calls(at_start)
            stage = CheckpointedStageState(bytearray(9), lease_on(Nor(8)), observer=observer)
            observer.call = getattr(stage, name)
            stage.checkpoint()
            stage.checkpoint()
            assert observer.errors == ["busy"] * 2 and stage.sequence == 2
            end(stage) if name != "into_block_lease" else None
            if live:
                observer.call = int
                end(stage)


def test_calls_in_the_middle_of_a_flush_change_nothing():
    data = bytes(range(200)) * 30
    for name in ("checkpoint", "prepare", "history"):
        d = Interrupted(8)
        stage = CheckpointedStageState(
            {"count": 1, "rest": data}, lease_on(d), SCHEMA, capacity=7000
        )
        stage.checkpoint()
        d.call = getattr(stage, name)
        stage.state["count"] = 2
        stage.checkpoint()
        d.call = None
        assert d.errors > 20 and stage.sequence == 2
        end(stage)
        assert restored(d) == {"count": 2, "rest": data}
    d = Interrupted(8)
    stage = CheckpointedStageState(bytearray(6000), lease_on(d))
    d.call = lambda: setattr(stage, "state", bytearray(b"x" * 6000))
    stage.checkpoint()
    assert d.errors and restored_of(stage) == bytes(6000)


class Between(CheckpointedStageState):
    """An interrupt handler calls prepare() just before the flush of a checkpoint begins."""

    armed = False

    def _idle(self, what):
        ring = super()._idle(what)
        if self.armed and what == "checkpoint()":
            self.armed = False
            self.prepare()
        return ring


def test_a_prepare_between_two_statements_of_a_checkpoint():
    d = Nor(8)
    stage = Between(bytearray(9), lease_on(d))
    stage.armed = True
    stage.state[0] = 7
    stage.checkpoint()
    assert stage.sequence == 1
    end(stage)
    assert restored(d)[0] == 7


def restored_of(stage):
    stage = CheckpointedStageState.restore(stage.into_block_lease())
    value = stage.state
    end(stage)
    return value


def test_one_preemption_observer_for_several_stages():
    manager = PreemptionManager()
    observer = PreemptionCheckpointObserver(manager)
    d = Interrupted(16)
    a = CheckpointedStageState(bytearray(9), BlockLease(d, 0, 8, 1), observer=observer)
    b = CheckpointedStageState(bytearray(9), BlockLease(d, 8, 8, 2), observer=observer)
    marks = []

    def call():
        d.call = None
        b.checkpoint()
        marks.append((manager.is_preemptible(1), manager.is_preemptible(2)))

    d.call = call
    a.checkpoint()
    assert marks == [(False, True)] and manager.is_preemptible(1)
    end(a)
    end(b)


def test_an_interrupt_in_a_completion_is_passed_on():
    class Late(CheckpointFlushObserver):
        def on_flush_complete(self, lease_id):
            raise KeyboardInterrupt

    manager = PreemptionManager()
    for fail_at in (0, 1, 3):
        d = Nor(8)
        d.fail_at = fail_at
        observers = Observers(PreemptionCheckpointObserver(manager), Late())
        stage = CheckpointedStageState(bytearray(9), lease_on(d), observer=observers)
        try:
            stage.checkpoint()
            raise AssertionError("not interrupted")
        except KeyboardInterrupt:
            pass
        assert manager.is_preemptible(ID)
        d.fail_at = 0
        end(stage)


def test_arguments_of_other_types():
    d = Nor(8)
    for start, count in ((0.0, 8), ("0", 8), (0, 1.5), (None, None)):
        raises(LeaseError, "argument", BlockLease, d, start, count, 1)
    for lease_id in ("text", None, 1.5, b"short", -1, 1 << 128):
        raises(LeaseError, "argument", BlockLease, d, 0, 8, lease_id)
    for size in ("256", 1.5, 0, -256, 300, 64):
        raises(LeaseError, "argument", BlockLease, d, 0, 8, 1, block_size=size)
    for lease in (None, 5, d, bytearray(4)):
        raises(LeaseError, "argument", CheckpointedStageState, bytearray(4), lease)
        raises(LeaseError, "argument", CheckpointedStageState.restore, lease)
    for schema in (5, b"{a:u8}", ["u8"]):
        raises(SchemaError, "argument", CheckpointedStageState, 5, lease_on(d), schema)
        live[0].release()


class Plain512(Ram):
    """A device that does not tell its block size, which then is 512 (the block protocol)."""

    def ioctl(self, op, arg):
        return None if op == 5 else super().ioctl(op, arg)


class Broken(Ram):
    def ioctl(self, op, arg):
        raise OSError(5)


def test_devices():
    d = Plain512(16)
    stage = CheckpointedStageState(bytearray(b"abc"), lease_on(d, 0, 16))
    assert stage.ring.lease.block_size == 512
    stage.checkpoint()
    assert restored_of(stage) == b"abc"
    e = raises(LeaseError, "device", BlockLease, Broken(16), 0, 16, 1)
    assert "OSError" in str(e)
    raises(LeaseError, "device", BlockLease, object(), 0, 16, 1)


def forged(d, at, **fields):
    """Change fields of the header in block `at` and make its CRC right again."""
    head = d.data[at : at + 64]
    form = {
        "data_len": (8, "<Q"),
        "sequence": (16, "<I"),
        "index": (50, "<H"),
        "flags": (46, "<H"),
    }
    form.update({"lease_blocks": (52, "<I"), "slot_blocks": (56, "<I")})
    for name in fields:
        offset, kind = form[name]
        struct.pack_into(kind, head, offset, fields[name])
    text = d.data[at + 64 : at + 64 + struct.unpack("<H", head[44:46])[0]]
    struct.pack_into("<I", head, 60, crc32(text, crc32(head[0:60])))
    d.data[at : at + 64] = head


def test_a_commit_that_cannot_be_is_never_passed_over():
    cases = (
        {"data_len": 513},
        {"data_len": 5 + (1 << 32)},
        {"sequence": 1 << 30},
        {"sequence": 0xFFFFFFFF},
        {"index": 9},
        {"lease_blocks": 64},
        {"slot_blocks": 0xFFFFFFFF},
        {"flags": 1},
        {"slot_blocks": 4},
    )
    for fields in cases:
        # Alone, a header of slots of 4 blocks is one of a ring of such slots.
        for older in (1,) if fields == cases[-1] else (0, 1):
            d = Nor(8)
            stage = CheckpointedStageState(bytearray(b"0" * 512), lease_on(d))
            for i in range(older + 1):
                stage.state[0] = 48 + i
                stage.checkpoint()
            end(stage)
            forged(d, older * 4096, **fields)  # the second lies in the second unit
            before = bytes(d.data)
            lease = lease_on(d)
            raises(RestoreFailed, "geometry", CheckpointedStageState.restore, lease)
            raises(RestoreFailed, "geometry", CheckpointedStageState.resume, bytearray(512), lease)
            if older:
                stage = CheckpointedStageState.restore(lease, fallback=True)
                assert stage.state[0] == 48 and stage.fell_back
                assert bytes(d.data) == before
                stage.checkpoint()
                end(stage)
            else:
                stage = CheckpointedStageState(bytearray(512), lease)
                raises(CheckpointFailed, "foreign", stage.checkpoint)
                assert bytes(d.data) == before
                end(stage)


def test_a_lease_that_was_moved_by_a_unit_is_refused():
    d = Nor(16)
    stage = CheckpointedStageState(bytearray(100), BlockLease(d, 4, 8, ID))
    for _ in range(70):
        stage.checkpoint()
    end(stage)
    before = bytes(d.data)
    for start in (3, 5, 11):
        lease = BlockLease(d, start, 5 if start == 11 else 8, ID)
        raises(RestoreFailed, "geometry", CheckpointedStageState.resume, bytearray(100), lease)
        stage = CheckpointedStageState(bytearray(100), lease)
        raises(CheckpointFailed, "foreign", stage.checkpoint)
        end(stage)
    assert bytes(d.data) == before


class Forgetful(Nor):
    """An erase that is cut: it raises, and the first page of the unit is as it was."""

    cut = False

    def _erase(self, at):
        head = bytes(self.data[at : at + 256])
        super()._erase(at)
        if self.cut:
            self.data[at : at + 256] = head
            raise OSError(5)


def test_a_header_that_landed_in_spite_of_an_error_is_not_erased_as_if_it_had_not():
    for units, size in ((2, 3000), (4, 6000), (3, 3000)):
        for prepares in (False, True):
            d = Forgetful(units)
            stage = CheckpointedStageState(bytearray(size), lease_on(d, 0, units))
            stage.checkpoint()
            for n in range(2, 2 + stage.ring.groups):
                # Operations: erases, sync, data, sync, header, and the sync that fails.
                stage.prepare()
                stage.state[0] = n
                d.ops = 0
                pages = -(-size // 4096) if size > 3840 else 1
                d.fail_at = 1 + pages + (size % 256 > 0) + 2
                d.for_good = True
                raises(CheckpointFailed, "sync", stage.checkpoint)
                d.fail_at = 0
            d.cut = True
            raises(CheckpointFailed, "erase", stage.prepare if prepares else stage.checkpoint)
            end(stage)
            assert restored_at(d, units)[0] == n


def restored_at(d, units):
    stage = CheckpointedStageState.restore(lease_on(d, 0, units))
    return restored_of(stage)


def test_the_last_numbers_with_a_torn_header_beside():
    # The number after those that a torn header may carry must not be past the last one.
    d = Nor(8)
    stage = CheckpointedStageState(bytearray(100), lease_on(d))
    stage.checkpoint()
    stage.checkpoint()
    end(stage)
    forged(d, 0, sequence=0x3FFFFFFD)
    forged(d, 4096, sequence=0x3FFFFFFF)
    d.data[4096 + 60] = 0xFF  # torn: its CRC has not become 0 where it should
    d.data[4096 + 24] |= 0xFF
    stage = CheckpointedStageState.restore(lease_on(d))
    done = stage.sequence
    for _ in range(3):
        try:
            stage.checkpoint()
            done = stage.sequence
        except CheckpointFailed as e:
            assert e.reason == "exhausted", e.reason
    end(stage)
    stage = CheckpointedStageState.restore(lease_on(d))
    assert stage.sequence == done <= 0x3FFFFFFF, (stage.sequence, done)
    end(stage)


def test_a_star_import_brings_the_public_names_only():
    names = {"crc32": crc32}
    exec("from edgeckpt import *", names)
    assert names["BlockLease"] is BlockLease
    if sys.implementation.name != "micropython":  # older ones take no notice of `__all__`
        assert names["crc32"] is crc32 and "header" not in names


run(globals())
assert not live
