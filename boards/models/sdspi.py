"""An SD memory card in SPI mode, at the level of SPI bytes.

Refuses and reports what a card refuses and reports: no answer before 74 clocks and CMD0, CRC7 and
CRC16 once CMD59 asked for them, idle state, address and parameter errors, data response tokens,
busy, R2 after writes. Section numbers are those of the SD Physical Layer Simplified
Specification, version 4.10.

The sectors are a `SectorDisk` (ram.py), and its faults can be put into `card.disk.faults`: power
cuts in the k-th sector written, torn, lost, unreadable, an unrelated one damaged. Faults of the
interface are attributes here: CRC errors, rejected data, a card that is pulled, stays busy. Runs
on MicroPython and CPython; `clock` needs an attribute `us` only.
"""

from .faults import Dice
from .ram import SectorCut, SectorDisk, cut_sector

try:
    from binascii import crc_hqx

    def crc16(data):
        return crc_hqx(bytes(data), 0)

except ImportError:
    from edgeckpt.drivers import sdcard

    def crc16(data):
        return sdcard.crc16(data, 0, len(data))


IDLE = 0x01  # R1, 7.3.2.1
ILLEGAL = 0x04
CRC_ERROR = 0x08
ADDRESS = 0x20
PARAMETER = 0x40
R2_ERROR = 0x04  # R2, 7.3.2.3
R2_ECC = 0x10
R2_WP = 0x20
ACCEPTED = 0x05  # 7.3.3.1, xxx0sss1
REJECT_CRC = 0x0B
REJECT_WRITE = 0x0D


def crc7(data):
    """CRC7 with the end bit (4.5)."""
    crc = 0
    for b in data:
        for i in range(8):
            crc <<= 1
            if (b << i ^ crc) & 0x80:
                crc ^= 0x09
            crc &= 0x7F
    return crc << 1 | 1


