"""Adapters for the flash and card objects of MicroPython's ports, which cannot be taken at
their word (docs/design.md, "Device").

Promises: an answer that means failure on that port is an OSError; a call that the device would
do in another way than asked is refused; and nothing is written before `probe()` has shown, on a
part of the lease that holds nothing, that the device erases, programs and keeps what it was
told. Calls allocate nothing that the device itself does not.

    flash = adapters.rp2(rp2.Flash())
    flash.probe(320, 16)                        # the device blocks of the lease
    lease = edgeckpt.BlockLease(flash, 320, 16, lease_id)

A later start of the same board with a lease that is full may set `trusted` instead.

What each device does is from the sources of MicroPython 1.20 to 1.26, named at each adapter.
"""

from ..port import const

_EPERM = const(1)
_EIO = const(5)
_EBUSY = const(16)
_ENODEV = const(19)
_EINVAL = const(22)


class _Adapter:
    def __init__(self, device, name):
        self.device = device
        self.name = name
        self.trusted = False

    def _trust(self):
        if not self.trusted:
            raise OSError(_EPERM, "%s: not proved yet; call probe(start, count)" % self.name)

    def _failed(self, what, n, answer):
        raise OSError(_EIO, "%s: %s of block %d answered %r" % (self.name, what, n, answer))

    def _accept(self, what, n, r):
        if r is not None and r is not True and (r is False or r != 0):
            self._failed(what, n, r)

    def _ask(self, op):
        n = self.device.ioctl(op, 0)
        if not isinstance(n, int) or n is True or n <= 0:
            raise OSError(_ENODEV, "%s: ioctl(%d) answered %r" % (self.name, op, n))
        return n

    def _place(self, start, count, at):
        # Where the probe may write: a given block, else a blank one.
        if start < 0 or count < 1 or start + count > self.ioctl(4, 0):
            raise OSError(
                _EINVAL,
                "%s: blocks %d+%d, the device has 0..%d"
                % (self.name, start, count, self.ioctl(4, 0) - 1),
            )
        if at is not None:
            if not start <= at < start + count:
                raise OSError(_EINVAL, "block %d is not in the lease %d+%d" % (at, start, count))
            return at
        for n in range(start + count - 1, start - 1, -1):
            if self._blank(n):
                return n
        raise OSError(
            _EBUSY,
            "%s: no blank block in %d..%d; name one whose content may go: at="
            % (self.name, start, start + count - 1),
        )

    def _lies(self, n, what):
        raise OSError(_EIO, "%s: block %d: %s" % (self.name, n, what))


