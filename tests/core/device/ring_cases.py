"""A ring that goes on: the small inputs r1 to r16 that once failed, each with its right outcome.

Runs on CPython and MicroPython, by the public API and docs/format.md only: what is the newest is
told by the headers on the medium, never by the ring. r12 and r13 raise Ctrl-C between any two
bytecodes of CPython, and on MicroPython wherever a device can.
"""

import sys

from check import raises, run
from edgeckpt import (
    BlockLease,
    CheckpointedStageState,
    CheckpointFailed,
    CheckpointFlushObserver,
    LeaseError,
    RestoreFailed,
)
from edgeckpt.lease import live

from boards.models.ecc import ECC_CUTS, EccChip, EccCut
from boards.models.faults import (
    ERASE_CUTS,
    PROGRAM_CUTS,
    UNIT_WEAR,
    BadUnits,
    Cut,
    Dice,
    UnitCut,
)
from boards.models.nor import NorChip, PowerCut
from boards.models.odd import NoErase, Partition, Through
from boards.models.ram import SECTOR_CUTS, SECTOR_WEAR, BadSectors, ByteCut, SectorCut, SectorDisk
from boards.models.reads import FlashReads, SimpleReads

ID = 0xABCD
SIZE = 200
QUICK = sys.implementation.name == "micropython"  # a sample of what CPython tries whole


def state(n, size=SIZE):
    """State number `n`: tells it, and no mixture of two is a third."""
    return Dice("state %d" % n).bits(8 * size - 32).to_bytes(size - 4, "little") + n.to_bytes(
        4, "little"
    )


def number(found, size=SIZE):
    n = int.from_bytes(bytes(found)[-4:], "little")
    assert n < 100000 and bytes(found) == state(n, size), "bytes that were never passed"
    return n


class Board:
    """A device and what was asked of it: `boot()` is a restart, `save(n)` a checkpoint."""

    def __init__(self, device, count, start=0, size=SIZE, **lease):
        self.device = device
        self.start = start
        self.count = count
        self.size = size
        self.options = lease
        self.stage = None

    def lease(self, **more):
        live.clear()
        options = dict(self.options)
        options.update(more)
        return BlockLease(self.device, self.start, self.count, ID, **options)

    def boot(self, given=99999, **options):
        """Resume with state `given`: the number of the state that it begins with."""
        first = bytearray(state(given, self.size))
        self.stage = CheckpointedStageState.resume(first, self.lease(), **options)
        return number(self.stage.state, self.size)

    def save(self, n):
        self.stage.state[:] = state(n, self.size)
        self.stage.checkpoint()


def headers(data, grain, start=0, end=None):
    """[(sequence, address)] of what begins as a header does, newest first (docs/format.md)."""
    found = []
    for at in range(start, len(data) if end is None else end, grain):
        if data[at : at + 4] == b"CKPT":
            found.append((int.from_bytes(data[at + 16 : at + 20], "little"), at))
    return sorted(found, reverse=True)


def nor(units=8, unit=1024, page=256, once=True):
    return NorChip(units * unit, unit, page, once=once)


# r1: one worn unit


def lives(board, boots):
    """One resume and one checkpoint a boot: how many checkpoints returned; each is kept."""
    last = 99999
    returned = 0
    for n in range(boots):
        found = board.boot()
        assert found == last, "boot %d: state %d, expected %d" % (n, found, last)
        try:
            board.save(n)
        except CheckpointFailed:
            # What failed may have landed nevertheless; a later boot must not show it as newer.
            continue
        last = n
        returned += 1
    return returned


def test_r1_one_worn_unit_costs_no_checkpoint():
    for how in UNIT_WEAR:
        for bad in range(0, 8, 3 if QUICK else 1):
            chip = nor(once=False)
            chip.put(bad * 1024, Dice("worn").bits(8 * 1024).to_bytes(1024, "little"))
            chip.faults = BadUnits([bad], how, Dice(how))
            boots = 30 if QUICK else 60
            saved = lives(Board(chip, 8), boots)
            assert saved == boots, "%s unit %d: %d of %d saved" % (how, bad, saved, boots)
            assert chip.faults.met, "never met: %s unit %d" % (how, bad)


# r2: several bad ones side by side


