"""Scenarios of checkpoints on a model chip, and the oracle that judges each restart.

The oracle: after every restart `restore()` gives a state that was passed to a `checkpoint()` and
is not older than the last one that returned; the checkpoint after that works and is what the
next restart gives; it takes one erase of one unit (one group of units, for large slots) at most,
programs no page twice, and neither asks for nor causes a change outside the lease.

States are buffers that tell their number and that no mixture of two of them, nor a damaged one,
can equal: each byte depends on the number.
"""

from edgeckpt import BlockLease, CheckpointedStageState, RestoreFailed
from edgeckpt.lease import live

from boards.models.faults import Dice, Faults, cut_erase, cut_program
from boards.models.nor import NorChip, PowerCut

LEASE_ID = 0x0123456789ABCDEF_FEDCBA9876543210


class Failure(Exception):
    """The oracle said no."""


class Geometry:
    """A lease on a chip: units of `unit` bytes, layout blocks (and pages) of `block` bytes,
    `units` of them leased behind `before` others, states of `size` bytes."""

    before = 1
    after = 1

    def __init__(self, name, unit, block, units, size):
        self.name = name
        self.unit = unit
        self.block = block
        self.units = units
        self.size = size
        self.slot_blocks = 1 + (size + block - 1) // block
        per_unit = unit // block
        self.group_units = (self.slot_blocks + per_unit - 1) // per_unit
        self.groups = units // self.group_units
        self.per_group = per_unit // self.slot_blocks if self.group_units == 1 else 1
        self.slots = self.groups * self.per_group
        self._states = {}
        self._numbers = {}

    def state(self, n):
        """State number `n`, as bytes."""
        s = self._states.get(n)
        if s is None:
            dice = Dice("state %d" % n)
            s = dice.bits(8 * self.size).to_bytes(self.size, "little")
            self._states[n] = s
            self._numbers[s] = n
        return s

    def number(self, state):
        """The number of the state, or None if there is no such state."""
        return self._numbers.get(bytes(state))

    def chip(self, junk):
        """A new chip; junk: whether it is full of other bytes, instead of blank."""
        units = self.before + self.units + self.after
        # In a ring of two units a slot whose cut program left no trace may be taken again.
        chip = NorChip(units * self.unit, self.unit, self.block, once=self.groups > 2)
        if junk:
            chip.put(0, Dice(junk).bits(8 * chip.size).to_bytes(chip.size, "little"))
        chip.fence = (self.before * self.unit, (self.before + self.units) * self.unit)
        self.outside = self.look_outside(chip)
        return chip

    def look_outside(self, chip):
        a, b = chip.fence
        return bytes(chip.data[:a]), bytes(chip.data[b:])

    def lease(self, device):
        return BlockLease(device, self.before, self.units, LEASE_ID, block_size=self.block)


GEOMETRIES = {
    g.name: g
    for g in (
        Geometry("3x2", 512, 128, 3, 100),  # 3 units of 2 slots
        Geometry("2x2", 512, 128, 2, 100),
        Geometry("3x4", 1024, 128, 3, 60),
        Geometry("2x4", 1024, 128, 2, 60),
        Geometry("4x1", 512, 128, 4, 300),  # a slot is a unit
        Geometry("3x1", 512, 128, 3, 384),
        Geometry("2x1", 512, 128, 2, 300),
        Geometry("3/2", 512, 128, 6, 700),  # a slot is two units, 3 of them
        Geometry("5x1", 512, 256, 5, 200),
        Geometry("3x8", 4096, 256, 3, 100),
        Geometry("4k2/2", 4096, 256, 4, 4000),  # two slots of two units each
    )
}


def open_stage(geometry, device, next_state):
    """A restart: the wrapper, and the number of the state restored (-1: there was none)."""
    lease = geometry.lease(device)
    try:
        stage = CheckpointedStageState.restore(lease)
    except RestoreFailed as e:
        if e.reason != "none" and not e.torn:
            raise
        # An application that starts: nothing was ever committed.
        state = bytearray(geometry.state(next_state))
        return CheckpointedStageState(state, lease, capacity=geometry.size), -1
    n = geometry.number(stage.state)
    if n is None:
        raise Failure("restored bytes that were never passed to checkpoint()")
    return stage, n


