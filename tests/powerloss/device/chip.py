"""The NOR chip model keeps the contract of the chip: run on MicroPython and on CPython."""

import os
import sys

from boards.models.nor import NorChip, PowerCut, Violation


def refused(chip, call, *args):
    before = bytes(chip.data)
    count = len(chip.violations)
    try:
        call(*args)
    except Violation:
        assert len(chip.violations) == count + 1
        assert bytes(chip.data) == before
        return
    raise AssertionError("not refused: %r" % (args,))


def test_programs_are_and():
    chip = NorChip(8192)
    chip.writeblocks(1, b"\xf0" * 256, 256)
    chip.writeblocks(1, b"\x3c" * 256, 256)
    buf = bytearray(256)
    chip.readblocks(1, buf, 256)
    assert buf == b"\x30" * 256
    assert chip.stats()["again"] == 1 and chip.stats()["over"] == 1
    chip.ioctl(6, 1)
    chip.readblocks(1, buf, 256)
    assert buf == b"\xff" * 256
    assert chip.wear == [0, 1] and not any(chip.writes)


def test_what_the_chip_refuses():
    chip = NorChip(8192)
    page = b"\0" * 256
    refused(chip, chip.writeblocks, 0, b"\0" * 10, 0)
    refused(chip, chip.writeblocks, 0, page, 3)
    refused(chip, chip.writeblocks, 0, page * 2, 4096 - 256)
    refused(chip, chip.writeblocks, 2, page, 0)
    refused(chip, chip.writeblocks, 1, page, 4096)
    refused(chip, chip.writeblocks, -1, page, 0)
    refused(chip, chip.writeblocks, 0, page)
    refused(chip, chip.writeblocks, 0, b"", 0)
    refused(chip, chip.readblocks, 0, bytearray(512), 4096 - 256)
    refused(chip, chip.readblocks, 1, bytearray(8192))
    refused(chip, chip.ioctl, 6, 2)
    refused(chip, chip.ioctl, 6, -1)
    chip.fence = (4096, 8192)
    refused(chip, chip.writeblocks, 0, page, 4096 - 256)
    refused(chip, chip.ioctl, 6, 0)
    chip.writeblocks(1, page, 0)
    strict = NorChip(8192, once=True)
    strict.writeblocks(0, page * 3, 256)
    refused(strict, strict.writeblocks, 0, page * 2, 3 * 256)


def test_a_long_write_is_page_programs():
    chip = NorChip(8192)
    chip.writeblocks(0, b"\x11" * 1024, 512)
    assert chip.pages == 4 and chip.ops == 4 and chip.us == 4 * 700
    assert list(chip.writes[:7]) == [0, 0, 1, 1, 1, 1, 0]
    chip.writeblocks(0, b"\x22" * 8192)  # as rp2.Flash: erase, then program
    assert chip.erases == 2 and chip.pages == 36 and chip.data == b"\x22" * 8192


def test_dead_until_powered():
    chip = NorChip(8192)
    for call in (
        chip.power_off,
        lambda: chip.readblocks(0, bytearray(8), 0),
        lambda: chip.writeblocks(0, bytearray(256), 0),
        lambda: chip.ioctl(6, 0),
        lambda: chip.ioctl(5, 0),
    ):
        try:
            call()
        except PowerCut:
            continue
        raise AssertionError("it works without power")
    assert chip.data == b"\xff" * 8192
    chip.power_on()
    assert chip.ioctl(5, 0) == 4096 and chip.ioctl(4, 0) == 2


def test_weak_cells_until_erased():
    class Dice:
        n = 0

        def below(self, n):
            self.n += 1
            return 0xFF if self.n & 1 else 0

    chip = NorChip(8192)
    buf = bytearray(1)
    chip.weaken(7, 0x81, Dice())
    seen = []
    for _ in range(4):
        chip.readblocks(0, buf, 7)
        seen.append(buf[0])
    assert seen == [0x7E, 0xFF, 0x7E, 0xFF]
    chip.ioctl(6, 0)
    chip.readblocks(0, buf, 7)
    assert buf[0] == 0xFF
    chip.weaken(9, 0x10, becomes=0, reads=2)
    seen = []
    for _ in range(4):
        chip.readblocks(0, buf, 9)
        seen.append(buf[0])
    assert seen == [0xFF, 0xFF, 0xEF, 0xEF]


def test_save_and_restore():
    chip = NorChip(8192)
    chip.writeblocks(0, b"\x55" * 256, 0)
    saved = chip.save()
    chip.ioctl(6, 0)
    chip.writeblocks(1, b"\x55" * 256, 0)
    chip.restore(saved)
    assert chip.save() == saved and chip.writes[0] == 1 and chip.writes[16] == 0


def test_the_file_is_the_chip():
    path = sys.argv[1] + "/chip-" + sys.implementation.name
    steps = []
    chip = NorChip(8192, path=path, grain=100, pause=steps.append)
    chip.ioctl(6, 1)
    chip.writeblocks(1, bytes(range(256)), 512)
    assert len(steps) == 41 + 3 and abs(sum(steps) - 45700) < 45
    with open(path, "rb") as f:
        assert f.read() == chip.data
    chip.close()
    again = NorChip(8192, path=path)
    assert again.data == chip.data and again.writes[18] == 1 and sum(again.writes) == 1
    again.close()
    try:
        NorChip(4096, path=path)
    except ValueError:
        pass
    else:
        raise AssertionError("a file of another size was taken")
    os.remove(path)


count = 0
for name in sorted(globals()):
    if name.startswith("test_"):
        globals()[name]()
        count += 1
print("ok", count)
