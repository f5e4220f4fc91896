"""Scenarios of checkpoints on a model chip, and the oracle that judges each restart.

The oracle: after every restart `restore()` gives a state that was passed to a `checkpoint()` and
is not older than the last one that returned; the checkpoint after that works and is what the
next restart gives; it takes one erase of one unit (one group of units, for large slots) at most,
the first one of a lease two; it programs no page twice, and neither asks for nor causes a change
outside the lease. Where the model damaged a committed slot, a clear error or an older state that
was passed is right, too.

States are buffers that tell their number and that no mixture of two of them, nor a damaged one,
can equal.
"""

from edgeckpt import BlockLease, CheckpointedStageState, CheckpointFailed, RestoreFailed, codec
from edgeckpt.lease import live

from boards.models.faults import (
    ERASE_CUTS,
    PROGRAM_CUTS,
    Dice,
    Faults,
    cut_erases,
    cut_program,
)
from boards.models.nor import NorChip, RangedChip
from boards.models.ram import SectorDisk, cut_sector

LEASE_ID = 0x0123456789ABCDEF_FEDCBA9876543210

# Cuts of a program that leave cells which change later. A lease of n groups promises to hold
# against n - 2 of them in a row (docs/format.md).
MARGINAL = ("flicker", "half-flicker", "fade", "charge")
FIRM = tuple([mode for mode in PROGRAM_CUTS if mode not in MARGINAL])


class Failure(Exception):
    """The oracle said no."""


