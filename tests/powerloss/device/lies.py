"""Devices that lie, wear out, stick and disturb: never a false success, never a wrong state.

    lies.py answers GEOMETRY    each call of a checkpoint, prepare() and restore(): done, skipped
                                or half done, and answered in each way that drivers answer
    lies.py silent GEOMETRY     each program and erase silently not, half or but for a bit done,
                                once and from then on; a device that is dead but says yes
    lies.py turned GEOMETRY     each read of a restore with one bit turned on the bus, once
    lies.py cells GEOMETRY SEED COUNT    stuck cells, worn out units, disturbed neighbours

The last line is JSON as of sweep.py.
"""

import sys

from edgeckpt import CheckpointedStageState, CheckpointFailed, RestoreFailed
from edgeckpt.lease import live
from harness import GEOMETRIES, Failure, contract, forget, judge, open_stage
from sweep import WRONG, Tally

from boards.models.faults import ANSWERS, ERASE_CUTS, Dice, Disturbs, Skips, Stuck, Worn, liar

GOOD = (None, 0, True)  # answers that lead on to the read-back


def is_good(answer):
    return answer is None or answer is True or answer is not False and answer == 0


def said(answer):
    """For the table: how it was answered."""
    if isinstance(answer, Exception):
        return "raised"
    return "answered " + ("None, 0 or True" if is_good(answer) else "False, -5, 1 or 'done'")


def prepared(geometry, count):
    """A chip with `count` checkpoints (states 0..count-1), saved."""
    # Full of junk, so that an erase that was not done shows; what a chip that does not erase
    # counts as programmed twice is its own fault.
    chip = geometry.chip("junk", once=False)
    forget()
    stage, _ = open_stage(geometry, chip, 0, -1)
    for n in range(count):
        stage.state[:] = geometry.state(n)
        stage.checkpoint()
    return chip, chip.save()


def attempt(call):
    """Whether it returned; False where it raised CheckpointFailed, the only one allowed."""
    try:
        call()
        return True
    except CheckpointFailed:
        return False


def verdict(geometry, chip, stage, returned, must_fail, must_return, count, before):
    """What must hold after checkpoint() of state `count` ended, `returned` or not."""
    if must_fail and returned:
        raise Failure("a false success")
    if must_return and not returned:
        raise Failure("it failed, although the device said yes and did it")
    contract(chip)
    saved = chip.save()
    # A restart here gives the new state, or the one before if it was not a success.
    judge(geometry, chip, count if returned else before, count, count + 1)
    # And so does the same session, if it goes on.
    live[:] = [stage.ring.lease]
    chip.restore(saved)
    chip.faults = None
    stage.state[:] = geometry.state(count + 1)
    stage.checkpoint()
    judge(geometry, chip, count + 1, count + 1, count + 2)


def calls_of(geometry, chip, saved, action, kind):
    """How many device calls of this kind the action takes."""
    chip.restore(saved)
    forget()
    device = liar(chip, kind, 1 << 20, "done", None)
    stage, _ = open_stage(geometry, device, 0)
    device.calls = 0
    getattr(stage, action)()
    return device.calls


def answer_case(geometry, chip, saved, count, action, kind, at, last, how, answer):
    chip.restore(saved)
    forget()
    device = liar(chip, kind, 1 << 20, how, answer)
    stage, n = open_stage(geometry, device, count)
    stage.state[:] = geometry.state(count)
    device.calls = 0
    device.at = at
    device.last = last
    erases = chip.erases
    returned = attempt(getattr(stage, action))
    if not device.told:
        raise Failure("the lie was not told")
    device.last = 0
    bad = not is_good(answer)
    done = how == "done" or kind == "sync"
    if action == "prepare":
        if returned and last > at and (bad or kind == "erase" and not done):
            raise Failure("a false success of prepare()")
        if returned:
            erases = chip.erases
            stage.checkpoint()
            if chip.erases != erases:
                raise Failure("prepare() returned, and the checkpoint erased all the same")
        elif not bad and done:
            raise Failure("prepare() failed, although the device said yes and did it")
        judge(geometry, chip, count if returned else n, count, count + 1)
        return returned
    # Half of a page may be all there was to do: verdict() looks whether it is durable. What goes
    # wrong once is done in another unit, and a read is tried again.
    must_fail = bad or kind == "erase" and not done or kind == "write" and how == "skip"
    must_fail = must_fail and last > at
    verdict(geometry, chip, stage, returned, must_fail, not bad and done, count, n)
    return returned


