"""The adapters over objects that lie as those of the ports do."""

import edgeckpt
import rig
from edgeckpt.drivers import adapters

from boards.models import faults, ports
from boards.models.nor import NorChip
from boards.models.ram import SectorDisk

EPERM, EIO, EBUSY, ENODEV, EINVAL = 1, 5, 16, 19, 22


def media():
    """(name, adapter, object of the port, its medium), fresh ones."""
    out = []
    for make, adapt in (
        (ports.Rp2Flash, adapters.rp2),
        (ports.Esp32Partition, adapters.esp32),
        (ports.MimxrtFlash, adapters.mimxrt),
        (ports.PybFlash, adapters.pyb),
        (ports.Rp2Flash, lambda d: adapters.any_device(d, 256)),
    ):
        chip = NorChip(1 << 16)
        device = make(chip)
        out.append((make.__name__, adapt(device), device, chip))
    for block, row in ((1536, 256), (8192, 8192)):
        disk = SectorDisk(48, row)
        device = ports.SamdFlash(disk, block)
        out.append(("SamdFlash %d" % block, adapters.samd(device), device, disk))
    for make in (ports.Esp32SDCard, ports.MimxrtSDCard):
        disk = SectorDisk(64)
        device = make(disk)
        out.append((make.__name__, adapters.card(device), device, disk))
    disk = SectorDisk(64)
    device = ports.Esp32SDCard(disk)
    out.append(("any", adapters.any_device(device), device, disk))
    return out


def write(adapter, n, seed=1):
    size = adapter.ioctl(5, 0)
    adapter.writeblocks(n, rig.pattern(size, seed))
    back = bytearray(size)
    adapter.readblocks(n, back)
    return back == rig.pattern(size, seed)


def test_nothing_is_written_before_the_probe():
    for name, adapter, _device, medium in media():
        before = bytes(medium.data)
        rig.fails(EPERM, write, adapter, 3)
        if isinstance(adapter, adapters.Flash):
            rig.fails(EPERM, adapter.ioctl, 6, 3)
            rig.fails(EPERM, adapter.writeblocks, 3, bytearray(256), 0)
        assert bytes(medium.data) == before and not adapter.trusted, name
        adapter.probe(2, 8)
        assert adapter.trusted
        assert write(adapter, 3) and write(adapter, 3, 2), name


def test_the_probe_takes_a_blank_block_of_the_lease_and_no_other():
    for name, adapter, _device, medium in media():
        size = adapter.ioctl(5, 0)
        for i in range(len(medium.data)):
            medium.data[i] = 0x55
        text = rig.fails(EBUSY, adapter.probe, 4, 4)
        assert "4..7" in text, text
        rig.fails(EINVAL, adapter.probe, 4, 4, at=8)
        rig.fails(EINVAL, adapter.probe, 4, 1 << 20)
        assert not adapter.trusted
        medium.data[5 * size : 6 * size] = b"\xff" * size
        adapter.probe(4, 4)
        used = bytes(medium.data[5 * size : 6 * size])
        assert used in (b"\xff" * size, bytes(size)), name
        assert medium.data[: 5 * size] == b"\x55" * (5 * size), name
        rest = medium.data[6 * size :]
        assert rest == b"\x55" * len(rest), name
        adapter.probe(4, 4, at=7)
        assert medium.data[6 * size : 7 * size] == b"\x55" * size


def test_a_device_that_does_not_do_it():
    # Each operation, told in the way of the port or not at all.
    for what in ("erase", "program", "read"):
        for name, adapter, device, _medium in media():
            if what == "erase" and not isinstance(adapter, adapters.Flash):
                continue
            adapter.probe(2, 8)
            adapter.trusted = False
            device.broken.add(what)
            rig.fails(EIO, probe, adapter)
            assert not adapter.trusted, (name, what)
            device.broken.discard(what)
            adapter.probe(2, 8, at=4)


def test_failures_in_use_are_errors():
    # After the probe, as each port tells it; rp2 and samd tell nothing.
    told = 0
    for what in ("erase", "program", "read"):
        for name, adapter, device, medium in media():
            flash = isinstance(adapter, adapters.Flash)
            if name in ("Rp2Flash", "SamdFlash 1536", "SamdFlash 8192"):
                continue
            if what == "erase" and not flash or (name, what) == ("MimxrtFlash", "read"):
                continue
            adapter.probe(2, 8)
            device.broken.add(what)
            before = bytes(medium.data)
            try:
                use(adapter, what, flash)
                raise AssertionError("%s: %s: no error" % (name, what))
            except OSError as e:
                told += 1
                assert len(e.args) < 2 or name == "MimxrtFlash" or "answered" in e.args[1], e
            assert bytes(medium.data) == before
    assert told == 3 + 6 + 5, told


def use(adapter, what, flash):
    if what == "erase":
        adapter.ioctl(6, 3)
    elif what == "program":
        adapter.writeblocks(3, *((bytearray(256), 0) if flash else (bytearray(512),)))
    else:
        adapter.readblocks(3, bytearray(512))


