"""`SPIFRAM`: FRAM, MRAM and EEPROM of the 25 series on `machine.SPI` and a chip-select pin, as a
block device that overwrites in place.

Promises: a chip that does not set its write enable latch or has protected blocks is an OSError;
an EEPROM's write is awaited within a bound and never crosses a page; reads and writes allocate
nothing. These chips have no checksum on the bus: only a read-back proves a write.

Sources: Fujitsu MB85RS64V, MB85RS2MTA (commands; "RDID": 04 7F, density); Cypress FM25V10 ("RDID":
7F six times, C2, density in the family byte); Everspin MR25H40 (no id; the latch stays set);
Microchip 25LC256 (page, tWC 5 ms).
"""

from ..port import const

_EIO = const(5)
_ENODEV = const(19)
_EINVAL = const(22)
_EROFS = const(30)
_ETIMEDOUT = const(110)

_WRITE = const(0x02)
_READ = const(0x03)
_WRDI = const(0x04)
_RDSR = const(0x05)
_WREN = const(0x06)
_BUSY = const(0x01)
_WEL = const(0x02)
_BP = const(0x0C)
_WAKE_US = const(450)  # FM25V10: tREC, from sleep


class SPIFRAM:
    """The chip on `spi` (mode 0 or 3) with chip select `cs`.

    size: bytes, a power of two from 1 KiB on; found by the id of Fujitsu's and Cypress' FRAM, must
        be given for all others. page: bytes of an EEPROM's page; 0 for FRAM and MRAM, which have
        none and do not wait. block: bytes of a block of this device. write_ms: the longest that a
        page may take.
    clock: where `ticks_ms`, `ticks_diff` and `sleep_us` come from; default the module `time`.

    Simple block protocol: `readblocks(n, buf)`, `writeblocks(n, buf)`, whole blocks; `ioctl`.
    OSError: ENODEV no chip; EINVAL a range that is not on it; EROFS protected; ETIMEDOUT busy.
    """

    def __init__(self, spi, cs, *, size=0, page=0, block=256, write_ms=10, clock=None):
        if clock is None:
            import time as clock
        self._ticks = clock.ticks_ms
        self._diff = clock.ticks_diff
        self._sleep = clock.sleep_us
        self._spi = spi
        self._cs = cs
        self._one = bytearray(1)
        self._two = bytearray(2)
        self._got = bytearray(2)
        self._page = page
        self._ms = write_ms + 2
        cs.init(cs.OUT, value=1)
        self._send(_READ)  # the edge of chip select wakes an FRAM that sleeps
        self._sleep(_WAKE_US)
        self.size = size = size or self._size()
        if size & (size - 1) or size < 1024 or block < 128 or size % block:
            raise OSError(_EINVAL, "size=%r, block=%r: 1024 bytes or more" % (size, block))
        if page & (page - 1) or page < 0 or page > size:
            raise OSError(_EINVAL, "page=%r: a power of two, or 0 for none" % (page,))
        self.block = block
        self._command = bytearray(4 if size > 65536 else 3)
        self._buf = bytearray(page)
        self._enable()
        self._send(_WRDI)
        if self._status() & _WEL:
            raise OSError(_ENODEV, "no 25 series memory: the latch stays set after 04h")

    def _size(self):
        got = bytearray(10)
        try:
            self._cs(0)
            self._spi.write_readinto(b"\x9f" + bytes(9), got)
        finally:
            self._cs(1)
        got = bytes(got[1:])
        if got[:2] == b"\x04\x7f" and 3 <= got[2] & 31 <= 12:  # 64 Kbit = 8 KiB: 3
            return 1024 << (got[2] & 31)
        if got[:7] == b"\x7f\x7f\x7f\x7f\x7f\x7f\xc2" and 1 <= got[7] & 31 <= 8:
            return 8192 << (got[7] & 31)  # 128 Kbit = 16 KiB: 1
        raise OSError(
            _ENODEV,
            "id %s: no FRAM known by it; for MRAM and EEPROM say size=, and page= for an EEPROM"
            % "".join("%02X" % b for b in got[:4]),
        )

    def readblocks(self, n, buf):
        """Fill `buf` from block `n` on."""
        self._address(_READ, self._range(n, len(buf)))
        self._receive(buf)

    def writeblocks(self, n, buf):
        """Store `buf` from block `n` on."""
        at = self._range(n, len(buf))
        if self._page and len(buf) > self._page:
            self._pages(at, buf)
        else:
            self._store(at, buf)

    def ioctl(self, op, arg):
        """4 block count, 5 block size; 1, 2 and 3 nothing; else -22 (EINVAL)."""
        if op == 4:
            return self.size // self.block
        if op == 5:
            return self.block
        return 0 if 1 <= op <= 3 else -_EINVAL

    def _range(self, n, size):
        if n < 0 or size == 0 or size % self.block or n * self.block + size > self.size:
            raise OSError(
                _EINVAL,
                "%d bytes at block %d: whole blocks of %d within 0..%d"
                % (size, n, self.block, self.size // self.block - 1),
            )
        return n * self.block

    def _pages(self, at, buf):
        done = 0
        while done < len(buf):
            i = 0
            while i < self._page:
                self._buf[i] = buf[done + i]
                i += 1
            self._store(at + done, self._buf)
            done += self._page

    def _store(self, at, buf):
        self._enable()
        self._address(_WRITE, at)
        self._transmit(buf)
        if self._page:
            self._wait()

    # Chip select goes up whatever happens: a Ctrl-C must not leave the chip listening to others.

    def _receive(self, buf):
        try:
            self._cs(0)
            self._spi.write(self._command)
            self._spi.readinto(buf)
        finally:
            self._cs(1)

    def _transmit(self, buf):
        try:
            self._cs(0)
            self._spi.write(self._command)
            self._spi.write(buf)
        finally:
            self._cs(1)

    def _address(self, op, at):
        c = self._command
        c[0] = op
        i = 1
        if len(c) == 4:
            c[1] = at >> 16
            i = 2
        c[i] = at >> 8 & 0xFF
        c[i + 1] = at & 0xFF

    def _enable(self):
        if self._page:
            self._wait()
        self._send(_WREN)
        status = self._status()
        if status & (_WEL | _BUSY) != _WEL:
            raise OSError(
                _ENODEV if status in (0, 0xFF) else _EIO,
                "status %02X after a write enable, expected 02: no memory there?" % status,
            )
        if status & _BP:
            raise OSError(_EROFS, "status %02X: blocks are protected (bits 0C)" % status)

    def _wait(self):
        since = self._ticks()
        while self._status() & _BUSY:
            if self._diff(self._ticks(), since) > self._ms and self._status() & _BUSY:
                raise OSError(_ETIMEDOUT, "busy for more than %d ms" % self._ms)
            self._sleep(200)

    def _status(self):
        self._two[0] = _RDSR
        try:
            self._cs(0)
            self._spi.write_readinto(self._two, self._got)
        finally:
            self._cs(1)
        return self._got[1]

    def _send(self, op):
        self._one[0] = op
        try:
            self._cs(0)
            self._spi.write(self._one)
        finally:
            self._cs(1)
