"""Long rings and long lives: how the newest slot is found, and how evenly units wear.

    rings.py search UNITS UNIT STATE SEED    a ring of 4,096 slots, restarts and cuts in two laps
    rings.py wear GEOMETRY COUNT             COUNT checkpoints, half of them prepared

The last line is JSON: `counts` of what was measured.
"""

import json
import sys

from harness import GEOMETRIES, Failure, Geometry, contract, forget, open_stage

from boards.models.faults import ERASE_CUTS, PROGRAM_CUTS, Cut, Dice
from boards.models.nor import PowerCut

CLEAN = 40  # header reads for the newest of 4,096 slots
AFTER_CUTS = 60  # the same where power was cut since the last checkpoint returned


def looked(geometry, chip, next_state, low):
    """Restart: (stage, state, header reads), all that was read while restoring counted."""
    forget()
    lease = geometry.lease(chip)
    lease.release()
    reads = chip.reads
    stage, n = open_stage(geometry, chip, next_state, low)
    # Not headers: the look whether offsets are understood, the data (for its CRC, and for good).
    data = 2 * ((geometry.size + geometry.block - 1) // geometry.block)
    return stage, n, chip.reads - reads - 1 - data


def search(units, unit, state, seed):
    geometry = Geometry("long", int(unit), 256, int(units), int(state))
    if geometry.slots != 4096:
        raise Failure("%d slots, not 4096" % geometry.slots)
    dice = Dice("search %s %s %s" % (units, unit, seed))
    chip = geometry.chip("junk" if int(seed) & 1 else None)
    stage, _ = open_stage(geometry, chip, 0, -1)
    worst = worst_cut = restarts = cuts = 0
    low = high = -1
    due = 1
    while high < 2 * geometry.slots + 600:
        if high < due:
            high += 1
            stage.state[:] = geometry.state(high & 255)
            stage.checkpoint()
            low = high
            continue
        stage, n, reads = looked(geometry, chip, 0, low)
        restarts += 1
        worst = max(worst, reads)
        if n != low & 255 or reads > CLEAN:
            raise Failure("state %d, expected %d, with %d header reads" % (n, low & 255, reads))
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
            stage, n, reads = looked(geometry, chip, 0, low)
            worst_cut = max(worst_cut, reads)
            right = [k & 255 for k in range(low, high + 1)]
            if n not in right or reads > AFTER_CUTS:
                raise Failure("state %d of %r, with %d header reads" % (n, right, reads))
        due = high + 1 + dice.below(150)
    contract(chip)
    return {
        "clean restarts": restarts,
        "restarts after cuts": cuts,
        "most header reads, clean": worst,
        "most header reads, after cuts": worst_cut,
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
    if max(leased) - min(leased) > 1 or chip.again or chip.over:
        raise Failure("wear %r, %d pages programmed again" % (leased, chip.again))
    if sum(chip.wear) != sum(leased):
        raise Failure("erases outside the lease")
    return {"checkpoints": int(count), "least erases": min(leased), "most erases": max(leased)}


if __name__ == "__main__":
    print(json.dumps({"counts": {"search": search, "wear": wear}[sys.argv[1]](*sys.argv[2:])}))
