"""Damaged leases: every flipped bit is detected, and none restores a wrong state.

    leases.py flips GEOMETRY                  every single bit of a committed checkpoint
    leases.py mutated GEOMETRY SEED COUNT     COUNT random or mutated leases

The last line is JSON as of sweep.py.
"""

import sys

from edgeckpt import BlockLease, CheckpointedStageState, RestoreFailed
from harness import GEOMETRIES, LEASE_ID, Failure, forget, open_stage
from sweep import WRONG, Tally

from boards.models.faults import Dice

SCHEMA = "{count:u32,gains:[u16;3],name:str}"
RECORD = {"count": 70000, "gains": [1, 2, 65535], "name": "stage"}
HEADER = 64


def restored(geometry, chip, fallback=False):
    """(number of the state, fell_back), or (reason of the error, None)."""
    forget()
    try:
        stage = CheckpointedStageState.restore(geometry.lease(chip), fallback=fallback)
    except RestoreFailed as e:
        return e.reason, None
    n = geometry.number(stage.state)
    if n is None:
        raise Failure("restored bytes that were never passed to checkpoint()")
    return n, stage.fell_back


def written(geometry, count):
    chip = geometry.chip(None)
    forget()
    stage, _ = open_stage(geometry, chip, 0, -1)
    for n in range(count):
        stage.state[:] = geometry.state(n)
        stage.checkpoint()
    return chip


def flips(tally, geometry):
    base = geometry.before * geometry.unit
    # The only checkpoint of a lease: in the header one wrong bit is found by its CRC-32 and does
    # no harm; in the data it is an error, none looks like a new lease.
    chip = written(geometry, 1)
    check_flips(tally, geometry, chip, base, geometry.block + geometry.size, 0)
    # The newest of three: in the data it is an error, and fallback says what it is.
    chip = written(geometry, 3)
    saved = chip.save()
    newest = chip.data.find(b"\x03\0\0\0", base + 16)
    while chip.data[newest - 16 : newest - 12] != b"CKPT":
        newest = chip.data.find(b"\x03\0\0\0", newest + 1)
    newest -= 16
    for i in range(geometry.size):
        for bit in range(8):
            chip.data[newest + geometry.block + i] ^= 1 << bit
            first = restored(geometry, chip)
            second = restored(geometry, chip, True)
            if first != ("data", None) or second != (1, True):
                error = Failure("restored %r, with fallback %r" % (first, second))
                tally.wrong("data byte %d bit %d" % (i, bit), error)
            chip.restore(saved)
    tally.count("bits of the data of the newest of three flipped", 8 * geometry.size)
    for i in range(HEADER):
        for bit in range(8):
            chip.data[newest + i] ^= 1 << bit
            found = restored(geometry, chip)
            if found != (2, False):
                tally.wrong("header byte %d bit %d" % (i, bit), Failure("restored %r" % found))
            chip.restore(saved)
    tally.count("bits of the header of the newest of three flipped", 8 * HEADER)
    structured(tally, geometry)


def place(geometry, slot):
    """Bytes from the start of the lease to the header of `slot`."""
    blocks = (geometry.size + geometry.block - 1) // geometry.block + 1
    if geometry.per_group == 1:
        return slot * geometry.group_units * geometry.unit
    first = slot // geometry.per_group * geometry.unit
    return first + slot % geometry.per_group * blocks * geometry.block


def check_flips(tally, geometry, chip, base, size, right):
    saved = chip.save()
    for i in range(size):
        if HEADER <= i < geometry.block:
            continue  # the unused rest of the header block
        for bit in range(8):
            chip.data[base + i] ^= 1 << bit
            found, _ = restored(geometry, chip)
            chip.restore(saved)
            if (found == right) != (i < HEADER) or found == "none":
                tally.wrong("byte %d bit %d" % (i, bit), Failure("restored %r" % found))
    tally.count("bits of the only checkpoint flipped", 8 * (size - geometry.block + HEADER))


def structured(tally, geometry):
    """The same with a schema text in the header, and a state of postcard bytes."""
    chip = geometry.chip(None)
    forget()
    lease = geometry.lease(chip)
    stage = CheckpointedStageState(RECORD, lease, SCHEMA, capacity=geometry.block)
    stage.checkpoint()
    base = geometry.before * geometry.unit
    size = 3 + 5 + 6  # count; gains: varints of 1, 1, 3 bytes; name: its length and 5 bytes
    saved = chip.save()
    spots = list(range(HEADER + len(SCHEMA)))
    spots += list(range(geometry.block, geometry.block + size))
    for i in spots:
        for bit in range(8):
            chip.data[base + i] ^= 1 << bit
            forget()
            try:
                state = CheckpointedStageState.restore(geometry.lease(chip)).state
                if state != RECORD or i >= geometry.block:
                    tally.wrong(
                        "schema case, byte %d bit %d" % (i, bit), Failure("restored %r" % state)
                    )
            except RestoreFailed as e:
                if e.reason == "none" or i < geometry.block:
                    tally.wrong("schema case, byte %d bit %d" % (i, bit), Failure("taken for new"))
            chip.restore(saved)
    tally.count("bits of a checkpoint with schema flipped", 8 * len(spots))


