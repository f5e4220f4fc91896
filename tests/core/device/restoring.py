"""restore(): every cause has its own reason, and nothing on the medium changes."""

import struct
from binascii import crc32

from check import raises, run
from edgeckpt import (
    BlockLease,
    CheckpointedStageState,
    CheckpointFailed,
    RestoreFailed,
    SchemaError,
)
from edgeckpt.lease import live
from nor_device import Nor, Ram

ID = 0xABCD
SCHEMA = "{count:u32,name:str,gains:[f32;2]}"


def state(n):
    return {"count": n, "name": "stage %d" % n, "gains": [0.5, float(n)]}


def written(device, count=3, schema=SCHEMA, start=0, **options):
    """A device with `count` checkpoints; the stage has ended."""
    lease = BlockLease(device, start, 4, ID)
    first = state(0) if schema else bytearray(600)
    stage = CheckpointedStageState(first, lease, schema, **options)
    for i in range(count):
        if schema:
            stage.state = state(i)
        else:
            stage.state[0] = i
        stage.checkpoint()
    stage.into_block_lease().release()
    return device


def refused(device, reason, lease_id=ID, start=0, count=4, block_size=None, **options):
    before = bytes(device.data)
    lease = BlockLease(device, start, count, lease_id, block_size=block_size)
    e = raises(RestoreFailed, reason, CheckpointedStageState.restore, lease, **options)
    lease.release()  # still the caller's
    assert bytes(device.data) == before
    return e


def restored(device, **options):
    lease = BlockLease(device, 0, 4, ID)
    stage = CheckpointedStageState.restore(lease, **options)
    value = stage.state
    fell_back = stage.fell_back
    stage.into_block_lease().release()
    return value, fell_back


def test_the_newest_comes_back():
    assert restored(written(Nor(4))) == (state(2), False)
    assert restored(written(Nor(4)), schema=SCHEMA) == (state(2), False)
    assert restored(written(Nor(4), schema=None))[0][0] == 2


def test_none():
    refused(Nor(4), "none")
    junk = Nor(4)
    for i in range(len(junk.data)):
        junk.data[i] = i * 7 & 0xFF
    refused(junk, "none")
    refused(junk, "none", capacity=100)


def test_corrupt_header():
    for flip in (16, 24, 40, 60, 64):
        d = written(Nor(4), 1)
        d.data[flip] ^= 4
        assert restored(d) == (state(0), False)  # the CRC-32 tells which bit
        d.data[58] ^= 4
        refused(d, "header")


def test_a_first_checkpoint_that_was_cut():
    whole = bytes(written(Nor(4), 1, schema=None).data)
    for kept in range(0, 64):
        d = Nor(4)
        d.data[:] = whole
        # The header program was cut: its last bits are not yet 0.
        d.data[kept:256] = b"\xff" * (256 - kept)
        d.data[kept] = whole[kept] | 0x10
        if bytes(d.data[:64]) == whole[:64]:
            continue
        lease = BlockLease(d, 0, 4, ID)
        try:
            CheckpointedStageState.restore(lease)
            raise AssertionError(kept)
        except RestoreFailed as e:
            assert e.torn or e.reason == "none", (kept, e.reason)
        stage = CheckpointedStageState.resume(bytearray(600), lease)
        stage.checkpoint()
        assert stage.sequence == 1
        stage.into_block_lease().release()


def test_history_and_older():
    d = written(Nor(4), 5, capacity=200)
    stage = CheckpointedStageState.restore(BlockLease(d, 0, 4, ID))
    assert [n for n, _ in stage.history()] == [5, 4, 3, 2, 1]
    for n in range(1, 6):
        assert stage.older(n) == state(n - 1)
    raises(RestoreFailed, "none", stage.older, 6)
    stage.checkpoint()
    assert stage.older(6) == stage.state and stage.ring.erases == 1
    stage.into_block_lease().release()


def test_a_buffer_with_a_schema_comes_back_as_one():
    d = Nor(4)
    stage = CheckpointedStageState(bytearray(b"abcd"), BlockLease(d, 0, 4, ID), "[u8;4]")
    stage.checkpoint()
    stage.into_block_lease().release()
    value, _ = restored(d)
    assert value == b"abcd" and isinstance(value, bytearray)


