"""What a checkpoint costs on a chip, beside a file of littlefs: one run on MicroPython.

    cost.py json | table

Both write to the same chip model (boards/models/nor.py: page program 0.7 ms, erase 45 ms, the
typical times of the W25Q128JV, 9.6; 16 erase units of 4 KiB, or 64 for the large state). Time is
model time of programs and erases; reads are counted beside it, in bytes, and as time at 25 MB/s
(a quad-I/O chip at 50 MHz). "raw" is the bare device time of a slot: its pages programmed, and
the units that it lies in erased.
"""

import json
import sys

import vfs
from edgeckpt import BlockLease, CheckpointedStageState

from boards.models.nor import NorChip

SIZES = (64, 1024, 4000, 65536)
PAGE_MS = 0.7
ERASE_MS = 45
READ_NS = 40  # a byte


class Meter:
    """Cost of one write after the other on `chip`."""

    def __init__(self, name, size, chip):
        self.name = name
        self.size = size
        self.chip = chip
        self.count = 0
        self.total = self.worst = 0
        self.bytes = self.erases = self.read = 0
        self.wear = list(chip.wear)

    def measure(self, write):
        c = self.chip
        us, read, programmed, erases = c.us, c.read_bytes, c.programmed, c.erases
        write()
        us = c.us - us
        self.count += 1
        self.total += us
        self.worst = max(self.worst, us)
        self.bytes += c.programmed - programmed
        self.erases += c.erases - erases
        self.read += c.read_bytes - read

    def row(self):
        worn = [n - before for n, before in zip(self.chip.wear, self.wear)]
        return {
            "who": self.name,
            "state": self.size,
            "writes": self.count,
            "mean_ms": self.total / self.count / 1000,
            "worst_ms": self.worst / 1000,
            "programmed": self.bytes / self.count,
            "amplification": self.bytes / self.count / self.size,
            "erases": self.erases / self.count,
            "read": self.read / self.count,
            "read_ms": self.read / self.count * READ_NS / 1e6,
            "raw_ms": raw_ms(self.size),
            "wear_spread": max(worn) - min(worn),
        }


def raw_ms(size):
    """Device time of a slot of `size` bytes of state: a header page, the data pages, its units."""
    pages = 1 + (size + 255) // 256
    return pages * PAGE_MS + (pages + 15) // 16 * ERASE_MS


def content(size, n):
    return bytes([(n * 37 + i * 11 + (i >> 8)) & 0xFF for i in range(256)]) * (size // 256 + 1)


def ours(size, units, count, ahead):
    chip = NorChip(units * 4096, once=True)
    lease = BlockLease(chip, 0, units, 1)
    state = bytearray(size)
    stage = CheckpointedStageState(state, lease)
    stage.checkpoint()  # the first in the life of a lease erases twice, and tries the device
    meter = Meter("edgeckpt, prepared" if ahead else "edgeckpt", size, chip)
    for n in range(count):
        state[:] = content(size, n)[:size]
        if ahead:
            stage.prepare()  # in idle time, not measured: its erases are those of the row above
        meter.measure(stage.checkpoint)
    stage.into_block_lease().release()
    return meter.row()


def littlefs(size, units, count, rename):
    chip = NorChip(units * 4096)
    vfs.VfsLfs2.mkfs(chip, progsize=256, readsize=32, lookahead=32)
    fs = vfs.VfsLfs2(chip, progsize=256, readsize=32, lookahead=32)
    name = "littlefs, temp + rename" if rename else "littlefs, overwrite"
    meter = Meter(name, size, chip)

    def write():
        with fs.open("new" if rename else "state", "wb") as f:
            f.write(data)
        if rename:
            fs.rename("new", "state")

    for n in range(count):
        data = content(size, n)[:size]
        meter.measure(write)
    return meter.row()


def rows(count):
    found = []
    for size in SIZES:
        units = 64 if size > 16000 else 16
        times = count // 8 if size > 16000 else count
        found.append(ours(size, units, times, False))
        found.append(ours(size, units, times, True))
        found.append(littlefs(size, units, times, False))
        found.append(littlefs(size, units, times, True))
    return found


def table(found):
    print(
        "          state  mean ms  worst ms  programmed B  (x state)  erases    read B  + read ms"
    )
    for r in found:
        print(
            "%-24s %6d %8.2f %9.2f %13.0f %10.2f %7.3f %9.0f %10.3f"
            % (
                r["who"],
                r["state"],
                r["mean_ms"],
                r["worst_ms"],
                r["programmed"],
                r["amplification"],
                r["erases"],
                r["read"],
                r["read_ms"],
            )
        )


found = rows(int(sys.argv[2]) if len(sys.argv) > 2 else 400)
if sys.argv[1] == "json":
    print(json.dumps(found))
else:
    table(found)