def answers(tally, geometry):
    kinds = ("write", "erase", "sync", "read") if geometry.erases else ("write", "sync", "read")
    for count in (1, geometry.per_group, geometry.slots + 1):
        chip, saved = prepared(geometry, count)
        for action in ("checkpoint", "prepare") if geometry.erases else ("checkpoint",):
            for kind in kinds:
                for at in range(1, calls_of(geometry, chip, saved, action, kind) + 1):
                    for how in ("done", "skip", "half"):
                        for a in range(len(ANSWERS)):
                            for last in (at, 1 << 20):
                                case = (count, action, kind, at, last, how, ANSWERS[a])
                                one_answer(tally, geometry, chip, saved, case)
        restores(tally, geometry, chip, saved, count)


def one_answer(tally, geometry, chip, saved, case):
    answer = case[-1]
    try:
        returned = answer_case(geometry, chip, saved, *case)
        outcome = "durable" if returned else "error"
        tally.count("%s %s, %s: %s" % (case[2], case[5], said(answer), outcome))
    except WRONG as e:
        tally.wrong("answers:%s:%r" % (geometry.name, case), e)
        chip.violations.clear()


def restores(tally, geometry, chip, saved, count):
    """Reads that fail while a stage is opened: the right state, or a RestoreFailed."""
    chip.restore(saved)
    forget()
    device = liar(chip, "read", 1 << 20, "done", None)
    open_stage(geometry, device, 0)
    for at in range(1, device.calls + 1):
        for answer in ANSWERS:
            if is_good(answer):
                continue
            for last in (at, at + 1, 1 << 20):
                try:
                    outcome = restore_case(geometry, chip, saved, count, at, last, answer)
                    tally.count("read while restoring, %s: %s" % (said(answer), outcome))
                except WRONG as e:
                    case = "restores:%s:%r" % (geometry.name, (count, at, last, answer))
                    tally.wrong(case, e)


def restore_case(geometry, chip, saved, count, at, last, answer):
    chip.restore(saved)
    forget()
    device = liar(chip, "read", 1 << 20, "skip", answer)
    lease = geometry.lease(device)
    device.calls = 0
    device.at = at
    device.last = last
    try:
        stage = CheckpointedStageState.restore(lease)
    except RestoreFailed as e:
        if isinstance(answer, Exception) and e.cause is not answer:
            raise Failure("cause %r, expected %r" % (e.cause, answer)) from e
        return "error"
    if geometry.number(stage.state) != count - 1:
        raise Failure("restored state %r, expected %d" % (geometry.number(stage.state), count - 1))
    return "state"


def turned_case(geometry, chip, saved, count, at, bit):
    chip.restore(saved)
    forget()
    device = liar(chip, "read", 1 << 20, bit, None)
    lease = geometry.lease(device)
    device.calls = 0
    device.at = device.last = at
    state = bytearray(geometry.state(count))
    stage = CheckpointedStageState.resume(state, lease)
    if not device.told:
        raise Failure("no bit was turned")
    if geometry.number(stage.state) != count - 1 or stage.sequence != count:
        raise Failure("restored state %r, expected %d" % (geometry.number(state), count - 1))


def turned(tally, geometry):
    """What is on the medium is right: the newest state, no older one and no new start."""
    for count in (1, geometry.per_group, geometry.slots + 1):
        chip, saved = prepared(geometry, count)
        device = liar(chip, "read", 1 << 20, "done", None)
        forget()
        lease = geometry.lease(device)
        device.calls = 0
        CheckpointedStageState.restore(lease)
        for at in range(1, device.calls + 1):
            dice = Dice("turned %d %d" % (count, at))
            bits = list(range(0, 512, 3)) + [dice.below(1 << 20) for _ in range(40)]
            for bit in bits:
                try:
                    turned_case(geometry, chip, saved, count, at, bit)
                    tally.count("one bit turned in a read of a restore: state")
                except WRONG as e:
                    tally.wrong("turned:%s:%r" % (geometry.name, (count, at, bit)), e)