def test_resume():
    d = Nor(4)
    for i in range(5):
        lease = BlockLease(d, 0, 4, ID)
        stage = CheckpointedStageState.resume(state(0), lease, SCHEMA)
        assert stage.state["count"] == i
        stage.state["count"] += 1
        stage.checkpoint()
        stage.into_block_lease().release()
    for at in range(0, len(d.data), 256):
        if d.data[at : at + 4] == b"CKPT" and d.data[at + 16] == 5:
            d.data[at + 256] ^= 1  # the data of the newest
    lease = BlockLease(d, 0, 4, ID)
    raises(RestoreFailed, "data", CheckpointedStageState.resume, state(0), lease, SCHEMA)
    lease.release()


def test_corrupt_data_and_fallback():
    d = written(Nor(4), 2, capacity=200)
    d.data[4096 + 256 + 3] ^= 0x40  # the second lies in another unit than the first
    e = refused(d, "data")
    assert e.where == 8 and e.got == 2
    assert restored(d, fallback=True) == (state(0), True)
    # The checkpoint after a fallback is newer than the corrupt one, and leaves the old alone.
    lease = BlockLease(d, 0, 4, ID)
    stage = CheckpointedStageState.restore(lease, fallback=True)
    stage.state = state(9)
    stage.checkpoint()
    assert stage.sequence == 3
    stage.into_block_lease().release()
    assert restored(d) == (state(9), False)


def test_another_version():
    d = written(Nor(4), 1)
    d.data[4] = 2
    refused(d, "version")
    d.data[60:64] = struct.pack("<I", crc32(d.data[64 : 64 + len(SCHEMA)], crc32(d.data[0:60])))
    assert refused(d, "version").got == 2


def test_another_lease_id_geometry_schema():
    d = written(Nor(8))
    e = refused(d, "lease-id", lease_id=ID + 1)
    assert "abcd" in e.got and "abce" in e.want
    refused(d, "geometry", count=8)
    refused(d, "geometry", block_size=512)
    refused(d, "geometry", capacity=600)
    e = refused(d, "schema", schema="{count:u16,name:str,gains:[f32;2]}")
    assert "u32" in e.got and "u16" in e.want
    wider = "{count:u64,name:str,gains:[f32;2]}"
    refused(d, "schema", schema=wider, migrate=False)
    assert restored(d, schema=wider)[0] == state(2)
    refused(d, "schema", schema="u8")
    refused(d, "none", start=4)


def test_a_schema_that_does_not_fit_the_header():
    long = "{" + ",".join("a_rather_long_field_name_%02d:u8" % i for i in range(20)) + "}"
    value = dict(("a_rather_long_field_name_%02d" % i, i) for i in range(20))
    d = Nor(4)
    stage = CheckpointedStageState(value, BlockLease(d, 0, 4, ID), long)
    stage.checkpoint()
    stage.into_block_lease().release()
    refused(d, "schema-missing")
    assert restored(d, schema=long)[0] == value


def forge(d, data, schema=SCHEMA, block=0):
    """Put `data` behind the header in `block` and make its CRCs right."""
    at = block * 256
    d.data[at + 256 : at + 256 + len(data)] = data
    struct.pack_into("<QII", d.data, at + 8, len(data), 1, crc32(data))
    text = schema.encode()
    c = crc32(text, crc32(d.data[at : at + 60]))
    d.data[at + 60 : at + 64] = struct.pack("<I", c)


def test_undecodable_and_trailing():
    d = written(Nor(4), 1)
    good = bytes(d.data[256 : 256 + 17])
    forge(d, good + b"\0")
    assert refused(d, "trailing").got == 1
    forge(d, good[:-1])
    refused(d, "decode")
    forge(d, b"\xff" * 16)
    refused(d, "decode")
    forge(d, good)
    assert restored(d)[0] == state(0)


