"""Power cuts under real checkpoints, through the real drivers, on the SPI-level chip models.

    sweep.py nor|sd SEED CUTS [verbose]

Chains of cuts: the medium stays as each cut left it, the next life starts from there. The cut
comes before, in or after a program, erase or block write, torn in every way the model knows, or
between two bytes on the bus. After each: restore() must give a state that was passed to a
checkpoint() no older than the last one that returned; the checkpoint after it must work; nothing
outside the lease may have changed. Where a model damages a committed sector ("neighbour", which
SD cards do), a clear error is right too, and fallback may only give what was once passed.
"""

import sys

import edgeckpt
import edgeckpt.lease
import rig

from boards.models import sdspi, w25q
from boards.models.spi import Dice, PowerCut

CHAIN = 50
BEFORE = bytes(rig.pattern(16 * 512, 9))
LEASE = 0x1234_5678_9ABC_DEF0_0123
counts = {}
stats = {"checkpoints": 0, "restored newer": 0, "errors on damage": 0, "programs": 0, "erases": 0}


def state(counter, size):
    """The state of that number: no two share a byte range by chance."""
    x = counter * 0x9E3779 + size
    word = bytes((counter & 0xFF, counter >> 8 & 0xFF, x & 0xFF, x >> 8 & 0xFF, x >> 16 & 0xFF))
    return (word * (size // 5 + 1))[:size]


class Nor:
    SIZES = (120, 200, 700, 1200, 4200)
    START, COUNT = 2, 8

    def __init__(self, dice):
        self.rig = rig.nor(1 << 16, seed=dice.below(1 << 20))
        self.chip = self.rig.chip
        self.outside = {1: rig.pattern(4096, 7), 10: rig.pattern(4096, 8)}
        for unit in self.outside:
            self.chip.load(unit * 4096, self.outside[unit])

    def arm(self, dice, size):
        blocks = (size + 255) // 256 + 1
        self.chip.cut_at = self.chip.ops + 1 + dice.below(blocks * 2 + 1)
        self.chip.cut_when = ("before", "in", "in", "in", "in", "after")[dice.below(6)]
        self.chip.cut_program = w25q.CUT_PROGRAM[dice.below(len(w25q.CUT_PROGRAM))]
        self.chip.cut_erase = w25q.CUT_ERASE[dice.below(len(w25q.CUT_ERASE))]

    def intact(self):
        for unit in self.outside:
            assert self.chip.sectors[unit] == self.outside[unit], "unit %d changed" % unit
        assert not self.chip.over, "%d bytes were programmed over" % self.chip.over

    def damaged(self):
        return False


class Sd:
    SIZES = (100, 500, 1000, 1400, 4000)
    START, COUNT = 16, 80

    def __init__(self, dice):
        self.rig = rig.sd(1024, seed=dice.below(1 << 20), times=(100, 500, 2000))
        self.chip = self.rig.chip
        self.chip.load(0, BEFORE)
        self.chip.damaged = -1

    def arm(self, dice, size):
        blocks = (size + 511) // 512 + 1
        self.chip.cut_at = self.chip.ops + 1 + dice.below(blocks * 2)
        self.chip.cut_when = ("before", "in", "in", "in", "in", "after")[dice.below(6)]
        self.chip.cut_kind = sdspi.CUT_KINDS[dice.below(len(sdspi.CUT_KINDS))]
        self.chip.damaged = -1

    def intact(self):
        if self.chip.damaged < 16:
            self.chip.load(0, BEFORE)
        for lba in range(16):
            assert self.chip.blocks[lba] == BEFORE[lba * 512 : lba * 512 + 512], lba
        last = self.START + self.COUNT
        for lba in self.chip.blocks:
            assert lba < last or lba == self.chip.damaged, "sector %d was written" % lba
        if self.chip.damaged >= last:
            self.chip.blocks.pop(self.chip.damaged)
        self.chip.damaged = -1

    def damaged(self):
        return self.START <= self.chip.damaged < self.START + self.COUNT


class Chain:
    """One medium and its lives. `durable`: number of the last checkpoint that returned."""

    def __init__(self, kind, seed, verbose):
        self.dice = Dice(seed)
        self.medium = kind(self.dice)
        self.rig = self.medium.rig
        self.size = kind.SIZES[self.dice.below(len(kind.SIZES))]
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
            stats["errors on damage"] += 1
            self.fall_back(lease)
            return
        self.check(self.durable)

    def check(self, oldest):
        s = self.stage.state
        n = s[0] | s[1] << 8
        assert bytes(s) == state(n, self.size), "a state that was never passed"
        assert oldest <= n <= self.passed, "state %d, expected %d..%d" % (n, oldest, self.passed)
        stats["restored newer"] += n > self.durable
        self.durable = n

    def fall_back(self, lease):
        try:
            self.stage = edgeckpt.CheckpointedStageState.restore(lease, fallback=True)
            self.durable = 0
            self.check(0)
        except edgeckpt.RestoreFailed:
            # All copies are gone: the medium is made anew.
            self.rig.chip.blocks = {}
            self.rig.chip.load(0, BEFORE)
            self.durable = 0
            self.begin(self.lease())

    def begin(self, lease):
        self.stage = edgeckpt.CheckpointedStageState(bytearray(self.size), lease)

    def live(self):
        """Checkpoints until the power fails. A first one, uncut, proves that the ring goes on."""
        self.step()
        if self.dice.below(8):
            self.medium.arm(self.dice, self.size)
        else:
            self.rig.bus.cut_after = self.rig.bus.bytes + self.dice.below(6 * self.size + 2000)
        try:
            while True:
                self.step()
        except PowerCut as cut:
            name = self.rig.chip.cut_done or "between bytes"
            if self.verbose:
                print("after %d, passed %d: %s, %s" % (self.durable, self.passed, cut, name))
        self.rig.chip.cut_done = None
        counts[name] = counts.get(name, 0) + 1
        self.rig.chip.cut_at = -1
        self.rig.bus.cut_after = None

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
        stats["programs"] += chain.rig.dev.programs if kind is Nor else chain.rig.dev.writes
    return done


def main():
    kind = {"nor": Nor, "sd": Sd}[sys.argv[1]]
    seed = int(sys.argv[2])
    done = sweep(kind, seed, int(sys.argv[3]), len(sys.argv) > 4)
    for name in sorted(counts):
        print("%7d cuts %s" % (counts[name], name))
    print(
        "ok %s: %d cuts, seed %d; %d checkpoints returned, %d times the one in flight was there,"
        " %d clear errors where the model damaged a committed copy"
        % (
            sys.argv[1],
            done,
            seed,
            stats["checkpoints"],
            stats["restored newer"],
            stats["errors on damage"],
        )
    )


main()