def silent_case(geometry, chip, saved, count, first, last, how, seed):
    chip.restore(saved)
    forget()
    stage, n = open_stage(geometry, chip, count)
    stage.state[:] = geometry.state(count)
    dice = Dice("silent %s" % seed)
    faults = chip.faults = Skips(chip.ops + first, chip.ops + last, how, dice)
    returned = attempt(stage.checkpoint)
    chip.faults = None
    if not faults.count:
        raise Failure("nothing was skipped")
    # Nothing to be done counts as done: half of a page of ones, an erase of a blank unit.
    verdict(geometry, chip, stage, returned, False, False, count, n)
    return returned


def silent(tally, geometry):
    for count in (1, geometry.per_group, geometry.slots + 1):
        chip, saved = prepared(geometry, count)
        chip.restore(saved)
        forget()
        stage, _ = open_stage(geometry, chip, count)
        ops = chip.ops
        stage.checkpoint()
        for first in range(1, chip.ops - ops + 1):
            for last in (first, 1 << 20):
                for how in ("skip", "half", "bit", "dead"):
                    if how == "dead" and last == first:
                        continue
                    case = (count, first, last, how, 1)
                    try:
                        returned = silent_case(geometry, chip, saved, *case)
                        outcome = "durable" if returned else "error"
                        tally.count("silently %s: %s" % (how, outcome))
                    except WRONG as e:
                        tally.wrong("silent:%s:%r" % (geometry.name, case), e)
                        chip.violations.clear()


def cells_case(geometry, seed, what):
    """Some laps on a bad chip, with restarts: how many checkpoints failed."""
    dice = Dice("cells %s %s" % (what, seed))
    chip = geometry.chip("junk %s" % seed if dice.below(2) else None, once=False)
    start, end = chip.fence
    if what == "stuck":
        cells = {}
        for _ in range(1 + dice.below(4)):
            cells[start + dice.below(end - start)] = (1 << dice.below(8), dice.below(256))
        chip.faults = Stuck(chip, cells)
    elif what == "disturb":
        bounds = (0, start) if dice.below(2) else (end, chip.size)
        chip.faults = Disturbs(bounds[0], bounds[1], dice)
    else:
        unit = geometry.before + dice.below(geometry.units)
        chip.faults = Worn((unit,), what, dice)
    low = high = -1
    failed = tries = 0
    stage = None
    for _ in range(4 * geometry.slots):
        if stage is None or not dice.below(5):
            forget()
            stage, n = open_stage(geometry, chip, high + 1, low)
            if not low <= n <= high:
                raise Failure("restored state %d, expected %d..%d" % (n, low, high))
        high += 1
        stage.state[:] = geometry.state(high)
        tries += 1
        if attempt(stage.checkpoint):
            low = high
        else:
            failed += 1
            if what == "disturb":
                raise Failure("it failed on a sound lease")
    contract(chip)
    changed = geometry.look_outside(chip) != geometry.outside
    if changed != (what == "disturb"):
        raise Failure(
            "the chip %s outside the lease" % ("changed" if changed else "did not change")
        )
    if low < 0 and geometry.groups > 2 and what != "stuck":
        raise Failure("no checkpoint of %d was made" % tries)
    return tries, failed


# Worn in ways that show at once; cells that fade later damage what was committed.
WORN = tuple([mode for mode in ERASE_CUTS if mode not in ("all", "fade", "flicker")])


def cells(tally, geometry, seed, count):
    for what in ("stuck", "disturb") + WORN:
        for k in range(int(count)):
            name = "%s.%d" % (seed, k)
            title = what if what in ("stuck", "disturb") else "worn out, " + what
            try:
                tries, failed = cells_case(geometry, name, what)
                tally.count(title + ": durable", tries - failed)
                tally.count(title + ": error", failed)
            except WRONG as e:
                tally.wrong("cells:%s:%s:%s" % (geometry.name, name, what), e)


def main(part, name, *options):
    tally = Tally()
    geometry = GEOMETRIES[name]
    if part == "answers":
        answers(tally, geometry)
    elif part == "silent":
        silent(tally, geometry)
    elif part == "turned":
        turned(tally, geometry)
    else:
        cells(tally, geometry, *options)
    tally.report()
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
