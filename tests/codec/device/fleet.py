"""Boards that live through new firmwares and power cuts: `fleet.py SEED BOARDS CUTS`.

Each board has a history of its own: versions of a program whose schema gains fields, loses some,
renames one by a function, widens numbers, and once moves to a lease with larger slots. Power fails
in the midst of checkpoints; whatever version boots then, the state is the last one saved, or the
one that was being saved, field by field.
"""

import sys

from dice import Dice
from edgeckpt import BlockLease, CheckpointedStageState
from edgeckpt.lease import live as live_leases
from law import Fields
from ram import Device

UNITS = 6
WIDER = {"u8": "u16", "u16": "u32", "u32": "u64", "i8": "i16", "i16": "i64"}
RANGE = {"u8": 255, "u16": 65535, "u32": (1 << 32) - 1, "i8": 127, "i16": 32767, "bool": 1}


class PowerCut(BaseException):
    pass


class Board(Device):
    """Power fails in the operation number `cut_at`, which is then done in part."""

    def __init__(self, dice):
        Device.__init__(self, 2 * UNITS)
        self.dice = dice
        self.cut_at = -1

    def writeblocks(self, n, buf, off=0):
        self.cut_at -= 1
        if self.cut_at != 0:
            return Device.writeblocks(self, n, buf, off)
        data = bytearray(buf)
        kind = self.dice.below(4)
        done = self.dice.below(len(data) + 1) if kind else len(data) * self.dice.below(2)
        for i in range(len(data)):
            if kind == 3:
                data[i] |= self.dice.below(256)
            elif i >= done:
                data[i] = 255
        Device.writeblocks(self, n, data, off)
        raise PowerCut

    def ioctl(self, op, arg):
        if op != 6:
            return Device.ioctl(self, op, arg)
        self.cut_at -= 1
        if self.cut_at != 0:
            return Device.ioctl(self, op, arg)
        kind = self.dice.below(4)
        for i in range(arg * self.size, arg * self.size + self.size):
            if kind == 1:
                self.data[i] = 255
            elif kind == 2:
                self.data[i] = 0
            elif kind == 3:
                self.data[i] |= self.dice.below(256)
        raise PowerCut


class Version:
    """Fields, each (number, name, type, default): the number stays when the name changes."""

    def __init__(self, fields, lease, renamed=False):
        self.fields = fields
        self.lease = lease  # 0, or 1 from when the state has grown
        self.schema = "{%s}" % ",".join(["%s:%s" % f[1:3] for f in fields])
        self.renamed = renamed

    def defaults(self):
        return dict([(f[1], copied(f[3])) for f in self.fields])


def copied(v):
    return list(v) if isinstance(v, list) else dict(v) if isinstance(v, dict) else v


def drawn(dice, kind):
    if kind in RANGE:
        v = dice.below(1 << 20) * dice.below(1 << 14) % (RANGE[kind] + 1)
        return v == 1 if kind == "bool" else -v if kind[0] == "i" and dice.below(2) else v
    if kind == "u64" or kind == "i64":
        return dice.below(1 << 20) << dice.below(40)
    if kind == "str":
        return "x" * dice.below(20)
    if kind == "f32":
        return dice.below(1000) / 8
    if kind == "{x:u8}":
        return {"x": dice.below(256)}
    return [dice.below(60000) for _ in range(dice.below(8))]


def next_version(dice, v, count):
    """A version after `v`, changed in one or two ways; `count`: of all fields ever."""
    lease, renamed = v.lease, False
    fields = list(v.fields)
    for _ in range(1 + dice.below(2)):
        kind = dice.below(5)
        i = dice.below(len(fields))
        number, name, t, default = fields[i]
        if kind == 0 and len(fields) > 1:
            del fields[i]
        elif kind == 1 and t in WIDER:
            fields[i] = (number, name, WIDER[t], default)
        elif kind == 2:
            fields[i] = (number, "r%d_%s" % (count[0], name[-2:]), t, default)
            count[0] += 1
            renamed = True
        elif kind == 3 and not v.lease:
            lease = 1
        else:
            types = "u8 u16 u32 u64 i8 i16 bool str f32 {x:u8} Vec<u16>".split()
            t = types[dice.below(len(types))]
            fields.insert(i, (count[0], "f%d" % count[0], t, drawn(dice, t)))
            count[0] += 1
    return Version(fields, lease, renamed)


def expected(versions, old, saved, new):
    """The state that version `new` shall find where `old` saved `saved` (None: nothing)."""
    state = versions[new].defaults()
    if saved is not None:
        names = dict([(f[0], f[1]) for f in versions[old].fields])
        for number, name, _, _ in versions[new].fields:
            if number in names:
                state[name] = saved[names[number]]
    return state


