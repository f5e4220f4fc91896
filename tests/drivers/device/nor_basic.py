"""SPINor over the W25Q model: detection, the block protocol, refusals, the chip's refusals."""

import sys

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import rig

from boards.models import w25q

EIO, ENODEV, EINVAL, EROFS, ETIMEDOUT = 5, 19, 22, 30, 110


def check(device, n, off, size, seed):
    data = rig.pattern(size, seed)
    device.writeblocks(n, data, off)
    back = bytearray(size)
    device.readblocks(n, back, off)
    assert back == data, "%d bytes at %d of block %d" % (size, off, n)


def test_detection_by_sfdp():
    for size in (1 << 16, 1 << 20, 1 << 24, 1 << 25, 1 << 26):
        r = rig.nor(size)
        d = r.start()
        assert (d.size, d.erase_size, d.page_size) == (size, 4096, 256), size
        assert d.ioctl(4, 0) == size // 4096 and d.ioctl(5, 0) == 4096 and d.sfdp
        last = size // 4096 - 1
        d.ioctl(6, last)
        check(d, last, 0, 4096, size & 0xFFFF)
        assert [u for u in range(len(r.array.wear)) if r.array.wear[u]] == [len(r.array.wear) - 1]
        assert not r.chip.refused, r.chip.refused


def test_sfdp_without_times_and_with_other_opcodes():
    times = (700, 45_000, 120_000, 150_000, 10_000)
    tables = w25q.sfdp_tables(1 << 20, times, dwords=9)
    d = rig.nor(1 << 20, sfdp=tables).start()
    d.ioctl(6, 3)
    check(d, 3, 0, 4096, 1)
    # A chip that erases 64 KiB only: that is the block of the device.
    tables = w25q.sfdp_tables(1 << 20, times, opcodes=(0, 0, 0xD8))
    d = rig.nor(1 << 20, sfdp=tables).start()
    assert d.ioctl(5, 0) == 65536 and d.ioctl(4, 0) == 16
    d.ioctl(6, 15)
    check(d, 15, 65536 - 4096, 4096, 2)
    # Longer times than the W25Q's are believed.
    slow = (5_000, 900_000, 900_000, 900_000, 10_000)
    r = rig.nor(1 << 20, times=slow)
    d = r.start()
    d.ioctl(6, 0)
    check(d, 0, 0, 4096, 3)
    r.chip.times = (15_000, 3_000_000, 0, 0, 0)  # slower than typical, within the maximum
    d.ioctl(6, 1)
    check(d, 1, 0, 256, 4)
    assert d.timeouts == 0


def test_addresses_above_16_mib_by_mode():
    # No 4BAIT: the chip is switched to 4-byte mode by B7h, with the latch first where needed.
    times = (700, 45_000, 120_000, 150_000, 10_000)
    for family, jedec in (("winbond", b"\xef\x40\x19"), ("micron", b"\x20\xba\x19")):
        tables = w25q.sfdp_tables(1 << 25, times, bait=False, latch=family == "micron")
        r = rig.nor(1 << 25, jedec=jedec, sfdp=tables, family=family, four_ops=False)
        d = r.start()
        assert r.chip.four and not r.chip.refused, r.chip.refused
        d.ioctl(6, 8191)
        check(d, 8191, 100, 700, 9)
        assert r.array.wear[-1] == 1 and sum(r.array.wear) == 1
        d = r.restart()
        check(d, 8191, 1024, 256, 10)


def test_no_guess_at_addresses_or_sectors():
    # Above 16 MiB, no 4BAIT, and a vendor whose way is not known here
    times = (700, 45_000, 120_000, 150_000, 10_000)
    tables = w25q.sfdp_tables(1 << 25, times, bait=False)
    for maker in (0x01, 0x1F, 0xC8):
        r = rig.nor(1 << 25, jedec=bytes((maker, 0x40, 0x19)), sfdp=tables)
        assert "size=16777216" in rig.fails(ENODEV, r.start)
        # but the first 16 MiB, by the word of the caller
        r = rig.nor(1 << 25, jedec=bytes((maker, 0x40, 0x19)), sfdp=tables, base=0)
        d = r.start(size=1 << 24, erases={4096: 0x20})
        d.ioctl(6, 3)
        check(d, 3, 0, 4096, 1)
    # B7h that the chip does not take
    r = rig.nor(1 << 25, jedec=b"\xef\x40\x19", sfdp=tables)
    r.chip.size = 1 << 24
    assert "B7h" in rig.fails(EIO, r.start)
    # Sectors of several sizes (a parameter header 81h)
    tables = bytearray(w25q.sfdp_tables(1 << 20, (700, 45_000, 120_000, 150_000, 1)))
    tables[6] = 1
    tables[16:24] = b"\x81\x00\x01\x02\xc0\x00\x00\xff"
    assert "several sizes" in rig.fails(ENODEV, rig.nor(1 << 20, sfdp=bytes(tables)).start)


