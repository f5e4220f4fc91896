"""SDCard on two card models that were written apart: timing of the bus, kinds, slow cards, what
CMD8 may answer, a shared bus, damaged bytes, power cuts.

    sd_kinds.py [test_... ...]; `full` among the arguments: ten times the noise and the cuts
"""

import random
import sys

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import edgeckpt.lease
import rig
from edgeckpt.drivers.crc import crc7
from edgeckpt.drivers.sdcard import SDCard

from boards.models.faults import Dice
from boards.models.nor import PowerCut
from boards.models.ram import SectorDisk
from boards.models.sdflow import FlowCard
from boards.models.sdspi import SDCardModel
from boards.models.spi import SPI, Clock, Noise, Pin

EIO, ENODEV, ETIMEDOUT = 5, 19, 110
TIMES = 10 if "full" in sys.argv else 1
KINDS = ("v1", "sdsc", "sdhc", "sdxc")
SECTORS = {"v1": 1 << 14, "sdsc": 1 << 15, "sdhc": 1 << 15, "sdxc": 1 << 27}


class Slot:
    """One of the two cards in a slot. `sector(n)`: what is on the card, past the driver."""

    def __init__(self, model, kind, noise=0, **card):
        self.clock = Clock()
        self.bus = SPI(self.clock)
        self.flow = model == "flow"
        if self.flow:
            self.card = FlowCard(self.clock, kind, SECTORS[kind], bus=self.bus, **card)
        else:
            times = (card.pop("access", 200), card.pop("busy", 800), card.pop("power", 50_000))
            missed = card.pop("deaf", 0)
            name = "sdhc" if kind == "sdxc" else kind
            disk = SectorDisk(256)
            self.card = SDCardModel(
                SECTORS[kind], self.clock, kind=name, disk=disk, times=times, **card
            )
            self.card.bus = self.bus
            self.card.cmd0_missed = missed
        chip = Noise(self.card, Dice(noise), 1000) if noise else self.card
        self.cs = Pin(self.bus, chip)

    def start(self, **options):
        return SDCard(self.bus, self.cs, clock=self.clock, **options)

    def sector(self, n):
        if self.flow:
            return self.card.sector(n)
        return bytes(self.card.disk.view[n * 512 : n * 512 + 512])

    def complaints(self):
        found = self.card.wrong if self.flow else self.card.refused
        return [why for why in found if why != "CMD8 is illegal now"]


def check(slot, d, n, blocks, seed):
    data = rig.pattern(blocks * 512, seed)
    d.writeblocks(n, data)
    back = bytearray(blocks * 512)
    d.readblocks(n, back)
    assert back == data, "%d blocks at %d" % (blocks, n)
    for i in range(blocks):
        assert slot.sector(n + i) == data[512 * i : 512 * i + 512], "sector %d" % (n + i)


def test_timing_and_kinds():
    for model in ("flow", "array"):
        for kind in KINDS:
            for ncr in (1, 2, 3, 8):
                for nbr in (0, 1):
                    s = Slot(model, kind, ncr=ncr, nbr=nbr)
                    d = s.start()
                    name = {"v1": "SDSC", "sdsc": "SDSC", "sdhc": "SDHC", "sdxc": "SDXC"}[kind]
                    assert d.kind == name and d.sectors == SECTORS[kind], (kind, d.kind, d.sectors)
                    assert d.crc
                    check(s, d, 7, 1, ncr)
                    check(s, d, 100, 3, ncr)
                    assert not s.complaints(), (model, kind, ncr, nbr, s.complaints())
                    assert d.retries == (kind == "v1")  # CMD8, illegal: asked twice
                    assert not d.reinits and not d.timeouts, (model, kind, ncr)


class Hasty(SDCard):
    """As the driver was once: a command at once behind an answer."""

    def _send(self, index):
        self._cmd[0] = 0x40 | index
        self._cmd[5] = crc7(self._cmd)
        self._spi.write(self._cmd)
        for _ in range(9):
            self.r1 = self._byte()
            if not self.r1 & 0x80:
                break
        self._at = 10
        return self.r1


def test_the_models_want_a_byte_after_an_answer():
    for model in ("flow", "array"):
        for ncr in (1, 2, 8):
            s = Slot(model, "sdhc", ncr=ncr)
            try:
                Hasty(s.bus, s.cs, clock=s.clock)
                raise AssertionError("it started")
            except OSError:
                assert s.complaints()


