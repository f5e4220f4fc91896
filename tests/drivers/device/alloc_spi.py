"""Reads, writes, erases and waits of the drivers allocate nothing. MicroPython only.

What passes on the bus is recorded over the model, and played back from a tape that allocates
nothing itself, so that every byte counted is the driver's. Detectors: `mem_total` (it sees frames
that did not fit the stack too), `heap_lock`; on a 64-bit and on a 32-bit build.
"""

import gc

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import micropython
import rig
from edgeckpt.drivers import adapters
from edgeckpt.drivers.spifram import SPIFRAM

from boards.models import w25q
from boards.models.fram import Fram
from boards.models.spi import Clock, Tape


def replay(name, r, driver, work):
    """Record `work(device)`, then do the same from the tape: once measured, once heap-locked."""
    log = r.bus.log = []
    device = r.start()
    start = len(log)
    steps = work(device)
    for step in steps:
        step()
    r.bus.log = None
    for locked in (False, True):
        tape = Tape(log)
        device = driver(tape, Tape.Pin(), clock=Clock(), **r.options)
        assert tape.at == start, "the start of the driver took another path"
        steps = work(device)
        for i in range(len(steps)):
            step = steps[i]
            gc.collect()
            if locked:
                micropython.heap_lock()
                try:
                    step()
                finally:
                    micropython.heap_unlock()
            else:
                before = micropython.mem_total()
                step()
                n = micropython.mem_total() - before
                assert n == 0, "%s: step %d allocated %d bytes" % (name, i, n)
        assert tape.left == 0, "%d records were not played" % tape.left
    print("%s: %d steps, %d records: 0 bytes" % (name, len(steps), len(log) - start))


PAGE = rig.pattern(256, 1)
UNIT = rig.pattern(4096, 2)
SECTOR = rig.pattern(512, 3)
RUN = rig.pattern(8192, 4)
BACK = {n: bytearray(n) for n in (256, 512, 4096, 8192)}
VIEW = memoryview(UNIT)[512:1024]
BACK_VIEW = memoryview(bytearray(4096))[256:2304]


def on_nor(d):
    return [
        lambda: d.ioctl(6, 1),
        lambda: d.writeblocks(1, PAGE, 0),
        lambda: d.writeblocks(1, VIEW, 256),
        lambda: d.writeblocks(1, PAGE, 1000),
        lambda: d.readblocks(1, BACK[256], 0),
        lambda: d.readblocks(1, BACK_VIEW, 16),
        lambda: d.writeblocks(2, UNIT),
        lambda: d.readblocks(2, BACK[4096]),
        lambda: d.erase_range(3, 13),  # 4 KiB at a time, then 32
        lambda: d.ioctl(3, 0),
        lambda: d.ioctl(4, 0),
        lambda: d.ioctl(5, 0),
    ]


def on_sd(d):
    return [
        lambda: d.writeblocks(5, SECTOR),
        lambda: d.readblocks(5, BACK[512]),
        lambda: d.writeblocks(6, VIEW),
        lambda: d.writeblocks(64, RUN),
        lambda: d.readblocks(64, BACK[8192]),
        lambda: d.readblocks(63, BACK_VIEW),
        lambda: d.ioctl(3, 0),
        lambda: d.ioctl(4, 0),
        lambda: d.ioctl(5, 0),
    ]


print("edgeckpt", edgeckpt.__version__)
nor = rig.SPINor
replay("SPINor", rig.nor(), nor, on_nor)
replay("SPINor, slow chip", rig.nor(times=(2900, 399_000, 1, 1, 1)), nor, on_nor)
replay("SPINor, 32 MiB", rig.nor(1 << 25, jedec=b"\xef\x40\x19", base=0), nor, on_nor)
tables = w25q.sfdp_tables(1 << 25, (700, 45_000, 120_000, 150_000, 1), bait=False)
r = rig.nor(1 << 25, jedec=b"\xef\x40\x19", base=0, sfdp=tables, four_ops=False)
replay("SPINor, 32 MiB in 4-byte mode", r, nor, on_nor)
replay("SPINor, fast read", rig.nor(driver={"fast_read": True}), nor, on_nor)
for family, maker in (("micron", b"\x20\xba"), ("macronix", b"\xc2\x20"), ("spansion", b"\1\2")):
    r = rig.nor(family=family, jedec=maker + b"\x12")
    replay("SPINor, " + family, r, nor, on_nor)
r = rig.nor()
start = r.start


def with_retries():
    d = start()
    r.chip.no_wel = 3
    return d


r.start = with_retries
replay("SPINor, 3 write enables missed", r, nor, on_nor)

sd = rig.SDCard
for kind, sectors, ncr in (("sdhc", 2048, 1), ("sdsc", 2048, 3), ("v1", 2000, 8)):
    replay("SDCard, " + kind, rig.sd(sectors, kind=kind, ncr=ncr), sd, on_sd)
replay("SDCard, slow card", rig.sd(times=(95_000, 400_000, 9)), sd, on_sd)
replay("SDCard, no CRC", rig.sd(driver={"crc": False}), sd, on_sd)
for name in ("crc_read_every", "crc_write_every", "crc_command_every"):
    r = rig.sd()
    setattr(r.chip, name, 4)
    replay("SDCard, " + name, r, sd, on_sd)


def on_fram(d):
    return [
        lambda: d.writeblocks(5, PAGE),
        lambda: d.readblocks(5, BACK[256]),
        lambda: d.writeblocks(8, UNIT),
        lambda: d.readblocks(8, BACK[4096]),
        lambda: d.ioctl(3, 0),
    ]


for kind, page in (("fram", 0), ("eeprom", 64)):
    r = rig.Rig(lambda c: Fram(32768, c, kind=kind, page=page), SPIFRAM, {"size": 32768})  # noqa: B023
    r.options["page"] = page
    replay("SPIFRAM, " + kind, r, SPIFRAM, on_fram)


class Plain:
    """A device of one erase unit that allocates nothing and answers `answer`."""

    def __init__(self, answer):
        self.answer = answer

    def readblocks(self, n, buf, off=0):
        return self.answer

    def writeblocks(self, n, buf, off=0):
        return self.answer

    def ioctl(self, op, arg):
        return 4096 if op == 5 or op == 4 else self.answer


def on_adapter(a):
    n = 4096
    return [
        lambda: a.writeblocks(1, UNIT),
        lambda: a.readblocks(1, BACK[n]),
        lambda: a.ioctl(3, 0),
        lambda: a.ioctl(5, 0),
    ]


def measure(adapter):
    steps = on_adapter(adapter)
    if isinstance(adapter, adapters.Flash):
        steps.append(lambda: adapter.writeblocks(1, PAGE, 256))
        steps.append(lambda: adapter.ioctl(6, 1))
    for step in steps:
        step()
    gc.collect()
    micropython.heap_lock()
    before = micropython.mem_total()
    for step in steps:
        step()
    n = micropython.mem_total() - before
    micropython.heap_unlock()
    assert n == 0, "an adapter allocated %d bytes" % n


for answer in (None, 0, True):
    for kind in (adapters.Flash, adapters.Disk, lambda d, name: adapters.Rows(d, name, 256)):
        adapter = kind(Plain(answer), "plain")
        adapter.trusted = True
        measure(adapter)
print("adapters: 0 bytes")
print("ok")
