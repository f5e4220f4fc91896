"""The flash and card objects of MicroPython's ports, with what is odd about each, over the chip
models. Sources: ports/*/ of MicroPython 1.20 to 1.26, the file named at each class.

Each takes the medium (a `NorChip` or `SectorDisk`), whose faults apply. `broken` (a set of
"erase", "program", "read") makes the operation fail as that port fails: told in its own way, or
not at all. Runs on MicroPython and CPython.
"""


class _OnChip:
    def __init__(self, chip):
        self.chip = chip
        self.broken = set()

    def _load(self, n, buf, off):
        at = n * self.chip.unit + off
        if "read" in self.broken:
            return False
        if self.chip.faults is not None:
            self.chip.faults.read(self.chip, at, buf)
        else:
            self.chip.readblocks(n, buf, off)
        return True

    def _erase(self, n):
        if "erase" in self.broken:
            return False
        self.chip.ioctl(6, n)
        return True

    def _program(self, n, buf, off):
        if "program" in self.broken:
            return False
        at = n * self.chip.unit + off
        done = 0
        while done < len(buf):  # the chip model takes one erase unit at a time
            n, off = (at + done) // self.chip.unit, (at + done) % self.chip.unit
            size = min(self.chip.unit - off, len(buf) - done)
            self.chip.writeblocks(n, bytes(buf[done : done + size]), off)
            done += size
        return True


