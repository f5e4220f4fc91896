"""Bad units and restarts: one attempt a boot, and each checkpoint() returns durable as long as
two good units in different places are left.

    bad_units.py lives SHAPE SEED COUNT   COUNT lives: 1 .. n-2 bad ones of n, every behaviour,
                                          bad from the start or from some boot on
    bad_units.py case CASE                one of them, by its name
"""

from harness import Failure
from lives import SHAPES, Life, once
from sweep import WRONG

from boards.models.faults import UNIT_WEAR, BadUnits, Dice
from boards.models.ram import SECTOR_WEAR, BadSectors


def choose(geometry, places, dice):
    """Units or sectors that make `places` places bad."""
    g = geometry
    free = list(range(g.groups))
    bad = []
    first = dice.below(g.groups)
    together = dice.below(2)
    for i in range(places):
        place = (first + i) % g.groups if together else free[dice.below(len(free))]
        if place in free:
            free.remove(place)
        if g.erases:
            bad.append(g.before + place * g.group_units + dice.below(g.group_units))
        else:
            size = g.operations
            bad.append(g.before + place * size + dice.below(size))
    return bad


def life(geometry, how, places, seed):
    """(boots, checkpoints that met a bad one)."""
    g = geometry
    dice = Dice("bad units %s %s %d %s" % (g.name, how, places, seed))
    # Full of junk, so that an erase that was not done shows.
    chip = g.chip("junk %s" % seed if dice.below(2) else None, once=False)
    faults = (BadUnits if g.erases else BadSectors)(choose(g, places, dice), how, dice)
    begins = dice.below(g.slots + 2) if dice.below(2) else 0
    board = Life(g, chip)
    for n in range(2 * g.slots + 6):
        if n == begins:
            chip.faults = faults
        if n <= begins or dice.below(4):
            board.begin()
        if board.stage.sequence and board.low < 0:
            raise Failure("a fresh start with sequence %d" % board.stage.sequence)
        board.save()
    board.begin()
    if chip.violations:
        raise Failure("chip contract: " + chip.violations[0])
    return 2 * g.slots + 6, faults.met


def lives(tally, name, seed, count):
    g = SHAPES[name]
    ways = UNIT_WEAR if g.erases else SECTOR_WEAR
    for k in range(int(count)):
        how = ways[k % len(ways)]
        places = 1 + k // len(ways) % (g.groups - 2)
        case = "%s.%d" % (seed, k)
        try:
            boots, met = life(g, how, places, case)
            tally.count("checkpoints with bad units, %s" % how, boots)
            tally.count("bad units met", met)
        except WRONG as e:
            tally.wrong("%s:%s:%d:%s" % (name, how, places, case), e)


def case(tally, words):
    name, how, places, seed = words.split(":")
    life(SHAPES[name], how, int(places), seed)
    tally.count(how)


if __name__ == "__main__":
    once({"lives": lives, "case": case})
