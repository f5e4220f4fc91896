"""Operations that go astray, and leases opened otherwise after a fault.

astray.py disturb SHAPE SEED COUNT    chains of cuts whose program disturbs all of its unit:
                                      the oracle of harness.py, nothing is conceded
astray.py misdirected SHAPE SEED COUNT   an operation lands in another unit of the lease
astray.py changed SHAPE SEED COUNT    capacity, start or block size changed after a fault:
                                      an error and nothing written, never a fresh start
astray.py twice SHAPE SEED COUNT      a state that one boot gave is given by the next; where
                                      a cut left marginal cells that is counted only
astray.py case PART SHAPE SEED        one of them, by its name
"""

from binascii import crc32

from edgeckpt import BlockLease, CheckpointedStageState, CheckpointFailed, RestoreFailed
from harness import LEASE_ID, MARGINAL, Failure, forget
from lives import GIVEN, SHAPES, Life, headers, once
from sweep import WRONG

from boards.models.faults import (
    ERASE_CUTS,
    PROGRAM_CUTS,
    Cut,
    Dice,
    Misdirected,
    UnitCut,
    cut_program,
)
from boards.models.nor import PowerCut
from boards.models.ram import SECTOR_CUTS, SectorCut

FIRM = tuple([mode for mode in PROGRAM_CUTS if mode not in MARGINAL])
FIRM_ERASE = tuple([mode for mode in ERASE_CUTS if "flicker" not in mode and "fade" not in mode])


def disturb(geometry, seed):
    g = geometry
    dice = Dice("disturb %s %s" % (g.name, seed))
    chip = g.chip("junk" if dice.below(2) else None)
    board = Life(g, chip)
    cuts = 0
    for _ in range(40):
        board.begin()
        op = chip.ops + 1 + dice.below(3 * g.operations)
        chip.faults = UnitCut(op, dice.pick(FIRM), dice.pick(ERASE_CUTS), dice)
        try:
            while True:
                if not dice.below(4):
                    board.stage.prepare()
                board.save()
        except PowerCut:
            cuts += 1
        chip.faults = None
        chip.power_on()
    board.begin()
    return {"cuts that disturb their unit": cuts}


def is_sound(data, at):
    """Whether a header whose CRC holds lies at `at` (docs/format.md; without a schema)."""
    return crc32(data[at : at + 60]) == int.from_bytes(data[at + 60 : at + 64], "little")


def intact(geometry, data, n):
    """Whether state `n` lies whole behind a sound header on the medium."""
    g = geometry
    want = bytes(g.state(n))
    for _, at in headers(g, data):
        if is_sound(data, at) and bytes(data[at + g.block : at + g.block + g.size]) == want:
            return True
    return False


def misdirected(geometry, seed):
    g = geometry
    dice = Dice("misdirected %s %s" % (g.name, seed))
    chip = g.chip(None, once=False)
    board = Life(g, chip)
    board.begin()
    for _ in range(2 + dice.below(2 * g.slots)):
        board.save()
    if dice.below(2):
        board.begin()
    last = board.low
    chip.faults = Misdirected(
        chip.ops + 1 + dice.below(g.operations), g.before + dice.below(g.units)
    )
    raised = False
    for _ in range(1 + dice.below(3)):
        try:
            board.save()
        except CheckpointFailed:
            raised = True
    chip.faults = None
    word = "found at once" if raised else "not met, or harmless"
    high = board.high
    try:
        n = board.boot()
    except RestoreFailed:
        return {"operations in another unit: an error, " + word: 1}
    if n == GIVEN:
        if any(intact(g, chip.data, k) for k in range(max(0, last - 2), high + 1)):
            raise Failure("a fresh start, and a checkpoint is there")
        return {"operations in another unit: all was erased": 1}
    if not 0 <= n <= high:
        raise Failure("state %d, passed were 0..%d" % (n, high))
    if n < board.low and not board.stage.fell_back and intact(g, chip.data, board.low):
        raise Failure("state %d, and %d is there whole" % (n, board.low))
    if n < board.low:
        word = "an older state, the newest was hit"
    board.save()
    board.begin()
    return {"operations in another unit: " + word: 1}


