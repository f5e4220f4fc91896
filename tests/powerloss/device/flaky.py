"""Reads that fail and come back: no silent step back, no fresh start, nothing lost by number.

flaky.py boots SHAPE SEED COUNT     COUNT lives; in each boot some blocks of the lease cannot
                                    be read in that boot, or one in 20 to 2,000 reads fails
flaky.py first SHAPE SEED COUNT     the same at the first checkpoint of the lease
flaky.py case PART SHAPE SEED       one life, by its name
"""

from edgeckpt import CheckpointFailed, RestoreFailed
from harness import Failure
from lives import GIVEN, SHAPES, Life, headers, once
from sweep import WRONG

from boards.models.faults import Dice
from boards.models.reads import FlashReads, SimpleReads


def spoil(geometry, device, dice):
    """What cannot be read in this boot."""
    g = geometry
    device.spoil = {}
    device.rate = 0
    kind = dice.below(4)
    if kind == 0:
        device.rate = 65536 // dice.pick((20, 100, 500, 2000))
    elif kind == 1:
        for _ in range(1 + dice.below(3)):
            at = (g.before * g.unit + dice.below(g.units * g.unit)) // g.block
            device.spoil[at] = "error"
    elif kind == 2:
        # The header of the newest, or of one of the three before it.
        found = headers(g, device.device.data)
        if found:
            device.spoil[dice.pick(found[:4])[1] // g.block] = "error"
    return kind


def life(geometry, seed, first):
    g = geometry
    dice = Dice("flaky %s %s %s" % (g.name, seed, first))
    chip = g.chip("junk %s" % seed if dice.below(2) else None, once=False)
    reads = FlashReads if g.erases else SimpleReads
    device = reads(chip, g.block, Dice("rate %s" % seed), heals=False)
    board = Life(g, device)
    told = {}
    for boot in range(6 if first else 3 * g.slots + 10):
        spoil(g, device, dice)
        try:
            n = board.boot()
        except RestoreFailed:
            told["error"] = told.get("error", 0) + 1
            continue
        except CheckpointFailed as e:
            if e.reason != "read":
                raise
            continue
        fresh = n == GIVEN
        fell = board.stage.fell_back
        if fresh and board.low >= 0:
            raise Failure("boot %d: a fresh start over state %d" % (boot, board.low))
        if not fresh and n < board.low and not fell:
            raise Failure(
                "boot %d: state %d, %d returned: a silent step back" % (boot, n, board.low)
            )
        word = "fell back" if fell else "the newest"
        told[word] = told.get(word, 0) + 1
        for _ in range(1 + dice.below(3)):
            try:
                board.save()
            except CheckpointFailed:
                # It may have landed: the next boot tells.
                told["not saved"] = told.get("not saved", 0) + 1
    device.spoil = {}
    device.rate = 0
    board.begin()
    return told


def many(tally, name, seed, count, first):
    for k in range(int(count)):
        case = "%s.%d" % (seed, k)
        try:
            for word, n in life(SHAPES[name], case, first).items():
                tally.count("boots with reads that fail: " + word, n)
        except WRONG as e:
            part = "first" if first else "boots"
            tally.wrong("%s %s %s" % (part, name, case), e)


def boots(tally, name, seed, count):
    many(tally, name, seed, count, False)


def at_first(tally, name, seed, count):
    many(tally, name, seed, count, True)


def case(tally, part, name, seed):
    life(SHAPES[name], seed, part == "first")
    tally.count(part)


if __name__ == "__main__":
    once({"boots": boots, "first": at_first, "case": case})