class Flash(_Adapter):
    """NOR flash behind the extended block protocol.

    page: bytes that a program must be aligned to and whole multiples of; other programs are
    refused (EINVAL) before the device sees them.
    """

    def __init__(self, device, name, page=1):
        super().__init__(device, name)
        self._page = page
        self._unit = self._ask(5)
        self._count = self._ask(4)

    def readblocks(self, n, buf, off=0):
        r = self.device.readblocks(n, buf, off)
        if r is not None:
            self._accept("read", n, r)

    def writeblocks(self, n, buf, off=None):
        self._trust()
        if off is None:
            self._erase_for(n, len(buf))
            off = 0
        if off % self._page or len(buf) % self._page:
            self._not_pages(off, len(buf))
        r = self.device.writeblocks(n, buf, off)
        if r is not None:
            self._accept("program", n, r)

    def _not_pages(self, off, size):
        raise OSError(
            _EINVAL,
            "%s: program of %d bytes at %d, expected whole pages of %d"
            % (self.name, size, off, self._page),
        )

    def ioctl(self, op, arg):
        if op == 4:
            return self._count
        if op == 5:
            return self._unit
        if op == 6:
            self._trust()
        r = self.device.ioctl(op, arg)
        if r is not None:
            self._accept("erase" if op == 6 else "ioctl", arg, r)
        return 0

    def _erase_for(self, n, size):
        # Not left to the device: some erase one block however long the buffer is.
        if size % self._unit:
            raise OSError(_EINVAL, "%d bytes, expected whole blocks of %d" % (size, self._unit))
        while size > 0:
            self.ioctl(6, n)
            n += 1
            size -= self._unit

    def _blank(self, n):
        piece = bytearray(256)
        for off in range(0, self._unit, 256):
            self.readblocks(n, piece, off)
            if piece != b"\xff" * 256:
                return False
        return True

    def probe(self, start, count, at=None):
        """Prove the device on block `at` (default: a blank one) of the `count` from `start` on.

        Erases it twice, programs it once whole and a page of it a second time, and leaves it
        erased. OSError: EIO with what the device did otherwise than asked; EBUSY where no block
        is blank and none was named; EINVAL outside the device. Until it has passed, nothing
        else can be written.
        """
        n = self._place(start, count, at)
        size = max(256, self._page)
        near = [m for m in (n - 1, n + 1) if start <= m < start + count]
        before = [self._ends(m, size) for m in near]
        self.trusted = True
        try:
            self._prove(n, size)
            for i in range(len(near)):
                if self._ends(near[i], size) != before[i]:
                    self._lies(near[i], "changed while block %d was written" % n)
        except BaseException:
            self.trusted = False
            raise

    def _ends(self, n, size):
        first, last = bytearray(size), bytearray(size)
        self.readblocks(n, first, 0)
        self.readblocks(n, last, self._unit - size)
        return first, last

    def _prove(self, n, size):
        self.ioctl(6, n)
        self._expect_erased(n, "an erase")
        for off in range(0, self._unit, size):
            self.writeblocks(n, _pattern(size, off), off)
        self.ioctl(3, 0)
        back = bytearray(size)
        for off in range(0, self._unit, size):
            self.readblocks(n, back, off)
            if back != _pattern(size, off):
                self._lies(n, "reads back otherwise than programmed, at %d" % off)
        # A second program clears bits of a NOR page. Where it replaces them, the driver erases
        # by itself, and takes its neighbours with it when the power fails.
        other = bytes(b ^ 0x5A for b in _pattern(size, 0))
        self.writeblocks(n, other, 0)
        self.ioctl(3, 0)
        self.readblocks(n, back, 0)
        if back == other:
            self._lies(n, "a program replaced what was there: it erases by itself; not NOR")
        self.ioctl(6, n)
        self._expect_erased(n, "an erase after programs")

    def _expect_erased(self, n, what):
        if not self._blank(n):
            self._lies(n, "not blank after %s that reported success" % what)


class Disk(_Adapter):
    """A medium that overwrites in place, behind the simple block protocol."""

    def __init__(self, device, name):
        super().__init__(device, name)
        self._unit = self._ask(5)
        self._count = self._ask(4)

    def readblocks(self, n, buf):
        r = self.device.readblocks(n, buf)
        if r is not None:
            self._accept("read", n, r)

    def writeblocks(self, n, buf):
        self._trust()
        r = self.device.writeblocks(n, buf)
        if r is not None:
            self._accept("write", n, r)

    def ioctl(self, op, arg):
        if op == 4:
            return self._count
        if op == 5:
            return self._unit
        if op == 6:
            raise OSError(_EINVAL, "%s: nothing to erase" % self.name)
        r = self.device.ioctl(op, arg)
        if r is not None:
            self._accept("ioctl", arg, r)
        return 0

    def _blank(self, n):
        block = bytearray(self._unit)
        self.readblocks(n, block)
        return block == bytes(self._unit) or block == b"\xff" * self._unit

    def probe(self, start, count, at=None):
        """Prove the device on block `at` (default: a blank one) of the `count` from `start` on.

        Writes it three times and leaves it as zeros. Errors as of `Flash.probe`.
        """
        n = self._place(start, count, at)
        near = [m for m in (n - 1, n + 1, start) if start <= m < start + count and m != n]
        before = [bytearray(self._unit) for _ in near]
        for i in range(len(near)):
            self.readblocks(near[i], before[i])
        self.trusted = True
        try:
            for data in (_pattern(self._unit, 1), _pattern(self._unit, 2), bytes(self._unit)):
                self.writeblocks(n, data)
                self.ioctl(3, 0)
                back = bytearray(b"\x55" * self._unit)
                self.readblocks(n, back)
                if back != data:
                    self._lies(n, "reads back otherwise than written")
            back = bytearray(self._unit)
            for i in range(len(near)):
                self.readblocks(near[i], back)
                if back != before[i]:
                    self._lies(near[i], "changed while block %d was written" % n)
        except BaseException:
            self.trusted = False
            raise


