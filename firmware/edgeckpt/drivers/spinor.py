"""`SPINor`: serial NOR flash on `machine.SPI` and a chip-select pin, as a block device.

Promises: what the chip says is looked at (write enable latch, busy, fail flags) and a command
that it did not take is an OSError; every wait is bounded; a program never crosses a page;
reads, programs, erases and their waits allocate nothing. What it cannot promise: NOR flash has
no checksum on the bus, so only a read-back is evidence of what was stored.

Sources: section numbers such as 8.2.13 are those of the Winbond W25Q128JV datasheet, revision F
("256JV": the W25Q256JV's chapter on 4-byte addresses). Sizes, erases, times, 4-byte addresses and
what vendors do otherwise are from sfdp.py.
"""

from ..loops import copy, fill
from ..port import const
from .sfdp import ALWAYS, LATCH_ENTER, Chip, hex_id

_EPERM = const(1)
_EIO = const(5)
_ENODEV = const(19)
_EINVAL = const(22)
_EROFS = const(30)
_ETIMEDOUT = const(110)

_WREN = const(0x06)  # 8.2.1
_RDSR1 = const(0x05)  # 8.2.4
_RDSR2 = const(0x35)
_RDSR3 = const(0x15)
_WRSR1 = const(0x01)  # 8.2.5
_WRSR2 = const(0x31)
_READ = const(0x03)  # 8.2.6, up to 50 MHz (9.6, fR)
_FAST_READ = const(0x0B)  # 8.2.7, one dummy byte
_READ4 = const(0x13)  # 256JV
_FAST_READ4 = const(0x0C)  # 256JV
_PROGRAM = const(0x02)  # 8.2.13
_PROGRAM4 = const(0x12)  # 256JV
_WRDI = const(0x04)  # 8.2.3
_POWER_DOWN = const(0xB9)  # 8.2.21
_RELEASE = const(0xAB)  # 8.2.22
_JEDEC_ID = const(0x9F)  # 8.2.27
_SFDP = const(0x5A)  # 8.2.28
_CLEAR = const(0x30)  # CLSR of S25FL-S, see sfdp.py; nothing, or a resume, elsewhere
_ENTER4 = const(0xB7)  # 256JV
_UNLOCK_ALL = const(0x98)  # Global Block/Sector Unlock

_BUSY = const(0x01)  # 7.1.1
_WEL = const(0x02)  # 7.1.2
_CMP = const(0x40)  # 7.1.6, status register 2
_WPS = const(0x04)  # 7.1.11, status register 3
_ADS = const(0x01)  # 256JV, status register 3: the address mode

_STATUS_MS = const(15)  # 9.6, tW
_LONGEST_MS = const(12_000)  # what may still run at the start: 256 KiB of an S25FL-P, say
_MARGIN_MS = const(2)  # ticks_ms counts whole milliseconds: one at either end
_RESUME = b"\x7a\x30"  # erase resume: 8.2.20; Macronix and SST26 30h. Else nothing
_RESET = b"\x66\x99"  # 8.2.43; the mode of addresses is the one of power-up then. Else nothing
_RESET_US = const(100)  # 30 there; SST26VF: 100
_RELEASE_US = const(40)  # tRES1 is 3 us here (9.6), up to 35 us in the table below
_LATCH_TRIES = const(4)  # 9.3: writes are ignored for tPUW <= 5 ms after power-up
_LATCH_PAUSE_US = const(2000)