class Life:
    boots = cuts = moved = upgrades = 0


def resume(board, versions, at, form):
    """The stage of version `at`, and what the checkpoint's fields are named there."""
    version = versions[at]
    renamed = False
    by_text = {}
    for i in range(at + 1):
        by_text[versions[i].schema] = versions[i]

    def migrate(old, text):
        names = dict([(f[0], f[1]) for f in version.fields])
        return dict([(names[f[0]], old[f[1]]) for f in by_text[text].fields if f[0] in names])

    for i in range(at + 1):
        renamed = renamed or versions[i].renamed
    state = version.defaults()
    state = Fields(state) if form else state
    leases = [BlockLease(board, 0, UNITS, 1)]
    options = {"migrate": migrate if renamed else True, "capacity": 400}
    if version.lease:
        leases.append(BlockLease(board, UNITS, UNITS, 2))
        options["moved_from"] = leases[0]
        options["capacity"] = 1500
    stage = CheckpointedStageState.resume(state, leases[-1], version.schema, **options)
    assert stage.state is state
    return stage


def now(stage, version):
    s = stage.state
    return s if isinstance(s, dict) else dict([(f[1], getattr(s, f[1])) for f in version.fields])


def live(seed, cuts):
    dice = Dice(seed)
    count = [3]
    first = [(0, "f0", "u8", 1), (1, "f1", "i16", -2), (2, "f2", "str", "a")]
    versions = [Version(first, 0)]
    for _ in range(7):
        versions.append(next_version(dice, versions[-1], count))
    board = Board(dice)
    at = 0
    may_be = [(0, None)]  # (version that saved, state): what the medium may hold
    while cuts:
        if dice.below(3) == 0 and at < 7:
            at += 1
            Life.upgrades += 1
        board.cut_at = -1
        stage = resume(board, versions, at, dice.below(2))
        Life.boots += 1
        found = now(stage, versions[at])
        wanted = [expected(versions, old, saved, at) for old, saved in may_be]
        assert found in wanted, "board %d, version %d: %r, expected one of %r, %s" % (
            (seed, at, found, wanted, [v.schema for v in versions[: at + 1]])
        )
        may_be = [may_be[wanted.index(found)]]
        board.cut_at = 1 + dice.below(12)
        try:
            for _ in range(4):
                for _, name, t, _ in versions[at].fields:
                    v = drawn(dice, t)
                    if isinstance(stage.state, dict):
                        stage.state[name] = v
                    else:
                        setattr(stage.state, name, v)
                state = dict([(n, copied(v)) for n, v in now(stage, versions[at]).items()])
                may_be.append((at, state))
                stage.checkpoint()
                may_be = [(at, state)]
        except PowerCut:
            cuts -= 1
            Life.cuts += 1
        del live_leases[:]
    Life.moved += versions[at].lease


def sweep():
    """Every operation of the first checkpoints in a larger slot cut, each in several ways."""
    small, large = "{a:u8}", "{a:u16,b:Vec<u16>}"
    runs = at = 0
    done = False
    while not done:
        at += 1
        for seed in range(8):
            board = Board(Dice(at * 8 + seed))
            lease = BlockLease(board, 0, UNITS, 1)
            stage = CheckpointedStageState({"a": 7}, lease, small)
            stage.checkpoint()
            del live_leases[:]
            saved = [{"a": 7, "b": []}]
            board.cut_at = at
            for turn in range(3):
                leases = BlockLease(board, 0, UNITS, 1), BlockLease(board, UNITS, UNITS, 2)
                stage = CheckpointedStageState.resume(
                    {"a": 0, "b": []}, leases[1], large, capacity=1500, moved_from=leases[0]
                )
                assert stage.state in saved, (at, seed, turn, stage.state)
                saved = [dict(stage.state)]
                try:
                    for i in range(2):
                        stage.state = {"a": 300 + turn, "b": [i] * 500}
                        saved.append(stage.state)
                        stage.checkpoint()
                        saved = [stage.state]
                    done = board.cut_at > 0
                except PowerCut:
                    runs += 1
                del live_leases[:]
    print("swept", at - 1, "operations,", runs, "cuts")


def run(seed, boards, cuts):
    sweep()
    for n in range(seed, seed + boards):
        live(n, cuts)
    print("ok", boards, "boards", Life.boots, "boots", Life.cuts, "cuts", end=" ")
    print(Life.upgrades, "new firmwares", Life.moved, "moved to larger slots")


run(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