class Geometry:
    """A lease on a NOR chip: units of `unit` bytes, layout blocks (and pages) of `block` bytes,
    `units` of them leased behind `before` others, states of `size` bytes."""

    before = 1
    after = 1
    erases = True
    make_chip = NorChip

    def __init__(self, name, unit, block, units, size):
        self.name = name
        self.unit = unit
        self.block = block
        self.units = units
        self.size = size
        slot_blocks = 1 + (size + block - 1) // block
        self._lay_out(slot_blocks, unit // block)
        self._states = {}
        self._numbers = {}

    def _lay_out(self, slot_blocks, per_unit):
        self.group_units = (slot_blocks + per_unit - 1) // per_unit
        self.groups = self.units // self.group_units
        self.per_group = per_unit // slot_blocks if self.group_units == 1 else 1
        self.slots = self.groups * self.per_group
        self.operations = slot_blocks + self.group_units  # of one checkpoint, at most

    def state(self, n):
        """State number `n`, as bytes."""
        s = self._states.get(n)
        if s is None:
            s = Dice("state %d" % n).bits(8 * self.size).to_bytes(self.size, "little")
            self._states[n] = s
            self._numbers[s] = n
        return s

    def open_new(self, lease, n):
        """A stage of a lease that has no checkpoint yet, holding state `n`."""
        return CheckpointedStageState(bytearray(self.state(n)), lease, capacity=self.size)

    def number(self, state):
        """The number of the state, or None if there is no such state."""
        return self._numbers.get(bytes(state))

    def chip(self, junk, once=None):
        """A new chip; junk: None for a blank one, or the seed of what it is full of.

        once: whether programming a page twice is a violation; default: yes with three units or
        more (with two, a slot whose cut program left no trace may be taken again).
        """
        units = self.before + self.units + self.after
        once = self.groups > 2 if once is None else once
        chip = self.make_chip(units * self.unit, self.unit, self.block, once=once)
        if junk:
            chip.put(0, Dice(junk).bits(8 * chip.size).to_bytes(chip.size, "little"))
        chip.fence = (self.before * self.unit, (self.before + self.units) * self.unit)
        self.outside = self.look_outside(chip)
        return chip

    def look_outside(self, chip):
        return (
            bytes(chip.data[: self.before * self.unit]),
            bytes(chip.data[(self.before + self.units) * self.unit :]),
        )

    def lease(self, device):
        return BlockLease(device, self.before, self.units, LEASE_ID, block_size=self.block)

    def program_cuts(self, doubts=0):
        """The cuts of a program that this geometry promises to hold against after `doubts` cuts
        in a row that left marginal cells."""
        return PROGRAM_CUTS if doubts < self.groups - 2 else FIRM

    def cuts(self, record):
        """The cuts of a recorded operation."""
        return ERASE_CUTS if record[1] else self.program_cuts()

    def tear(self, chip, record, mode, dice):
        """Put the chip where the cut of this recorded operation leaves it."""
        saved, end, at, data, _, _ = record
        chip.restore(saved)
        for cell in chip.weak.values():
            cell[3] = dice
        if end:
            cut_erases(chip, at, end, mode, dice)
        else:
            cut_program(chip, at, data, mode, dice)


class RangedGeometry(Geometry):
    """A slot of several units, which are erased in one operation."""

    make_chip = RangedChip


class CodecGeometry(Geometry):
    """States are lists of `count` u16, encoded by the codec block by block, with a schema."""

    def __init__(self, name, unit, block, units, count):
        self.count = count
        self.schema = "[u16;%d]" % count
        Geometry.__init__(self, name, unit, block, units, 3 * count)  # 3 bytes: longest varint

    def state(self, n):
        s = self._states.get(n)
        if s is None:
            raw = Dice("state %d" % n).bits(16 * self.count).to_bytes(2 * self.count, "little")
            s = [raw[i] | (raw[i + 1] << 8 & 0x3FFF) for i in range(0, len(raw), 2)]
            self._states[n] = s
            self._numbers[tuple(s)] = n
        return s

    def number(self, state):
        return self._numbers.get(tuple(state))

    def open_new(self, lease, n):
        stage = CheckpointedStageState(list(self.state(n)), lease, self.schema)
        # Compiled once, as boards with frozen schemas have it: it is the restart that is tried.
        c = stage._codec
        codec.known[self.schema] = (c.max_size, (c._encode, c._decode))
        return stage


class SectorGeometry(Geometry):
    """A lease on a medium that overwrites in place: `sectors` of 512 bytes, states of `size`."""

    before = 3
    after = 2
    erases = False

    def __init__(self, name, sectors, size):
        Geometry.__init__(self, name, 512, 512, sectors, size)

    def _lay_out(self, slot_blocks, per_unit):
        self.group_units = 0
        self.per_group = 1
        self.groups = self.slots = self.units // slot_blocks
        self.operations = slot_blocks

    def chip(self, junk, once=None):
        disk = SectorDisk(self.before + self.units + self.after)
        if junk:
            disk.view[:] = Dice(junk).bits(8 * len(disk.data)).to_bytes(len(disk.data), "little")
        disk.fence = (self.before, self.before + self.units)
        self.outside = self.look_outside(disk)
        return disk

    def tear(self, chip, record, mode, dice):
        saved, _, n, data, _, _ = record
        chip.restore(saved)
        cut_sector(chip, n, data, mode, dice)


GEOMETRIES = {}
for g in (
    Geometry("3x2", 512, 128, 3, 100),  # 3 units of 2 slots
    Geometry("2x2", 512, 128, 2, 100),
    Geometry("3x4", 1024, 128, 3, 60),
    Geometry("2x4", 1024, 128, 2, 60),
    Geometry("4x1", 512, 128, 4, 300),  # a slot is a unit
    Geometry("3x1", 512, 128, 3, 384),
    Geometry("2x1", 512, 128, 2, 300),
    Geometry("3by2", 512, 128, 6, 700),  # a slot is two units, there are 3
    RangedGeometry("3by3", 512, 128, 9, 1300),  # a slot is three units, erased at once
    Geometry("5x1", 512, 256, 5, 200),
    Geometry("3x8", 4096, 256, 3, 100),
    Geometry("2by2", 4096, 256, 4, 4000),  # two slots of two units each
    CodecGeometry("codec3x1", 512, 128, 3, 100),
    CodecGeometry("codec3x2", 1024, 128, 3, 60),
    SectorGeometry("sd4", 12, 900),  # 4 slots of 3 sectors
    SectorGeometry("sd3", 6, 100),
    SectorGeometry("sd2", 6, 1024),
):
    GEOMETRIES[g.name] = g


def forget():
    """The RAM is gone: no lease is live."""
    live.clear()


def open_stage(geometry, device, new, low=0):
    """A restart: the wrapper, and the number of the state restored (-1: there was none).

    low: the oldest state that is right; where it is -1 a new stage of state `new` is opened.
    """
    lease = geometry.lease(device)
    try:
        stage = CheckpointedStageState.restore(lease)
    except RestoreFailed as e:
        if low >= 0:
            raise Failure("restored nothing: %s" % e) from e
        if e.reason != "none" and not e.torn:
            if geometry.erases:
                raise
            # A torn sector can look like anything: a clear error, and somebody must wipe.
            lease.wipe()
        return geometry.open_new(lease, new), -1
    n = geometry.number(stage.state)
    if n is None:
        raise Failure("restored bytes that were never passed to checkpoint()")
    return stage, n


def judge(geometry, chip, low, high, new, prepare=False, device=None):
    """Restart, restore, checkpoint, restart, restore; raises Failure.

    States low..high are right (low -1: none, too); `new` is the number of the next state.
    """
    device = device or chip
    forget()
    stage, n = open_stage(geometry, device, new, low)
    if not low <= n <= high:
        raise Failure("restored state %d, expected %d..%d" % (n, low, high))
    proceed(geometry, chip, stage, new, prepare, device)
    if geometry.look_outside(chip) != geometry.outside:
        raise Failure("the chip changed outside the lease")


def proceed(geometry, chip, stage, new, prepare, device):
    """The checkpoint after a restart, and the restart after that."""
    again = chip.again
    erases = chip.erases
    # The first erase of a lease that holds nothing is done twice: a test of the device.
    most = geometry.group_units * (2 if stage.ring.newest < 0 else 1)
    stage.state[:] = geometry.state(new)
    if prepare:
        stage.prepare()
    stage.checkpoint()
    sequence = stage.sequence
    if chip.erases - erases > most:
        raise Failure("%d erases for one checkpoint" % (chip.erases - erases))
    forget()
    stage, n = open_stage(geometry, device, new)
    if n != new:
        raise Failure("restored state %d after the checkpoint of %d returned" % (n, new))
    if stage.sequence != sequence:
        raise Failure("restored sequence %d, expected %d" % (stage.sequence, sequence))
    if chip.again != again and geometry.groups > 2:
        raise Failure("a page was programmed twice")
    contract(chip)


def contract(chip):
    """The chip was asked for nothing that it cannot do, and for nothing outside the lease."""
    if chip.violations:
        raise Failure("chip contract: " + chip.violations[0])


def judge_damaged(geometry, chip, high, new):
    """The same where the model damaged committed slots or other sectors: the outcome, a word.

    Right is any state that was passed, or a RestoreFailed; then the older one that
    `fallback=True` gives, or a RestoreFailed; then a new start, if need be after a wipe.
    """
    forget()
    outcome = "state"
    lease = geometry.lease(chip)
    try:
        stage = CheckpointedStageState.restore(lease)
    except RestoreFailed:
        outcome = "error, fallback"
        try:
            stage = CheckpointedStageState.restore(lease, fallback=True)
        except RestoreFailed:
            outcome = "error, new start"
            stage = None
    if stage is not None:
        n = geometry.number(stage.state)
        if n is None or not 0 <= n <= high:
            raise Failure("restored %r, expected a state of 0..%d" % (n, high))
        proceed(geometry, chip, stage, new, False, chip)
        return outcome
    try:
        stage = geometry.open_new(lease, new)
        proceed(geometry, chip, stage, new, False, chip)
    except CheckpointFailed as e:
        if e.reason != "foreign" and e.reason != "read":
            raise
        outcome = "error, wipe"
        if stage is not None:
            lease = stage.into_block_lease()
        lease.wipe()
        stage = geometry.open_new(lease, new)
        proceed(geometry, chip, stage, new, False, chip)
    return outcome


class Recorder(Faults):
    """Takes down each operation, and the chip before it, as `records`:
    (saved chip, end of an erase or 0, address or sector, data, low, high)."""

    def __init__(self, low=-1, high=-1):
        self.records = []
        self.low = low
        self.high = high

    def program(self, chip, at, data):
        self.records.append((chip.save(), 0, at, bytes(data), self.low, self.high))
        return chip.store(at, data)

    def erase(self, chip, at):
        if at == chip.span[0]:
            self.records.append((chip.save(), chip.span[1], at, None, self.low, self.high))
        return chip.clear(at)

    def write(self, disk, n, data):
        self.records.append((disk.save(), 0, n, bytes(data), self.low, self.high))
        disk.store(n, data)


def record(geometry, seed, laps=2):
    """The chip, and the records of a random history of checkpoints, prepares and restarts,
    `laps` times around the ring."""
    dice = Dice("history %s %s" % (geometry.name, seed))
    chip = geometry.chip("junk %s" % seed if dice.below(2) else None)
    recorder = chip.faults = Recorder()
    forget()
    stage = None
    for n in range(laps * geometry.slots + 2):
        if stage is None or not dice.below(4):
            forget()
            stage, found = open_stage(geometry, chip, n, recorder.low)
            if found != n - 1:
                raise Failure("restored state %d without any fault, expected %d" % (found, n - 1))
        if not dice.below(3):
            stage.prepare()
        stage.state[:] = geometry.state(n)
        recorder.high = n
        stage.checkpoint()
        recorder.low = n
    contract(chip)
    chip.faults = None
    return chip, recorder.records
