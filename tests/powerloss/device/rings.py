"""Long rings and long lives: how the newest slot is found, and how evenly units wear.

    rings.py search UNITS UNIT STATE SEED    a ring of 4,096 slots, restarts and cuts in two laps
    rings.py wear GEOMETRY COUNT             COUNT checkpoints, half of them prepared

The last line is JSON: `counts` of what was measured.
"""

import json
import sys

from harness import GEOMETRIES, Failure, Geometry, contract, forget, open_stage

from boards.models.faults import ERASE_CUTS, PROGRAM_CUTS, Cut, Dice, Faults
from boards.models.nor import PowerCut

# Headers read for the newest of 4,096 slots, and reads of them: some are read again.
CLEAN = (40, 44)
AFTER_CUTS = (60, 60)  # where power was cut since the last checkpoint returned


class Headers(Faults):
    """Counts reads of what may be a header: all but the last blocks of a slot."""

    def __init__(self, geometry):
        self.start = geometry.before * geometry.unit
        self.size = (1 + (geometry.size + geometry.block - 1) // geometry.block) * geometry.block
        self.unit = geometry.unit
        self.seen = set()
        self.reads = -1  # the look of the lease whether offsets are understood

    def read(self, chip, at, buf):
        if (at - self.start) % self.unit % self.size == 0:
            self.seen.add(at)
            self.reads += 1
        return chip.load(at, buf)


def looked(geometry, chip, next_state, low):
    """Restart: (stage, state, headers read, reads of them)."""
    forget()
    counts = chip.faults = Headers(geometry)
    stage, n = open_stage(geometry, chip, next_state, low)
    chip.faults = None
    return stage, n, len(counts.seen), counts.reads


def search(units, unit, state, seed):
    geometry = Geometry("long", int(unit), 256, int(units), int(state))
    if geometry.slots != 4096:
        raise Failure("%d slots, not 4096" % geometry.slots)
    dice = Dice("search %s %s %s" % (units, unit, seed))
    chip = geometry.chip("junk" if int(seed) & 1 else None)
    stage, _ = open_stage(geometry, chip, 0, -1)
    worst = worst_cut = most = most_cut = restarts = cuts = 0
    low = high = -1
    due = 1
    while high < 2 * geometry.slots + 600:
        if high < due:
            high += 1
            stage.state[:] = geometry.state(high & 255)
            stage.checkpoint()
            low = high
            continue
        stage, n, headers, reads = looked(geometry, chip, 0, low)
        restarts += 1
        worst = max(worst, headers)
        most = max(most, reads)
        if n != low & 255 or headers > CLEAN[0] or reads > CLEAN[1]:
            wrong = (n, low & 255, headers, reads)
            raise Failure("state %d, expected %d, with %d headers, %d reads" % wrong)
        for _ in range(dice.below(6)):
            # One cut, or some in a row, some of them with checkpoints between.
            op = chip.ops + 1 + dice.below(8 * geometry.operations)
            chip.faults = Cut(op, dice.pick(PROGRAM_CUTS), dice.pick(ERASE_CUTS), dice)
            try:
                while True:
                    high += 1
                    stage.state[:] = geometry.state(high & 255)
                    stage.checkpoint()
                    low = high
            except PowerCut:
                cuts += 1
            chip.faults = None
            chip.power_on()
            stage, n, headers, reads = looked(geometry, chip, 0, low)
            worst_cut = max(worst_cut, headers)
            most_cut = max(most_cut, reads)
            right = [k & 255 for k in range(low, high + 1)]
            if n not in right or headers > AFTER_CUTS[0] or reads > AFTER_CUTS[1]:
                wrong = (n, right, headers, reads)
                raise Failure("state %d of %r, with %d headers, %d reads" % wrong)
        due = high + 1 + dice.below(150)
    contract(chip)
    return {
        "clean restarts": restarts,
        "restarts after cuts": cuts,
        "most headers read, clean": worst,
        "most headers read, after cuts": worst_cut,
        "most reads of headers, clean": most,
        "most reads of headers, after cuts": most_cut,
    }


def wear(name, count):
    geometry = GEOMETRIES[name]
    chip = geometry.chip(None)
    stage, _ = open_stage(geometry, chip, 0, -1)
    for n in range(int(count)):
        stage.state[:] = geometry.state(n & 15)
        if n & 1:
            stage.prepare()
            erases = chip.erases
            stage.checkpoint()
            if chip.erases != erases:
                raise Failure("a prepared checkpoint erased")
        else:
            stage.checkpoint()
    contract(chip)
    leased = chip.wear[geometry.before : geometry.before + geometry.units]
    # One erase more: the first of a lease is done twice.
    if max(leased) - min(leased) > 2 or chip.again or chip.over:
        raise Failure("wear %r, %d pages programmed again" % (leased, chip.again))
    if sum(chip.wear) != sum(leased):
        raise Failure("erases outside the lease")
    return {"checkpoints": int(count), "least erases": min(leased), "most erases": max(leased)}


if __name__ == "__main__":
    print(json.dumps({"counts": {"search": search, "wear": wear}[sys.argv[1]](*sys.argv[2:])}))
