"""SPINor over models of chips of many vendors, without SFDP, described, or as another owner left
them. What the chips are stands here again, from flashrom's flashchips.c of 2026-08 (the S25FL with
extended ids from Linux' spansion.c), not from drivers/chips.py.
"""

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import rig
from edgeckpt.drivers import chips

from boards.models import w25q
from boards.models.nor import NorChip

EIO, ENODEV, EINVAL, EROFS = 5, 19, 22, 30

# Name, id, KiB, erases: opcode:KiB (0: not the same everywhere)
CHIPS = """
A25L010 373011 128 20:4,D8:64
A25L032 373016 4096 20:4,52:64,D8:64
A25L080 373014 1024 20:4,D8:64
AT25DF041A 1F4401 512 20:4,52:32,D8:64
AT25DF081A 1F4501 1024 20:4,52:32,D8:64
AT25DF321A 1F4701 4096 20:4,52:32,D8:64
AT25DF641(A) 1F4800 8192 20:4,52:32,D8:64
AT26DF161A 1F4601 2048 20:4,52:32,D8:64
BY25D40 684013 512 20:4,52:32,D8:64
B.25Q64AS 684017 8192 20:4,52:32,D8:64
EN25F16 1C3115 2048 20:4,D8:64
EN25F64 1C3117 8192 20:4,D8:64
EN25Q128 1C3018 16384 20:4,D8:64
EN25Q16 1C3015 2048 20:4,D8:64,52:64
F25L008A 8C2014 1024 20:4,D8:64
F25L32PA 8C2016 4096 20:4,D8:64
FM25F005 A13110 64 20:4,52:32,D8:64
FM25F04(A) A13113 512 20:4,52:32,D8:64
GD25LQ32 C86016 4096 20:4,52:32,D8:64
GD25Q16(B) C84015 2048 20:4,52:32,D8:64
GD25Q64(B) C84017 8192 20:4,52:32,D8:64
IS25LP064 9D6017 8192 20:4,52:32,D8:64
IS25LQ016 9D1445 2048 20:4,D8:64
IS25WP128 9D7018 16384 20:4,52:32,D8:64
MX25L12805D C22018 16384 20:4,D8:64
MX25L1605 C22015 2048 20:64,D8:64
MX25L1605D C22015 2048 20:4,D8:64
MX25L1635D C22415 2048 20:4,D8:64
MX25L3205(A) C22016 4096 20:64,D8:64
MX25L4005(A C22013 512 20:4,52:64,D8:64
MX25L512(E) C22010 64 20:4,52:64,D8:64
MX25L6405 C22017 8192 20:64,D8:64
MX25L6405D C22017 8192 20:4,D8:64
MX25R6435F C22817 8192 20:4,52:32,D8:64
M25P05-A 202010 64 D8:32
M25P10-A 202011 128 D8:32
M25P128 202018 16384 D8:256
M25P16 202015 2048 D8:64
M25P64 202017 8192 D8:64
M25PE80 208014 1024 20:4,D8:64
M25PX32 207116 4096 20:4,D8:64
M45PE80 204014 1024 D8:64
N25S80 D53014 1024 20:4,52:32,D8:64
Pm25LD512(C) 7F9D20 64 20:4,D8:32
Pm25LQ016 7F9D45 2048 20:4,D8:64
Pm25LV040 7F9D7E 512 D8:64
P25Q21H 854012 256 20:4,52:32,D8:64
P25D80H 856014 1024 20:4,52:32,D8:64
LE25FU406C 620613 512 20:4,D8:64
S25FL004A 010212 512 D8:64
S25FL064A 010216 8192 D8:64
S25FL132K 014016 4096 20:4,D8:64
S25FL208K 014014 1024 20:4,D8:64
SST26VF016B(A) BF2641 2048 20:4,D8:0
SST26VF064B(A) BF2643 8192 20:4,D8:0
W25Q128.V EF4018 16384 20:4,52:32,D8:64
W25Q16.W EF6015 2048 20:4,52:32,D8:64
W25Q80BV EF4014 1024 20:4,52:32,D8:64
W25X10 EF3011 128 20:4,D8:64
W25X40 EF3013 512 20:4,D8:64
W25X64 EF3017 8192 20:4,52:32,D8:64
XM25QH80B 204014 1024 20:4,52:32,D8:64
XM25QH64C 204017 8192 20:4,52:32,D8:64
XM25QH128A 207018 16384 20:4,52:32,D8:64
XT25F02E 0B4012 256 20:4,D8:64
XT25F64B 0B4017 8192 20:4,52:32,D8:64
ZB25VQ16 0E4015 2048 20:4,52:32,D8:64
ZD25D40 BA2013 512 20:4,52:32,D8:64
S25FL128P 0120180300 16384 D8:256
S25FL129P 0120184D01 16384 D8:64
S25FL128S 0120184D0080 16384 D8:256
S25FL256S 0102194D0180 32768 DC:64
S25FL512S 0102204D0080 65536 DC:256
"""
FAMILIES = {"0102": "spansion", "0120": "spansion", "C2": "macronix", "1F": "atmel", "BF": "sst26"}


