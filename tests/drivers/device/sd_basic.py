"""SDCard over the card model: initialisation, the block protocol, errors, retries, removal."""

import sys

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import rig

from boards.models import sdspi
from boards.models.ram import SectorDisk

EIO, ENODEV, EINVAL, EROFS, ETIMEDOUT = 5, 19, 22, 30, 110
KINDS = (("sdhc", 2048), ("sdsc", 2000), ("v1", 2048))


def check(device, n, blocks, seed):
    data = rig.pattern(blocks * 512, seed)
    device.writeblocks(n, data)
    back = bytearray(blocks * 512)
    device.readblocks(n, back)
    assert back == data, "%d blocks at %d" % (blocks, n)


def quiet(r):
    # Probing for CMD8 is illegal on old cards, by design.
    return [why for why in r.chip.refused if why != "CMD8 is illegal now"] == []


def test_kinds_and_response_times():
    for kind, sectors in KINDS:
        for ncr in (1, 2, 3, 8):
            r = rig.sd(sectors, kind=kind, ncr=ncr)
            d = r.start()
            assert d.sectors == d.ioctl(4, 0) == sectors and d.ioctl(5, 0) == 512
            assert d.kind == ("SDHC" if kind == "sdhc" else "SDSC")
            assert d.crc and d.ioctl(3, 0) == 0 and d.ioctl(6, 0) < 0
            for n, blocks in ((0, 1), (sectors - 1, 1), (1, 2), (sectors - 7, 7), (100, 16)):
                check(d, n, blocks, n + blocks)
            assert r.bus.baudrate == 20_000_000
            assert quiet(r), r.chip.refused
            assert d.retries == (kind == "v1")  # CMD8: asked twice
            assert d.crc_errors == d.timeouts == 0


def test_capacities():
    # 5.3.2 and 5.3.3: up to 2 GB by three fields, above in units of 512 KiB
    for kind, sectors in (
        ("sdsc", 4096 * 8), ("sdsc", 1 << 21), ("sdsc", 4000 << 9), ("sdhc", 15 << 20),
        ("sdhc", 1 << 28),
    ):  # fmt: skip
        d = rig.sd(sectors, kind=kind, disk=SectorDisk(4)).start()
        assert d.sectors == sectors, (kind, sectors, d.sectors)
        check(d, 1, 2, 3)


def test_init_is_slow_and_the_rest_fast():
    r = rig.sd(driver={"baudrate": 25_000_000})
    rates = []
    init = r.bus.init

    def spy(baudrate=None, **options):
        rates.append(baudrate)
        init(baudrate, **options)

    r.bus.init = spy
    r.start()
    assert rates == [400_000], rates
    r.dev.readblocks(0, bytearray(512))
    assert rates == [400_000, 25_000_000], rates


def test_bounds():
    d = rig.sd().start()
    for n, size in ((1024, 512), (1023, 1024), (-1, 512), (0, 0), (0, 100), (0, 513)):
        rig.fails(EINVAL, d.readblocks, n, bytearray(size))
        rig.fails(EINVAL, d.writeblocks, n, bytearray(size))
    try:
        d.readblocks(0, bytearray(512), 0)
        raise AssertionError("an offset was taken")
    except TypeError:
        pass


def test_no_card():
    for level in (0xFF, 0x00):
        r = rig.sd()
        r.chip.absent = level
        text = rig.fails(ENODEV, r.start)
        assert "CMD0" in text and r.clock.us < 3_000_000, (text, r.clock.us)
    # A card that never gets ready
    r = rig.sd(times=(200, 800, 1 << 30))
    assert "ACMD41" in rig.fails(ETIMEDOUT, r.start)
    assert r.clock.us < 2_000_000, r.clock.us


def test_a_card_without_crc():
    r = rig.sd()
    r.chip.no_crc = True
    d = r.start()
    assert not d.crc
    check(d, 5, 3, 1)
    d = rig.sd(driver={"crc": False}).start()
    assert not d.crc
    check(d, 5, 3, 1)


def test_crc_errors_are_retried_and_counted():
    r = rig.sd()
    d = r.start()
    for name in ("crc_read_every", "crc_write_every", "crc_command_every"):
        retries = d.retries
        setattr(r.chip, name, 3)
        for i in range(20):
            check(d, i, 1, i)
            check(d, 40 + i, 5, i)
        setattr(r.chip, name, 0)
        assert d.retries - retries >= 20, "%s: %d retries" % (name, d.retries - retries)
    assert d.crc_errors == d.retries
    # More of them than a line that works could have
    for name, call in (("crc_read_every", d.readblocks), ("crc_write_every", d.writeblocks)):
        setattr(r.chip, name, 1)
        for size in (512, 2048):
            text = rig.fails(EIO, call, 7, bytearray(size))
            assert "block 7" in text and "R1 00" in text, text
        setattr(r.chip, name, 0)
    check(d, 7, 4, 3)


def test_one_block_in_a_hundred():
    r = rig.sd()
    d = r.start()
    r.chip.crc_read_every = r.chip.crc_write_every = 100
    for i in range(20):
        check(d, 100, 32, i)
    assert 8 <= d.retries <= 16, d.retries
    assert d.crc_errors == d.retries


def test_rejected_data():
    r = rig.sd()
    d = r.start()
    for size in (512, 4096):
        r.chip.reject_every = 2
        failed = 0
        for _ in range(4):
            try:
                d.writeblocks(9, bytearray(size))
            except OSError as e:
                assert e.args[0] == EIO and "data response 0D" in e.args[1], e
                failed += 1
        assert failed >= 2, failed
        assert d.response in (5, 0x0D)
        r.chip.reject_every = 0
        check(d, 9, 8, 1)
    assert d.timeouts == d.removals == 0