class SDCardModel:
    """A card of `sectors` sectors of 512 bytes.

    disk: the SectorDisk that holds them; default: one for all of them.
    kind: "sdsc" (CSD version 1, byte addresses), "sdhc" (version 2, block addresses), "v1" (a
    card from before CMD8). ncr: bytes between a command and its response, 1..8; nrc: bytes that
    it wants between its last answer and a command, at least 1; nbr: bytes until it shows busy, at
    most 1 (7.5.4). A command that comes too soon, or into an answer, is not heard.
    times: microseconds of read access, of a block write, of initialisation.

    Attributes for tests, besides those of `disk`: `sent` blocks that went out, `run` the sectors
    and their old content in the multi-block write that goes on, `refused` what the card ignored
    or refused.
    """

    def __init__(
        self,
        sectors,
        clock,
        *,
        disk=None,
        kind="sdhc",
        ncr=1,
        nrc=1,
        nbr=0,
        times=(200, 800, 50_000),
        serial=1,
        seed=1,
    ):
        unit = 1024 if kind == "sdhc" else 4
        if sectors % unit or not sectors:
            raise ValueError("a card of kind %s has a multiple of %d sectors" % (kind, unit))
        self.sectors = sectors
        self.clock = clock
        self.kind = kind
        self.ncr = ncr
        self.nrc = nrc
        self.nbr = nbr
        self.times = times
        self.serial = serial
        self.dice = Dice(seed)
        self.disk = SectorDisk(sectors) if disk is None else disk
        self.sent = 0
        self.refused = []
        # Faults of the interface
        self.absent = None  # the byte on MISO with no card: 0xFF, 0x00
        self.pull_in = -1  # the card leaves after so many more bytes
        self.stuck_busy = False
        self.mute = False  # data tokens never come
        self.bus = None  # the SPI, for a card that looks at its clock: 400 kHz before it is ready
        self.cmd0_missed = 0  # so many CMD0 get no answer
        self.cmd8_answers = []  # R1 of the next CMD8s, instead of the true ones; 0xFF is none
        self.no_crc = False  # CMD59 is an illegal command
        self.crc_read_every = 0  # one bit of each n-th block read is flipped on the wire
        self.crc_write_every = 0  # the card sees a CRC error in each n-th block written
        self.crc_command_every = 0  # and in each n-th command after CMD59
        self.reject_every = 0  # each n-th block: data response 110
        self.fail_status_every = 0  # each n-th block: accepted, not stored, R2 tells
        self.write_protected = False
        self._counts = {}
        self.power_on()

    # Power and slot

    def power_on(self):
        self.disk.power_on()
        self._clocks = 0
        self._spi_mode = False
        self._idle = True
        self._crc = False
        self._v2 = self._hcs = False
        self._ready_at = None
        self._app = False
        self._r2 = 0
        self._until = 0
        self._level = 1
        self._quiet()

    def power_off(self):
        self.disk.dead = True

    def power_cycle(self):
        self.power_off()
        self.power_on()

    def pull(self):
        """Take the card out; `insert()` brings it back, without power in between."""
        self.pull_in = -1
        self.absent = 0xFF
        self.power_off()

    def insert(self):
        self.absent = None
        self.power_on()

    def _quiet(self):
        self._cmd = bytearray()
        self._out = b""
        self._pos = 0
        self._gap = 1  # bytes since the last one of an answer
        self._deaf = 0  # so many bytes are not heard
        self._read = -1  # next block to be sent, multi-block or single
        self._multi = False
        self._read_at = 0
        self._write = -1  # next block to be received
        self._token = 0
        self._data = None
        self._failed = False
        self.run = []
        self._written = 0

    # Bus

    def idle(self, n):
        """`n` bytes were clocked on the bus while the card was not selected (6.4.1)."""
        self._clocks += n
        self._gap += n

    def select(self, level):
        if level == self._level:
            return
        self._level = level
        self._cmd = bytearray()
        self._deaf = 0
        if not level and self.bus is not None:
            limit = 25_000_000 if self._spi_mode and not self._idle else 400_000
            if self.bus.baudrate > limit:
                self._deaf = 1 << 30
                self._note("%d Hz, at most %d" % (self.bus.baudrate, limit))
        if level and self._data is not None:
            self._note("deselected in a data block")
            self._data = None
        if level and self._read >= 0 and self._pos < len(self._out):
            self._note("deselected in a block that was read")
            self._read = -1
        self._out = b""
        self._pos = 0

    def busy(self):
        return self.stuck_busy or self.clock.us < self._until

    def transfer(self, byte):
        """One byte each way."""
        if self.pull_in >= 0:
            self.pull_in -= 1
            if self.pull_in < 0:
                self.pull()
        if self.absent is not None:
            return self.absent
        if self.disk.dead or self._level:
            return 0xFF
        self._gap = 0 if self._pos < len(self._out) else self._gap + 1
        out = self._next()
        self._take(byte)
        return out

    def write(self, buf):
        n = len(buf)
        if (
            self._data is not None
            and len(self._data) + n <= 512
            and self.pull_in < 0
            and not self.disk.dead
            and self.absent is None
        ):
            self._data.extend(buf)
        else:
            for b in buf:
                self.transfer(b)

    def readinto(self, buf, fill=0):
        n = len(buf)
        if fill == 0xFF and self._pos + n <= len(self._out) and self.pull_in < 0:
            if not (self._cmd or self._data is not None or self.absent is not None):
                buf[:] = self._out[self._pos : self._pos + n]
                self._pos += n
                self._gap = 0
                return
        for i in range(n):
            buf[i] = self.transfer(fill)

    def exchange(self, out, into):
        i = 0
        if len(out) >= 7 and out[0] == 0xFF and out[1] & 0xC0 == 0x40 and self._silent():
            self._cmd = bytearray(out[1:7])
            into[:7] = b"\xff" * 7
            self._command()
            i = 7
        while i < len(out):
            into[i] = self.transfer(out[i])
            i += 1

    def _silent(self):
        # Nothing to be sent, and no one counts the bytes; the one before the command is NRC.
        return (
            self.nrc <= 1
            and not self._deaf
            and self._pos >= len(self._out)
            and not self._cmd
            and self._data is None
            and self._read < 0
            and self.pull_in < 0
            and self.absent is None
            and not self.disk.dead
            and not self._level
            and not self.busy()
        )

    def _next(self):
        if self._pos < len(self._out):
            self._pos += 1
            return self._out[self._pos - 1]
        if self._spi_mode and self.busy():
            return 0x00
        if self._read >= 0 and not self.mute and self.clock.us >= self._read_at:
            self._load()
            self._pos = 1
            return self._out[0]
        return 0xFF

    def _load(self):
        lba = self._read
        self.sent += 1
        if lba >= self.sectors:
            self._out = b"\x08"  # 7.3.3.3: out of range
            self._read = -1
        elif lba in self.disk.bad:
            self._out = b"\x04"  # card ECC failed
            self._r2 |= R2_ECC
            self._read = -1
        else:
            self._block(self.disk.view[lba * 512 : lba * 512 + 512])
            self._read = lba + 1 if self._multi else -1
            self._read_at = self.clock.us
        self._pos = 0

    def _block(self, data):
        crc = crc16(data)
        if self._every("read", self.crc_read_every):
            data = bytearray(data)
            data[self.dice.below(len(data))] ^= 1 << self.dice.below(8)
        self._out = b"\xfe" + bytes(data) + bytes((crc >> 8, crc & 0xFF))
        self._pos = 0

    def _every(self, name, n):
        if not n:
            return False
        self._counts[name] = self._counts.get(name, 0) + 1
        return self._counts[name] % n == 0

    def _note(self, why):
        self.refused.append(why)
        if len(self.refused) > 50:
            del self.refused[0]

    def _take(self, byte):
        if self._deaf:
            self._deaf -= 1
            return
        if self._data is not None:
            self._data.append(byte)
            if len(self._data) == 514:
                self._received()
        elif self._write >= 0 and not self._cmd and byte & 0xC0 != 0x40:
            if self.busy():
                if byte != 0xFF:
                    self._note("%02X while busy" % byte)
            elif byte == self._token:
                self._data = bytearray()
            elif byte == 0xFD and self._multi:  # 7.3.3.2, Stop Tran
                self._write = -1
                self._out, self._pos = b"\xff" * self.nbr, 0
                self._until = self.clock.us + self.times[1] // 4
                self.run = []
            elif byte != 0xFF:
                self._note("token %02X" % byte)
        elif self._cmd or byte & 0xC0 == 0x40:
            self._cmd.append(byte)
            if len(self._cmd) == 1:
                # The byte before this one, not this one, is counted; a run may be stopped at any
                # time, and CMD0 is heard always.
                if (self._gap <= self.nrc and byte & 63) and (self._read < 0 or byte & 63 != 12):
                    self._note("CMD%d %d bytes after an answer" % (byte & 63, self._gap - 1))
                    self._cmd = bytearray()
                    self._deaf = 5
            elif len(self._cmd) == 6:
                self._command()

    # Commands

    def _answer(self, r1, rest=b"", lead=b""):
        self._out = lead + b"\xff" * self.ncr + bytes((r1 | (IDLE if self._idle else 0),)) + rest
        self._pos = 0

    def _command(self):
        cmd = bytes(self._cmd)
        self._cmd = bytearray()
        index = cmd[0] & 63
        arg = cmd[1] << 24 | cmd[2] << 16 | cmd[3] << 8 | cmd[4]
        good = crc7(cmd[:5]) == cmd[5]
        if index == 0 and good and self._clocks >= 10 and self.cmd0_missed:
            self.cmd0_missed -= 1
            return
        if not self._spi_mode:
            # 6.4.1 and 7.2.1: 74 clocks, then CMD0 with chip select low and a valid CRC
            if index == 0 and good and self._clocks >= 10:
                self._spi_mode = True
                self._reset()
                self._answer(0)
            else:
                self._note("CMD%d before SPI mode (%d bytes idle)" % (index, self._clocks))
            return
        if self.busy() and index != 0:
            self._note("CMD%d while busy" % index)
            return
        if self._crc and good and self._every("command", self.crc_command_every):
            good = False
        if not good and (self._crc or index == 8):  # 7.2.2
            self._note("CMD%d with a wrong CRC" % index)
            self._app = False
            self._answer(CRC_ERROR)
            return
        if (self._write >= 0 or self._read >= 0) and index not in (0, 12, 13):
            # 4.8, Table 4-34: in the data and receive states nothing else is legal
            self._note("CMD%d in the middle of a transfer" % index)
            self._answer(ILLEGAL)
            return
        app, self._app = self._app, False
        name = "_acmd%d" if app else "_cmd%d"
        if self._idle and name % index not in _IN_IDLE:
            handler = None
        else:
            handler = getattr(self, name % index, None)
        if handler is None:
            self._note((name % index)[1:].upper() + " is illegal now")
            self._answer(ILLEGAL)
        else:
            handler(arg)

    def _reset(self):
        self._idle = True
        self._crc = self._app = False
        self._ready_at = None
        self._until = 0
        self._quiet()

    def _cmd0(self, arg):
        self._reset()
        self._answer(0)

    def _cmd8(self, arg):  # 4.3.13: voltage and check pattern come back
        if self.cmd8_answers:
            r = self.cmd8_answers.pop(0)
            if r != 0xFF:
                self._out, self._pos = b"\xff" * self.ncr + bytes((r,)), 0
            return
        if self.kind == "v1":
            self._answer(ILLEGAL)
            return
        self._v2 = True
        self._answer(0, bytes((0, 0, arg >> 8 & 15, arg & 0xFF)))

    def _cmd58(self, arg):  # OCR, 5.1: 2.7-3.6 V, power-up done, CCS
        done = 0 if self._idle else 0x80
        ccs = 0x40 if self.kind == "sdhc" and not self._idle else 0
        self._answer(0, bytes((done | ccs, 0xFF, 0x80, 0)))

    def _cmd59(self, arg):
        if self.no_crc:
            self._answer(ILLEGAL)
            return
        self._crc = bool(arg & 1)
        self._answer(0)

    def _cmd55(self, arg):
        self._app = True
        self._answer(0)

    def _acmd41(self, arg):  # 4.2.3 and 7.2.1
        if self._ready_at is None:
            self._ready_at = self.clock.us + self.times[2]
            self._hcs = bool(arg >> 30 & 1) and self._v2
        if self.clock.us >= self._ready_at and (self.kind != "sdhc" or self._hcs):
            self._idle = False
        self._answer(0)

    def _cmd9(self, arg):
        self._register(self._csd())

    def _cmd10(self, arg):
        cid = b"\x1bEDMODEL\x10" + self.serial.to_bytes(4, "big") + b"\x01\x75"
        self._register(cid + bytes((crc7(cid),)))

    def _register(self, data):
        self._answer(0)
        head = self._out
        self._block(data)
        self._out = head + b"\xff" + self._out

    def _csd(self):  # 5.3.2, 5.3.3
        csd = bytearray(15)
        csd[3] = 0x32  # TRAN_SPEED, 25 MHz
        csd[5] = 0x59
        if self.kind == "sdhc":
            size = self.sectors // 1024 - 1
            csd[0] = 0x40
            csd[7] = size >> 16
            csd[8] = size >> 8 & 0xFF
            csd[9] = size & 0xFF
        else:
            shift = 2
            while self.sectors >> shift > 4096:
                shift += 1
            size = (self.sectors >> shift) - 1
            csd[6] = size >> 10
            csd[7] = size >> 2 & 0xFF
            csd[8] = size << 6 & 0xC0
            csd[9] = (shift - 2) >> 1
            csd[10] = (shift - 2) << 7 & 0x80
        if self.write_protected:
            csd[14] = 0x10  # TMP_WRITE_PROTECT
        return bytes(csd) + bytes((crc7(csd),))

    def _cmd13(self, arg):
        r2, self._r2 = self._r2, 0
        self._answer(0, bytes((r2,)))

    def _cmd16(self, arg):
        self._answer(0 if arg == 512 else PARAMETER)

    def _address(self, arg):
        # 7.3.1.3, note 10: bytes on standard capacity cards, blocks on the others
        if self.kind != "sdhc":
            if arg % 512:
                self._answer(ADDRESS)
                return -1
            arg //= 512
        if arg >= self.sectors:
            self._answer(PARAMETER)
            return -1
        return arg

    def _cmd17(self, arg, multi=False):
        lba = self._address(arg)
        if lba >= 0:
            self._answer(0)
            self._read = lba
            self._multi = multi
            self._read_at = self.clock.us + self.times[0]

    def _cmd18(self, arg):
        self._cmd17(arg, True)

    def _cmd12(self, arg):
        reading = self._read >= 0 or self._multi and self._write < 0
        self._read = -1
        self._write = -1
        self._multi = False
        self._failed = False
        self.run = []
        if reading:
            self._answer(0, lead=b"\x3f")  # 7.2.3: one stuff byte, whatever it may be
        else:
            self._answer(0)
        self._until = self.clock.us + 20

    def _cmd24(self, arg, multi=False):
        lba = self._address(arg)
        if lba >= 0:
            self._answer(0)
            self._write = lba
            self._multi = multi
            self._token = 0xFC if multi else 0xFE
            self._failed = False
            self._written = 0
            self.run = []

    def _cmd25(self, arg):
        self._cmd24(arg, True)

    def _acmd22(self, arg):
        self._register(self._written.to_bytes(4, "big"))

    def _acmd23(self, arg):
        self._answer(0)

    # The medium

    def _received(self):
        data, self._data = self._data, None
        lba = self._write
        bad = self._every("write", self.crc_write_every)
        if bad or self._crc and crc16(data[:512]) != data[512] << 8 | data[513]:
            self._reject(REJECT_CRC)
        elif self._failed or self._every("reject", self.reject_every):
            self._r2 |= R2_ERROR
            self._reject(REJECT_WRITE)
        elif self.write_protected:
            self._r2 |= R2_WP
            self._reject(REJECT_WRITE)
        elif lba >= self.sectors:
            self._r2 |= 0x80
            self._reject(REJECT_WRITE)
        else:
            if self._every("status", self.fail_status_every):
                self._r2 |= R2_ERROR
            else:
                self.run.append((lba, bytes(self.disk.view[lba * 512 : lba * 512 + 512])))
                self.disk.writeblocks(lba, data[:512])
            self._written += 1
            self._write = lba + 1 if self._multi else -1
            self._out, self._pos = bytes((0xE0 | ACCEPTED,)) + b"\xff" * self.nbr, 0
            self._until = self.clock.us + (self.times[1] // 4 if self._multi else self.times[1])

    def _reject(self, token):
        self._note("data response %02X" % token)
        self._out, self._pos = bytes((0xE0 | token,)), 0
        if self._multi:
            self._failed = True
        else:
            self._write = -1


class RunCut(SectorCut):
    """Cuts the power in the write of sector number `op`; of the multi-block write it was part
    of, the sectors before it were only in the card's buffer: each is there or not."""

    def __init__(self, card, op, mode, dice):
        super().__init__(op, mode, dice)
        self.card = card

    def _tear(self, disk, n, data):
        for lba, old in self.card.run[:-1]:
            if self.dice.below(2):
                disk.store(lba, old)
        cut_sector(disk, n, data, self.mode, self.dice)
        return "sector %d of a run, %s" % (n, self.mode)


_IN_IDLE = ("_cmd0", "_cmd8", "_cmd55", "_cmd58", "_cmd59", "_acmd41")