def test_a_chip_that_knows_4_address_bytes_only():
    r = rig.nor(1 << 18, four_only=True)
    d = r.start()
    d.ioctl(6, 63)
    check(d, 63, 0, 4096, 4)
    assert sum(r.array.wear) == r.array.wear[63] == 1 and not r.chip.refused, r.chip.refused


def test_programs_never_cross_a_page():
    r = rig.nor()
    d = r.start()
    for off, size in (
        (0, 256), (0, 1), (255, 1), (1, 255), (1, 256), (200, 300), (17, 3000), (0, 4096)
    ):  # fmt: skip
        d.ioctl(6, 2)
        check(d, 2, off, size, off + size)
        around = bytearray(4096)
        d.readblocks(2, around, 0)
        outside = around[:off] + around[off + size :]
        assert outside == b"\xff" * len(outside), "bytes outside %d+%d" % (off, size)
    assert r.array.over == 0
    # A second program of one page only clears bits.
    d.ioctl(6, 2)
    d.writeblocks(2, b"\xf0" * 256, 0)
    d.writeblocks(2, b"\x3f" * 256, 0)
    back = bytearray(256)
    d.readblocks(2, back, 0)
    assert back == b"\x30" * 256 and r.array.over == 1


def test_two_arguments_erase_first():
    r = rig.nor()
    d = r.start()
    for seed in (1, 2):
        data = rig.pattern(8192, seed)
        d.writeblocks(5, data)
        back = bytearray(8192)
        d.readblocks(5, back)
        assert back == data
    assert r.array.wear[5] == r.array.wear[6] == 2 and sum(r.array.wear) == 4 and r.array.over == 0
    rig.fails(EINVAL, d.writeblocks, 5, bytearray(4095))


def interrupted(d, call, *args):
    """The call, with a Ctrl-C in its first wait."""
    sleep = d._sleep

    def interrupt(us):
        d._sleep = sleep
        raise KeyboardInterrupt

    d._sleep = interrupt
    try:
        call(*args)
        raise AssertionError("no KeyboardInterrupt")
    except KeyboardInterrupt:
        pass


def test_large_erases():
    r = rig.nor(1 << 20)
    d = r.start()
    d.erase_range(7, 50)  # 7..56: 4 KiB to 8, 32 KiB to 16, 64 KiB to 48, 32 KiB to 56, 4 KiB
    assert r.array.wear == [1 if 7 <= n < 57 else 0 for n in range(256)], r.array.wear
    assert d.erases == 1 + 1 + 2 + 1 + 1, d.erases
    d = r.start(erase_size=65536)
    assert d.ioctl(5, 0) == 65536
    d.ioctl(6, 3)
    check(d, 3, 65280, 256, 5)
    rig.fails(EINVAL, r.start, erase_size=8192)


def test_large_erases_only_where_they_save_time():
    r = rig.nor(1 << 20, times=(700, 10_000, 90_000, 120_000, 1))
    d = r.start()
    d.erase_range(0, 24)  # 64 KiB, then 8 of 4 KiB in 80 ms: less than one of 32 KiB
    assert d.erases == 1 + 8, d.erases


def test_large_slots():
    # A checkpoint of 16 units, at a multiple of 64 KiB: one erase. One unit more: two.
    for size, erases in ((65280, 1), (65536, 2)):
        r = rig.nor(1 << 20)
        d = r.start()
        lease = edgeckpt.BlockLease(d, 16, 64, 1)
        stage = edgeckpt.CheckpointedStageState(bytearray(size), lease)
        stage.checkpoint()  # the first erase of a lease is done twice
        worn, before = sum(r.array.wear), d.erases
        assert before == 2 * erases and worn == 2 * stage.ring.group_units
        for _ in range(stage.ring.groups - 1):
            stage.checkpoint()  # so that the first group is next again
        worn, before = sum(r.array.wear), d.erases
        start = r.clock.us
        stage.prepare()
        us = r.clock.us - start
        assert d.erases - before == erases
        assert sum(r.array.wear) - worn == stage.ring.group_units
        assert us < 300_000, us  # 45 ms * 16, without
        stage.state[:] = rig.pattern(size, 1)
        stage.checkpoint()
        assert d.erases - before == erases
        lease = stage.into_block_lease()
        assert edgeckpt.CheckpointedStageState.restore(lease).state == rig.pattern(size, 1)
        del edgeckpt.lease.live[:]