def unhex(text):
    return bytes([int(text[i : i + 2], 16) for i in range(0, len(text), 2)])


def chip(row, **more):
    """A rig with the chip of a line."""
    name, ident, kib, erases = row.split()
    size = int(kib) << 10
    ops = {}
    for word in erases.split(","):
        op, _, unit = word.partition(":")
        if int(unit):
            ops[int(op, 16)] = int(unit) << 10
    family = FAMILIES.get(ident[:4]) or FAMILIES.get(ident[:2]) or "winbond"
    r = rig.nor(
        size,
        array=NorChip(min(size, 1 << 19)),
        jedec=unhex(ident),
        sfdp=more.pop("sfdp", False),
        family=family,
        erases=ops,
        four_ops=0xDC in ops,
        resets=ident[:4] not in ("2020", "2080", "2071", "0102", "0120"),
        times=(1400, 90_000, 500_000, 800_000, 10_000),
        **more,
    )
    r.name, r.size, r.ops = name, size, ops
    return r


def works(r, d):
    """The last two units of the chip: erased, and nothing beside them; programmed, read."""
    unit = d.erase_size
    assert d.size == r.size and unit in r.ops.values(), (r.name, d.size, unit)
    last = d.size // unit - 1
    d.writeblocks(0, b"\xff", 0) if not r.chip.base else None
    for n in range(len(r.array.wear)):
        r.array.wear[n] = 0
    d.ioctl(6, last)
    d.erase_range(last - 1 if last else 0, 2 if last else 1)
    per = unit // r.array.unit
    worn = [n for n in range(len(r.array.wear)) if r.array.wear[n]]
    first = len(r.array.wear) - (2 if last else 1) * per
    assert worn == list(range(first, len(r.array.wear))), (r.name, worn)
    for off in (0, unit - 300):
        data = rig.pattern(300, off & 255)
        d.writeblocks(last, data, off)
        back = bytearray(300)
        d.readblocks(last, back, off)
        assert back == data, r.name
    assert not r.chip.refused and not d.timeouts, (r.name, r.chip.refused)


def test_chips_without_sfdp():
    vendors = set()
    rows = CHIPS.strip().split("\n")
    for row in rows:
        r = chip(row)
        works(r, r.start())
        vendors.add(r.chip.jedec[:2] if r.chip.jedec[0] == 0x7F else r.chip.jedec[:1])
        sizes = sorted(r.dev._sizes)
        assert all(size in r.ops.values() for size in sizes), (r.name, sizes)
    assert len(rows) > 60 and len(vendors) >= 16, (len(rows), len(vendors))


def test_what_is_not_known_is_refused_with_what_to_type():
    for ident, why in (
        ("1C2014", "EN25P80 and EN25B80, which has small sectors"),
        ("BF258E", "SST25VF080B: no page program"),
        ("EF4099", "nothing"),
        ("0120184D0081", "S25FS128S"),
        ("001234", ""),
    ):
        r = chip("X %s 1024 D8:64" % ident)
        text = rig.fails(ENODEV, r.start)
        assert ident[:6] in text and ("size=" in text or not why), text
        assert not r.array.erases and not r.array.pages, why
    assert chips.find(unhex("0120184D0080")) and not chips.find(unhex("0120184D0081"))


def test_described():
    r = chip("EN25P80 1C2014 1024 D8:64")
    d = r.start(size=1 << 20, erases={65536: 0xD8})
    assert d.erase_size == 65536
    works(r, d)
    r = chip("W25Q512 EF4020 65536 21:4,DC:64")
    r.chip.four_ops = True
    works(r, r.start(size=1 << 26, erases={4096: 0x21, 65536: 0xDC}, address_bytes=4))
    # Told otherwise than the tables say: the caller knows.
    r = chip("X EF4014 1024 20:4,D8:64", sfdp=w25q.sfdp_tables(1 << 21, (700, 1, 1, 1, 1)))
    works(r, r.start(size=1 << 20, erases={4096: 0x20}))
    for size, erases in (
        (1 << 25, {4096: 0x20}),  # 3 address bytes
        (1 << 20, {5000: 0x20}), (1 << 20, {}), (1 << 20, None), (1 << 20, {4096: 0}),
        (0, {4096: 0x20}), (100_000, {65536: 0xD8}), (1 << 20, {4096: 0x120}),
    ):  # fmt: skip
        text = rig.fails(EINVAL, r.start, size=size, erases=erases)
        assert "size=4194304" in text, text


