"""checkpoint() allocates nothing, up to the raise where it fails. MicroPython only.

Detectors (each misses what another finds): `heap_lock` around the call; `mem_total` before and
after, which also counts frames that did not fit the stack; the same on a 32-bit build. What runs
before a raise is looked at from inside: the failing device operation and the observer's
completion read `mem_total` themselves.
"""

import gc
from array import array

import micropython
from edgeckpt import (
    BlockLease,
    CheckpointedStageState,
    CheckpointFailed,
    CheckpointFlushObserver,
    Observers,
    PreemptionCheckpointObserver,
    PreemptionManager,
)
from nor_device import Nor

SCHEMA = (
    "{epoch:u32,sequence:u64,gains:[f32;8],label:Option<str>,"
    "samples:Vec<{ts:u64,ch:u8,value:i32}>,"
    "mode:enum{Idle,Sampling{rate_hz:u32,channels:Vec<u8>},Calibrating(u16),Fault(u32,str)},"
    "key:[u8;32]}"
)


class Attributes:
    def __init__(self, fields):
        for name in fields:
            setattr(self, name, fields[name])


def record():
    return {
        "epoch": 0xFFFF_FFFF,
        "sequence": 0xFFFF_FFFF_FFFF_FFFF,
        "gains": [0.1 * i for i in range(8)],
        "label": "a stage",
        "samples": [
            {"ts": (1 << 63) + i, "ch": i & 0xFF, "value": (i << 20) - (1 << 30)}
            for i in range(64)
        ],
        "mode": ("Sampling", {"rate_hz": 0x8000_0000, "channels": b"\x00\x01\x02"}),
        "key": bytes(range(32)),
    }


class Meter(CheckpointFlushObserver):
    """Reads mem_total at the start and at the completion of each flush."""

    def __init__(self):
        self.start = self.end = 0

    def on_flush_start(self, lease_id):
        self.start = micropython.mem_total()

    def on_flush_complete(self, lease_id):
        self.end = micropython.mem_total()


class Probe:
    """Reads mem_total when the first operation that fails is reached."""

    def __init__(self):
        self.at = 0

    def __call__(self):
        if not self.at:
            self.at = micropython.mem_total()


def measure(name, stage, device, meter):
    for ahead in (False, True, False, False):
        if ahead:
            stage.prepare()
        gc.collect()
        before = micropython.mem_total()
        stage.checkpoint()
        after = micropython.mem_total()
        assert after == before, "%s: checkpoint() allocated %d bytes" % (name, after - before)
        assert meter.end == meter.start, "%s: within the flush" % name
    micropython.heap_lock()
    try:
        stage.checkpoint()
        stage.prepare()
    finally:
        micropython.heap_unlock()


def goes_on(name, stage, device, answer, k):
    # Operation k fails, once: whether it was reached. What the device raises has its traceback.
    device.ops = 0
    device.for_good = False
    device.answer = answer
    gc.collect()
    device.fail_at = k
    before = micropython.mem_total()
    stage.checkpoint()
    after = micropython.mem_total()
    device.fail_at = 0
    assert after == before or isinstance(answer, Exception), "%s: %d bytes to go on from %d" % (
        name,
        after - before,
        k,
    )
    return device.ops >= k


def measure_failing(name, stage, device):
    # Every operation of two checkpoints (one erases) fails, once and for good, in each way a
    # device answers.
    probe = Probe()
    failures = 0
    for answer in (-5, False, 1, OSError(5)):
        k = 1
        while goes_on(name, stage, device, answer, k):
            device.probe = probe
            device.for_good = True
            device.ops = 0
            gc.collect()
            probe.at = 0
            device.fail_at = k
            before = micropython.mem_total()
            reason = None
            try:
                stage.checkpoint()
            except CheckpointFailed as e:
                reason = e.reason
            device.fail_at = 0
            if reason is None:
                k += 1  # this one had no such operation: the checkpoint before it erased
                continue
            assert probe.at == before, "%s: %d bytes before failure %d" % (
                name,
                probe.at - before,
                k,
            )
            failures += 1
            # With no heap at all it is still the same error with the same reason.
            device.fail_at = k
            device.ops = 0
            micropython.heap_lock()
            locked = None
            try:
                stage.checkpoint()
            except CheckpointFailed as e:
                locked = e
            finally:
                micropython.heap_unlock()
            device.fail_at = 0
            if locked is not None:
                assert locked.reason in ("erase", "program", "sync"), locked.reason
            k += 1
    device.probe = None
    assert failures >= 4 * 4, failures
    return failures


def one(name, state, schema, unit=4096):
    device = Nor(12, unit)
    meter = Meter()
    manager = PreemptionManager()
    lease = BlockLease(device, 0, 12, (1 << 128) - 3)
    stage = CheckpointedStageState.with_observer(
        state,
        lease,
        (1 << 128) - 3,
        Observers(PreemptionCheckpointObserver(manager), meter),
        schema,
        capacity=8000,
    )
    measure(name, stage, device, meter)
    failures = measure_failing(name, stage, device)
    # A lie that only the read-back finds: the raise comes from the comparison.
    stage.into_block_lease().release()
    print("%s: 0 bytes; %d failing checkpoints: 0 bytes before the failure" % (name, failures))


one("raw bytearray", bytearray(6000), None)
one("raw array", array("H", range(3000)), None)
one("raw memoryview", memoryview(bytearray(700)), None)
one("dict state", record(), SCHEMA)
one("object state", Attributes(record()), SCHEMA)
one("[u8;N] with a schema", bytearray(5000), "[u8;5000]")
print("ok")
