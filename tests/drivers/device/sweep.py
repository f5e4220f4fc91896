"""Power cuts under real checkpoints, through the real drivers, on the SPI-level chip models, and
through the adapters, over models of what each port has.

    sweep.py nor|nor32k|sd SEED CUTS [verbose]
    sweep.py rp2|esp32|mimxrt|pyb|samd21|samd51|esp32sd|mimxrtsd SEED CUTS [verbose]

Chains of cuts: the medium stays as each cut left it, the next life starts from there. The cut
comes before, in or after a program, erase or block write, torn in every way the model knows, or
between two bytes on the bus. After each: restore() must give a state that was passed to a
checkpoint() no older than the last one that returned; the checkpoint after it must work; nothing
outside the lease may have changed. Where the card damages a committed sector ("unrelated"), a
clear error is right too, or the state before; fallback may only give what was once passed.
"""

import sys

import edgeckpt
import edgeckpt.lease
import rig
from edgeckpt.drivers import adapters

from boards.models import faults, ports, ram, sdspi
from boards.models.nor import NorChip, PowerCut

CHAIN = 50
LEASE = 0x1234_5678_9ABC_DEF0_0123
counts = {}
stats = {"checkpoints": 0, "newer": 0, "older": 0, "errors": 0}


def state(counter, size):
    """The state of that number: no two share a byte range by chance."""
    x = counter * 0x9E3779 + size
    word = bytes((counter & 0xFF, counter >> 8 & 0xFF, x & 0xFF, x >> 8 & 0xFF, x >> 16 & 0xFF))
    return (word * (size // 5 + 1))[:size]


class Nor:
    SIZES = (120, 200, 700, 1200, 4200)
    START, COUNT = 2, 8

    def __init__(self, dice):
        self.rig = rig.nor(1 << 16)
        self.medium = self.rig.array
        self.medium.put(1 * 4096, rig.pattern(4096, 7))
        self.medium.put(10 * 4096, rig.pattern(4096, 8))
        self.medium.fence = (self.START * 4096, (self.START + self.COUNT) * 4096)
        self.outside = self.around()

    def around(self):
        return bytes(self.medium.data[: 2 * 4096]), bytes(self.medium.data[10 * 4096 :])

    def cut(self, dice, size):
        blocks = (size + 255) // 256 + 1
        op = self.medium.ops + 1 + dice.below(blocks * 2 + 1)
        return faults.Cut(op, dice.pick(faults.PROGRAM_CUTS), dice.pick(faults.ERASE_CUTS), dice)

    def kind(self):
        words = self.medium.faults.done.split()
        return words[0] + " " + words[2]

    def intact(self):
        assert self.around() == self.outside, "bytes outside the lease changed"
        assert not self.medium.violations, self.medium.violations
        assert not self.medium.over and not self.medium.again

    def damaged(self):
        return False


class BigNor(Nor):
    """Slots of 8 units: erases of 32 KiB, of which a cut leaves each unit as it likes."""

    SIZES = (30_000, 32_512)
    START, COUNT = 8, 32

    def __init__(self, dice):
        self.rig = rig.nor(1 << 18)
        self.medium = self.rig.array
        self.medium.fence = (self.START * 4096, (self.START + self.COUNT) * 4096)
        self.outside = self.around()

    def around(self):
        data = self.medium.data
        return bytes(data[: self.START * 4096]), bytes(data[(self.START + self.COUNT) * 4096 :])

    def cut(self, dice, size):
        if dice.below(2):
            return super().cut(dice, size)
        op = self.medium.ops + 1  # the erase
        return faults.Cut(op, dice.pick(faults.PROGRAM_CUTS), dice.pick(faults.ERASE_CUTS), dice)


class Sd:
    SIZES = (100, 500, 1000, 1400, 4000)
    START, COUNT = 16, 80

    def __init__(self, dice):
        self.rig = rig.sd(1024, times=(100, 500, 2000), disk=ram.SectorDisk(1024))
        self.medium = self.rig.disk
        self.medium.fence = (self.START, self.START + self.COUNT)
        self.outside = self.around()
        self.unrelated = False

    def around(self):
        data = self.medium.data
        return bytes(data[: self.START * 512]), bytes(data[(self.START + self.COUNT) * 512 :])

    def cut(self, dice, size):
        blocks = (size + 511) // 512 + 1
        op = self.medium.ops + 1 + dice.below(blocks * 2)
        self.unrelated = dice.below(8) == 0
        if self.unrelated:
            # Near the sector that is written, so that copies in the lease are hit too.
            return Near(op, dice.pick(ram.UNRELATED_CUTS), dice, self)
        if dice.below(8) == 0:
            return sdspi.RunCut(self.rig.chip, op, dice.pick(ram.SECTOR_CUTS), dice)
        return ram.SectorCut(op, dice.pick(ram.SECTOR_CUTS), dice)

    def kind(self):
        return "sector" + self.medium.faults.done.split(" ", 2)[2].replace("of a run,", " run")

    def intact(self):
        assert self.around() == self.outside, "sectors outside the lease changed"
        assert not self.medium.violations, self.medium.violations

    def damaged(self):
        return self.unrelated


class Near(ram.SectorCut):
    """An unrelated sector of the lease is damaged, not one anywhere on the card."""

    def __init__(self, op, mode, dice, medium):
        super().__init__(op, mode, dice)
        self.first = medium.START
        self.count = medium.COUNT

    def _tear(self, disk, n, data):
        other = self.first + self.dice.below(self.count)
        if other != n:
            ram.cut_sector(disk, other, b"", self.mode[10:], self.dice)
        ram.cut_sector(disk, n, data, self.dice.pick(("none", "mixed", "all")), self.dice)
        return "sector %d %s" % (n, self.mode)


class Port:
    """Stands in for a rig: an object of a port behind its adapter, over its medium."""

    def __init__(self, medium, make, adapt, start, count):
        self.medium = medium
        self.make = make
        self.adapt = adapt
        self.bus = None
        self.chip = None
        self.adapt(self.make(medium)).probe(start, count)

    def restart(self):
        self.medium.power_on()
        device = self.adapt(self.make(self.medium))
        device.trusted = True  # a lease in use has no blank block to prove it on
        return device


class PortNor(Nor):
    def __init__(self, dice, make, adapt):
        self.medium = NorChip(1 << 16)
        self.medium.put(1 * 4096, rig.pattern(4096, 7))
        self.medium.put(10 * 4096, rig.pattern(4096, 8))
        self.medium.fence = (self.START * 4096, (self.START + self.COUNT) * 4096)
        self.rig = Port(self.medium, make, adapt, self.START, self.COUNT)
        self.medium.over = self.medium.again = 0  # the probe programs a page twice
        self.outside = self.around()


class PortDisk(Sd):
    def __init__(self, dice, make, adapt, size):
        self.size = size
        self.kinds = ram.SECTOR_CUTS
        if adapt is adapters.samd:  # flash of an MCU: always readable
            self.kinds = [kind for kind in ram.SECTOR_CUTS if kind != "unreadable"]
        self.medium = ram.SectorDisk(96 if size < 8192 else 36, size)
        self.COUNT = 80 if size < 8192 else 20
        self.medium.fence = (self.START, self.START + self.COUNT)
        self.rig = Port(self.medium, make, adapt, self.START, self.COUNT)
        self.outside = self.around()
        self.unrelated = False

    def around(self):
        data, size = self.medium.data, self.medium.size
        return bytes(data[: self.START * size]), bytes(data[(self.START + self.COUNT) * size :])

    def cut(self, dice, size):
        blocks = (size + self.size - 1) // self.size + 1
        op = self.medium.ops + 1 + dice.below(blocks * 2)
        return ram.SectorCut(op, dice.pick(self.kinds), dice)


def on_port(kind, *more):
    return lambda dice: kind(dice, *more)


KINDS = {
    "nor": Nor,
    "nor32k": BigNor,
    "sd": Sd,
    "rp2": on_port(PortNor, ports.Rp2Flash, adapters.rp2),
    "esp32": on_port(PortNor, ports.Esp32Partition, adapters.esp32),
    "mimxrt": on_port(PortNor, ports.MimxrtFlash, adapters.mimxrt),
    "pyb": on_port(PortNor, ports.PybFlash, adapters.pyb),
    "samd21": on_port(PortDisk, lambda d: ports.SamdFlash(d, 1536), adapters.samd, 256),
    "samd51": on_port(PortDisk, lambda d: ports.SamdFlash(d, 8192), adapters.samd, 8192),
    "esp32sd": on_port(PortDisk, ports.Esp32SDCard, adapters.card, 512),
    "mimxrtsd": on_port(PortDisk, ports.MimxrtSDCard, adapters.card, 512),
}


class Chain:
    """One medium and its lives. `durable`: number of the last checkpoint that returned."""

    def __init__(self, kind, seed, verbose):
        self.dice = faults.Dice(seed)
        self.medium = kind(self.dice)
        self.rig = self.medium.rig
        self.size = self.dice.pick(self.medium.SIZES)
        self.verbose = verbose
        self.durable = self.passed = 0
        self.stage = None

    def lease(self):
        del edgeckpt.lease.live[:]
        device = self.rig.restart()
        return edgeckpt.BlockLease(device, self.medium.START, self.medium.COUNT, LEASE)

    def restore(self):
        lease = self.lease()
        try:
            self.stage = edgeckpt.CheckpointedStageState.restore(lease)
        except edgeckpt.RestoreFailed as e:
            if not self.durable and e.reason in ("none", "header"):
                self.begin(lease)
                return
            if not self.medium.damaged() or e.reason not in ("data", "header", "read", "none"):
                raise AssertionError("restore: %s (%s)" % (e, e.reason)) from e
            stats["errors"] += 1
            self.fall_back(lease)
            return
        # A committed header that the card damaged is a header that was never written: only its
        # CRC made it a commit. Then the state before it is given, as it would be after a cut.
        self.check(0 if self.medium.damaged() else self.durable)

    def check(self, oldest):
        s = self.stage.state
        n = s[0] | s[1] << 8
        assert bytes(s) == state(n, self.size), "a state that was never passed"
        assert oldest <= n <= self.passed, "state %d, expected %d..%d" % (n, oldest, self.passed)
        stats["newer"] += n > self.durable
        stats["older"] += n < self.durable
        self.durable = n

    def fall_back(self, lease):
        try:
            self.stage = edgeckpt.CheckpointedStageState.restore(lease, fallback=True)
            self.durable = 0
            self.check(0)
        except edgeckpt.RestoreFailed:
            # All copies are gone: the medium is made anew.
            self.medium.medium.restore((bytes(512 * 1024), ()))
            self.durable = 0
            self.begin(self.lease())

    def begin(self, lease):
        self.stage = edgeckpt.CheckpointedStageState(bytearray(self.size), lease)

    def live(self):
        """Checkpoints until the power fails. A first one, uncut, proves that the ring goes on."""
        self.step()
        bus, medium = self.rig.bus, self.medium.medium
        if self.dice.below(8) or bus is None:
            medium.faults = self.medium.cut(self.dice, self.size)
        else:
            bus.cut_after = bus.bytes + self.dice.below(6 * self.size + 2000)
        try:
            while True:
                self.step()
        except PowerCut as cut:
            name = self.medium.kind() if medium.faults is not None else "between bytes"
            if self.verbose:
                print("%d durable, %d passed: cut %s: %s" % (self.durable, self.passed, cut, name))
        medium.faults = None
        if bus is not None:
            bus.cut_after = None
        counts[name] = counts.get(name, 0) + 1

    def step(self):
        self.passed += 1
        self.stage.state[:] = state(self.passed, self.size)
        if not self.dice.below(6):
            self.stage.prepare()
        self.stage.checkpoint()
        self.durable = self.passed
        stats["checkpoints"] += 1


def sweep(kind, seed, cuts, verbose):
    done = 0
    while done < cuts:
        chain = Chain(kind, seed, verbose)
        i = 0
        try:
            while i < CHAIN:
                chain.restore()
                chain.medium.intact()
                chain.live()
                i += 1
            chain.restore()
        except Exception:
            print("FAILED in life %d: sweep.py %s %d 1 verbose" % (i, sys.argv[1], seed))
            raise
        done += CHAIN
        seed += 1
    return done


def main():
    kind = KINDS[sys.argv[1]]
    seed = int(sys.argv[2])
    done = sweep(kind, seed, int(sys.argv[3]), len(sys.argv) > 4)
    for name in sorted(counts):
        print("%7d %s" % (counts[name], name))
    print(
        "ok %s: %d cuts, seed %d; %d checkpoints returned; restored: %d times the one in flight,"
        " after damage to a committed sector %d times the one before, %d times an error"
        % (
            sys.argv[1],
            done,
            seed,
            stats["checkpoints"],
            stats["newer"],
            stats["older"],
            stats["errors"],
        )
    )


main()