def test_into():
    d = written(Nor(4), schema=None)
    buf = bytearray(600)
    value, _ = restored(d, into=buf)
    assert value is buf and buf[0] == 2
    refused(d, "geometry", into=bytearray(599))
    refused(d, "schema", schema=SCHEMA)


def test_constructor_refuses_foreign_checkpoints():
    d = written(Nor(8))
    before = bytes(d.data)
    lease = BlockLease(d, 0, 4, ID + 1)
    stage = CheckpointedStageState(state(0), lease, SCHEMA)
    raises(CheckpointFailed, "foreign", stage.checkpoint)
    raises(CheckpointFailed, "foreign", stage.prepare)
    assert bytes(d.data) == before
    lease = stage.into_block_lease()
    lease.wipe()
    stage = CheckpointedStageState(state(0), lease, SCHEMA)
    stage.checkpoint()
    stage.into_block_lease().release()


def test_plain_images():
    for device in (Nor(8), Ram(64)):
        size = 256 if isinstance(device, Nor) else 512
        data = bytes(range(200)) * 3
        lease = BlockLease(device, 0, 8, 1)
        image = bytearray(size)
        struct.pack_into("<4sIQ", image, 0, b"DURA", 7, len(data))
        image += data
        device.data[: len(image)] = image
        options = {"magic": b"DURA", "version": 7}
        raises(RestoreFailed, "plain", CheckpointedStageState.restore, lease, **options)
        stage = CheckpointedStageState(bytearray(600), lease, **options)
        raises(CheckpointFailed, "foreign", stage.checkpoint)
        lease = stage.into_block_lease()
        stage = CheckpointedStageState.restore(lease, plain=True, **options)
        assert stage.state == data
        stage.checkpoint()
        assert device.data[: len(image)] == image  # the plain image is left alone
        lease = stage.into_block_lease()
        stage = CheckpointedStageState.restore(lease, **options)
        assert stage.state == data and stage.sequence == 1
        stage.into_block_lease().release()


def test_states_that_do_not_encode_or_fit_touch_nothing():
    d = Nor(4)
    lease = BlockLease(d, 0, 4, ID)
    raises(SchemaError, "argument", CheckpointedStageState, {"a": 1}, lease)
    stage = CheckpointedStageState(state(1), lease, SCHEMA, capacity=100)
    for bad in ({"count": -1, "name": "", "gains": [0.0, 0.0]}, {"count": 1}, 5):
        stage.state = bad
        raises(CheckpointFailed, "state", stage.checkpoint)
    stage.state = state(1)
    stage.state["name"] = "x" * 300
    e = raises(CheckpointFailed, "too-large", stage.checkpoint)
    assert e.got == 311 and e.want == 256
    assert d.ops == 0
    stage.into_block_lease().release()


class Late(Nor):
    """A chip that reads 0xFF at first: until block 0 has been asked for `naps` times."""

    naps = 0

    def readblocks(self, n, buf, off=0):
        if not n and not off:
            self.naps -= 1
        if self.naps < 0:
            return super().readblocks(n, buf, off)
        buf[:] = b"\xff" * len(buf)


def test_a_new_start_only_after_a_second_look():
    # The lease asks once whether offsets are understood; then the first block is read alone,
    # with all others, and once more.
    for naps, found in ((0, True), (3, True), (4, False)):
        d = written(Late(4))
        d.naps = naps
        stage = CheckpointedStageState.resume(state(9), BlockLease(d, 0, 4, ID), SCHEMA)
        assert stage.state == state(2 if found else 9), naps
        assert stage.sequence == (3 if found else 0), naps
        stage.into_block_lease().release()


def test_the_last_sequence():
    d = written(Nor(4), 1, capacity=200)
    struct.pack_into("<I", d.data, 16, 0x3FFFFFFF)
    d.data[60:64] = struct.pack("<I", crc32(d.data[64 : 64 + len(SCHEMA)], crc32(d.data[0:60])))
    stage = CheckpointedStageState.restore(BlockLease(d, 0, 4, ID))
    raises(CheckpointFailed, "exhausted", stage.checkpoint)
    stage.into_block_lease().release()
    assert restored(d)[0] == state(0)


run(globals())
assert not live
