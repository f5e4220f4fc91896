"""`SDCard`: SD, SDHC and SDXC cards on `machine.SPI` and a chip-select pin, as a block device.

Promises: CRC7 and CRC16 are on where the card can (all can); every data response, and the status
after every write, is looked at; what arrives damaged is asked for again, a bounded number of
times, and where the card may have understood something else it is initialised anew; every wait is
bounded; a card that left is an error, and another one in its place too; reads, writes and waits
allocate nothing (block numbers below 2^30, which is 512 GiB).

The bus may be shared: its speed is set for each operation, a byte is clocked before the card is
selected and after it is released, and `lock` keeps other threads off.

Sources: section numbers are those of the SD Physical Layer Simplified Specification, version
4.10; NCR, NRC, NWR, NBR are the times of 7.5.4, in bytes (a blank there; SanDisk SD Card Product
Manual 2.2, table 5-5): 1..8, at least 1, at least 1, at most 1.
"""

from ..loops import copy
from ..port import const
from .crc import crc7, crc16

_EIO = const(5)
_ENODEV = const(19)
_EINVAL = const(22)
_EROFS = const(30)
_ETIMEDOUT = const(110)

# Commands, 7.3.1.3
_GO_IDLE = const(0)
_SEND_IF_COND = const(8)
_SEND_CSD = const(9)
_SEND_CID = const(10)
_STOP = const(12)
_SEND_STATUS = const(13)
_SET_BLOCKLEN = const(16)
_READ_SINGLE = const(17)
_READ_MULTIPLE = const(18)
_SET_ERASE_COUNT = const(23)  # ACMD
_WRITE_SINGLE = const(24)
_WRITE_MULTIPLE = const(25)
_OP_COND = const(41)  # ACMD
_APP = const(55)
_READ_OCR = const(58)
_CRC_ON_OFF = const(59)

_IDLE = const(0x01)  # R1, 7.3.2.1
_ILLEGAL = const(0x04)
_COM_CRC = const(0x08)
_NO_ANSWER = const(0xFF)
_WP_VIOLATION = const(0x20)  # second byte of R2, 7.3.2.3

_START = const(0xFE)  # 7.3.3.2
_START_MULTIPLE = const(0xFC)
_STOP_TRAN = const(0xFD)
_ACCEPTED = const(0x05)  # 7.3.3.1, of xxx0sss1
_CRC_REJECTED = const(0x0B)
_WRITE_ERROR = const(0x0D)

_NCR = const(8)
_MARGIN_MS = const(2)  # ticks_ms counts whole milliseconds: one at either end
_LONGEST_US = const(20_000)  # to sleep before the first look
_TRIES = const(10)  # of one command or block: a line that damages 1 byte in 1,000 spoils 40 %
_DOUBT = const(3)  # so many of them an initialisation counts for
_RESETS = const(20)  # CMD0, 10 ms apart
_INIT_BAUD = const(400_000)  # 4.2.1, identification mode


