"""`SDCard`: SD, SDHC and SDXC cards on `machine.SPI` and a chip-select pin, as a block device.

Promises: CRC7 and CRC16 are on where the card can (all can); every data response, and the status
after every write, is looked at; every wait is bounded and every retry counted; a card that left
is an error, and another one in its place too; reads, writes and waits allocate nothing (block
numbers below 2^30, which is 512 GiB).

Sources: section numbers are those of the SD Physical Layer Simplified Specification, version
4.10.
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

_NCR = const(8)  # bytes until a response, at most (7.5.4, a blank in the simplified edition)
_READ_MS = const(100)  # 4.6.2.1
_WRITE_MS = const(500)  # 4.6.2.2: busy up to 250 (SDXC: 500); hosts are to allow more than 500
_INIT_MS = const(1000)  # 4.2.3: from the first ACMD41 on
_MARGIN_MS = const(2)  # ticks_ms counts whole milliseconds: one at either end
_LONGEST_US = const(20_000)  # to sleep before the first look
_TRIES = const(4)  # of one command or block
_INIT_BAUD = const(400_000)  # 4.2.1, identification mode


class SDCard:
    """The card on `spi` (a `machine.SPI`) with chip select `cs` (a `Pin`).

    baudrate: Hz after the initialisation, at most 25 MHz (6.6, default speed).
    crc: False leaves data CRC off (about 4 % of the time of a write without native code).
    clock: where `ticks_ms`, `ticks_diff` and `sleep_us` come from; default the module `time`.

    Simple block protocol: `readblocks(n, buf)`, `writeblocks(n, buf)`, whole blocks of 512
    bytes; `ioctl`. Several blocks in one call go as one multi-block command.

    OSError, errno and text: ENODEV no card, it left, or another one is in its place; EIO refused,
    damaged or failed; ETIMEDOUT no data or busy for longer than the specification allows; EROFS
    write protection; EINVAL a range that is not on the card. After an ENODEV or a timeout the
    next call initialises the card again, and goes on if it is the same one (its CID).

    Attributes: `sectors`, `kind` ("SDSC", "SDHC"), `cid` (16 bytes), `crc` (bool: in force),
    `r1`, `r2`, `response` (last R1, R2 and data response), and counts since construction:
    `reads`, `writes` (blocks), `polls`, `retries`, `crc_errors`, `timeouts`, `removals`,
    `reinits`.
    """

    def __init__(self, spi, cs, *, baudrate=20_000_000, crc=True, clock=None):
        if clock is None:
            import time as clock
        self._ticks = clock.ticks_ms
        self._diff = clock.ticks_diff
        self._sleep = clock.sleep_us
        self._spi = spi
        self._cs = cs
        self._baud = baudrate
        self._want_crc = crc
        self._cmd = bytearray(b"\xff" * 9)  # command, CRC, and three bytes to answer in
        self._got = bytearray(9)
        self._at = 9
        self._one = bytearray(b"\xff")
        self._in = bytearray(1)
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
        self._spi.init(baudrate=_INIT_BAUD, polarity=0, phase=0)
        self._cs(1)
        self._spi.write(b"\xff" * 16)  # 6.4.1: 74 clocks, chip select high
        try:
            self._identify()
        finally:
            self._close()
        self._spi.init(baudrate=self._baud, polarity=0, phase=0)

    def _identify(self):
        self.crc = False
        self._go_idle()
        second = self._interface()
        # 7.2.2: CRC before ACMD41
        if self._want_crc:
            self.crc = self._try(_CRC_ON_OFF, 1) & ~_IDLE == 0
        self._initialise(second)
        self._byte_address = True
        self.kind = "SDSC"
        if second:
            self._must(_READ_OCR, 0)
            if self._next() & 0x40:  # CCS, 5.1
                self._byte_address = False
                self.kind = "SDHC"
        if self._byte_address:
            self._must(_SET_BLOCKLEN, 512)
        csd = self._register(_SEND_CSD)
        self.sectors = _capacity(csd)
        self.write_protected = bool(csd[14] & 0x30)  # 5.3: PERM_ and TMP_WRITE_PROTECT
        cid = self._register(_SEND_CID)
        if self.cid is not None and self.cid != cid:
            raise OSError(
                _ENODEV, "another card: CID %s, expected %s" % (_hex(cid), _hex(self.cid))
            )
        self.cid = cid

    def _go_idle(self):
        # A card that was in the middle of something (reset of the board) may need some attempts.
        for i in range(8):
            self._cs(0)
            try:
                self._until_ready(0, 10 if i else _WRITE_MS)
            except OSError:
                pass  # MISO held low: the answer to CMD0 decides
            self._set(0)
            if self._send(_GO_IDLE) == _IDLE:
                return
            self._spi.readinto(self._block, 0xFF)  # what a data block may still lack
            self._close()
            self._sleep(1000)
        raise OSError(_ENODEV, "no SD card: CMD0 answered %02X, expected 01" % self.r1)

    def _interface(self):
        # 4.3.13: 2.7-3.6 V, check pattern AA; cards before version 2 do not know it
        r = self._try(_SEND_IF_COND, 0x1AA)
        if r & _ILLEGAL:
            return False
        if r == _NO_ANSWER:
            self._gone()
        if r != _IDLE:
            raise OSError(_EIO, "CMD8 answered %02X, expected 01" % r)
        echo = bytes((self._next(), self._next(), self._next(), self._next()))
        if echo[2:] != b"\x01\xaa":
            raise OSError(_EIO, "CMD8 answered %s, expected 01AA" % _hex(echo[2:]))
        return True

    def _initialise(self, second):
        self._since = self._ticks()
        while True:
            self._must(_APP, 0)
            self._set(0)
            self._cmd[1] = 0x40 if second else 0  # HCS
            r = self._send(_OP_COND)
            if r == 0:
                return
            if r & ~(_IDLE | _COM_CRC):
                self._unexpected(_OP_COND)
            if r & _COM_CRC:
                self.retries += 1
                self.crc_errors += 1
            if self._diff(self._ticks(), self._since) > _INIT_MS:
                self.timeouts += 1
                raise OSError(_ETIMEDOUT, "ACMD41: not ready after %d ms" % _INIT_MS)
            self._sleep(5000)

    def _register(self, index):
        data = bytearray(16)
        for _ in range(_TRIES):
            self._must(index, 0)
            self._until_token()
            self._spi.readinto(data, 0xFF)
            self._spi.readinto(self._crc_in, 0xFF)
            if not self.crc or crc16(data, 0, 16) == self._crc_in[0] << 8 | self._crc_in[1]:
                return bytes(data)
            self.crc_errors += 1
            self.retries += 1
        raise OSError(_EIO, "CMD%d: CRC errors, %d times" % (index, _TRIES))

    # Block protocol; allocation-free

    def readblocks(self, n, buf):
        """Read len(buf) / 512 blocks from block `n` on."""
        self._begin(n, len(buf))
        self._read(buf)
        while self._done < len(buf):
            self._again("read")
            self._read(buf)
        self.ready = True

    def writeblocks(self, n, buf):
        """Write len(buf) / 512 blocks from block `n` on."""
        self._begin(n, len(buf))
        self._write(buf)
        while self._done < len(buf):
            self._again("write")
            self._write(buf)
        self.ready = True

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
        self.ready = False  # until this operation has come to its end
        self._left = _TRIES
        self._first = n
        self._done = 0

    def _again(self, what):
        self._left -= 1
        if self._left <= 0:
            self.ready = True  # the card is idle and well: it is the line
            raise OSError(
                _EIO,
                "%s of block %d: CRC errors, %d times"
                % (what, self._first + (self._done >> 9), _TRIES),
            )
        self.retries += 1

    # Small functions, few locals: a frame of more than 11 words would be allocated. Chip select
    # goes up whatever happens.

    def _read(self, buf):
        try:
            self._cs(0)
            self._read_some(buf)
        finally:
            self._close()

    def _write(self, buf):
        try:
            self._cs(0)
            self._write_some(buf)
        finally:
            self._close()

    def _read_some(self, buf):
        if len(buf) == 512:
            self._read_one(buf)
        else:
            self._read_run(buf)

    def _write_some(self, buf):
        if len(buf) == 512:
            self._write_one(buf)
        else:
            self._write_run(buf)

    def _read_one(self, buf):
        self._set_block(self._first)
        self._run(_READ_SINGLE)
        self._access()
        if self._data(buf):
            self._done = 512

    def _read_run(self, buf):
        self._set_block(self._first + (self._done >> 9))
        self._run(_READ_MULTIPLE)
        self._access()
        while self._data(self._block):
            copy(buf, self._done, self._block, 0, 512)
            self._done += 512
            if self._done == len(buf):
                break
            self._left = _TRIES
            self._until_token()
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
        self._until_token()
        self._read_us = _estimate(self._read_us, self.polls - n)

    def _until_token(self):
        self._wait_from(self._read_us, _READ_MS)
        while True:
            if self._at >= 9:  # not one of those that came with the response
                self.polls += 1
            b = self._next()
            if b == _START:
                return
            if b != 0xFF:
                self._no_block(b)
            if self._late():
                self._no_data()
            self._pause()

    def _no_block(self, token):
        # Data error token, 7.3.3.3. Reading the status clears it for the next operation.
        if self._cmd[0] == 0x40 | _READ_MULTIPLE:
            self._stop()
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
        self._set(0)
        n = _TRIES
        while self._send(_STOP) & (_COM_CRC | 0x80):
            n -= 1
            if self.r1 == _NO_ANSWER or n == 0:
                self._unexpected(_STOP)
            self.retries += 1
            self.crc_errors += 1
        self._until_ready(0, _WRITE_MS)

    def _write_one(self, buf):
        self._set_block(self._first)
        self._run(_WRITE_SINGLE)
        if self._put(_START, buf):
            self._write_us = self._settle(self._write_us)
            self._status()
            self._done = 512

    def _write_run(self, buf):
        self._announce((len(buf) - self._done) >> 9)
        self._set_block(self._first + (self._done >> 9))
        self._run(_WRITE_MULTIPLE)
        done = self._put_run(buf, self._done)
        self._status()
        self._done = done

    def _put_run(self, buf, done):
        while done < len(buf):
            copy(self._block, 0, buf, done, 512)
            if not self._put(_START_MULTIPLE, self._block):
                self._stop()  # 7.3.3.1: after an error the run ends with CMD12
                return done
            self._gap_us = self._settle(self._gap_us)
            done += 512
            self._left = _TRIES
        self._one[0] = _STOP_TRAN
        self._spi.write(self._one)
        self._byte()  # busy begins within a byte of the token (7.5.4, NBR)
        self._write_us = self._settle(self._write_us)
        return done

    def _announce(self, blocks):
        # ACMD23, 4.3.4: the card may erase ahead. A hint: a card that refuses it still writes.
        self._set(0)
        self._run(_APP)
        self._set(blocks)
        self._send(_SET_ERASE_COUNT)

    def _put(self, token, buf):
        # One data block (7.2.4); False if the card saw a CRC error.
        if self._at >= 9:
            self._byte()  # NWR: a byte at least between response and token
        self._one[0] = token
        self._spi.write(self._one)
        self._spi.write(buf)
        n = crc16(buf, 0, 512) if self.crc else 0xFFFF
        self._tail[0] = n >> 8
        self._tail[1] = n & 0xFF
        self._spi.write_readinto(self._tail, self._tail_in)
        self._answered(self._tail_in[2])
        if self.response == _ACCEPTED:
            self.writes += 1
            return True
        if self.response == _CRC_REJECTED:
            self.crc_errors += 1
            return False
        return self._refused(token)

    def _answered(self, b):
        n = 0
        while b == 0xFF and n < _NCR:
            b = self._byte()
            n += 1
        self.response = b & 0x1F if b != 0xFF else b

    def _refused(self, token):
        # The card status says more, where the card knows more, and reading clears it.
        response = self.response
        if token == _START_MULTIPLE:
            self._stop()
        self.ready = self._present()
        if not self.ready:
            self._gone()
        raise OSError(
            _EROFS if self.r2 & _WP_VIOLATION else _EIO,
            "write refused: data response %02X, expected 05; card status %02X"
            % (response, self.r2),
        )

    def _settle(self, us):
        n = self.polls
        self._until_ready(us, _WRITE_MS)
        return _estimate(us, self.polls - n)

    def _until_ready(self, us, limit):
        # Busy is a low data line (7.2.4); a byte may begin low and end high.
        self._wait_from(us, limit)
        self._sleep(us)
        while True:
            self.polls += 1
            if self._byte() == 0xFF:
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
        # CMD13 after every write (7.2.4): some errors are only found while programming
        self._set(0)
        self._run(_SEND_STATUS)
        self.r2 = self._next()
        if self.r2 == 0xFF:  # not every bit at once: it left after the first byte
            self._gone()
        if self.r2:
            self.ready = True  # the operation has come to its end
            raise OSError(
                _EROFS if self.r2 & _WP_VIOLATION else _EIO,
                "card status %02X after a write, expected 00" % self.r2,
            )

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
        # A command that must be taken: repeated where its CRC did not arrive.
        n = _TRIES
        while self._send(index):
            n -= 1
            if self.r1 == _NO_ANSWER or not self.r1 & _COM_CRC or n == 0:
                self._unexpected(index)
            self.retries += 1
            self.crc_errors += 1

    def _must(self, index, arg):
        if self._try(index, arg) & ~_IDLE:
            self._unexpected(index)

    def _try(self, index, arg):
        for _ in range(_TRIES):
            self._set(arg)
            if self._send(index) & (_COM_CRC | 0x80) != _COM_CRC:
                break
            self.retries += 1
            self.crc_errors += 1
        return self.r1

    def _unexpected(self, index):
        if self.r1 == _NO_ANSWER:
            self._gone()
        raise OSError(_EIO, "CMD%d answered %02X, expected 00" % (index, self.r1))

    def _gone(self):
        self.removals += 1
        raise OSError(_ENODEV, "the SD card does not answer: removed?")

    def _present(self):
        self._cs(1)
        self._byte()
        self._cs(0)
        self._set(0)
        self._send(_SEND_STATUS)
        if self.r1 == _NO_ANSWER:
            return False
        self.r2 = self._next()
        return True

    def _send(self, index):
        # One call for command and answer: it comes after one byte on most cards (NCR 1..8).
        self._cmd[0] = 0x40 | index
        self._cmd[5] = crc7(self._cmd)
        self._spi.write_readinto(self._cmd, self._got)
        self._at = 6 if index != _STOP else 7  # a stuff byte after CMD12 (7.2.3)
        n = 0
        while n <= _NCR:
            self.r1 = self._next()
            if not self.r1 & 0x80:
                return self.r1
            n += 1
        self.r1 = _NO_ANSWER
        return _NO_ANSWER

    def _next(self):
        if self._at < 9:
            self._at += 1
            return self._got[self._at - 1]
        return self._byte()

    def _byte(self):
        self._spi.readinto(self._in, 0xFF)
        return self._in[0]

    def _close(self):
        # The card lets go of the data line with the clock after chip select.
        self._cs(1)
        self._at = 9
        self._byte()


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
