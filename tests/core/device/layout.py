"""Every slot is a plain image too: read with nothing but struct and a block size."""

import struct

from check import run
from edgeckpt import BlockLease, CheckpointedStageState
from edgeckpt.lease import live
from nor_device import Nor, Ram

SCHEMA = "{count:u32,blob:bytes}"


def plain(data, at, block_size):
    """The state behind the plain header at byte `at`: 16 bytes are read, then blocks 1..N."""
    magic, version, length = struct.unpack("<4sIQ", data[at : at + 16])
    assert magic == b"CKPT" and version == 1, (magic, version)
    blocks = (length + block_size - 1) // block_size
    start = at + block_size
    rest = data[start + length : start + blocks * block_size]
    assert all(b == 0xFF for b in rest)  # what is left of the last block stays erased
    return bytes(data[start : start + length])


def slots_of(stage, device, block_size):
    ring = stage._ring
    for sequence, slot in stage.history():
        yield sequence, plain(device.data, ring.first_block(slot) * block_size, block_size)


def test_raw_states():
    for size in (1, 255, 256, 257, 1000, 5000):
        for device, block_size, n in ((Nor(8), 256, 8), (Nor(8), 512, 8), (Ram(128), 512, 128)):
            lease = BlockLease(device, 0, n, 1, block_size=block_size)
            stage = CheckpointedStageState(bytearray(size), lease)
            for i in range(30):
                stage.state[0] = i
                stage.state[-1] = i
                stage.checkpoint()
            count = 0
            for sequence, data in slots_of(stage, device, block_size):
                assert len(data) == size and data[0] == data[-1] == sequence - 1
                count += 1
            assert count >= 2
            stage.into_block_lease().release()


def test_struct_states():
    for size in (0, 5, 250, 251, 252, 253, 300, 3000):
        device = Nor(8)
        state = {"count": 7, "blob": bytes(range(256)) * 12}
        state["blob"] = state["blob"][:size]
        stage = CheckpointedStageState(state, BlockLease(device, 0, 8, 1), SCHEMA)
        for _ in range(5):
            stage.checkpoint()
        for _, data in slots_of(stage, device, 256):
            length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
            assert data == b"\x07" + length + state["blob"]
        stage.into_block_lease().release()


def test_the_extension():
    device = Nor(8)
    stage = CheckpointedStageState(
        {"count": 300, "blob": b"xyz"}, BlockLease(device, 2, 4, 0x0102), SCHEMA, capacity=400
    )
    stage.checkpoint()
    stage.checkpoint()
    at = 3 * 4096  # the first slot of the second unit
    h = device.data[at : at + 256]
    assert struct.unpack("<4sIQI", h[:20]) == (b"CKPT", 1, 6, 2)
    assert h[24:40] == b"\x02\x01" + bytes(14)
    text = SCHEMA.encode()
    assert struct.unpack("<HHBBHII", h[44:60]) == (len(text), 0, 1, 8, 5, 64, 3)
    assert bytes(h[64 : 64 + len(text)]) == text
    assert all(b == 0xFF for b in h[64 + len(text) :])
    from binascii import crc32

    crcs = struct.unpack("<I", h[20:24]) + struct.unpack("<I", h[40:44])
    assert crcs == (crc32(b"\xac\x02\x03xyz"), crc32(text))
    assert struct.unpack("<I", h[60:64])[0] == crc32(text, crc32(h[:60]))
    stage.into_block_lease().release()


run(globals())
assert not live