class Rp2Flash(_OnChip):
    """ports/rp2/rp2_flash.c: no result is looked at ("TODO check return value"). The SDK wants
    whole pages: of others the release build programs something else; here, noise."""

    def readblocks(self, n, buf, off=0):
        self._load(n, buf, off)

    def writeblocks(self, n, buf, off=None):
        if off is None:
            for i in range(len(buf) // self.chip.unit):
                self._erase(n + i)
            off = 0
        if off % 256 or len(buf) % 256:
            page = n * self.chip.unit + off // 256 * 256
            self.chip.put(page, bytes((i * 89 + page) & 0xFF for i in range(256)))
            return
        self._program(n, buf, off)

    def ioctl(self, op, arg):
        if op == 6:
            self._erase(arg)
            return 0
        if op in (4, 5):
            return self.chip.ioctl(op, arg)
        return 0 if 1 <= op <= 3 else None


class Esp32Partition(_OnChip):
    """ports/esp32/esp32_partition.c: raises OSError with the negated esp_err_t."""

    def info(self):
        return (1, 2, 0x200000, self.chip.size, "vfs", False)

    def _check(self, done):
        if not done:
            raise OSError(-0x105)

    def readblocks(self, n, buf, off=0):
        self._check(self._load(n, buf, off))

    def writeblocks(self, n, buf, off=None):
        if off is None:
            for i in range(len(buf) // self.chip.unit):
                self._check(self._erase(n + i))
            off = 0
        self._check(self._program(n, buf, off))

    def ioctl(self, op, arg):
        if op == 6:
            self._check(self._erase(arg))
            return 0
        if op in (4, 5):
            return self.chip.ioctl(op, arg)
        return 0 if 1 <= op <= 3 else None


class MimxrtFlash(_OnChip):
    """ports/mimxrt/mimxrt_flash.c: +1 for an erase that failed, OSError for a write; a write of
    several blocks erases the first one only."""

    def readblocks(self, n, buf, off=0):
        self._load(n, buf, off)

    def writeblocks(self, n, buf, off=None):
        if off is None:
            self._erase(n)
            off = 0
        if not self._program(n, buf, off):
            raise OSError("flash block write command failed with 1")
        return 0

    def ioctl(self, op, arg):
        if op == 6:
            return 0 if self._erase(arg) else 1
        if op in (4, 5):
            return self.chip.ioctl(op, arg)
        return 0 if 1 <= op <= 3 else None


class PybFlash(_OnChip):
    """ports/stm32/storage.c: `whole`: the object without start and len; `internal`: no SPI
    flash. Blocks of 512 bytes and no erase until `ioctl(1, 1)`; errors as -EIO. Extended writes
    without native blocks go through a cache: here, straight over what was there."""

    def __init__(self, chip, whole=False, internal=False):
        super().__init__(chip)
        self.whole = whole
        self.internal = internal
        self.native = False

    def readblocks(self, n, buf, off=None):
        if off is None:
            raise AssertionError("the cached block interface was used")
        if self.whole:
            return -5
        if self.native:
            return 0 if self._load(n, buf, off) else -5
        at = n * 512 + off
        self.chip.load(at, buf)
        return 0

    def writeblocks(self, n, buf, off=None):
        if off is None:
            raise AssertionError("the cached block interface was used")
        if self.whole:
            return -5
        if self.native:
            return 0 if self._program(n, buf, off) else -5
        self.chip.put(n * 512 + off, bytes(buf))
        return 0

    def ioctl(self, op, arg):
        if op == 1:
            if arg == 1 and self.whole:
                return -1
            self.native = self.native or arg == 1 and not self.internal
            return 0
        if op == 4:
            return self.chip.size // (4096 if self.native else 512)
        if op == 5:
            return 4096 if self.native else 512
        if op == 6:
            if self.native and not self._erase(arg):
                return -5
            return 0
        return 0 if op in (2, 3) else None


class SamdFlash:
    """ports/samd/samd_flash.c over ASF4's flash_write: each write reads the rows it touches,
    erases and rewrites them; a cut takes the whole row. `disk`: a SectorDisk whose sectors are
    the rows. No result is ever told."""

    def __init__(self, disk, block):
        self.disk = disk
        self.block = block
        self.broken = set()

    def _rows(self, n, size, off):
        at = n * self.block + off
        row = self.disk.size
        return range(at // row, (at + size + row - 1) // row), at

    def readblocks(self, n, buf, off=0):
        if "read" in self.broken:
            return
        rows, at = self._rows(n, len(buf), off)
        data = bytearray(len(rows) * self.disk.size)
        self.disk.readblocks(rows[0], data)
        start = at % self.disk.size
        buf[:] = data[start : start + len(buf)]

    def writeblocks(self, n, buf, off=0):
        if "program" in self.broken:
            return
        rows, at = self._rows(n, len(buf), off)
        data = bytearray(len(rows) * self.disk.size)
        self.disk.readblocks(rows[0], data)
        start = at % self.disk.size
        data[start : start + len(buf)] = buf
        self.disk.writeblocks(rows[0], data)

    def ioctl(self, op, arg):
        if op == 4:
            return self.disk.blocks * self.disk.size // self.block
        if op == 5:
            return self.block
        if op == 6:
            if "erase" not in self.broken:
                for row in self._rows(arg, self.block, 0)[0]:
                    self.disk.writeblocks(row, b"\xff" * self.disk.size)
            return 0
        return 0 if 1 <= op <= 3 else None


class _OnDisk:
    def __init__(self, disk):
        self.disk = disk
        self.broken = set()

    def _do(self, what, call, n, buf):
        if what in self.broken:
            return False
        try:
            call(n, buf)
        except OSError:
            return False
        return True


class Esp32SDCard(_OnDisk):
    """ports/esp32/machine_sdcard.c: True for success, False for failure."""

    def readblocks(self, n, buf):
        return self._do("read", self.disk.readblocks, n, buf)

    def writeblocks(self, n, buf):
        return self._do("program", self.disk.writeblocks, n, buf)

    def ioctl(self, op, arg):
        if op in (4, 5):
            return self.disk.ioctl(op, arg)
        return 0 if 1 <= op <= 3 else -1


class MimxrtSDCard(_OnDisk):
    """ports/mimxrt/machine_sdcard.c: 0 or -EIO, and -EIO for everything before `ioctl(1)`."""

    def __init__(self, disk):
        super().__init__(disk)
        self.powered = False

    def readblocks(self, n, buf):
        return 0 if self.powered and self._do("read", self.disk.readblocks, n, buf) else -5

    def writeblocks(self, n, buf):
        return 0 if self.powered and self._do("program", self.disk.writeblocks, n, buf) else -5

    def ioctl(self, op, arg):
        if op == 1:
            self.powered = True
            return 0
        if not self.powered:
            return -5
        if op in (4, 5):
            return self.disk.ioctl(op, arg)
        return 0 if op in (2, 3) else None