def forget():
    """The RAM is gone: no lease is live."""
    live.clear()


def judge(geometry, chip, low, high, new, prepare=False, device=None):
    """Restart, restore, checkpoint, restart, restore; raises Failure.

    States low..high are right (low -1: none, too); `new` is the number of the next state.
    """
    device = device or chip
    forget()
    again = chip.again
    erases = chip.erases
    stage, n = open_stage(geometry, device, new)
    if not low <= n <= high:
        raise Failure("restored state %d, expected %d..%d" % (n, low, high))
    stage.state[:] = geometry.state(new)
    if prepare:
        stage.prepare()
    stage.checkpoint()
    sequence = stage.sequence
    if chip.erases - erases > geometry.group_units:
        raise Failure("%d erases for one checkpoint" % (chip.erases - erases))
    forget()
    stage, n = open_stage(geometry, device, new)
    if n != new:
        raise Failure("restored state %d after the checkpoint of %d returned" % (n, new))
    if stage.sequence != sequence:
        raise Failure("restored sequence %d, expected %d" % (stage.sequence, sequence))
    if chip.again != again and geometry.groups > 2:
        raise Failure("a page was programmed twice")
    inspect(geometry, chip)


def inspect(geometry, chip):
    """What must hold at any time."""
    if chip.violations:
        raise Failure("chip contract: " + chip.violations[0])
    if geometry.look_outside(chip) != geometry.outside:
        raise Failure("the chip changed outside the lease")


class Recorder(Faults):
    """Takes down each operation, and the chip before it, as `records`:
    (saved chip, is an erase, address, data, low, high)."""

    def __init__(self):
        self.records = []
        self.low = self.high = -1

    def program(self, chip, at, data):
        self.records.append((chip.save(), False, at, bytes(data), self.low, self.high))
        return chip.store(at, data)

    def erase(self, chip, at):
        self.records.append((chip.save(), True, at, None, self.low, self.high))
        return chip.clear(at)


def record(geometry, seed, laps=2):
    """The records of a random history of checkpoints, prepares and restarts, `laps` around."""
    dice = Dice("history %s %s" % (geometry.name, seed))
    chip = geometry.chip(junk="junk %s" % seed if dice.below(2) else None)
    recorder = chip.faults = Recorder()
    forget()
    stage = None
    n = 0
    for _ in range(laps * geometry.slots + 2):
        if stage is None or not dice.below(4):
            forget()
            stage, found = open_stage(geometry, chip, n)
            if found != n - 1:
                raise Failure("restored state %d without any fault, expected %d" % (found, n - 1))
        if not dice.below(3):
            stage.prepare()
        stage.state[:] = geometry.state(n)
        recorder.high = n
        stage.checkpoint()
        recorder.low = n
        n += 1
    inspect(geometry, chip)
    chip.faults = None
    return chip, recorder.records


def tear(chip, record, mode, dice):
    """Put the chip where the cut of this recorded operation leaves it."""
    saved, erase, at, data, _, _ = record
    chip.restore(saved)
    for cell in chip.weak.values():
        cell[3] = dice
    if erase:
        cut_erase(chip, at, mode, dice)
    else:
        cut_program(chip, at, data, mode, dice)


def run_cut(geometry, chip, new, cut, prepare):
    """Restart and checkpoint state `new` with the fault `cut`: (restored, whether it returned)."""
    forget()
    stage, n = open_stage(geometry, chip, new)
    stage.state[:] = geometry.state(new)
    chip.faults = cut
    try:
        if prepare:
            stage.prepare()
        stage.checkpoint()
        return n, True
    except PowerCut:
        return n, False
    finally:
        chip.faults = None
        chip.power_on()
