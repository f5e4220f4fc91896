"""Cuts the power in every way in every operation, restarts, and asks the oracle (harness.py).

    sweep.py single GEOMETRY HISTORY SEEDS      each operation of a history, each way, SEEDS times
    sweep.py damage GEOMETRY HISTORY SEEDS      ways that also damage committed slots
    sweep.py pair GEOMETRY HISTORY PART PARTS   each pair of two cuts, one part of the pairs
    sweep.py chain GEOMETRY SEED COUNT LINKS    COUNT chains of cuts in a row, each of LINKS
    sweep.py cache GEOMETRY SEED COUNT          COUNT cuts of a device with a volatile cache
    sweep.py replay CASE                        one case, step by step

The last line of the output is JSON: `cases` (fault model -> count) and `failures`
([case, what was wrong]). A case names all that it depends on.
"""

import json
import sys

import edgeckpt  # noqa: F401  before harness: from in there too deep for a 32-bit stack
from harness import (
    GEOMETRIES,
    MARGINAL,
    Failure,
    Recorder,
    contract,
    forget,
    judge,
    judge_damaged,
    open_stage,
    record,
)

from boards.models.faults import DISTURB_CUTS, ERASE_CUTS, Cut, Dice
from boards.models.nor import PowerCut
from boards.models.ram import CACHE_CUTS, SECTOR_CUTS, UNRELATED_CUTS, Cache, SectorCut

WRONG = (Exception,)  # PowerCut is none
MAX_FAILURES = 20


class Tally:
    def __init__(self):
        self.cases = {}
        self.failures = []

    def count(self, name, n=1):
        self.cases[name] = self.cases.get(name, 0) + n

    def wrong(self, case, error):
        self.failures.append([case, "%s: %s" % (type(error).__name__, error)])
        if len(self.failures) >= MAX_FAILURES:
            self.report()
            sys.exit(1)

    def report(self):
        print(json.dumps({"cases": self.cases, "failures": self.failures}))


def kind(geometry, record):
    return "erase" if record[1] else "program" if geometry.erases else "sector"


def ways(geometry, record):
    return geometry.cuts(record) if geometry.erases else SECTOR_CUTS


# One cut in each operation


def single_case(geometry, chip, records, i, mode, seed):
    r = records[i]
    dice = Dice("single %d %s %s" % (i, mode, seed))
    geometry.tear(chip, r, mode, dice)
    judge(geometry, chip, r[4], r[5], r[5] + 1, prepare=not dice.below(4))


def single(tally, geometry, history, seeds):
    chip, records = record(geometry, history)
    for i in range(len(records)):
        name = "one cut, %s " % kind(geometry, records[i])
        for mode in ways(geometry, records[i]):
            for seed in range(int(seeds)):
                try:
                    single_case(geometry, chip, records, i, mode, seed)
                except WRONG as e:
                    case = "single:%s:%s:%d:%s:%d" % (geometry.name, history, i, mode, seed)
                    tally.wrong(case, e)
                    chip.violations.clear()
            tally.count(name + mode, int(seeds))


# Cuts that also damage what was committed


def damage_case(geometry, chip, records, i, mode, seed):
    r = records[i]
    chip.restore(r[0])
    dice = Dice("damage %d %s %s" % (i, mode, seed))
    geometry.tear(chip, r, mode, dice)
    return judge_damaged(geometry, chip, r[5], r[5] + 1)


def damage(tally, geometry, history, seeds):
    chip, records = record(geometry, history)
    for i in range(len(records)):
        if records[i][1]:
            continue
        for mode in DISTURB_CUTS if geometry.erases else UNRELATED_CUTS:
            for seed in range(int(seeds)):
                try:
                    outcome = damage_case(geometry, chip, records, i, mode, seed)
                    tally.count("damage, %s: %s" % (mode, outcome))
                except WRONG as e:
                    case = "damage:%s:%s:%d:%s:%d" % (geometry.name, history, i, mode, seed)
                    tally.wrong(case, e)
                    chip.violations.clear()


# Two cuts in a row