class SPINor:
    """The flash chip on `spi` (a `machine.SPI`, mode 0 or 3) with chip select `cs` (a `Pin`).

    size, erases ({bytes: opcode}), page, address_bytes: what the chip is, where neither its SFDP
        tables nor drivers/chips.py tell, or tell wrong. address_bytes=4: 13h, 12h and the given
        opcodes take 4 address bytes. An erase must take its size everywhere on the chip.
    unprotect: opcode that unlocks the chip at each start: 0x98 (SST26VF), 0x01 (00h to the status
        register: AT25DF). Chips of chips.py that are locked at power-up are unlocked.
    erase_size: bytes of an erase unit and block of this device, one that the chip's SFDP offers
        (4096, 32768, 65536); default: the smallest. Large units are erased 4 to 5 times faster
        per byte. `erase_range` uses them whatever the block is, and the slot ring uses that.
    fast_read: read with 0Bh, for a bus above the limit of 03h (50 MHz on a W25Q-JV, 33 on some).
    partly_protected: allow writes although block protection bits are set (the chip still refuses
        what they cover); by default they are an error.
    clock: where `ticks_ms`, `ticks_diff` and `sleep_us` come from; default the module `time`.

    Extended block protocol: `readblocks(n, buf, off)`, `writeblocks(n, buf, off)` (programs
    only), `ioctl`. Two-argument `writeblocks(n, buf)` erases the blocks first, as file systems
    with the simple protocol want it.

    OSError, errno and text: ENODEV no chip, or it went away; EIO a command that was not taken,
    a failure that the chip reports; ETIMEDOUT busy longer than the datasheet allows; EROFS block
    protection; EINVAL a range that is not on the chip.

    Attributes: `jedec` (3 bytes), `size`, `erase_size` (bytes), `status` (status register 1 as
    last read), and counts since construction: `programs`, `erases`, `polls`, `retries` (write
    enables that had to be repeated), `timeouts`.
    """

    def __init__(
        self,
        spi,
        cs,
        *,
        size=0,
        erases=None,
        page=256,
        address_bytes=0,
        unprotect=0,
        erase_size=0,
        fast_read=False,
        partly_protected=False,
        clock=None,
    ):
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
        self.status = 0
        self.programs = self.erases = self.polls = self.retries = self.timeouts = 0
        self._overdue = False
        self._busy = False
        self._fail_op = 0
        self._since = 0
        self._limit = 0
        self._step = 50
        cs.init(cs.OUT, value=1)
        self._partly = partly_protected
        self._find()
        chip = Chip(self._query(b"\x9f", 6), self._sfdp, size, erases, page, address_bytes)
        self._adopt(chip, erase_size, fast_read)
        self._unlock(unprotect or chip.unlock)

    # Detection; may allocate

    def _find(self):
        # What another owner of the chip may have left: continuous read and QPI (the other data
        # lines are pulled up: ones in all modes), deep power-down, an operation that runs or is
        # suspended, an error that keeps an S25FL-S busy, 4-byte addresses.
        self._query(b"\xff\xff\xff\xff", 0)
        self._query(b"\xff\xff", 0)
        self._send_one(_RELEASE)
        self._sleep(_RELEASE_US)
        self._read_status()
        if self.status in (0x00, 0xFF) and self._id() in (b"\xff\xff\xff", b"\x00\x00\x00"):
            raise OSError(_ENODEV, "no SPI flash: JEDEC id %s" % hex_id(self.jedec))
        if self.status & (_BUSY | 0x60) > _BUSY:
            self._send_one(_CLEAR)
        self._longest = _LONGEST_MS
        for op in _RESUME:
            self._settled()
            self._send_one(op)
        self._settled()
        for op in _RESET:  # not while it works: that would undo what it does
            self._send_one(op)
        self._sleep(_RESET_US)
        self._settled()
        first = self._id()
        if self._id() != first or first[0] in (0x00, 0xFF):
            raise OSError(
                _ENODEV, "JEDEC id %s, then %s: bad wiring?" % (hex_id(first), hex_id(self.jedec))
            )

    def _settled(self):
        self._busy = True
        self._wait(100, self._longest)

    def _id(self):
        self.jedec = self._query(b"\x9f", 3)
        return self.jedec

    def _query(self, command, n):
        answer = bytearray(n)
        try:
            self._cs(0)
            self._spi.write(command)
            self._spi.readinto(answer)
        finally:
            self._cs(1)
        return bytes(answer)

    def _sfdp(self, at, n):
        return self._query(bytes((_SFDP, at >> 16, at >> 8 & 0xFF, at & 0xFF, 0)), n)

    def _adopt(self, chip, erase_size, fast_read):
        self.sfdp = chip.sfdp
        self.size = chip.size
        self.page_size = chip.page
        self._page = bytearray(chip.page)
        self._pp_us = chip.program_us
        self._pp_ms = chip.program_ms
        self._bp = chip.protection
        self._fail_op = chip.fail_op
        self._pp_fail = chip.program_failed
        self._se_fail = chip.erase_failed
        self._clear_op = chip.clear_op
        if self._clear_op:
            self._send_one(self._clear_op)  # what failed before this is not ours
        self.erase_size = unit = erase_size or min(chip.types)
        if unit not in chip.types or self.size % unit:
            raise OSError(_EINVAL, "erase_size %d, this chip has %s" % (unit, sorted(chip.types)))
        self._read_op = _FAST_READ if fast_read else _READ
        self._program_op = _PROGRAM
        self._mode_op = 0
        types = chip.types
        long = self.size > 1 << 24 or chip.way == ALWAYS or chip.types4 is types
        if long and chip.types4 and unit in chip.types4:
            types = chip.types4
            self._read_op = _FAST_READ4 if fast_read else _READ4
            self._program_op = _PROGRAM4
        elif long:
            self._mode(chip)
        self._command = bytearray(5 if long else 4)
        self._read_command = bytearray(len(self._command) + 1) if fast_read else self._command
        # By index, largest first: size, opcode, microseconds of late, longest milliseconds
        self._sizes, self._ops, us, self._ms = zip(*chip.erases(types, unit))
        self._us = list(us)
        self._longest = max(self._ms)  # of an operation that was interrupted, and still runs

    def _mode(self, chip):
        # Opcodes with 4 address bytes come before this: the mode ends with the supply, and what
        # is then sent reaches another address. So it must show, and is looked at each time.
        if chip.way == ALWAYS:
            return
        if not chip.way or not chip.mode_op:
            raise OSError(
                _ENODEV,
                "JEDEC id %s: no opcodes with 4 address bytes known, nor a mode that shows; its"
                " first 16 MiB: SPINor(spi, cs, size=16777216, erases={4096: 0x20})"
                % hex_id(self.jedec),
            )
        self._latched = chip.way == LATCH_ENTER
        self._mode_op = chip.mode_op
        self._mode_bit = chip.mode_bit
        self._enter_four()

    def _enter_four(self):
        if self._latched:
            self._send_one(_WREN)
        self._send_one(_ENTER4)
        if self._latched:
            self._send_one(_WRDI)
        if not self._register(self._mode_op) & self._mode_bit:
            raise OSError(_EIO, "the chip did not take 4-byte addresses (B7h)")

    def _unlock(self, op):
        if op:
            self._latch()
            if op == _WRSR1:
                self._write_register(op, 0)
            else:
                self._send_one(op)

    def _addresses(self):
        # Before the latch for a read; behind it for a write: a supply that fails takes both.
        if not self._register(self._mode_op) & self._mode_bit:
            self._enter_four()
            return False
        return True

    # Block protocol; allocation-free

    def readblocks(self, n, buf, off=0):
        """Fill `buf` from byte `off` of block `n` on; it may run on into the next blocks."""
        self._range(n, off, len(buf))
        if self._busy:
            self._wait(0, self._longest)
        if self._mode_op:
            self._addresses()
        self._address(self._read_command, self._read_op, n * self.erase_size + off)
        self._receive(buf)

    def writeblocks(self, n, buf, off=None):
        """Program `buf` at byte `off` of block `n`; without `off` erase whole blocks first."""
        if off is None:
            self._range(n, 0, len(buf))
            self._erase_for(n, len(buf))
            off = 0
        else:
            self._range(n, off, len(buf))
        off += n * self.erase_size
        if len(buf) <= self.page_size - off % self.page_size:
            self._program(off, buf)
        else:
            self._program_pages(off, buf)

    def ioctl(self, op, arg):
        """3 sync, 4 block count, 5 block size in bytes, 6 erase block `arg`; 1 and 2 nothing."""
        if op == 4:
            return self.size // self.erase_size
        if op == 5:
            return self.erase_size
        if op == 6:
            self._range(arg, 0, self.erase_size)
            self._erase(len(self._ops) - 1, arg * self.erase_size)
        if op == 3 and self._busy:
            self._wait(0, self._longest)
        return 0

    def erase_range(self, first, count):
        """Erase `count` blocks from `first` on, with the largest erases that fit."""
        self._range(first, 0, count * self.erase_size)
        first *= self.erase_size
        count = first + count * self.erase_size
        while first < count:
            first += self._erase_largest(first, count)

    def _erase_largest(self, at, end):
        i = 0
        while at % self._sizes[i] or at + self._sizes[i] > end:
            i += 1
        self._erase(i, at)
        return self._sizes[i]

    def _range(self, n, off, size):
        # off may be past the block, as littlefs does not, but never past the chip.
        if n < 0 or off < 0 or n * self.erase_size + off + size > self.size:
            self._out_of_range(n, off, size)

    def _out_of_range(self, n, off, size):
        raise OSError(
            _EINVAL,
            "%d bytes at %d of block %d: the chip has blocks 0..%d of %d bytes"
            % (size, off, n, self.size // self.erase_size - 1, self.erase_size),
        )

    def _erase_for(self, n, size):
        if size % self.erase_size:
            raise OSError(
                _EINVAL, "%d bytes: without an offset whole blocks of %d" % (size, self.erase_size)
            )
        while size:
            self._erase(len(self._ops) - 1, n * self.erase_size)
            size -= self.erase_size
            n += 1

    def _program_pages(self, at, buf):
        # Page by page through the driver's own page: a slice of the caller's buffer would
        # allocate. What a page has no bytes for is sent as 0xFF, which programs nothing.
        done = 0
        while done < len(buf):
            page = (at + done) // self.page_size * self.page_size
            done = self._fill_page(at, buf, done)
            self._program(page, self._page)

    def _fill_page(self, at, buf, done):
        at = (at + done) % self.page_size
        n = self.page_size - at
        if n > len(buf) - done:
            n = len(buf) - done
        if n < self.page_size:
            fill(self._page, 0, self.page_size, 0xFF)
        copy(self._page, at, buf, done, n)
        return done + n

    def _program(self, at, buf):
        self._enable()
        self._address(self._command, self._program_op, at)
        self._busy = True
        self._transmit(buf)
        self.programs += 1
        self._pp_us = self._finish(self._pp_us, self._pp_ms)
        self._judge(self._pp_fail)

    def _erase(self, i, at):
        self._enable()
        self._address(self._command, self._ops[i], at)
        self._busy = True
        self._transmit(b"")
        self.erases += 1
        self._us[i] = self._finish(self._us[i], self._ms[i])
        self._judge(self._se_fail)

    def _address(self, command, op, at):
        command[0] = op
        i = 1
        if len(self._command) == 5:
            command[1] = at >> 24
            i = 2
        command[i] = at >> 16 & 0xFF
        command[i + 1] = at >> 8 & 0xFF
        command[i + 2] = at & 0xFF

    # The bus. Chip select goes up whatever happens: a Ctrl-C must not leave the chip listening
    # to what others say on the bus.

    def _receive(self, buf):
        try:
            self._cs(0)
            self._spi.write(self._read_command)
            self._spi.readinto(buf)
        finally:
            self._cs(1)

    def _transmit(self, buf):
        try:
            self._cs(0)
            self._spi.write(self._command)
            if buf:
                self._spi.write(buf)
        finally:
            self._cs(1)

    def _send_one(self, op):
        self._one[0] = op
        try:
            self._cs(0)
            self._spi.write(self._one)
        finally:
            self._cs(1)

    def _register(self, op):
        # One register byte; it is repeated while the chip stays selected, one is enough.
        self._two[0] = op
        self._exchange()
        return self._got[1]

    def _exchange(self):
        try:
            self._cs(0)
            self._spi.write_readinto(self._two, self._got)
        finally:
            self._cs(1)

    def _read_status(self):
        self.status = self._register(_RDSR1)

    # Latch, busy, verdict

    def _enable(self):
        if self._busy:
            self._wait(0, self._longest)
        tries = 0
        while True:
            self._send_one(_WREN)
            self._read_status()
            if self.status & (_WEL | _BUSY) == _WEL and self.status != 0xFF:
                if not self._mode_op or self._addresses():
                    break
            tries += 1
            if tries == _LATCH_TRIES:
                self._no_latch()
            self.retries += 1
            self._sleep(_LATCH_PAUSE_US)
        if self.status & self._bp and not self._partly:
            self._protected()

    def _no_latch(self):
        if self.status == 0xFF or self.status == 0 and self._id() == b"\x00\x00\x00":
            raise OSError(_ENODEV, "the flash chip no longer answers (status %02X)" % self.status)
        raise OSError(
            _EIO,
            "status %02X after %d write enables, expected WEL (02)" % (self.status, _LATCH_TRIES),
        )

    def _protected(self):
        status = self.status
        self._send_one(_WRDI)
        raise OSError(
            _EROFS,
            "block protection: status %02X, expected no bits of %02X; see unprotect()"
            % (status, self._bp),
        )

    def _finish(self, us, limit):
        # Sleep for as long as the last ones took, then ask in steps of 1/16: about 1.2 status
        # reads an operation, and no later than 1/16. The new estimate is returned.
        n = self.polls
        self._wait(us, limit)
        n = self.polls - n
        if n == 1:
            return us - (us >> 6)
        # One slow operation must not slow down all that follow.
        us += ((us >> 4) + 20) * (n - 1 if n < 5 else 4)
        return us if us < limit * 1000 else limit * 1000

    def _wait(self, us, limit):
        self._since = self._ticks()
        # What has outlasted its limit is not waited for again.
        self._limit = 0 if self._overdue else limit + _MARGIN_MS
        self._step = (us >> 4) + 20
        self._sleep(us)
        while True:
            self.polls += 1
            self._read_status()
            if not self.status & _BUSY:
                break
            if self._late():
                break
            self._sleep(self._step)
            self._step += self._step >> 3
        self._busy = self._overdue = False

    def _late(self):
        if self._fail_op == _RDSR1 and self.status & (self._pp_fail | self._se_fail):
            return True  # busy until the error is cleared; _judge does it
        if self._diff(self._ticks(), self._since) <= self._limit:
            return False
        # This thread may have slept past the limit: the chip gets its word after that.
        self._read_status()
        if not self.status & _BUSY:
            return True
        self.timeouts += 1
        self._overdue = True
        if self.status == 0xFF:
            raise OSError(_ENODEV, "the flash chip no longer answers (status FF)")
        raise OSError(
            _ETIMEDOUT, "busy (status %02X) for more than %d ms" % (self.status, self._limit)
        )

    def _judge(self, mask):
        if self._fail_op:
            flags = self.status if self._fail_op == _RDSR1 else self._register(self._fail_op)
            if flags & mask:
                self._failed(flags)
        if self.status & _WEL:  # 7.1.2: cleared by the operation; still set, it was not taken
            raise OSError(
                _EIO, "the chip did not take the command: status %02X, expected 00" % self.status
            )

    def _failed(self, flags):
        if self._clear_op:
            self._send_one(self._clear_op)
        self._send_one(_WRDI)  # the latch stays set after a failure (Micron, S25FL-S)
        raise OSError(_EIO, "the chip reports a failure: flags %02X" % flags)

    # Beyond the block protocol

    def unprotect(self):
        """Clear the block protection bits (non-volatile). OSError EROFS if they stay."""
        if self._register(_RDSR3) & _WPS and self.jedec[0] == 0xEF:
            self._latch()
            self._send_one(_UNLOCK_ALL)
        self._read_status()
        if self.status & self._bp:
            self._write_register(_WRSR1, self.status & ~(self._bp | _BUSY | _WEL))
        if self.jedec[0] == 0xEF:
            second = self._register(_RDSR2)
            if second & _CMP:
                self._write_register(_WRSR2, second & ~_CMP)
        self._read_status()
        if self.status & self._bp:
            raise OSError(
                _EROFS, "status %02X: the protection bits are locked (/WP, SRP)" % self.status
            )

    def _latch(self):
        partly, self._partly = self._partly, True
        try:
            self._enable()
        finally:
            self._partly = partly

    def _write_register(self, op, value):
        self._latch()
        self._query(bytes((op, value)), 0)
        self._busy = True
        self._wait(1000, _STATUS_MS)

    def power_down(self):
        """Deep power-down (8.2.21); `wake()` ends it. Until then every operation fails."""
        if self._busy:
            self._wait(0, self._longest)
        self._send_one(_POWER_DOWN)

    def wake(self):
        """Release from deep power-down (8.2.22)."""
        self._send_one(_RELEASE)
        self._sleep(_RELEASE_US)