def test_slow_cards():
    for model in ("flow", "array"):
        for busy, access, power, deaf in (
            (250_000, 100_000, 500_000, 0),
            (800_000, 150_000, 1_000_000, 5),
            (1_900_000, 900_000, 1_000_000, 10),
        ):
            s = Slot(model, "sdhc", busy=busy, access=access, power=power, deaf=deaf)
            d = s.start()
            check(s, d, 3, 1, 1)
            check(s, d, 20, 3, 2)
            assert not s.complaints() and not d.timeouts, s.complaints()
            # The board is reset while the card is busy.
            s.cs(0)
            d._set_block(5)
            d._run(24)
            d._put(0xFE, bytes(512))
            s.cs(1)
            d = s.start()
            check(s, d, 5, 1, 4)
            assert not s.complaints(), s.complaints()
            # Limits are limits, and they are the caller's.
            start = s.clock.us
            d = s.start(read_ms=access // 2000, busy_ms=busy // 2000)
            rig.fails(ETIMEDOUT, d.readblocks, 3, bytearray(512))
            d = s.start(busy_ms=busy // 2000)
            rig.fails(ETIMEDOUT, d.writeblocks, 3, bytearray(512))
            assert s.clock.us - start < 2 * busy + 5 * power + 5_000_000, s.clock.us - start


def test_what_cmd8_may_answer():
    # None, and damaged ones: asked again. A card of version 2 is never taken for one before it.
    for answers in (
        [0xFF],
        [0x7F],
        [0x09],
        [0x05, 0x01],
        [0xFF, 0x7F, 0x05, 0xFF, 0x05, 0x7F],
        [0x41] * 3,
    ):
        s = Slot("array", "sdhc", ncr=2)
        s.card.cmd8_answers = list(answers)
        d = s.start()
        assert d.kind == "SDHC" and d.retries >= 1, (answers, d.kind)
        check(s, d, 1, 2, 1)
    for answers, code in (([0xFF] * 99, ENODEV), ([0x7F] * 99, EIO)):
        s = Slot("array", "sdhc")
        s.card.cmd8_answers = list(answers)
        rig.fails(code, s.start)


class Other:
    """Another chip on the bus, whose driver sets a speed of its own; it wants the data line."""

    def __init__(self, slot):
        self.slot = slot
        self.selected = False
        self.cs = Pin(slot.bus, self)
        self.idle_bytes = 0

    def idle(self, n):
        self.idle_bytes += n

    def select(self, level):
        self.selected = not level
        if not level:
            assert self.idle_bytes, "the card was not clocked after it was released"
        self.idle_bytes = 0

    def write(self, buf):
        pass

    def use(self, rate):
        self.slot.bus.init(baudrate=rate, polarity=0, phase=0)
        self.cs(0)
        self.slot.bus.write(b"\x9f\x40\x51" * 5)
        self.cs(1)


class Lock:
    def __init__(self):
        self.held = False
        self.times = 0

    def acquire(self):
        assert not self.held
        self.held = True
        self.times += 1
        return True

    def release(self):
        assert self.held
        self.held = False


def test_a_shared_bus():
    for model in ("flow", "array"):
        s = Slot(model, "sdhc", ncr=3)
        other = Other(s)
        lock = Lock()
        d = s.start(lock=lock)
        select = s.card.select

        def spied(level, select=select, lock=lock, other=other):
            assert lock.held, "the card is selected without the lock"
            if not level:
                other.idle_bytes = 0
            select(level)

        s.card.select = spied
        for i in range(12):
            other.use((1_000_000, 48_000_000, 133_000_000)[i % 3])
            check(s, d, 30 + i, 1 + i % 3, i)
            assert s.bus.baudrate == 20_000_000 and not lock.held
        assert not s.complaints() and not d.retries and lock.times > 20
        write = s.bus.write

        def interrupt(buf, write=write, s=s):
            s.bus.write = write
            raise KeyboardInterrupt

        s.bus.write = interrupt
        try:
            d.writeblocks(1, bytearray(512))
            raise AssertionError("no KeyboardInterrupt")
        except KeyboardInterrupt:
            pass
        assert not lock.held and s.cs.level == 1
        check(s, d, 1, 2, 9)


def test_damaged_bytes():
    # 1 in 1,000, either way, from the first byte on: what returns is done, what is not is an
    # error within its bound.
    done = failed = 0
    for model in ("flow", "array"):
        for kind in KINDS:
            for seed in range(1, 1 + TIMES):
                s = Slot(model, kind, noise=seed * 7, ncr=2, power=20_000)
                chip = s.cs.chip
                try:
                    d = s.start()
                except OSError:
                    assert s.clock.us < 6_000_000, s.clock.us
                    failed += 1
                    continue
                assert d.sectors == SECTORS[kind] and d.crc, (model, kind, seed)
                for i in range(12):
                    n, blocks = 1 + i * 9, 1 + i % 3 * 3
                    data = rig.pattern(blocks * 512, seed * 100 + i)
                    start = s.clock.us
                    try:
                        d.writeblocks(n, data)
                        for k in range(blocks):
                            assert s.sector(n + k) == data[512 * k : 512 * k + 512], (
                                "false success: sector %d, %s %s %d" % (n + k, model, kind, seed)
                            )
                        back = bytearray(blocks * 512)
                        d.readblocks(n, back)
                        assert back == data, "false read: %d, %s %s %d" % (n, model, kind, seed)
                        done += 1
                    except OSError as e:
                        assert e.args[0] in (EIO, ENODEV, ETIMEDOUT), e
                        failed += 1
                    assert s.clock.us - start < 10_000_000, s.clock.us - start
                if chip.hits < 20:
                    raise AssertionError("%d bytes damaged" % chip.hits)
    print("%d done, %d failed" % (done, failed))
    assert failed * 20 < done, (done, failed)


def value(n):
    return bytes((n & 255, n >> 8)) + rig.pattern(1498, n & 7)


def test_power_cuts_on_the_second_model():
    for kind in ("v1", "sdhc"):
        random.seed(5)
        dice = Dice(3)
        s = Slot("flow", kind, ncr=2, power=2_000)
        durable = n = 0
        for _ in range(12 * TIMES):
            del edgeckpt.lease.live[:]
            s.cs.level = 1
            s.card.power_cycle()
            lease = edgeckpt.BlockLease(s.start(), 64, 60, 9)
            if n:
                stage = edgeckpt.CheckpointedStageState.restore(lease)
                got = stage.state[0] | stage.state[1] << 8
                assert bytes(stage.state) == value(got), "a state that was never passed"
                assert durable <= got <= n, "state %d, expected %d..%d" % (got, durable, n)
                n = durable = got
            else:
                stage = edgeckpt.CheckpointedStageState(bytearray(1500), lease)
            s.bus.cut_after = s.bus.bytes + 4000 + dice.below(12_000)
            try:
                while True:
                    n += 1
                    stage.state[:] = value(n)
                    stage.checkpoint()
                    durable = n
            except PowerCut:
                pass


print("edgeckpt", edgeckpt.__version__)

rig.run(globals())
