"""`drivers.guard` over images of cards: what is free, what is in use, and by what."""

import edgeckpt  # before rig: from in there its imports are too deep for a 32-bit stack
import edgeckpt.lease
import rig
from edgeckpt.drivers.guard import check, in_use

from boards.models.ram import SectorDisk

START, COUNT = 64, 512


def card():
    return SectorDisk(4096)


def put(disk, at, data):
    disk.view[at : at + len(data)] = data


def u32(n):
    return n.to_bytes(4, "little")


def mbr(disk, *entries):
    put(disk, 510, b"\x55\xaa")
    for slot, kind, first, count in entries:
        put(disk, 446 + 16 * slot, bytes((0, 0, 0, 0, kind, 0, 0, 0)) + u32(first) + u32(count))


def says(disk, *words, start=START, count=COUNT):
    found = in_use(disk, start, count)
    assert found and all(w in found for w in words), found
    text = rig.fails(17, check, disk, start, count)
    assert found in text and "anyway=True" in text, text
    check(disk, start, count, anyway=True)


def free(disk, start=START, count=COUNT):
    assert in_use(disk, start, count) is None, in_use(disk, start, count)
    check(disk, start, count)


def test_blank_and_behind_a_table():
    d = card()
    free(d)
    put(d, START * 512, b"\xff" * 512 * COUNT)
    free(d)
    mbr(d, (0, 0x0C, 2048, 2000))
    free(d)
    says(d, "block 0", start=0)
    says(d, "partition 1", "0C", "2048", start=1900)
    says(d, "4096", start=4000)
    says(d, "-1", start=-1)


def test_any_entry_counts():
    for slot in range(4):
        for first, count in ((1, 64), (575, 10), (65, 1), (10, 3000)):
            d = card()
            mbr(d, (0, 0x0C, 2048, 2000), (slot, 0x83, first, count))
            says(d, "partition %d" % (slot + 1), "83")
    d = card()
    mbr(d, (1, 0x83, 576, 10), (2, 0x83, 1, 63), (3, 0, 100, 100))
    free(d)


def gpt(disk, entries, first, last):
    mbr(disk, (0, 0xEE, 1, 4095))
    head = bytearray(512)
    head[:8] = b"EFI PART"
    head[40:56] = (34).to_bytes(8, "little") + (4062).to_bytes(8, "little")
    head[72:88] = (2).to_bytes(8, "little") + u32(entries) + u32(128)
    put(disk, 512, head)
    put(disk, 1024 + 128 * 5, b"\x01" * 16)
    put(disk, 1024 + 128 * 5 + 32, first.to_bytes(8, "little") + last.to_bytes(8, "little"))


def test_gpt():
    d = card()
    gpt(d, 128, 2048, 4000)
    free(d)
    says(d, "GPT", start=8)
    says(d, "end of the card", start=3584)
    d = card()
    gpt(d, 128, 100, 4000)
    says(d, "partition 6 of the GPT", "100..4000")
    d = card()
    gpt(d, 1 << 20, 2048, 4000)
    says(d, "GPT")


def test_file_systems_on_the_whole_card():
    d = card()
    put(d, 0, b"\xeb\x3c\x90MSDOS5.0\x00\x02\x04\x01\x00\x02\x00\x02\x00\x10")
    put(d, 510, b"\x55\xaa")
    says(d, "FAT", "4095")
    d = card()
    put(d, 0, b"\xeb\x76\x90EXFAT   ")
    put(d, 72, (4096).to_bytes(8, "little"))
    put(d, 510, b"\x55\xaa")
    says(d, "exFAT")
    for block in (512, 4096):
        for second in (0, 1):  # either block of the pair may be the torn one
            d = card()
            head = b"\x01\x00\x00\x00\xf0\x0f\xff\xf7littlefs\x2f\xe0\x00\x10\x00\x00\x02\x00"
            put(d, second * block, head + u32(block) + u32(4096 * 512 // block))
            says(d, "littlefs", "4095")
    d = card()
    put(d, 1024 + 4, u32(2048))
    put(d, 1024 + 56, b"\x53\xef")
    says(d, "ext", "4095")


class Extended:
    """A card as littlefs wants it."""

    def __init__(self, disk):
        self.disk = disk

    def readblocks(self, n, buf, off=0):
        buf[:] = self.disk.view[n * 512 + off : n * 512 + off + len(buf)]

    def writeblocks(self, n, buf, off=0):
        put(self.disk, n * 512 + off, buf)

    def ioctl(self, op, arg):
        return {4: 4096, 5: 512}.get(op, 0)


def test_real_file_systems():
    try:
        import os

        kinds = [os.VfsLfs2, os.VfsFat]
    except (ImportError, AttributeError):
        return  # CPython
    for kind in kinds:
        d = card()
        kind.mkfs(Extended(d) if kind is os.VfsLfs2 else d)
        says(d, "whole card" if kind is os.VfsLfs2 else "FAT")


def test_data_of_any_other_kind():
    for n in (START, START + COUNT - 1, START + 99):
        d = card()
        put(d, n * 512 + 511, b"\x01")
        says(d, "unknown kind", "block %d" % n)
        put(d, n * 512, b"\xff" * 511)
        says(d, "unknown kind", "block %d" % n)


def test_read_errors():
    for n in (0, 1, 2, START, START + COUNT - 1):
        d = card()
        d.bad.add(n)
        says(d, "block %d cannot be read" % n)


def test_a_lease_of_ours_is_free():
    d = card()
    lease = edgeckpt.BlockLease(d, START, COUNT, 7)
    stage = edgeckpt.CheckpointedStageState(bytearray(3000), lease)
    for i in range(3):
        stage.state[0] = i
        stage.checkpoint()
    del edgeckpt.lease.live[:]
    free(d)
    d.bad.add(START + 1)  # a cut
    free(d)
    mbr(d, (0, 0x0C, 1, 4000))  # but a table says otherwise
    says(d, "partition 1")


print("edgeckpt", edgeckpt.__version__)
rig.run(globals())