def test_chips_that_are_locked_at_power_up():
    row = "SST26VF032B BF2642 4096 20:4"
    times = (1400, 90_000, 500_000, 800_000, 10_000)
    tables = bytearray(w25q.sfdp_tables(1 << 22, times))
    tables[6] = 1
    tables[16:24] = b"\x81\x00\x01\x02\xc0\x00\x00\xff"  # its sector map
    for sfdp in (False, bytes(tables)):
        r = chip(row, sfdp=sfdp)
        works(r, r.start())
        works(r, r.restart())
    r = chip("X AB1234 4096 20:4")
    r.chip.family = "sst26"
    r.chip.power_cycle()
    said = {"size": 1 << 22, "erases": {4096: 0x20}}
    d = r.start(**said)
    assert "take" in rig.fails(EIO, d.ioctl, 6, 0)
    r.chip.refused = []
    works(r, r.start(unprotect=0x98, **said))
    # A chip that lost its supply is locked again, and that is told.
    r.chip.power_cycle()
    r.cs.level = 1
    rig.fails(EIO, r.dev.ioctl, 6, 0)
    # An SFDP with a map, of a chip whose listed namesake has none
    r = chip("X EF4018 16384 20:4,52:32,D8:64", sfdp=bytes(tables))
    assert "sector map" in rig.fails(ENODEV, r.start)


def test_xmc_is_not_micron():
    for ident in ("204017", "204018", "207017"):
        for sfdp in (True, False):
            r = chip("XM25QH %s %d 20:4,52:32,D8:64" % (ident, 1 << int(ident[4:], 16) - 10))
            if sfdp:
                r.chip.sfdp = w25q.sfdp_tables(r.size, r.chip.times)
            works(r, r.start())


def left(r, how):
    """Another owner leaves the chip in a state."""
    c = r.chip
    if how == "suspended":
        c.sr[0] |= 2
        c._erase(c.base, 4096)
        c._until = None
        c.sr[0] &= ~2
        c.suspended = 300_000
    elif how == "erasing":
        c.sr[0] |= 2
        c._erase(c.base, 4096)
        c._until = r.clock.us + 5_000_000
    elif how == "asleep":
        c.asleep = True
    elif how == "qpi":
        c.qpi = True
    elif how == "four":
        c.four = True
        c.sr[2] |= 1


def test_chips_as_another_owner_left_them():
    for row, hows in (
        ("W25Q128.V EF4018 16384 20:4,52:32,D8:64", ("suspended", "erasing", "asleep", "qpi")),
        ("SST26VF032B BF2642 4096 20:4", ("suspended", "erasing", "qpi")),
        ("M25P16 202015 2048 D8:64", ("erasing", "asleep")),
        ("MX25L12805D C22018 16384 20:4,D8:64", ("suspended", "asleep")),
        ("W25Q256 EF4019 32768 20:4,52:32,D8:64", ("suspended", "qpi", "four", "asleep")),
        ("S25FL256S 0102194D0180 32768 DC:64", ("four", "erasing")),
    ):
        for how in hows:
            r = chip(row)
            left(r, how)
            d = r.start()
            assert not r.chip.suspended and not r.chip.busy() and not r.chip.asleep, (row, how)
            assert "reset in the middle of an operation" not in r.chip.refused, (row, how)
            r.chip.refused = []
            works(r, d)
            assert r.clock.us < 60_000_000


def test_a_supply_that_fails_in_4_byte_mode():
    # For a moment, at any byte: the chip is back in 3-byte mode; nothing goes elsewhere.
    times = (700, 45_000, 120_000, 150_000, 10_000)
    for family, jedec in (("winbond", b"\xef\x40\x19"), ("micron", b"\x20\xba\x19")):
        tables = w25q.sfdp_tables(1 << 25, times, bait=False, latch=family == "micron")
        r = rig.nor(1 << 25, jedec=jedec, sfdp=tables, family=family, four_ops=False)
        d = r.start()
        d.ioctl(6, 8191)
        mark = rig.pattern(256, 10)
        d.writeblocks(8191, mark, 1024)
        back = bytearray(256)
        for k in range(0, 1200, 3):
            wear = list(r.array.wear)
            r.bus.event = (r.bus.bytes + k, r.chip.power_cycle)
            for call, args in (
                (d.writeblocks, (8191, b"\xff" * 256, 2048)),
                (d.readblocks, (8191, back, 1024)),
                (d.ioctl, (6, 8190)),
            ):
                try:
                    call(*args)
                except OSError:
                    pass
            wear[-2] = r.array.wear[-2]
            assert r.array.wear == wear, "an erase went elsewhere"
            assert not [w for w in r.chip.refused if "outside" in w], r.chip.refused
            if r.bus.event:
                r.bus.event = None
                break
            r.chip.power_cycle()  # between two calls
            d.readblocks(8191, back, 1024)
            assert back == mark, k
        assert k > 500, k


print("edgeckpt", edgeckpt.__version__)
rig.run(globals())
