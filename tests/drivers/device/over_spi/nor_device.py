"""The devices of the core's tests (tests/core/device/nor_device.py), here the real drivers over
the SPI-level chip models: the same suite runs on them."""

from check import Failing
from edgeckpt.drivers.sdcard import SDCard
from edgeckpt.drivers.spinor import SPINor

from boards.models.nor import NorChip
from boards.models.ram import SectorDisk
from boards.models.sdspi import SDCardModel
from boards.models.spi import SPI, Clock, Pin
from boards.models.w25q import W25Q


class Nor(Failing):
    """`units` erase units at the start of a larger chip, by its SFDP tables of `unit` bytes."""

    def __init__(self, units, unit=4096):
        super().__init__()
        array = NorChip(units * unit, unit, min(256, unit))
        clock = Clock()
        bus = SPI(clock)
        chip = W25Q(1 << 16, clock, array=array, base=0, sector=unit)
        self.driver = SPINor(bus, Pin(bus, chip), clock=clock)
        self.units = units
        self.data = array.data

    def readblocks(self, n, buf, off=0):
        return self.driver.readblocks(n, buf, off)

    def writeblocks(self, n, buf, off=0):
        return self.answer if self._fails() else self.driver.writeblocks(n, buf, off)

    def ioctl(self, op, arg):
        if op == 4:
            return self.units
        if op != 5 and self._fails():
            return self.answer
        return self.driver.ioctl(op, arg)


class Ram(Failing):
    """`blocks` sectors at the start of a larger card."""

    def __init__(self, blocks, size=512):
        super().__init__()
        disk = SectorDisk(1024, size)
        clock = Clock()
        bus = SPI(clock)
        chip = SDCardModel(1024, clock, disk=disk)
        self.driver = SDCard(bus, Pin(bus, chip), clock=clock)
        self.blocks = blocks
        self.data = disk.view[: blocks * size]

    def readblocks(self, n, buf):
        return self.driver.readblocks(n, buf)

    def writeblocks(self, n, buf):
        return self.answer if self._fails() else self.driver.writeblocks(n, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op != 5 and self._fails():
            return self.answer
        return self.driver.ioctl(op, arg)