def second_records(geometry, chip, records, i, mode, seed):
    """The operations of the checkpoint after the first cut: (records, next state)."""
    r = records[i]
    geometry.tear(chip, r, mode, Dice("pair %d %s %s" % (i, mode, seed)))
    forget()
    new = r[5] + 1
    stage, n = open_stage(geometry, chip, new, r[4])
    if not r[4] <= n <= r[5]:
        raise Failure("restored state %d, expected %d..%d" % (n, r[4], r[5]))
    recorder = chip.faults = Recorder(r[4], new)
    try:
        stage.state[:] = geometry.state(new)
        stage.checkpoint()
    finally:
        chip.faults = None
    return recorder.records


def pair_case(geometry, chip, second, j, mode, seed):
    r = second[j]
    geometry.tear(chip, r, mode, Dice("second %d %s %s" % (j, mode, seed)))
    judge(geometry, chip, r[4], r[5], r[5] + 1)


def pair(tally, geometry, history, part, parts):
    chip, records = record(geometry, history, 1)
    for i in range(int(part), len(records), int(parts)):
        first = kind(geometry, records[i])
        for mode in ways(geometry, records[i]):
            case = "pair:%s:%s:%d:%s" % (geometry.name, history, i, mode)
            try:
                second = second_records(geometry, chip, records, i, mode, history)
            except WRONG as e:
                tally.wrong(case + ":0:none", e)
                continue
            for j in range(len(second)):
                then = kind(geometry, second[j])
                for mode2 in ways(geometry, second[j]):
                    try:
                        pair_case(geometry, chip, second, j, mode2, history)
                    except WRONG as e:
                        tally.wrong("%s:%d:%s" % (case, j, mode2), e)
                        chip.violations.clear()
                tally.count("two cuts, %s then %s" % (first, then), len(ways(geometry, second[j])))


# Chains of cuts


def say_nothing(*words):
    pass


def chain_case(geometry, seed, links, say=say_nothing):
    """One chain: after each cut a restart, and up to some checkpoints until the next cut."""
    dice = Dice("chain %s %s" % (geometry.name, seed))
    chip = geometry.chip("junk %s" % seed if dice.below(2) else None)
    low = high = -1
    made = 0
    doubts = 0
    for link in range(links):
        forget()
        stage, n = open_stage(geometry, chip, high + 1, low)
        say("restart %d: state %d, right are %d..%d" % (link, n, low, high))
        if not low <= n <= high:
            raise Failure("link %d: restored state %d, expected %d..%d" % (link, n, low, high))
        op = chip.ops + 1 + dice.below(geometry.operations * (1 + 3 * (dice.below(4) == 0)))
        if geometry.erases:
            cut = Cut(op, dice.pick(geometry.program_cuts(doubts)), dice.pick(ERASE_CUTS), dice)
        else:
            cut = SectorCut(op, dice.pick(SECTOR_CUTS), dice)
        chip.faults = cut
        try:
            while True:
                if not dice.below(4):
                    stage.prepare()
                high += 1
                made += 1
                stage.state[:] = geometry.state(high)
                stage.checkpoint()
                low = high
                doubts = 0
                say("  checkpoint %d returned" % high)
        except PowerCut:
            doubts += geometry.erases and cut.in_program in MARGINAL
            say("  cut: operation %d, %s, state %d" % (chip.ops, cut.done, high))
        chip.faults = None
        chip.power_on()
        contract(chip)
        if geometry.erases and chip.erases > (made + links) * geometry.group_units:
            raise Failure("%d erases for %d checkpoints" % (chip.erases, made))
    judge(geometry, chip, low, high, high + 1)
    say("restart and checkpoint after the chain: as expected")


def chain(tally, geometry, seed, count, links):
    for k in range(int(count)):
        name = "%s.%d" % (seed, k)
        try:
            chain_case(geometry, name, int(links))
        except WRONG as e:
            tally.wrong("chain:%s:%s:%s" % (geometry.name, name, links), e)
        tally.count("cuts in chains of %s" % links, int(links))


# Devices with a volatile cache