def test_r2_bad_neighbours_cost_no_checkpoint():
    for how in SECTOR_WEAR:
        disk = SectorDisk(604)
        board = Board(disk, 600, 2)
        board.boot()
        disk.faults = BadSectors(range(202, 208), how, Dice(how))
        for n in range(400):
            board.save(n)
            if n % 25 == 24:
                assert board.boot() == n, (how, n)
        assert disk.faults.met, "never met"
    for how in UNIT_WEAR:
        chip = nor(32, once=False)
        chip.faults = BadUnits((20, 21, 22), how, Dice(how))
        board = Board(chip, 32)
        board.boot()
        for n in range(100 if QUICK else 400):
            board.save(n)
            if n % 20 == 19:
                assert board.boot() == n, (how, n)
        assert chip.faults.met, "never met"


# r3: neighbours that cannot be read


def test_r3_lost_neighbours_never_hide_the_newest():
    disk = SectorDisk(132)
    board = Board(disk, 132)
    board.boot()
    for n in range(88):
        board.save(n)
    made = disk.save()
    places = sorted([at for _, at in headers(disk.data, 512)])
    newest = headers(disk.data, 512)[0][1]
    for first in range(0, 66, 5 if QUICK else 1):
        lost = [places[(first + i) % 66] for i in range(3)]
        for again in (False, True):
            disk.restore(made)
            disk.bad = {at // 512 for at in lost}
            found = board.boot()
            if newest in lost:
                assert found < 87 and board.stage.fell_back, (first, found)
            else:
                assert found == 87, (first, found)
            board.save(88)
            if again:
                disk.bad.clear()
            assert board.boot() == 88, "%d: a checkpoint that returned is lost" % first


# r4: the very first checkpoint, cut


def first_cut(make, cut, ops, explain, **lease):
    """The first checkpoint of a lease, cut in operation 1..ops; the next boot begins with the
    state it is given, or with the one of that checkpoint, and goes on. `cut(op)` gives faults."""
    for op in range(1, ops + 1):
        device = make()
        board = Board(device, 6, 1, **lease)
        assert board.boot(500) == 500
        device.faults = cut(op)
        try:
            board.save(1)
            done = True
        except PowerCut:
            done = False
        device.faults = None
        device.power_on()
        try:
            found = board.boot(600)
        except RestoreFailed as e:
            raise AssertionError("%s, operation %d: resume raised %s" % (explain, op, e)) from e
        assert found == 1 or found == 600 and not done, (explain, op, found)
        board.save(2)
        assert board.boot() == 2, (explain, op)


def full_of(device, filled):
    if filled is not None:
        size = len(device.data)
        if filled == "junk":
            device.data[:] = Dice("junk").bits(8 * size).to_bytes(size, "little")
        else:
            device.data[:] = bytes([filled]) * size
    return device


def test_r4_nor():
    for how in PROGRAM_CUTS:
        for filled in (None,) if QUICK else (None, "junk"):
            in_erase = ERASE_CUTS[PROGRAM_CUTS.index(how) % len(ERASE_CUTS)]

            def cut(op, how=how, in_erase=in_erase):
                return Cut(op, how, in_erase, Dice("%s %d" % (how, op)))

            first_cut(lambda: full_of(nor(), filled), cut, 3, "NOR %s %s" % (how, filled))  # noqa: B023


def test_r4_sd():
    for how in SECTOR_CUTS:
        for filled in (0xFF, 0, "junk"):

            def cut(op, how=how):
                return SectorCut(op, how, Dice("%s %d" % (how, op)))

            def make(filled=filled):
                return full_of(SectorDisk(8), filled)

            first_cut(make, cut, 3, "SD %s %s" % (how, filled))


def test_r4_fram():
    for kept in range(0, 129, 9 if QUICK else 1):
        for filled in (0xFF, 0, "junk"):

            def make(filled=filled):
                return full_of(SectorDisk(20, 128), filled)

            first_cut(
                make,
                lambda op: ByteCut(op, kept),  # noqa: B023
                4,
                "FRAM %d %s" % (kept, filled),
            )


def test_r4_ecc():
    for how in ECC_CUTS:
        first_cut(
            lambda: EccChip(8 * 2048),
            lambda op: EccCut(op, how, Dice("%s %d" % (how, op))),  # noqa: B023
            3,
            "ECC %s" % how,
            ecc=True,
        )


def test_r4_plain_nor_that_cannot_be_read_is_an_error():
    # Whatever there is beside: of one header nobody knows whether it was the only one.
    chip = nor()
    board = Board(FlashReads(chip, 256), 8)
    board.boot()
    board.save(1)
    made = chip.save()
    at = headers(chip.data, 256)[0][1]
    for n in (1, 2, 3):
        board.device.spoil = {at // 256: "error"}
        e = raises(RestoreFailed, "read", board.boot)
        assert e.cause is not None, n
        assert chip.save() == made
    board.device.spoil = {}
    assert board.boot() == 1


# r5: the first page of the range cannot be read


def first_page_lost(**options):
    chip = EccChip(8 * 2048)
    board = Board(chip, 8, **options)
    board.boot()
    n = 0
    while not n or headers(chip.data, 256)[0][1] < 2048:
        board.save(n)
        n += 1
    chip.torn[0] = None
    lease = board.lease()
    assert lease.erases and lease.units == 8
    assert board.boot() == n - 1
    for more in range(n, n + 20):
        board.save(more)
        assert board.boot() == more


def test_r5_a_lease_of_a_range_whose_first_page_does_not_read():
    first_page_lost()
    first_page_lost(erase=True)
    live.clear()
    disk = SectorDisk(20)
    disk.bad.add(2)
    lease = BlockLease(disk, 2, 12, ID)
    assert not lease.erases
    live.clear()


def test_r5_the_same_on_flash_with_ecc():
    first_page_lost(ecc=True)


# r6: cut programs disturb the unit that they run in


class Watch(Cut):
    """Looks at each program and erase: whether its unit holds the newest header committed."""

    def __init__(self):
        Cut.__init__(self, 0, None, None, None)
        self.beside = 0
        self.newest = None

    def _look(self, chip, at):
        if self.newest is not None and at // chip.unit == self.newest // chip.unit:
            self.beside += 1

    def program(self, chip, at, data):
        self._look(chip, at)
        return Cut.program(self, chip, at, data)

    def erase(self, chip, at):
        self._look(chip, at)
        return Cut.erase(self, chip, at)


def test_r6_the_newest_is_never_beside_what_is_programmed():
    for units in (3, 4, 8):
        chip = nor(units, 4096)
        board = Board(chip, units)
        board.boot()
        watch = chip.faults = Watch()
        for n in range(200):
            board.save(n)
            watch.newest = headers(chip.data, 256)[0][1]
            if n % 50 == 49:
                assert board.boot() == n
        assert not watch.beside, "%d of 200 checkpoints: %d units" % (watch.beside, units)
        # No more erases than one unit after the other needs, eight slots each; but for two units
        # that each restart opens anew, and one erase that tests whether the device does any.
        assert chip.erases <= 200 // 8 + 2 * 4 + 1, chip.erases


def test_r6_lives_on_a_chip_whose_cuts_disturb():
    chip = nor(8, 4096)
    board = Board(chip, 8)
    dice = Dice("r6")
    low = high = 0
    board.boot()
    board.save(0)
    for life in range(20 if QUICK else 60):
        found = board.boot()
        assert low <= found <= high, "life %d: %d, right are %d..%d" % (life, found, low, high)
        chip.faults = UnitCut(chip.ops + 1 + dice.below(12), "bits", "all", dice)
        try:
            while True:
                high += 1
                board.save(high)
                low = high
        except PowerCut:
            chip.faults = None
            chip.power_on()


# r7: one bit


def flipped(make, grain, count):
    board = make()
    board.boot()
    for n in range(count):
        board.save(n)
    made = bytes(board.device.data)
    at = headers(made, grain)[0][1]
    wrong = []
    for bit in range(0, 512, 17 if QUICK else 1):
        board.device.data[:] = made
        board.device.data[at + bit // 8] ^= 1 << bit % 8
        try:
            found = board.boot()
        except RestoreFailed as e:
            found = e.reason
        if found != count - 1 or board.stage.fell_back:
            wrong.append((bit, found))
            continue
        if not bit % 8:
            board.save(count)
            assert board.boot() == count, bit
    assert not wrong, "%d of the bits, first %r" % (len(wrong), wrong[:3])


def test_r7_one_flipped_bit_of_the_newest_header_on_nor():
    flipped(lambda: Board(nor(once=False), 8), 256, 5)


def test_r7_one_flipped_bit_of_the_only_header_on_nor():
    flipped(lambda: Board(nor(once=False), 8), 256, 1)


def test_r7_one_flipped_bit_of_the_newest_header_on_sd():
    flipped(lambda: Board(SectorDisk(40), 40), 512, 5)


def test_r7_one_flipped_bit_of_the_only_header_on_sd():
    flipped(lambda: Board(SectorDisk(40), 40), 512, 1)


# r8, r9: never a fresh start over what is there


def refused(board, before, *what, **options):
    try:
        found = board.boot(**options)
    except RestoreFailed as e:
        assert e.reason == "geometry", (what, e.reason)
        assert bytes(board.device.data) == before, what
        return
    raise AssertionError("%r: resume began with %d" % (what, found))


def test_r8_a_lease_opened_at_another_start():
    for saved in (1, 2, 3, 7, 30, 39, 40, 41, 95):
        disk = SectorDisk(100)
        board = Board(disk, 80, 4)
        board.boot()
        for n in range(saved):
            board.save(n)
        before = bytes(disk.data)
        for start in (3, 5, 6, 0, 12):
            refused(Board(disk, 80, start), before, saved, start)
        for count in (79, 78, 40, 90):
            refused(Board(disk, count, 4), before, saved, 4, count)
        assert board.boot() == saved - 1
    chip = nor(12)
    board = Board(chip, 8, 2)
    board.boot()
    for n in range(20):
        board.save(n)
        before = bytes(chip.data)
        for start, count in ((1, 8), (3, 8), (4, 8), (2, 7), (2, 9), (0, 12)):
            if not headers(before, 256, start * 1024, (start + count) * 1024):
                continue  # nothing of it lies in that range
            refused(Board(chip, count, start), before, n, start, count)
        assert board.boot() == n


def test_r9_resume_with_another_capacity():
    # (device, blocks, capacity, others): the last two have no header place but the first in
    # common with the others.
    shapes = (
        (nor, 8, SIZE, (600, 1100, 2100)),
        (lambda: SectorDisk(30), 30, SIZE, (600, 1100, 2100)),
        (lambda: nor(10), 10, 2500, (3500, 600)),
        (lambda: SectorDisk(30), 30, 3000, (4500, 5000, 600)),
    )
    for make, count, size, others in shapes:
        for saved in range(1, 20, 4 if QUICK else 1):
            for ahead in (False, True):
                device = make()
                board = Board(device, count, size=size)
                board.boot(capacity=size)
                for n in range(saved):
                    board.save(n)
                if ahead:
                    board.stage.prepare()
                before = bytes(device.data)
                for capacity in others:
                    for given in (min(size, capacity), SIZE):
                        refused(
                            Board(device, count, size=given),
                            before,
                            (count, size, saved, ahead, capacity),
                            capacity=capacity,
                        )
                assert board.boot(capacity=size) == saved - 1


def test_r9_another_capacity_with_a_torn_slot():
    for saved in (3, 14, 15, 16, 17, 31) if QUICK else range(3, 34):
        disk = SectorDisk(30)
        board = Board(disk, 30)
        board.boot(capacity=SIZE)
        for n in range(saved):
            board.save(n)
        made = bytes(disk.data)
        # Any slot torn: that of the place 0, the oldest, the newest.
        found = headers(made, 512)
        for at in (min([at for _, at in found]), found[-1][1], found[0][1]):
            disk.data[:] = made
            disk.data[at + 20 : at + 512] = Dice(at).bits(8 * 492).to_bytes(492, "little")
            for capacity in (600, 1100):
                refused(board, bytes(disk.data), saved, at, capacity, capacity=capacity)


def test_resume_never_starts_fresh_where_all_headers_are_damaged():
    for make, grain in ((lambda: nor(once=False), 256), (lambda: SectorDisk(30), 512)):
        for saved in (2, 3, 6, 14):
            device = make()
            board = Board(device, 8 if grain == 256 else 30)
            board.boot()
            for n in range(saved):
                board.save(n)
            for _, at in headers(device.data, grain):
                for i in (9, 20, 30, 37, 41, 58):  # bits on and off, as no cut does
                    device.data[at + i] ^= 0x5A
            before = bytes(device.data)
            try:
                found = board.boot()
            except RestoreFailed:
                assert bytes(device.data) == before
                continue
            raise AssertionError("%d headers damaged: began with %d" % (saved, found))


# r10: the newest cannot be read at one boot


def unread(make, grain, saved):
    board, reads, data = make()
    board.boot()
    for n in range(saved):
        board.save(n)
    # Once, and readable again; three times, each followed by a boot that reads all.
    last = saved - 1
    for again in range(3):
        reads.spoil = {headers(data, grain)[0][1] // grain: "error"}
        found = board.boot()
        assert found < last and board.stage.fell_back, (again, found)
        board.save(100 + again)
        sequence = board.stage.sequence
        reads.spoil = {}
        assert board.boot() == 100 + again, "a checkpoint that returned is lost (%d)" % again
        assert board.stage.sequence == sequence and not board.stage.fell_back
        last = 100 + again
    # Three boots in a row of which each cannot read the then newest.
    for again in range(3):
        reads.spoil = {headers(data, grain)[0][1] // grain: "error"}
        found = board.boot()
        assert found != last and board.stage.fell_back, (again, found)
        board.save(200 + again)
        last = 200 + again
    reads.spoil = {}
    assert board.boot() == 202
    # The same ones stay unreadable, and more join them.
    for again in range(3):
        reads.spoil[headers(data, grain)[0][1] // grain] = "error"
        board.boot()
        assert board.stage.fell_back
        board.save(300 + again)
    reads.spoil = {}
    assert board.boot() == 302


def test_r10_nor():
    def make():
        chip = nor(once=False)
        reads = FlashReads(chip, 256, heals=False)
        return Board(reads, 8), reads, chip.data

    for saved in (2, 3, 4, 5, 9, 15, 16, 17, 18, 33):
        unread(make, 256, saved)


def test_r10_sd():
    def make():
        disk = SectorDisk(40)
        reads = SimpleReads(disk, 512, heals=False)
        return Board(reads, 40), reads, disk.data

    for saved in (2, 3, 4, 5, 9, 19, 20, 21, 22, 41):
        unread(make, 512, saved)


# r11: calls from within


class Tells(CheckpointFlushObserver):
    """Counts what it is told, and may call something at it."""

    def __init__(self):
        self.started = self.completed = 0
        self.call = None

    def on_flush_start(self, lease_id):
        self.started += 1
        if self.call is not None:
            self.call()

    def on_flush_complete(self, lease_id):
        self.completed += 1
        if self.call is not None:
            self.call()


class Probed(NorChip):
    """A chip that calls `probe()` in operation or read number `at`, counted down."""

    probe = None
    at = 0

    def _tick(self):
        if self.at:
            self.at -= 1
            if not self.at:
                self.probe()

    def readblocks(self, n, buf, off=None):
        self._tick()
        return NorChip.readblocks(self, n, buf, off)

    def writeblocks(self, n, buf, off=None):
        self._tick()
        return NorChip.writeblocks(self, n, buf, off)

    def ioctl(self, op, arg):
        self._tick()
        return NorChip.ioctl(self, op, arg)


def test_r11_calls_from_a_device_or_an_observer_are_busy():
    for name in ("prepare", "checkpoint", "into_block_lease"):
        for outer in ("checkpoint", "prepare"):
            at = 1
            chip = Probed(8 * 1024, 1024, 256)
            board = Board(chip, 8)
            tells = Tells()
            board.boot(observer=tells)
            board.save(0)
            n = 0

            def probe():
                raises(CheckpointFailed, "busy", getattr(board.stage, name))  # noqa: B023

            chip.probe = probe
            while True:
                n += 1
                chip.at = at
                board.stage.state[:] = state(n)
                erases = chip.erases
                getattr(board.stage, outer)()
                inside = not chip.at
                chip.at = 0
                assert outer == "prepare" or headers(chip.data, 256)[0][0] == board.stage.sequence
                assert tells.started == tells.completed
                if outer == "prepare":
                    board.stage.checkpoint()
                assert chip.erases - erases <= 2
                if not inside:
                    break
                at += 1
                if outer == "checkpoint" and at % 3 == 0:
                    assert board.boot(observer=tells) == n
            assert at > 4 or outer == "prepare", at
            tells.call = probe
            board.save(5000)
            tells.call = None
            assert board.boot() == 5000


# Between any two bytecodes: CPython only


class Tracer:
    """Calls `hit` before bytecode number `at` (from 1) of the module; counts in `count`.

    `where`: what it was. jumps: only where MicroPython takes a Ctrl-C: at jumps, and where a
    function begins, as CPython does.
    """

    def __init__(self, at, hit, jumps=False):
        self.left = at
        self.hit = hit
        self.jumps = jumps
        self.where = None
        self.places = None  # a dict here takes down when each bytecode ran last
        self._ops = {}

    def run(self, call, *args, **options):
        old = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return call(*args, **options)
        finally:
            sys.settrace(old)

    def _trace(self, frame, event, arg):
        path = frame.f_code.co_filename.replace("\\", "/")
        # In the byte loops, which run thousands of bytecodes and keep nothing, none is tried.
        if "/edgeckpt/" not in path or any(part in path for part in ("loops", "plain", "crc")):
            return None
        if event == "call":
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode" and self._counts(frame):
            self.left -= 1
            if self.places is not None:
                self.places[(frame.f_code, frame.f_lasti)] = self.left
            if not self.left:
                self.where = (frame.f_code.co_name, frame.f_lineno, frame.f_lasti)
                self.hit()
        return self._trace

    def _counts(self, frame):
        if not self.jumps:
            return True
        code = frame.f_code
        ops = self._ops.get(code)
        if ops is None:
            import dis

            ops = set()
            for i in dis.get_instructions(code):
                if i.opcode in dis.hasjrel or i.opcode in dis.hasjabs or i.opname == "RESUME":
                    ops.add(i.offset)
            self._ops[code] = ops
        return frame.f_lasti in ops


def interrupt():
    raise KeyboardInterrupt


def called_between(name):
    """`name` of the stage called before each bytecode of a checkpoint: busy, or as if alone."""
    at = 1
    board = Board(nor(8), 8)
    board.boot()
    board.save(0)
    n = 0
    calm = tried = 0
    while True:
        n += 1
        outcome = []

        def hit():
            try:
                outcome.append(getattr(board.stage, name)())  # noqa: B023
            except CheckpointFailed as e:
                outcome.append(e.reason)  # noqa: B023

        board.stage.state[:] = state(n)
        tracer = Tracer(at, hit)
        try:
            tracer.run(board.stage.checkpoint)
            done = True
        except LeaseError as e:
            # The lease was given away a moment before the checkpoint began.
            assert e.reason == "ended" and isinstance(outcome[0], BlockLease), e
            done = False
        if not outcome:
            break
        assert outcome[0] in (None, "busy") or isinstance(outcome[0], BlockLease), outcome
        gone = isinstance(outcome[0], BlockLease)
        assert done or gone
        calm += outcome[0] != "busy"
        if done and not gone:
            # Calls outside of the flush are calls like others; the checkpoint is written.
            assert headers(board.device.data, 256)[0][0] == board.stage.sequence
        if at % 7 == 0 or gone:
            found = board.boot()
            assert found == n if done else found < n, (name, tracer.where)
        at += 1 + at // 300
        tried += 1
    assert tried > 300 and calm < tried // 4, (name, tried, calm)


def test_r11_calls_between_any_two_bytecodes():
    if not QUICK:
        called_between("prepare")
        called_between("checkpoint")


def test_r11_a_lease_given_away_between_any_two_bytecodes():
    if not QUICK:
        called_between("into_block_lease")


def stopped_anywhere(jumps):
    """Ctrl-C before each bytecode of a checkpoint (jumps: each that MicroPython takes one at)."""
    board = Board(nor(8), 8)
    at = 1
    n = 0
    while True:
        n += 1
        tells = Tells()
        if at % 5 == 1:
            board.boot(observer=tells)
        else:
            board.stage = CheckpointedStageState(
                board.stage.state, board.stage.into_block_lease(), observer=tells
            )
        board.stage.state[:] = state(n)
        tracer = Tracer(at, interrupt, jumps)
        try:
            tracer.run(board.stage.checkpoint)
            stopped = False
        except KeyboardInterrupt:
            stopped = True
        if tracer.where is None:
            break
        assert stopped, ("the interrupt was lost", tracer.where)
        if jumps:
            assert tells.started == tells.completed, ("told", tells.completed, tracer.where)
        # Between the note that a completion is due and the call of the start lies one bytecode,
        # where MicroPython takes no Ctrl-C.
        between = tracer.where[0] == "_run"
        assert tells.completed <= tells.started + between <= 2, (tells.completed, tracer.where)
        before = tells.completed, tells.started
        n += 1
        board.save(n)  # it goes on
        assert (tells.completed - before[0], tells.started - before[1]) == (1, 1) or (
            not jumps and tells.started - before[1] == 1
        ), tracer.where
        if at % 9 == 0:
            assert board.boot(observer=tells) == n, tracer.where
        at += 1
    assert at > (30 if jumps else 300), at


def test_r12_ctrl_c_at_any_jump_of_a_checkpoint():
    if not QUICK:
        stopped_anywhere(True)


def test_r12_ctrl_c_between_any_two_bytecodes_of_a_checkpoint():
    if not QUICK:
        stopped_anywhere(False)


def test_r12_ctrl_c_in_a_device_or_an_observer():
    chip = Probed(8 * 1024, 1024, 256)
    board = Board(chip, 8)
    tells = Tells()
    board.boot(observer=tells)
    board.save(0)
    chip.probe = interrupt
    n = 0
    at = 1
    while True:
        n += 1
        chip.at = at
        told = tells.completed
        try:
            board.save(n)
            break
        except KeyboardInterrupt:
            pass
        assert not chip.at and tells.started == tells.completed == told + 1
        at += 1
        n += 1
        board.save(n)
        if at % 4 == 0:
            assert board.boot(observer=tells) == n
    assert at > 4
    chip.at = 0
    tells.call = interrupt
    raises_interrupt(board.stage.checkpoint)
    tells.call = None
    board.save(6000)
    assert tells.started == tells.completed
    assert board.boot() == 6000


def raises_interrupt(call, *args):
    try:
        call(*args)
    except KeyboardInterrupt:
        return
    raise AssertionError("the interrupt was lost")


def usable(board, lease, where):
    """Ctrl-C came in a constructor on `lease`: its range is usable, without a soft reset."""
    assert len(live) == 1, ("leases live", len(live), where)
    try:
        stage = CheckpointedStageState.resume(bytearray(state(7)), lease)
    except LeaseError as e:
        assert e.reason == "ended", (e.reason, where)
        assert live[0] is not lease, where
        stage = CheckpointedStageState.resume(bytearray(state(7)), live[0])
    stage.state[:] = state(8)
    stage.checkpoint()
    assert len(live) == 1, where
    stage.into_block_lease().release()
    assert not live, where


def constructors(jumps):
    for call in (
        CheckpointedStageState,
        CheckpointedStageState.resume,
        lambda first, lease: CheckpointedStageState.restore(lease),
    ):
        board = Board(nor(4), 4)
        board.boot()
        board.save(8)
        tracer = Tracer(1 << 30, interrupt, jumps)
        tracer.places = {}
        tracer.run(call, bytearray(state(7)), board.lease())
        assert len(tracer.places) > 50, tracer.places
        made = board.device.save()
        # Each bytecode once, where it runs for the last time; those that only read: a sample.
        count = 0
        for (code, _), left in tracer.places.items():
            count += 1
            if count % 16 and not code.co_filename.endswith(
                ("stage.py", "restore.py", "lease.py")
            ):
                continue
            at = (1 << 30) - left
            board.device.restore(made)
            lease = board.lease()
            tracer = Tracer(at, interrupt, jumps)
            try:
                tracer.run(call, bytearray(state(7)), lease)
            except KeyboardInterrupt:
                pass
            assert tracer.where is not None, at
            usable(board, lease, tracer.where)


def test_r13_ctrl_c_at_any_jump_of_a_constructor():
    if not QUICK:
        constructors(True)


def test_r13_ctrl_c_between_any_two_bytecodes_of_a_constructor():
    if not QUICK:
        constructors(False)


def test_r13_ctrl_c_in_a_read_of_a_constructor():
    chip = Probed(8 * 1024, 1024, 256)
    board = Board(chip, 8)
    board.boot()
    board.save(8)
    chip.probe = interrupt
    at = 1
    while True:
        lease = board.lease()
        chip.at = at
        try:
            CheckpointedStageState.resume(bytearray(state(7)), lease)
            break
        except KeyboardInterrupt:
            usable(board, lease, at)
        at += 1
    assert at > 4


# r14: two objects, one medium


def overlapping(*pairs):
    for first, second in pairs:
        live.clear()
        lease = BlockLease(first, 0, 4, ID)
        raises(LeaseError, "overlap", BlockLease, second, 0, 4, ID + 1)
        raises(LeaseError, "overlap", BlockLease, second, 3, 2, ID + 1)
        assert live == [lease]
        beside = BlockLease(second, 4, 4, ID + 1)
        lease.release()
        BlockLease(second, 0, 4, ID + 2).release()
        beside.release()


def test_r14_leases_of_one_partition_overlap():
    chip = nor(16)
    other = nor(16)

    def find(label="vault", first=4, count=8):
        return Partition(chip, first, count, label)

    overlapping((find(), find()))
    for first, second in (
        (find(), find("other", 0, 4)),
        (Through(chip, "cs 5"), Through(other, "cs 6")),
        (Through(chip, None), Through(other, None)),
        (chip, other),
    ):
        live.clear()
        BlockLease(first, 0, 4, ID)
        BlockLease(second, 0, 4, ID + 1)
    live.clear()
    # The other way into it: a stage has the lease.
    stage = CheckpointedStageState(bytearray(SIZE), BlockLease(find(), 0, 8, ID))
    raises(LeaseError, "overlap", BlockLease, find(), 7, 1, ID)
    stage.into_block_lease().release()


def test_r14_leases_of_one_medium_overlap():
    chip = nor(16)
    overlapping(
        (Through(chip, "spi 1, cs 5"), Through(chip, "spi 1, cs 5")),
        (Through(chip, ("flash", 1)), Through(chip, ("flash", 1))),
    )


# r15: an erase that erases nothing


def test_r15_a_device_whose_erase_does_nothing():
    for ands in (False, True):
        for filled in (0xFF, 0, 0x5A):
            for laps in (1, 3):
                device = NoErase(4, ands=ands, filled=filled)
                board = Board(device, 4)
                board.boot()
                try:
                    board.save(0)
                except CheckpointFailed as e:
                    assert e.reason == "erase", e.reason
                    continue
                # It was taken: then it works, laps on, and through cuts in all that it does.
                low = high = 0
                for n in range(1, 4 * 2 * laps + 2):
                    high = n
                    board.save(n)
                    low = n
                for back in range(1, 20):
                    assert low <= board.boot() <= high
                    device.cut_at = device.ops + 1 + back % 4
                    high += 1
                    try:
                        board.save(high)
                        low = high
                    except NoErase.Cut:
                        pass
                    device.cut_at = 0
                assert low <= board.boot() <= high


# r16: the first resume of a blank lease


class BlankFlash:
    """4,096 units of 4 KiB that were never used; counts reads."""

    blocks = 4096
    unit = 4096
    reads = size = 0

    def readblocks(self, n, buf, off):
        self.reads += 1
        self.size += len(buf)
        buf[:] = b"\xff" * len(buf)

    def writeblocks(self, n, buf, off):
        raise OSError(30)

    def ioctl(self, op, arg):
        return {4: self.blocks, 5: self.unit}.get(op, 0)


class BlankCard(BlankFlash):
    blocks = 32768
    unit = 512

    def readblocks(self, n, buf):
        BlankFlash.readblocks(self, n, buf, 0)

    def writeblocks(self, n, buf):
        raise OSError(30)


def test_r16_the_first_resume_of_a_blank_lease():
    for device in (BlankFlash(), BlankCard()):
        board = Board(device, device.blocks)
        assert board.boot(3) == 3
        assert device.reads < 2000, "%d reads" % device.reads
        print("blank lease of %d blocks:" % device.blocks, device.reads, "reads", device.size, "B")
    live.clear()


if __name__ == "__main__":
    run(globals())