def fault(geometry, chip, board, dice):
    """A cut, or a damaged or unreadable block; a word."""
    g = geometry
    if dice.below(2):
        op = chip.ops + 1 + dice.below(g.operations)
        if g.erases:
            chip.faults = Cut(op, dice.pick(FIRM), dice.pick(FIRM_ERASE), dice)
        else:
            chip.faults = SectorCut(op, dice.pick(SECTOR_CUTS), dice)
        try:
            board.save()
        except PowerCut:
            pass
        chip.faults = None
        chip.power_on()
        return "a cut"
    found = headers(g, chip.data)
    at = dice.pick((found[0], found[-1], dice.pick(found)))[1]
    if g.erases:
        cut_program(chip, at, dice.bits(8 * g.block).to_bytes(g.block, "little"), "all", dice)
    else:
        chip.store(at // 512, dice.bits(8 * 512).to_bytes(512, "little"))
    return "a damaged header"


def changed(geometry, seed):
    g = geometry
    dice = Dice("changed %s %s" % (g.name, seed))
    chip = g.chip(None, once=False)
    board = Life(g, chip)
    board.begin()
    for _ in range(3 + dice.below(2 * g.slots)):
        board.save()
    if not dice.below(3):
        board.stage.prepare()
    word = fault(g, chip, board, dice)
    before = chip.save()
    start, count, block, capacity = g.before, g.units, g.block, g.size
    what = dice.pick(("capacity", "start", "block size", "count"))
    if what == "capacity":
        slot = 1 + (g.size - 1) // g.block + 1
        capacity = dice.pick([k * g.block for k in range(1, 2 * slot + 2) if k != slot - 1])
    elif what == "start":
        start += dice.pick((-1, 1))
    elif what == "count":
        count += dice.pick((-1, 1))
    elif g.erases:
        block = 256 if g.block == 128 else 128
    else:
        block = 1024
    found = [at for _, at in headers(g, chip.data) if is_sound(chip.data, at)]
    if not any(start * g.unit <= at < (start + count) * g.unit for at in found):
        return {"%s changed: nothing is left there" % what: 1}
    forget()
    size = min(g.size, capacity)
    try:
        lease = BlockLease(chip, start, count, LEASE_ID, block_size=block)
        stage = CheckpointedStageState.resume(
            bytearray(g.state(GIVEN)[:size]), lease, capacity=capacity
        )
        n = stage.state == bytearray(g.state(GIVEN)[:size])
        raise Failure("%s changed after %s: %s" % (what, word, "fresh" if n else "restored"))
    except RestoreFailed:
        pass
    except Exception as e:
        if getattr(e, "reason", "") != "argument":  # a lease too small for two slots
            raise
    if chip.save() != before:
        raise Failure("%s changed after %s: written" % (what, word))
    return {"%s changed after %s: an error" % (what, word): 1}


def twice(geometry, seed):
    g = geometry
    dice = Dice("twice %s %s" % (g.name, seed))
    chip = g.chip("junk" if dice.below(2) else None)
    board = Life(g, chip)
    counts = {"boots twice": 0, "boots twice, marginal cells": 0, "of these not the same": 0}
    for _ in range(20):
        board.begin()
        op = chip.ops + 1 + dice.below(2 * g.operations)
        marginal = False
        if g.erases:
            # One cut in four is marginal: a lease holds against n - 2 of them in a row.
            marginal = g.groups > 3 and not dice.below(4)
            how = dice.pick(MARGINAL if marginal else FIRM)
            chip.faults = Cut(op, how, dice.pick(ERASE_CUTS if marginal else FIRM_ERASE), dice)
        else:
            chip.faults = SectorCut(op, dice.pick(SECTOR_CUTS), dice)
        try:
            while True:
                board.save()
        except PowerCut:
            pass
        chip.faults = None
        chip.power_on()
        gave = [board.begin() for _ in range(3)]
        same = gave[0] == gave[1] == gave[2]
        counts["boots twice, marginal cells" if marginal else "boots twice"] += 2
        if marginal:
            counts["of these not the same"] += not same
        elif not same:
            raise Failure("three boots gave %r" % (gave,))
        board.save()  # firm from here on
    return counts


PARTS = {"disturb": disturb, "misdirected": misdirected, "changed": changed, "twice": twice}


def many(tally, part, name, seed, count):
    for k in range(int(count)):
        case = "%s.%d" % (seed, k)
        try:
            for word, n in PARTS[part](SHAPES[name], case).items():
                tally.count(word, n)
        except WRONG as e:
            tally.wrong("%s %s %s" % (part, name, case), e)


def case(tally, part, name, seed):
    for word, n in PARTS[part](SHAPES[name], seed).items():
        tally.count(word, n)


if __name__ == "__main__":
    parts = {"case": case}
    for part in PARTS:
        parts[part] = lambda tally, *words, part=part: many(tally, part, *words)
    once(parts)