def probe(adapter):
    try:
        adapter.probe(2, 8, at=4)
    except OSError as error:  # raised by the device itself, in the way of its port
        if len(error.args) < 2:
            rest = OSError(EIO, "raised by the device: %r" % (error.args,))
            raise rest  # noqa: B904
        raise


def test_chips_that_say_yes_and_do_not():
    for how in ("skip", "half", "bit"):
        for _ops, first in (("the erase", 1), ("a program", 2), ("the last erase", 19)):
            chip = NorChip(1 << 16)
            adapter = adapters.rp2(ports.Rp2Flash(chip))
            chip.put(4 * 4096, rig.pattern(4096, 3))
            chip.faults = faults.Skips(first, first, how, faults.Dice(first))
            text = rig.fails(EIO, adapter.probe, 2, 8, at=4)
            assert "block 4" in text, text
    chip = NorChip(1 << 16)
    adapter = adapters.rp2(ports.Rp2Flash(chip))
    chip.faults = faults.Disturbs(5 * 4096, 5 * 4096 + 256, faults.Dice(1))
    assert "block 5" in rig.fails(EIO, adapter.probe, 2, 8, at=4)


def test_a_flash_that_erases_by_itself_is_not_taken_for_nor():
    disk = SectorDisk(16, 4096)
    text = rig.fails(EIO, adapters.any_device(ports.SamdFlash(disk, 4096)).probe, 2, 8, at=4)
    assert "by itself" in text, text


def test_pyb_flash_that_cannot_erase_is_refused():
    chip = NorChip(1 << 16)
    assert "start=" in rig.fails(ENODEV, adapters.pyb, ports.PybFlash(chip, whole=True))
    assert "cache" in rig.fails(ENODEV, adapters.pyb, ports.PybFlash(chip, internal=True))
    # What happens without the adapter: success is reported, nothing is erased.
    bare = ports.PybFlash(chip)
    chip.put(0, bytes(512))
    assert bare.ioctl(6, 0) == 0 and chip.data[0] == 0 and bare.ioctl(5, 0) == 512
    flash = adapters.pyb(bare)
    flash.probe(0, 4, at=0)
    assert flash.ioctl(5, 0) == 4096 and chip.data[0] == 0xFF


def test_encrypted_partitions_and_cards_that_are_not_there():
    class Encrypted(ports.Esp32Partition):
        def info(self):
            return (1, 2, 0, 65536, "state", True)

    assert "state" in rig.fails(EINVAL, adapters.esp32, Encrypted(NorChip(1 << 16)))

    class NoCard(ports.MimxrtSDCard):
        def ioctl(self, op, arg):
            return -5

    rig.fails(ENODEV, adapters.card, NoCard(SectorDisk(4)))


def test_programs_that_the_device_would_spoil():
    chip = NorChip(1 << 16)
    bare = ports.Rp2Flash(chip)
    bare.writeblocks(0, bytearray(100), 0)
    assert chip.data[:100] != bytes(100), "the model is kinder than the SDK"
    flash = adapters.rp2(ports.Rp2Flash(NorChip(1 << 16)))
    flash.probe(0, 4)
    for size, off in ((100, 0), (256, 1), (300, 0)):
        assert "whole pages" in rig.fails(EINVAL, flash.writeblocks, 1, bytearray(size), off)
    # mimxrt erases one block for a write of several: the adapter erases them all
    chip = NorChip(1 << 16)
    flash = adapters.mimxrt(ports.MimxrtFlash(chip))
    flash.probe(0, 4)
    for seed in (1, 2):
        flash.writeblocks(1, rig.pattern(8192, seed))
        assert chip.data[4096 : 3 * 4096] == rig.pattern(8192, seed)


def test_checkpoints_on_each():
    for name, adapter, device, _medium in media():
        adapter.probe(0, 12)
        lease = edgeckpt.BlockLease(adapter, 0, 12, 5)
        stage = edgeckpt.CheckpointedStageState(bytearray(300), lease)
        for what in ("program", "erase", "read"):
            for i in range(72):  # a lap: no unit is blank, where an erase that fails is not seen
                stage.state[0] = i
                stage.checkpoint()
            device.broken.add(what)
            failed = False
            for _ in range(40):  # an erase comes with every eighth or so
                try:
                    stage.checkpoint()
                except edgeckpt.CheckpointFailed:
                    failed = True
                    break
            assert failed or what == "erase" and not isinstance(adapter, adapters.Flash), name
            device.broken.discard(what)
        for i in range(40):
            stage.state[0] = i
            stage.checkpoint()
        lease = stage.into_block_lease()
        restored = edgeckpt.CheckpointedStageState.restore(lease)
        assert restored.state[0] == 39, (name, restored.state[0])
        restored.into_block_lease().release()


rig.run(globals())
