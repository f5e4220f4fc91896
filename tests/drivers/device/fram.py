"""SPIFRAM over models of FRAM, MRAM and EEPROM: what it finds out, writes, refuses, power cuts."""

import sys

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import edgeckpt.lease
import rig
from edgeckpt.drivers.spifram import SPIFRAM

from boards.models.faults import Dice
from boards.models.fram import Fram
from boards.models.nor import PowerCut

EIO, ENODEV, EINVAL, EROFS, ETIMEDOUT = 5, 19, 22, 30, 110
CYPRESS = b"\x7f\x7f\x7f\x7f\x7f\x7f\xc2"
TIMES = 10 if "full" in sys.argv else 1


def chip(size, driver=None, **more):
    return rig.Rig(lambda clock: Fram(size, clock, **more), SPIFRAM, driver or {})


def check(r, d, n, blocks, seed):
    data = rig.pattern(blocks * d.block, seed)
    d.writeblocks(n, data)
    back = bytearray(blocks * d.block)
    d.readblocks(n, back)
    at = n * d.block
    assert back == data == r.chip.data[at : at + len(data)], (n, blocks)
    assert not r.chip.refused, r.chip.refused


def test_found_by_id():
    for size, ident in (
        (8192, b"\x04\x7f\x03\x02"), (32768, b"\x04\x7f\x05\x09"), (131072, b"\x04\x7f\x27\x03"),
        (262144, b"\x04\x7f\x28\x03"), (16384, CYPRESS + b"\x21\x00"),
        (131072, CYPRESS + b"\x24\x00"), (262144, CYPRESS + b"\x25\x08"),
    ):  # fmt: skip
        r = chip(size, ident=ident)
        d = r.start()
        assert d.size == size and d.ioctl(4, 0) == size // 256 and d.ioctl(5, 0) == 256
        check(r, d, 0, 1, 1)
        check(r, d, size // 256 - 3, 3, 2)


def test_mram_and_eeprom_are_told():
    r = chip(1 << 19, kind="mram")
    assert "size=" in rig.fails(ENODEV, r.start)
    d = r.start(size=1 << 19)
    check(r, d, 2047, 1, 3)
    for page, block in ((64, 256), (256, 256), (64, 128), (32, 512)):
        r = chip(1 << 15, kind="eeprom", page=page)
        d = r.start(size=1 << 15, page=page, block=block)
        check(r, d, 3, 5, page)
        check(r, d, d.ioctl(4, 0) - 1, 1, 4)


def test_what_is_refused():
    r = chip(8192, ident=b"\x04\x7f\x03\x02")
    for level in (0xFF, 0x00):
        r.chip.absent = level
        rig.fails(ENODEV, r.start)
        rig.fails(ENODEV, r.start, size=8192)
    r.chip.absent = None
    for wrong in ({"size": 5000}, {"size": 512}, {"block": 64}, {"page": 48}, {"size": -4}):
        rig.fails(EINVAL, r.start, **wrong)
    d = r.start()
    for n, size in ((32, 256), (31, 512), (-1, 256), (0, 100), (0, 0)):
        rig.fails(EINVAL, d.readblocks, n, bytearray(size))
        rig.fails(EINVAL, d.writeblocks, n, bytearray(size))
    r.chip.status |= 0x0C
    assert "0E" in rig.fails(EROFS, d.writeblocks, 0, bytearray(256))
    r.chip.status = 0
    r = chip(1 << 15, kind="eeprom", page=64)
    d = r.start(size=1 << 15, page=64)
    r.chip.stuck = True
    start = r.clock.us
    rig.fails(ETIMEDOUT, d.writeblocks, 0, bytearray(256))
    assert r.clock.us - start < 20_000


def value(n):
    return bytes((n & 255, n >> 8)) + rig.pattern(698, n & 7)


def test_power_cuts():
    for more, options in (
        ({"ident": b"\x04\x7f\x03\x02"}, {}),
        ({"kind": "eeprom", "page": 64}, {"size": 8192, "page": 64}),
    ):
        r = chip(8192, options, **more)
        dice = Dice(7)
        durable = n = 0
        for _ in range(60 * TIMES):
            del edgeckpt.lease.live[:]
            lease = edgeckpt.BlockLease(r.restart(), 0, 32, 9)
            if n:
                stage = edgeckpt.CheckpointedStageState.restore(lease)
                got = stage.state[0] | stage.state[1] << 8
                assert bytes(stage.state) == value(got), "a state that was never passed"
                assert durable <= got <= n, "state %d, expected %d..%d" % (got, durable, n)
                n = durable = got
            else:
                stage = edgeckpt.CheckpointedStageState(bytearray(700), lease)
            r.bus.cut_after = r.bus.bytes + 9000 + dice.below(6_000)
            try:
                while True:
                    n += 1
                    stage.state[:] = value(n)
                    stage.checkpoint()
                    durable = n
            except PowerCut:
                pass


print("edgeckpt", edgeckpt.__version__)
rig.run(globals())