def test_status_after_writes():
    r = rig.sd()
    d = r.start()
    for size in (512, 2048):
        r.chip.fail_status_every = 1
        assert "status 04" in rig.fails(EIO, d.writeblocks, 3, bytearray(size))
        r.chip.fail_status_every = 0
        check(d, 3, 4, 2)
    r.chip.write_protected = True
    rig.fails(EROFS, d.writeblocks, 3, bytearray(512))
    rig.fails(EROFS, d.writeblocks, 3, bytearray(1024))
    assert r.start().write_protected


def test_unreadable_sector():
    r = rig.sd()
    d = r.start()
    check(d, 0, 8, 1)
    r.disk.bad.add(3)
    assert "token 04" in rig.fails(EIO, d.readblocks, 3, bytearray(512))
    rig.fails(EIO, d.readblocks, 0, bytearray(4096))
    check(d, 4, 4, 2)
    check(d, 0, 8, 3)  # rewritten


def test_timeouts():
    r = rig.sd()
    d = r.start()
    for name, call, bound in (
        ("mute", d.readblocks, 1_100_000),
        ("stuck_busy", d.writeblocks, 2_600_000),
    ):
        for size in (512, 1024):
            check(d, 0, 2, 1)
            if name == "stuck_busy":
                store = r.disk.store

                def hang(lba, data, store=store):
                    store(lba, data)
                    r.chip.stuck_busy = True

                r.disk.store = hang
            else:
                r.chip.mute = True
            start, timeouts = r.clock.us, d.timeouts
            rig.fails(ETIMEDOUT, call, 0, bytearray(size))
            assert r.clock.us - start < bound, (name, r.clock.us - start)
            assert d.timeouts == timeouts + 1
            if name == "stuck_busy":
                start = r.clock.us
                rig.fails(ENODEV, call, 0, bytearray(size))
                assert r.clock.us - start < bound, (name, r.clock.us - start)
                r.disk.store = store
                r.chip.stuck_busy = False
            r.chip.mute = False
            reinits = d.reinits
            check(d, 0, 2, 5)
            assert d.reinits == reinits + 1


def test_removal_at_every_byte():
    # The card leaves after k bytes of an operation: an error in bounded time, and after it is
    # back the same card is taken up again.
    data = rig.pattern(1024, 8)
    for write in (False, True):
        for size in (512, 1024):
            k = 0
            seen = {}
            r = rig.sd(times=(200, 800, 5000))
            d = r.start()
            while True:
                check(d, 0, 2, 1)
                call = d.writeblocks if write else d.readblocks
                r.chip.pull_in = k
                start = r.clock.us
                try:
                    call(0, data[:size] if write else bytearray(size))
                    done = r.chip.pull_in >= 0
                except OSError as e:
                    seen[e.args[0]] = seen.get(e.args[0], 0) + 1
                    done = False
                    assert e.args[0] in (ENODEV, EIO, ETIMEDOUT), e
                assert r.clock.us - start < 1_500_000, (k, r.clock.us - start)
                r.chip.pull_in = -1
                if done:
                    break
                r.chip.insert()
                try:
                    d.readblocks(0, bytearray(512))
                except OSError as e:  # pulled after its last byte: noticed now
                    assert e.args[0] == ENODEV and d.removals, e
                k += 1 if k < 40 or size - k < 40 else 17
            assert k > size and seen.get(ENODEV, 0) > 10, (k, seen)


def test_another_card():
    r = rig.sd()
    d = r.start()
    check(d, 0, 2, 1)
    r.chip.pull()
    rig.fails(ENODEV, d.readblocks, 0, bytearray(512))
    start = r.clock.us
    rig.fails(ENODEV, d.readblocks, 0, bytearray(512))
    assert r.clock.us - start < 1_500_000
    r.chip.serial = 7
    r.chip.insert()
    assert "another card" in rig.fails(ENODEV, d.writeblocks, 0, bytearray(512))
    assert "another card" in rig.fails(ENODEV, d.readblocks, 0, bytearray(512))
    d.init()
    check(d, 0, 2, 2)
    assert d.removals == 1


def test_an_interrupted_operation():
    # Ctrl-C in the middle of a multi-block write: the next call brings the card back.
    r = rig.sd()
    d = r.start()
    write = r.bus.write

    def interrupt(buf):
        if len(buf) == 512:
            r.bus.write = write
            r.chip.write(buf[:100])
            raise KeyboardInterrupt
        write(buf)

    for size in (512, 2048):
        r.bus.write = interrupt
        try:
            d.writeblocks(0, bytearray(size))
            raise AssertionError("no KeyboardInterrupt")
        except KeyboardInterrupt:
            pass
        assert r.cs.level == 1
        check(d, 0, 8, 3)
    # The board was reset within a write: the new driver finds the card as it is.
    d._cs(0)
    d._set_block(4)
    d._run(25)
    d._spi.write(b"\xfc" + bytes(100))
    r.cs.level = 0
    d = r.start()
    check(d, 0, 8, 4)


def test_fat():
    if sys.implementation.name != "micropython":
        return
    import os

    r = rig.sd()
    rig.file_cycle(r, os.VfsFat, "/sd")
    assert quiet(r), r.chip.refused


def test_the_model_checks_crc_as_the_specification_says():
    assert sdspi.crc7(b"\x40\x00\x00\x00\x00") == 0x95  # 7.2.2: CMD0
    assert sdspi.crc7(b"\x48\x00\x00\x01\xaa") == 0x87  # CMD8
    assert sdspi.crc16(b"\xff" * 512) == 0x7FA1  # 4.5: 512 bytes of FF


print("edgeckpt", edgeckpt.__version__)
rig.run(globals())