def cache_case(geometry, seed, how, say=say_nothing):
    """Some checkpoints on a device with a cache that is lost in one call; the oracle."""
    dice = Dice("cache %s %s %s" % (geometry.name, how, seed))
    chip = geometry.chip("junk %s" % seed if dice.below(2) else None, once=False)
    device = Cache(chip)
    low = high = -1
    for link in range(1 + dice.below(6)):
        forget()
        stage, n = open_stage(geometry, device, high + 1, low)
        say("restart %d: state %d, right are %d..%d" % (link, n, low, high))
        if not low <= n <= high:
            raise Failure("restored state %d, expected %d..%d" % (n, low, high))
        device.cut(1 + dice.below(12), how, dice)
        try:
            while True:
                high += 1
                stage.state[:] = geometry.state(high)
                stage.checkpoint()
                low = high
                say("  checkpoint %d returned" % high)
        except PowerCut:
            say("  cut in state %d, %s" % (high, device.done))
        device.power_on()
    judge(geometry, chip, low, high, high + 1, device=device)
    return link + 1


def cache(tally, geometry, seed, count):
    for k in range(int(count)):
        how = CACHE_CUTS[k % len(CACHE_CUTS)]
        name = "%s.%d" % (seed, k)
        try:
            tally.count("cache, writes " + how, cache_case(geometry, name, how))
        except WRONG as e:
            tally.wrong("cache:%s:%s:%s" % (geometry.name, name, how), e)


# Replay


class Tracing:
    """A device that prints what is done to `device`."""

    def __init__(self, device):
        self.device = device

    def readblocks(self, n, buf, *off):
        r = self.device.readblocks(n, buf, *off)
        print("    read    %d%s %d: %s" % (n, at(off), len(buf), brief(buf)))
        return r

    def writeblocks(self, n, buf, *off):
        print("    program %d%s %d: %s" % (n, at(off), len(buf), brief(buf)))
        return self.device.writeblocks(n, buf, *off)

    def ioctl(self, op, arg):
        if op in (3, 6):
            print("    sync" if op == 3 else "    erase   %d" % arg)
        return self.device.ioctl(op, arg)


class RangedTracing(Tracing):
    def erase_range(self, first, count):
        print("    erase   %d..%d at once" % (first, first + count - 1))
        return self.device.erase_range(first, count)


def tracing(device):
    return (RangedTracing if hasattr(device, "erase_range") else Tracing)(device)


def at(off):
    return "+0x%x" % off[0] if off else ""


def brief(buf):
    text = "".join("%02x" % b for b in bytes(buf[:24]))
    return "blank" if all(b == 255 for b in bytes(buf)) else text


def replay(case):
    part, name, rest = case.split(":", 2)
    geometry = GEOMETRIES[name]
    plain = geometry.lease
    geometry.lease = lambda device: plain(tracing(device))
    if part == "chain":
        seed, links = rest.split(":")
        chain_case(geometry, seed, int(links), print)
        return
    if part == "cache":
        seed, how = rest.split(":")
        cache_case(geometry, seed, how, print)
        return
    words = rest.split(":")
    i = int(words[1])
    geometry.lease = plain
    chip, records = record(geometry, words[0], 1 if part == "pair" else 2)
    geometry.lease = lambda device: plain(tracing(device))
    r = records[i]
    print("operation %d of history %s: %s at 0x%x" % (i, words[0], kind(geometry, r), r[2]))
    print("cut: %s; states %d..%d are right" % (words[2], r[4], r[5]))
    if part == "single":
        single_case(geometry, chip, records, i, words[2], words[3])
    elif part == "damage":
        print(damage_case(geometry, chip, records, i, words[2], words[3]))
    else:
        second = second_records(geometry, chip, records, i, words[2], words[0])
        j = int(words[3])
        print("second cut: %s at 0x%x: %s" % (kind(geometry, second[j]), second[j][2], words[4]))
        pair_case(geometry, chip, second, j, words[4], words[0])


PARTS = {"single": single, "damage": damage, "pair": pair, "chain": chain, "cache": cache}


def main(part, name, *options):
    if part == "replay":
        replay(name)
        print("the oracle finds nothing wrong")
        return 0
    tally = Tally()
    try:
        PARTS[part](tally, GEOMETRIES[name], *options)
    except WRONG as e:
        tally.wrong("%s:%s:%s" % (part, name, ":".join(options)), e)
    tally.report()
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