class Rows(Disk):
    """Flash whose driver erases and rewrites a row by itself, as a medium of rows.

    What a cut program takes with it is its own row then. row: bytes, a divisor of the block.
    """

    def __init__(self, device, name, row):
        super().__init__(device, name)
        if self._unit % row:
            raise OSError(_EINVAL, "%s: block %d, row %d" % (name, self._unit, row))
        self._per = self._unit // row
        self._count *= self._per
        self._unit = row

    def readblocks(self, n, buf):
        r = self.device.readblocks(n // self._per, buf, n % self._per * self._unit)
        if r is not None:
            self._accept("read", n, r)

    def writeblocks(self, n, buf):
        self._trust()
        r = self.device.writeblocks(n // self._per, buf, n % self._per * self._unit)
        if r is not None:
            self._accept("write", n, r)


def _pattern(n, seed):
    out = bytearray(n)
    x = seed * 40503 + 7
    for i in range(n):
        x = (x * 1021 + 41) & 0xFFFF
        out[i] = x >> 5 & 0xFF
    return out


def rp2(flash):
    """`rp2.Flash`: ignores every result of the SDK; programs must be whole 256-byte pages
    (ports/rp2/rp2_flash.c; flash_range_program of the Pico SDK, FLASH_PAGE_SIZE)."""
    return Flash(flash, "rp2.Flash", page=256)


def esp32(partition):
    """`esp32.Partition`, not encrypted: raises on errors (ports/esp32/esp32_partition.c)."""
    info = getattr(partition, "info", None)
    if info is not None and info()[5]:
        raise OSError(_EINVAL, "esp32.Partition %s: encrypted, not plain NOR" % info()[4])
    return Flash(partition, "esp32.Partition")


def mimxrt(flash):
    """`mimxrt.Flash`: +1 for an erase that failed; its two-argument write erases one block only
    (ports/mimxrt/mimxrt_flash.c)."""
    return Flash(flash, "mimxrt.Flash", page=256)


def pyb(flash):
    """`pyb.Flash(start=, len=)` on a board with SPI flash: `ioctl(6)` answers 0 and does nothing
    before `ioctl(1, 1)`, and always on internal flash, which goes through a cache that rewrites
    whole sectors (ports/stm32/storage.c, flashbdev.c). Internal flash is refused."""
    r = flash.ioctl(1, 1)
    if r is not None and (r is False or r < 0):
        raise OSError(_ENODEV, "pyb.Flash: the whole flash; give a part: Flash(start=, len=)")
    unit = flash.ioctl(5, 0)
    if unit < 4096:
        raise OSError(
            _ENODEV,
            "pyb.Flash: blocks of %d bytes: internal flash, written through a cache that erases"
            " whole sectors with all their neighbours" % unit,
        )
    return Flash(flash, "pyb.Flash", page=256)


def samd(flash):
    """`samd.Flash`, the flash of the MCU: each write erases and rewrites a row, 256 bytes on
    SAMD21 (block 1536), the block of 8192 on SAMD51 (ports/samd/samd_flash.c, `flash_write` of
    ASF4). For an external chip use SPINor or `Flash`."""
    unit = flash.ioctl(5, 0)
    return Rows(flash, "samd.Flash", 256 if unit % 8192 else 8192)


def card(sdcard):
    """`machine.SDCard`: False for a failure on esp32 (ports/esp32/machine_sdcard.c), -EIO on
    mimxrt, where `ioctl(1)` powers the card (ports/mimxrt/machine_sdcard.c)."""
    r = sdcard.ioctl(1, 0)
    if r is not None and r is not True and (r is False or r != 0):
        raise OSError(_ENODEV, "machine.SDCard: ioctl(1) answered %r: no card?" % (r,))
    return Disk(sdcard, "machine.SDCard")


def any_device(device, page=1):
    """Any block device: Flash where `readblocks` takes an offset, else Disk."""
    name = type(device).__name__
    try:
        device.readblocks(0, bytearray(256), 0)
    except TypeError:
        return Disk(device, name)
    return Flash(device, name, page)
