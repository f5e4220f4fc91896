"""Neighbours lost: three to sixteen header blocks, or whole slots, side by side, on long rings.

    neighbours.py lost SHAPE HISTORY COUNT   COUNT places of a ring that has gone HISTORY per cent
                                             of a lap
    neighbours.py case SHAPE HISTORY CASE    one of them, by its name

Right: the newest checkpoint whose blocks are not lost; `fell_back` where the newest cannot be
read; and the checkpoint after that is what the next boot gives, whether the lost blocks come back
or not.
"""

from edgeckpt import RestoreFailed
from harness import Failure
from lives import SHAPES, Life, headers, once
from sweep import WRONG

from boards.models.faults import Dice
from boards.models.reads import READ_FAULTS, FlashReads, SimpleReads


def ring(name, history):
    """(life, its device, the chip saved, {number: address of its header}) after that history."""
    g = SHAPES[name]
    chip = g.chip(None)
    device = (FlashReads if g.erases else SimpleReads)(chip, g.block, Dice("noise"))
    board = Life(g, device)
    board.begin()
    for _ in range(max(3, g.slots * int(history) // 100)):
        board.save()
    places = {}
    for k, (_, at) in enumerate(headers(g, chip.data)):
        places[board.high - k] = at
    return board, device, chip.save(), places


def lost(board, device, saved, places, seed):
    """One place; a word for the outcome."""
    g = board.geometry
    dice = Dice("neighbours %s %s" % (g.name, seed))
    chip = device.device
    chip.restore(saved)
    board.low = board.high = max(places)
    in_order = sorted(places.values())
    count = min(3 + dice.below(14), len(in_order) - 2)
    first = dice.below(len(in_order))
    if not dice.below(4):
        # At the newest, where there is most to be lost.
        first = (in_order.index(places[board.high]) - dice.below(count)) % len(in_order)
    how = dice.pick(READ_FAULTS)
    whole = dice.below(2)
    device.spoil = {}
    for i in range(count):
        at = in_order[(first + i) % len(in_order)]
        for block in range(1 + (g.size - 1) // g.block + 1 if whole else 1):
            device.spoil[at // g.block + block] = how
    kept = [n for n, at in places.items() if at // g.block not in device.spoil]
    want = max(kept)
    try:
        n = board.boot()
    except RestoreFailed as e:
        raise Failure("resume raised %s" % e) from e
    if n != want:
        raise Failure("%d lost (%s): restored %d, not %d" % (count, how, n, want))
    if how == "error" and want != board.high and not board.stage.fell_back:
        raise Failure("%d lost: an older state without a word" % count)
    board.save()
    if dice.below(2):
        device.spoil = {}
    board.begin()
    device.spoil = {}
    board.begin()
    return "%s: %s" % (how, "the newest" if want == board.low - 1 else "the newest that is left")


def places_lost(tally, name, history, count):
    made = ring(name, history)
    for k in range(int(count)):
        seed = "%s.%d" % (history, k)
        try:
            tally.count("neighbours lost, " + lost(*made, seed))
        except WRONG as e:
            tally.wrong("%s %s %s" % (name, history, seed), e)


def case(tally, name, history, seed):
    tally.count(lost(*ring(name, history), seed))


if __name__ == "__main__":
    once({"lost": places_lost, "case": case})