def test_a_large_erase_that_was_interrupted_is_waited_for():
    r = rig.nor(1 << 20, times=(700, 100_000, 800_000, 1_500_000, 1))
    d = r.start()
    interrupted(d, d.erase_range, 0, 16)
    assert r.chip.busy()
    d.writeblocks(20, bytearray(256), 0)  # longer than an erase of 4 KiB may take
    assert r.array.erases == 16 and not d.timeouts


def test_bounds():
    d = rig.nor(1 << 16).start()
    buf = bytearray(256)
    for n, off in ((16, 0), (-1, 0), (0, -1), (15, 3841), (0, 65536)):
        assert "blocks 0..15" in rig.fails(EINVAL, d.readblocks, n, buf, off)
        rig.fails(EINVAL, d.writeblocks, n, buf, off)
    rig.fails(EINVAL, d.ioctl, 6, 16)
    rig.fails(EINVAL, d.erase_range, 15, 2)


def test_no_chip():
    for level in (0xFF, 0x00):
        r = rig.nor()
        r.chip.absent = level
        text = rig.fails(ENODEV, r.start)
        assert ("%02X" % level) * 3 in text, text
        assert r.clock.us < 3_000_000, r.clock.us
        # and one that goes away later
        r.chip.absent = None
        d = r.start()
        r.chip.absent = level
        start = r.clock.us
        rig.fails(ENODEV, d.writeblocks, 0, bytearray(256), 0)
        rig.fails(ENODEV, d.ioctl, 6, 0)
        assert r.clock.us - start < 100_000
        r.chip.absent = None
        d.ioctl(6, 0)
        check(d, 0, 0, 256, 1)


def test_id_of_nothing_known():
    r = rig.nor(sfdp=False, jedec=b"\xef\x40\x99")
    assert "EF4099" in rig.fails(ENODEV, r.start)
    r = rig.nor(sfdp=False, jedec=b"\x00\x40\x18")
    assert "004018" in rig.fails(ENODEV, r.start)


def test_stuck_busy():
    r = rig.nor()
    d = r.start()
    for call in (
        lambda: d.ioctl(6, 1),
        lambda: d.writeblocks(1, bytearray(256), 0),
    ):
        r.chip.stuck_busy = True
        start = r.clock.us
        timeouts = d.timeouts
        try:
            call()
            raise AssertionError("no error")
        except OSError as e:
            assert e.args[0] in (ETIMEDOUT, EIO), e
            timeouts += e.args[0] == ETIMEDOUT
        assert r.clock.us - start < 450_000, r.clock.us - start
        assert d.timeouts == timeouts
        r.chip.stuck_busy = False
        d.readblocks(1, bytearray(16), 0)
    # busy in the middle of an erase
    real = r.chip._begins

    def hang(us):
        real(us)
        r.chip.stuck_busy = True

    r.chip._begins = hang
    text = rig.fails(ETIMEDOUT, d.ioctl, 6, 1)
    assert "402 ms" in text, text
    r.chip._begins = real
    rig.fails(ETIMEDOUT, r.start)
    r.chip.stuck_busy = False
    d = r.start()
    d.ioctl(6, 1)
    check(d, 1, 0, 4096, 4)


def test_busy_at_the_start_is_waited_for():
    r = rig.nor()
    d = r.start()
    r.chip.sr[0] |= 2
    r.chip._erase(0, 65536)  # the board was reset just now
    assert r.chip.busy()
    r.cs.level = 1
    d = r.start()
    assert d.jedec == b"\xef\x40\x18" and not r.chip.busy()
    assert "reset in the middle of an operation" not in r.chip.refused


def test_write_enable_that_is_missed():
    r = rig.nor()
    d = r.start()
    r.chip.no_wel = 2
    d.ioctl(6, 0)
    check(d, 0, 0, 256, 1)
    assert d.retries == 2
    r.chip.no_wel = 1000
    programs = r.array.pages
    assert "WEL" in rig.fails(EIO, d.writeblocks, 0, bytearray(256), 256)
    assert "WEL" in rig.fails(EIO, d.ioctl, 6, 0)
    assert r.array.pages == programs
    r.chip.no_wel = 0
    check(d, 0, 512, 256, 3)