class SDCard:
    """The card on `spi` (a `machine.SPI`) with chip select `cs` (a `Pin`).

    baudrate: Hz after the initialisation, at most 25 MHz (6.6, default speed).
    crc: False leaves data CRC off (about 4 % of the time of a write without native code).
    read_ms, busy_ms, init_ms: how long a card may take until data come, while it is busy, and
        from the first ACMD41 on. The specification allows 100 (4.6.2.1), 250 or for SDXC 500
        (4.6.2.2), and 1000 (4.2.3), whatever the CSD says; cards have been seen to take more.
    lock: has `acquire()` and `release()`, as of `_thread.allocate_lock()`; held while the card
        uses the bus.
    clock: where `ticks_ms`, `ticks_diff` and `sleep_us` come from; default the module `time`.

    Simple block protocol: `readblocks(n, buf)`, `writeblocks(n, buf)`, whole blocks of 512
    bytes; `ioctl`. Several blocks in one call go as one multi-block command.

    OSError, errno and text: ENODEV no card, it left, or another one is in its place; EIO refused,
    damaged or failed; ETIMEDOUT no data, busy or not ready for longer than the limits; EROFS
    write protection; EINVAL a range that is not on the card. After an ENODEV or a timeout the
    next call initialises the card again, and goes on if it is the same one (its CID).

    Attributes: `sectors`, `kind` ("SDSC", "SDHC", "SDXC"), `cid` (16 bytes), `crc` (bool: in
    force), `r1`, `r2`, `response` (last R1, R2 and data response), and counts since
    construction: `reads`, `writes` (blocks), `polls`, `retries`, `crc_errors`, `timeouts`,
    `removals`, `reinits`.
    """

    def __init__(
        self,
        spi,
        cs,
        *,
        baudrate=20_000_000,
        crc=True,
        read_ms=950,
        busy_ms=2000,
        init_ms=1500,
        lock=None,
        clock=None,
    ):
        if clock is None:
            import time as clock
        self._ticks = clock.ticks_ms
        self._diff = clock.ticks_diff
        self._sleep = clock.sleep_us
        self._spi = spi
        self._cs = cs
        self._lock = lock
        self._held = False
        self._rate = self._baud = baudrate
        self._want_crc = crc
        self._read_ms = read_ms
        self._busy_ms = busy_ms
        self._init_ms = init_ms
        # A byte between the last answer and this command (NRC), command, CRC, three bytes to
        # answer in
        self._frame = bytearray(b"\xff" * 10)
        self._cmd = memoryview(self._frame)[1:7]
        self._got = bytearray(10)
        self._at = 10
        self._in = bytearray(1)
        self._head = bytearray(b"\xff" * 2)  # a byte before the token (NWR)
        self._tail = bytearray(b"\xff" * 3)  # CRC16, and a byte to answer in
        self._tail_in = bytearray(3)
        self._crc_in = bytearray(2)
        self._block = bytearray(512)
        self.r1 = self.r2 = self.response = 0
        self.reads = self.writes = self.polls = self.retries = 0
        self.crc_errors = self.timeouts = self.removals = self.reinits = 0
        self._since = self._limit = 0
        self._step = 20
        self._left = 0  # tries
        self._doubt = False  # the card may be elsewhere than we think
        self._overdue = False  # it was busy, or away, for longer than it may
        self._first = 0  # block of this call
        self._done = 0  # bytes of it
        # How long these took of late, microseconds: where the waiting begins
        self._read_us = 100
        self._write_us = 500
        self._gap_us = 50
        self.cid = None
        self.ready = False
        self._byte_address = False
        cs.init(cs.OUT, value=1)
        self.init()

    # Initialisation, 7.2.1; may allocate

    def init(self):
        """Initialise the card that is in the slot now, whichever it is."""
        self.ready = False
        self.cid = None
        self._start()
        self.ready = True

    def _start(self):
        for left in (2, 1, 0):
            try:
                return self._start_once()
            except OSError as e:
                if not left or e.args[0] != _EIO:  # EIO: an answer that made no sense
                    raise

    def _start_once(self):
        self.crc = self._doubt = False
        self._rate = _INIT_BAUD
        try:
            self._open()
            self._spi.write(b"\xff" * 16)  # 6.4.1: 74 clocks, chip select high
            self._go_idle()
            self._identify()
        finally:
            self._rate = self._baud
            self._close()

    def _go_idle(self):
        # The card may be busy, or in the middle of a block (reset of the board).
        # What has outlasted this once is not waited for again.
        self._wait_from(0, 0 if self._overdue else self._busy_ms)
        self._cs(0)
        while self._byte() == 0:
            if self._late():
                self._overdue = True
                raise OSError(
                    _ENODEV,
                    "MISO low for %d ms before CMD0: a card that stays busy, or none"
                    % self._limit,
                )
            self._pause()
        self._overdue = False
        for _ in range(_RESETS):
            self._set(0)
            if self._send(_GO_IDLE) == _IDLE:
                return
            self._spi.readinto(self._block, 0xFF)  # what a data block may still lack
            self._cs(1)
            self._byte()
            self._sleep(10_000)
            self._cs(0)
        raise OSError(_ENODEV, "no SD card: CMD0 answered %02X, expected 01" % self.r1)

    def _identify(self):
        second = self._interface()
        if self._want_crc and self._ask(_CRC_ON_OFF, 1) & ~_IDLE == 0:
            # 7.2.2: CRC before ACMD41. The first was not checked, and may not have come as 1.
            self._ask(_CRC_ON_OFF, 1)
            self.crc = True
        self._initialise(second)
        high = False
        if second:
            self._ask(_READ_OCR, 0)
            ocr = self._four()
            high = ocr[0] & 0x40 != 0  # CCS, 5.1
            if self.r1 or not ocr[0] & 0x80:
                raise OSError(_EIO, "OCR %s after ACMD41: expected bit 31" % _hex(ocr))
        self._byte_address = not high
        if not high:
            self._ask(_SET_BLOCKLEN, 512)
        csd = self._register(_SEND_CSD)
        self.sectors = _capacity(csd)
        if csd[0] >> 6 != high:  # the OCR has no CRC, the CSD has one
            raise OSError(_EIO, "CSD version %d, but CCS %d" % ((csd[0] >> 6) + 1, high))
        self.kind = ("SDXC" if self.sectors > 1 << 26 else "SDHC") if high else "SDSC"
        self.write_protected = bool(csd[14] & 0x30)  # 5.3: PERM_ and TMP_WRITE_PROTECT
        cid = self._register(_SEND_CID)
        if self.cid is not None and self.cid != cid:
            raise OSError(
                _ENODEV, "another card: CID %s, expected %s" % (_hex(cid), _hex(self.cid))
            )
        self.cid = cid

    def _interface(self):
        # 4.3.13: 2.7-3.6 V, check pattern AA; cards before version 2 do not know it
        for _ in range(_TRIES):
            if self._ask(_SEND_IF_COND, 0x1AA) & _ILLEGAL:
                return False
            echo = self._four()
            if echo[2] & 15 == 1 and echo[3] == 0xAA:
                return True
        raise OSError(_EIO, "CMD8 answered %s, expected 000001AA" % _hex(echo))

    def _four(self):
        return bytes((self._next(), self._next(), self._next(), self._next()))

    def _initialise(self, second):
        self._since = self._ticks()
        self._limit = self._init_ms
        while True:
            self._set(0)
            if self._send(_APP) & ~_IDLE == 0:
                self._cmd[1] = 0x40 if second else 0  # HCS
                if self._send(_OP_COND) == 0:
                    return
            if self._late():
                break
            self._sleep(5000)
        if self.r1 == _NO_ANSWER:
            self._gone()
        self.timeouts += 1
        raise OSError(
            _ETIMEDOUT, "ACMD41: not ready after %d ms, answered %02X" % (self._limit, self.r1)
        )

    def _register(self, index):
        data = bytearray(16)
        for _ in range(_TRIES):
            self._ask(index, 0)
            if self._until_token():
                self._spi.readinto(data, 0xFF)
                self._spi.readinto(self._crc_in, 0xFF)
                if not self.crc or crc16(data, 0, 16) == self._crc_in[0] << 8 | self._crc_in[1]:
                    return bytes(data)
                self.crc_errors += 1
            self.retries += 1
        raise OSError(_EIO, "CMD%d: damaged %d times" % (index, _TRIES))

    def _ask(self, index, arg):
        # Once more unless it is clear: taken, or twice illegal.
        last = 0
        for _ in range(_TRIES):
            self._set(arg)
            r = self._send(index)
            if r & ~_IDLE == 0 or r & ~_IDLE == _ILLEGAL and r == last:
                return r
            last = r
            self.retries += 1
            if r & (_COM_CRC | 0x80) == _COM_CRC:
                self.crc_errors += 1
        if r == _NO_ANSWER:
            self._gone()
        raise OSError(_EIO, "CMD%d answered %02X, expected 00 or 01" % (index, r))

    # Block protocol; allocation-free

    def readblocks(self, n, buf):
        """Read len(buf) / 512 blocks from block `n` on."""
        self._begin(n, len(buf))
        self._read(buf)
        while self._done < len(buf):
            self._again("read")
            self._read(buf)
        self.ready = not self._doubt

    def writeblocks(self, n, buf):
        """Write len(buf) / 512 blocks from block `n` on."""
        self._begin(n, len(buf))
        self._write(buf)
        while self._done < len(buf):
            self._again("write")
            self._write(buf)
        self.ready = not self._doubt

    def ioctl(self, op, arg):
        """4 block count, 5 block size, 3 sync and 1, 2: nothing to do; else -22 (EINVAL)."""
        if op == 4:
            return self.sectors
        if op == 5:
            return 512
        return 0 if 1 <= op <= 3 else -_EINVAL

    def _begin(self, n, size):
        if size & 511 or size == 0 or n < 0 or n + (size >> 9) > self.sectors:
            raise OSError(
                _EINVAL,
                "%d bytes at block %d: whole blocks of 512 within 0..%d"
                % (size, n, self.sectors - 1),
            )
        if not self.ready:
            self.reinits += 1
            self._start()
        self.ready = self._doubt = False  # until this operation has come to its end
        self._left = _TRIES
        self._first = n
        self._done = 0

    def _again(self, what):
        self._left -= _DOUBT if self._doubt else 1
        self.retries += 1
        if self._left <= 0:
            self.ready = not self._doubt
            raise OSError(
                _EIO,
                "%s of block %d damaged or refused, time and again: R1 %02X, data response %02X"
                % (what, self._first + (self._done >> 9), self.r1, self.response),
            )
        if self._doubt:
            self.reinits += 1
            self._start()

    # Small functions, few locals: a frame of more than 11 words would be allocated. Chip select
    # goes up whatever happens.

    def _read(self, buf):
        try:
            self._open()
            self._cs(0)
            if len(buf) == 512:
                self._read_one(buf)
            else:
                self._read_run(buf)
        finally:
            self._close()

    def _write(self, buf):
        try:
            self._open()
            self._cs(0)
            if len(buf) == 512:
                self._write_one(buf)
            else:
                self._write_run(buf)
        finally:
            self._close()

    def _read_one(self, buf):
        self._set_block(self._first)
        if self._run(_READ_SINGLE) and self._access() and self._data(buf):
            self._done = 512

    def _read_run(self, buf):
        self._set_block(self._first + (self._done >> 9))
        if not self._run(_READ_MULTIPLE):
            return
        found = self._access()
        while found and self._data(self._block):
            copy(buf, self._done, self._block, 0, 512)
            self._done += 512
            if self._done == len(buf):
                break
            self._left = _TRIES
            found = self._until_token()
        self._stop()

    def _data(self, buf):
        # What follows the token (7.2.3); False if the CRC is wrong.
        self._spi.readinto(buf, 0xFF)
        self._spi.readinto(self._crc_in, 0xFF)
        self.reads += 1
        if self.crc and crc16(buf, 0, 512) != self._crc_in[0] << 8 | self._crc_in[1]:
            self.crc_errors += 1
            return False
        return True

    def _access(self):
        # The access time before the first block; the others of a run mostly follow at once.
        self._sleep(self._read_us)
        n = self.polls
        found = self._until_token()
        self._read_us = _estimate(self._read_us, self.polls - n)
        return found

    def _until_token(self):
        self._wait_from(self._read_us, self._read_ms)
        while True:
            if self._at >= 10:  # not one of those that came with the response
                self.polls += 1
            b = self._next()
            if b == _START:
                return True
            if b != 0xFF:
                return self._no_block(b)
            if self._late():
                self._no_data()
            self._pause()

    def _no_block(self, token):
        # Data error token, 0000xxxx (7.3.3.3), or one that arrived damaged. Reading the status
        # clears it for the next operation.
        if self._cmd[0] == 0x40 | _READ_MULTIPLE:
            if token & 0xF0:
                return False  # the run is stopped, and begun anew
            self._stop()
        elif token & 0xF0:
            self._spi.readinto(self._block, 0xFF)
            self._spi.readinto(self._crc_in, 0xFF)
            return False
        self.ready = self._present()
        if not self.ready:
            self._gone()
        raise OSError(_EIO, "data error token %02X, card status %02X" % (token, self.r2))

    def _no_data(self):
        self.timeouts += 1
        if not self._present():
            self._gone()
        raise OSError(_ETIMEDOUT, "no data after %d ms" % self._limit)

    def _stop(self):
        n = _TRIES
        self._set(0)
        while self._send(_STOP) & ~_ILLEGAL:  # illegal: the run is over; else a byte of a block?
            self.retries += 1
            if self.r1 & (_COM_CRC | 0x80) == _COM_CRC:
                self.crc_errors += 1
            n -= 1
            if n == 0:
                return self._odd()
        self._until_ready(0)

    def _write_one(self, buf):
        self._set_block(self._first)
        if self._run(_WRITE_SINGLE):
            if self._put(_START, buf):
                self._write_us = self._settle(self._write_us)
                if self._status():
                    self._done = 512
            elif not self._doubt:
                self._until_ready(0)

    def _write_run(self, buf):
        if not self._announce((len(buf) - self._done) >> 9):
            return
        self._set_block(self._first + (self._done >> 9))
        if self._run(_WRITE_MULTIPLE):
            done = self._put_run(buf, self._done)
            if not self._doubt and self._status() and done != self._done:
                self._done = done
                self._left = _TRIES

    def _put_run(self, buf, done):
        while done < len(buf):
            copy(self._block, 0, buf, done, 512)
            if not self._put(_START_MULTIPLE, self._block):
                if not self._doubt:
                    self._stop()  # 7.3.3.1: after an error the run ends with CMD12
                return done
            self._gap_us = self._settle(self._gap_us)
            done += 512
        self._head[1] = _STOP_TRAN
        self._spi.write(self._head)
        self._write_us = self._settle(self._write_us)
        return done

    def _announce(self, blocks):
        # ACMD23, 4.3.4: the card may erase ahead. A hint: a card that refuses it still writes.
        self._set(0)
        if not self._run(_APP):
            return False
        self._set(blocks)
        self._send(_SET_ERASE_COUNT)
        return True

    def _put(self, token, buf):
        # One data block (7.2.4); False if the card did not get it.
        self._head[1] = token
        self._spi.write(self._head)
        self._spi.write(buf)
        token = crc16(buf, 0, 512) if self.crc else 0xFFFF
        self._tail[0] = token >> 8
        self._tail[1] = token & 0xFF
        self._spi.write_readinto(self._tail, self._tail_in)
        self._answered(self._tail_in[2])
        if self.response == _ACCEPTED:
            self.writes += 1
            return True
        if self.response == _CRC_REJECTED:
            self.crc_errors += 1
        elif self.response == _WRITE_ERROR:
            self._refused()
        else:
            self._odd()
        return False

    def _answered(self, b):
        n = 0
        while b == 0xFF and n < _NCR:
            b = self._byte()
            n += 1
        self.response = b & 0x1F if b != 0xFF else b

    def _refused(self):
        # The card status says more, where the card knows more, and reading clears it.
        if self._cmd[0] == 0x40 | _WRITE_MULTIPLE:
            self._stop()
        self.ready = self._present()
        if not self.ready:
            self._gone()
        raise OSError(
            _EROFS if self.r2 & _WP_VIOLATION else _EIO,
            "write refused: data response %02X, expected 05; card status %02X"
            % (self.response, self.r2),
        )

    def _settle(self, us):
        n = self.polls
        self._until_ready(us)
        return _estimate(us, self.polls - n)

    def _until_ready(self, us):
        # Busy is a low data line (7.2.4); a byte may begin low and end high. Two high bytes: busy
        # may begin a byte later (NBR), and one alone may have arrived damaged.
        self._wait_from(us, self._busy_ms)
        self._sleep(us)
        while True:
            self.polls += 1
            if self._byte() == 0xFF and self._byte() == 0xFF:
                return
            if self._late() and self._byte() != 0xFF:
                self.timeouts += 1
                raise OSError(_ETIMEDOUT, "busy for more than %d ms" % self._limit)
            self._pause()

    def _wait_from(self, us, limit):
        self._since = self._ticks()
        self._limit = limit + _MARGIN_MS
        self._step = (us >> 4) + 20

    def _late(self):
        return self._diff(self._ticks(), self._since) > self._limit

    def _pause(self):
        self._sleep(self._step)
        if self._step < 2000:
            self._step += (self._step >> 3) + 1

    def _status(self):
        # CMD13 after every write (7.2.4): some errors are only found while programming. False:
        # there was no clear answer, and the write is repeated.
        n = _TRIES
        self._set(0)
        while not self._run(_SEND_STATUS):
            self._next()
            n -= 1
            if self._doubt or n == 0:
                return False
        self.r2 = self._next()
        if self.r2 == 0xFF:  # not every bit at once: it left after the first byte
            self._odd()
        elif self.r2:
            self.ready = True  # the operation has come to its end
            raise OSError(
                _EROFS if self.r2 & _WP_VIOLATION else _EIO,
                "card status %02X after a write, expected 00" % self.r2,
            )
        return not self._doubt

    # Commands

    def _set(self, arg):
        c = self._cmd
        c[1] = arg >> 24
        c[2] = arg >> 16 & 0xFF
        c[3] = arg >> 8 & 0xFF
        c[4] = arg & 0xFF

    def _set_block(self, n):
        c = self._cmd
        if self._byte_address:
            # n * 512, without the product: it may be a big int
            c[1] = n >> 15 & 0xFF
            c[2] = n >> 7 & 0xFF
            c[3] = n << 1 & 0xFF
            c[4] = 0
        else:
            self._set(n)

    def _run(self, index):
        # True if the card took the command. If its CRC did not arrive the card is as before.
        if self._send(index) == 0:
            return True
        if self.r1 & (_COM_CRC | 0x80) == _COM_CRC:
            self.crc_errors += 1
        else:
            self._odd()
        return False

    def _odd(self):
        # An answer that should not be, or none: is there a card?
        if not self._present():
            self._gone()
        self._doubt = True

    def _gone(self):
        self.removals += 1
        raise OSError(_ENODEV, "the SD card does not answer: removed?")

    def _present(self):
        n = 3
        while n:
            self._cs(1)
            self._byte()
            self._cs(0)
            self._set(0)
            if self._send(_SEND_STATUS) != _NO_ANSWER:
                self.r2 = self._next()
                return True
            n -= 1
        return False

    def _send(self, index):
        # One call for command and answer: it comes after one byte on most cards.
        self._cmd[0] = 0x40 | index
        self._cmd[5] = crc7(self._cmd)
        self._spi.write_readinto(self._frame, self._got)
        self._at = 7 if index != _STOP else 8  # a stuff byte after CMD12 (7.2.3)
        n = 0
        while n <= _NCR:
            self.r1 = self._next()
            if not self.r1 & 0x80:
                return self.r1
            n += 1
        self.r1 = _NO_ANSWER
        return _NO_ANSWER

    def _next(self):
        if self._at < 10:
            self._at += 1
            return self._got[self._at - 1]
        return self._byte()

    def _byte(self):
        self._spi.readinto(self._in, 0xFF)
        return self._in[0]

    def _open(self):
        if self._lock is not None:
            self._held = self._lock.acquire()
        self._spi.init(baudrate=self._rate, polarity=0, phase=0)
        self._cs(1)
        self._byte()

    def _close(self):
        # The card lets go of the data line with the clock after chip select.
        self._cs(1)
        self._at = 10
        self._byte()
        if self._held:
            self._held = False
            self._lock.release()


def _estimate(us, polls):
    # About 1.2 polls a wait, a sixteenth of its length too late; one slow wait must not slow
    # down all that follow.
    if polls <= 1:
        return us - (us >> 6)
    us += ((us >> 4) + 20) * (polls - 1 if polls < 5 else 4)
    return us if us < _LONGEST_US else _LONGEST_US


def _capacity(csd):
    # 5.3.2 and 5.3.3
    if csd[0] >> 6 == 1:
        return ((csd[7] & 0x3F) << 16 | csd[8] << 8 | csd[9]) + 1 << 10
    if csd[0] >> 6:
        raise OSError(_ENODEV, "CSD version %d, expected 1 or 2" % ((csd[0] >> 6) + 1))
    size = (csd[6] & 3) << 10 | csd[7] << 2 | csd[8] >> 6
    shift = ((csd[9] & 3) << 1 | csd[10] >> 7) + 2 + (csd[5] & 15) - 9
    return size + 1 << shift


def _hex(data):
    return "".join("%02X" % b for b in data)