# Mutations: each takes (geometry, chip, lease start, lease end, dice)


def m_bits(geometry, chip, a, b, dice):
    for _ in range(1 + dice.below(8)):
        chip.data[a + dice.below(b - a)] ^= 1 << dice.below(8)


def m_headers(geometry, chip, a, b, dice):
    slot = a + place(geometry, dice.below(geometry.slots))
    for _ in range(1 + dice.below(4)):
        chip.data[slot + dice.below(HEADER)] = dice.below(256)


def m_data(geometry, chip, a, b, dice):
    slot = a + place(geometry, dice.below(geometry.slots)) + geometry.block
    for _ in range(1 + dice.below(4)):
        chip.data[slot + dice.below(geometry.size)] ^= 1 + dice.below(255)


def m_copy(geometry, chip, a, b, dice):
    size = geometry.block
    s = a + dice.below((b - a) // size) * size
    d = a + dice.below((b - a) // size) * size
    chip.data[d : d + size] = bytes(chip.data[s : s + size])


def m_swap_units(geometry, chip, a, b, dice):
    size = geometry.unit
    s = a + dice.below((b - a) // size) * size
    d = a + dice.below((b - a) // size) * size
    one = bytes(chip.data[s : s + size])
    chip.data[s : s + size] = bytes(chip.data[d : d + size])
    chip.data[d : d + size] = one


def m_fill(geometry, chip, a, b, dice):
    s = a + dice.below(b - a)
    n = min(1 + dice.below(geometry.unit), b - s)
    chip.data[s : s + n] = bytes([dice.pick((0, 0xFF, 0x55))]) * n


def m_noise(geometry, chip, a, b, dice):
    s = a + dice.below(b - a)
    n = min(1 + dice.below(geometry.unit), b - s)
    chip.data[s : s + n] = dice.bits(8 * n).to_bytes(n, "little")


def m_shift(geometry, chip, a, b, dice):
    n = 1 + dice.below(64)
    chip.data[a + n : b] = bytes(chip.data[a : b - n])


def m_random(geometry, chip, a, b, dice):
    chip.data[a:b] = dice.bits(8 * (b - a)).to_bytes(b - a, "little")
    chip.data[a : a + 8] = b"CKPT\x01\0\0\0"


def m_foreign(geometry, chip, a, b, dice):
    # One unit or all of another lease, at the same place of the same geometry.
    at = dice.below(geometry.units) * geometry.unit
    end = dice.pick((at + geometry.unit, b - a))
    chip.data[a + at : a + end] = geometry.foreign[at:end]


MUTATIONS = (
    m_bits,
    m_bits,
    m_headers,
    m_headers,
    m_data,
    m_copy,
    m_swap_units,
    m_fill,
    m_noise,
    m_shift,
    m_random,
    m_foreign,
)


def mutated_case(geometry, chip, saved, allowed, name):
    """What a lease with one to three mutations restores; never what was not in it."""
    chip.restore(saved)
    dice = Dice("mutated " + name)
    a, b = geometry.before * geometry.unit, (geometry.before + geometry.units) * geometry.unit
    for _ in range(1 + dice.below(3)):
        dice.pick(MUTATIONS)(geometry, chip, a, b, dice)
    found, _ = restored(geometry, chip, dice.below(2))
    if not isinstance(found, str) and found not in allowed:
        raise Failure("restored state %d, in the lease were %r" % (found, allowed))
    return "error" if isinstance(found, str) else "a state of the lease"


def foreign(geometry):
    """The lease of a chip that another lease id has written, with states of the same numbers."""
    chip = geometry.chip(None)
    forget()
    lease = BlockLease(
        chip, geometry.before, geometry.units, LEASE_ID + 1, block_size=geometry.block
    )
    stage = CheckpointedStageState(bytearray(geometry.state(900)), lease)
    for n in range(geometry.slots + 1):
        stage.state[:] = geometry.state(900 + n)
        stage.checkpoint()
    a, b = geometry.before * geometry.unit, (geometry.before + geometry.units) * geometry.unit
    return bytes(chip.data[a:b])


def mutated(tally, geometry, seed, count):
    geometry.foreign = foreign(geometry)
    count = int(count)
    lap = geometry.slots + 2
    for k in range(8):
        made = 1 + (k * 5) % lap + (k // 4) * lap
        chip = written(geometry, made)
        saved = chip.save()
        allowed = range(made)
        for i in range(count // 8):
            name = "%s.%s.%d.%d" % (geometry.name, seed, k, i)
            try:
                outcome = mutated_case(geometry, chip, saved, allowed, name)
                tally.count("mutated leases: " + outcome)
            except WRONG as e:
                tally.wrong(name, e)


def main(part, name, *options):
    tally = Tally()
    geometry = GEOMETRIES[name]
    if part == "flips":
        flips(tally, geometry)
    else:
        mutated(tally, geometry, *options)
    tally.report()
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