def test_a_command_that_is_not_taken():
    # Individual block locks (7.1.11): the latch stays set, nothing happens, nothing is told.
    r = rig.nor()
    d = r.start()
    r.chip.sr[2] |= w25q.WPS
    assert "take" in rig.fails(EIO, d.ioctl, 6, 0)
    assert "take" in rig.fails(EIO, d.writeblocks, 0, bytearray(256), 0)
    d.unprotect()
    d.ioctl(6, 0)
    check(d, 0, 0, 256, 1)


def test_block_protection():
    r = rig.nor(1 << 20)
    d = r.start()
    d.ioctl(6, 0)
    r.chip.sr[0] |= w25q.BP  # everything
    r.chip.nonvolatile[0] |= w25q.BP
    for call in (lambda: d.ioctl(6, 0), lambda: d.writeblocks(0, bytearray(256), 0)):
        try:
            call()
            raise AssertionError("no error")
        except OSError as e:
            assert e.args[0] == EROFS and "1C" in e.args[1], e
    assert not r.chip.sr[0] & 2, "the latch was left set"
    d = r.restart()
    rig.fails(EROFS, d.ioctl, 6, 0)
    d.unprotect()
    d = r.restart()
    d.ioctl(6, 0)
    check(d, 0, 0, 4096, 1)
    # The upper 64 KiB only: allowed where asked for, refused where it is covered.
    r.chip.nonvolatile[0] |= 1 << 2
    d = r.start(partly_protected=True)
    d.ioctl(6, 5)
    check(d, 5, 0, 256, 2)
    rig.fails(EIO, d.ioctl, 6, 255)
    # A complement (CMP) with no BP bits protects all
    r.chip.nonvolatile[:2] = 0, w25q.CMP
    d = r.start()
    rig.fails(EIO, d.ioctl, 6, 0)
    d.unprotect()
    d.ioctl(6, 0)


def test_failures_that_the_chip_reports():
    for family, first in (
        ("micron", b"\x20\xba"), ("macronix", b"\xc2\x60"), ("spansion", b"\x01\x02")
    ):  # fmt: skip
        r = rig.nor(jedec=first + b"\x12", family=family)
        d = r.start()
        d.ioctl(6, 0)
        check(d, 0, 0, 4096, 1)
        r.chip.fail_program = True
        assert "reports" in rig.fails(EIO, d.writeblocks, 1, bytearray(256), 0)
        r.chip.fail_program = False
        r.chip.fail_erase = True
        assert "reports" in rig.fails(EIO, d.ioctl, 6, 1)
        r.chip.fail_erase = False
        assert not r.chip.sr[0] & 2, "the latch was left set"
        r.chip.flags = 0
        d.ioctl(6, 1)
        check(d, 1, 0, 256, 2)
        # The board is reset while the failure is still on record.
        r.chip.flags = 0x10
        d = r.start()
        check(d, 1, 256, 256, 3)


def test_deep_power_down():
    r = rig.nor()
    d = r.start()
    d.ioctl(6, 0)
    check(d, 0, 0, 256, 1)
    d.power_down()
    rig.fails(ENODEV, d.writeblocks, 0, bytearray(256), 256)
    d.wake()
    check(d, 0, 256, 256, 2)
    d.power_down()
    d = r.start()  # the chip sleeps, the board was reset
    check(d, 0, 512, 256, 3)


def test_an_interrupted_wait_is_finished_by_the_next_call():
    r = rig.nor()
    d = r.start()
    interrupted(d, d.ioctl, 6, 0)
    assert r.chip.busy() and r.cs.level == 1
    back = bytearray(16)
    d.readblocks(0, back, 0)  # would read nothing from a busy chip
    assert not r.chip.refused, r.chip.refused
    check(d, 0, 0, 256, 1)


def test_littlefs_and_fat():
    if sys.implementation.name != "micropython":
        return
    import os

    for fs in (os.VfsLfs2, os.VfsFat):
        r = rig.nor(1 << 18)
        rig.file_cycle(r, fs, "/nor")
        assert not r.chip.refused and not r.array.violations, r.chip.refused


print("edgeckpt", edgeckpt.__version__)
rig.run(globals())
