"""A serial NOR flash chip of the W25Q class, at the level of SPI bytes.

What the chip would refuse or corrupt, this refuses or corrupts: no program or erase without the
write enable latch, AND on program, wrap inside the page, nothing but status reads while busy,
deep power-down, block protection, 3- and 4-byte addresses, an erase command of the wrong length.
Section numbers are those of the W25Q128JV datasheet, revision F, where no other is named;
"256JV" is the W25Q256JV datasheet, "BFPT DWORD n" the n-th word of the basic flash parameter
table of JESD216B.

The cells are a `NorChip` (nor.py), and every fault of faults.py can be put into
`chip.array.faults`: power cuts in the k-th operation, weak cells, wear, lies. Faults of the
interface are attributes here: a chip that is not there, stays busy, misses write enables, reports
a failure. Runs on MicroPython and CPython; `clock` needs an attribute `us` only.
"""

from .nor import NorChip

SECTOR = 4096
PAGE = 256
BUSY = 1  # 7.1.1
WEL = 2  # 7.1.2
BP = 0x1C  # 7.1.3, BP2..BP0
TB = 0x20  # 7.1.4
SEC = 0x40  # 7.1.5
CMP = 0x40  # 7.1.6, status register 2
WPS = 4  # 7.1.11, status register 3
ADS = 1  # 256JV, status register 3: 4-byte address mode is on
ADP = 2  # 256JV, status register 3: 4-byte address mode from power-up on

_NONE = -1  # before the opcode
_DEAF = 256  # the rest of this selection is ignored

_READ = (0x03, 0x0B, 0x13, 0x0C)  # 8.2.6, 8.2.7; 256JV for 13h, 0Ch
_PROGRAM = (0x02, 0x12)  # 8.2.13; 256JV for 12h
# Erases (8.2.15-8.2.17; 256JV for 21h, DCh): opcode -> size
_ERASE = {0x20: 4096, 0x21: 4096, 0x52: 32768, 0x5C: 32768, 0xD8: 65536, 0xDC: 65536}
_FOUR = (0x13, 0x0C, 0x12, 0x21, 0x5C, 0xDC)  # always with 4 address bytes
_STATUS = {0x05: 0, 0x35: 1, 0x15: 2}  # 8.2.4
_WRSR = {0x01: 0, 0x31: 1, 0x11: 2}  # 8.2.5


class W25Q:
    """A chip of `size` bytes, a power of two from 64 KiB on.

    array: the NorChip that holds the cells; default: one for all of a chip up to 1 MiB, for the
        last 64 KiB of a larger one. base: where in the chip it begins (default: at its end).
        Other addresses read 0xFF; programs and erases there are refused and noted.
    jedec: the bytes of 9Fh. sfdp: False for a chip without tables. family: "winbond",
    "micron" (flag status register 70h), "macronix" (security register 2Bh), "spansion" (error
    bits in status register 1), "atmel" (AT25DF: locked at power-up, 00h to the status register
    unlocks), "sst26" (locked at power-up, 98h unlocks), for the ways of telling that an operation
    failed.
    erases: {opcode: bytes}, default 20h, 52h, D8h, and with 4 address bytes where four_ops is not
    False. resets: it knows 66h, 99h.
    four_only: a chip that knows 4 address bytes only. sector: bytes that 20h erases.
    times: microseconds of a page program, a 4, 32, 64 KiB erase, a status write (9.6, typical).

    Attributes for tests, besides those of `array`: `refused`: commands that the chip ignored,
    newest last.
    """

    def __init__(
        self,
        size,
        clock,
        *,
        array=None,
        base=None,
        jedec=b"\xef\x40\x18",
        sfdp=True,
        family="winbond",
        times=(700, 45_000, 120_000, 150_000, 10_000),
        four_only=False,
        sector=SECTOR,
        erases=None,
        four_ops=True,
        resets=True,
    ):
        self.size = size
        self.erases = _ERASE if erases is None else erases
        self.four_ops = four_ops
        self.resets = resets
        self.qpi = False  # another owner left it there: four bits a clock, ones end it
        self.suspended = 0  # microseconds that an erase, suspended by another owner, still takes
        self.clock = clock
        if array is None:
            array = NorChip(size if size <= 1 << 20 else 65536)
        self.array = array
        self._byte = bytearray(1)
        self.base = size - array.size if base is None else base
        self.jedec = bytes(jedec)
        self.family = family
        self.times = times
        self.four_only = four_only
        self.sector = sector
        if sfdp is True:
            sfdp = sfdp_tables(size, times, four_only=four_only, sector=sector)
        self.sfdp = sfdp or b""
        self.nonvolatile = [0, 0, 0x60]  # DRV 7.1.12: 25 %
        self.refused = []
        # Faults of the interface
        self.absent = None  # the byte on MISO where there is no chip: 0xFF or 0x00
        self.stuck_busy = False
        self.no_wel = 0  # so many WREN are missed
        self.fail_program = False  # the chip tells that it failed (family), and does nothing
        self.fail_erase = False
        self.power_on()

    # Power

    def power_on(self):
        self.array.power_on()
        self.sr = list(self.nonvolatile)
        self.four = self.four_only or bool(self.sr[2] & ADP)
        self.sr[2] = self.sr[2] & ~ADS | (ADS if self.four else 0)
        self.extended = 0
        self.flags = 0
        self.asleep = False
        self.unlocked = False
        self.locked = self.family in ("atmel", "sst26")
        if self.family == "atmel":
            self.sr[0] |= 0x1C  # SWP, and WPP: /WP is high
        self.qpi = False
        self.suspended = 0
        self._until = None
        self._level = 1
        self._op = _NONE
        self._need = self._dummy = self._n = 0
        self._volatile = self._reset = False

    def power_off(self):
        self.array.dead = True

    def power_cycle(self):
        self.power_off()
        self.power_on()

    # Bus

    def idle(self, n):
        """`n` bytes passed on the bus while this chip was not selected."""

    def select(self, level):
        """Chip select: 0 begins a command, 1 ends it, and what it asked for happens."""
        if level == self._level:
            return
        self._level = level
        if self.array.dead:
            return
        if level and self.qpi:
            self.qpi = not 0 < self._n < 1 << 20
            self._op = _NONE
        elif level == 0:
            self._op = _NONE
            self._n = self._need = self._dummy = 0
        elif self._op >= 0 and self._op != _DEAF:
            self._end(self._op)

    def transfer(self, byte):
        """One byte each way."""
        if self.absent is not None:
            return self.absent
        if self.array.dead or self._level:
            return 0xFF
        op = self._op
        if self.qpi:
            self._n += 1
            if byte != 0xFF:
                self._n = 1 << 20
            return 0xFF
        if op == _NONE:
            self._begin(byte)
            return 0xFF
        if op == _DEAF:
            return 0xFF
        if self._need:
            self._addr = self._addr << 8 | byte
            self._need -= 1
            if not self._need:
                self._addressed()
            return 0xFF
        if self._dummy:
            self._dummy -= 1
            return 0xFF
        self._n += 1
        return self._data(op, byte)

    def write(self, buf):
        n = len(buf)
        if self._op in _PROGRAM and not self._need and self._at + n <= PAGE and self._live():
            self._page[self._at : self._at + n] = buf
            self._at = (self._at + n) % PAGE
            self._n += n
        else:
            for b in buf:
                self.transfer(b)

    def readinto(self, buf, fill=0):
        n = len(buf)
        if self._op in _READ and not self._need and not self._dummy and self._live():
            self._cells(self._addr, buf)
            self._addr = (self._addr + n) % self.size
            self._n += n
        else:
            for i in range(n):
                buf[i] = self.transfer(fill)

    def exchange(self, out, into):
        for i in range(len(out)):
            into[i] = self.transfer(out[i])

    def _live(self):
        return not self.array.dead and self.absent is None and not self._level

    # Commands

    def busy(self):
        if self.stuck_busy:
            return True
        if self._until is not None and self.clock.us >= self._until:
            self._until = None
            if not self.flags & 0x30 or self.family != "spansion":
                self.sr[0] &= ~WEL
        return self._until is not None

    def _begin(self, op):
        self._op = op
        self._addr = 0
        reset, self._reset = self._reset, False
        if op == 0xFF or op in (0x66, 0x99) and not self.resets:
            self._op = _DEAF  # the end of continuous reading; nothing to a chip that does not know
        elif op == 0x99 and not reset:
            self._refuse("reset without 66h")
        elif self.asleep and op != 0xAB:  # 8.2.21: all but ABh are ignored
            self._refuse("%02X in power-down" % op)
        elif self.busy() and op not in (0x05, 0x35, 0x15, 0x70, 0x66, 0x99):  # 8.2.4
            self._refuse("%02X while busy" % op)
        elif op == 0x7A or op == 0x30 and self.family != "spansion":
            pass  # resume; nothing to a chip where nothing is suspended
        elif self.suspended and (op in _PROGRAM or op in self.erases or op == 0x06):
            self._refuse("%02X while an erase is suspended" % op)
        elif op in (0x20, 0x52, 0xD8) and op not in self.erases:
            self._refuse("%02X is no erase of this chip" % op)
        elif op in _FOUR and not self.four_ops and op not in self.erases:
            self._refuse("%02X is no command" % op)
        elif op in _READ or op in _PROGRAM or op in self.erases or op in (0x36, 0x39, 0x3D):
            self._need = 4 if op in _FOUR or self.four else 3
            self._dummy = 1 if op in (0x0B, 0x0C) else 0
            if op in _FOUR and self.size <= 1 << 24:
                self._refuse("%02X on a chip of 16 MiB or less" % op)
        elif op in (0x5A, 0x90, 0xAB):
            # 8.2.28: three address bytes and a dummy; 8.2.22: three dummies, then the id.
            self._need = 3
            self._dummy = 1 if op == 0x5A else 0
        elif op in (0x70, 0x50) and self.family == "micron":
            pass
        elif op == 0x2B and self.family == "macronix":
            pass
        elif op == 0x30 and self.family == "spansion":
            pass
        elif op in _STATUS or op in _WRSR or op in (0x06, 0x04, 0x9F, 0xC7, 0x60, 0xB9):
            pass
        elif op in (0x66, 0x99, 0xB7, 0xE9, 0xC5, 0xC8, 0x7E, 0x98, 0x50):
            pass
        else:
            self._refuse("%02X is no command" % op)

    def _refuse(self, why):
        self._op = _DEAF
        self.refused.append(why)
        if len(self.refused) > 50:
            del self.refused[0]

    def _addressed(self):
        op = self._op
        if op in (0x5A, 0x90, 0xAB):
            return
        if op not in _FOUR and not self.four:
            self._addr |= self.extended << 24
        self._addr %= self.size
        if op in _PROGRAM:
            self._page = bytearray(b"\xff" * PAGE)
            self._at = self._addr % PAGE

    def _data(self, op, byte):
        if op in _READ:
            self._cells(self._addr, self._byte)
            value = self._byte[0]
            self._addr = (self._addr + 1) % self.size
            return value
        if op in _STATUS:
            return self._status(_STATUS[op])
        if op in _PROGRAM:  # 8.2.13: the address wraps to the start of the page
            self._page[self._at] = byte
            self._at = (self._at + 1) % PAGE
            return 0xFF
        if op == 0x9F:  # 8.2.27; an extended id where there is one
            return self.jedec[(self._n - 1) % len(self.jedec)]
        if op == 0x5A:
            at = self._addr + self._n - 1
            return self.sfdp[at] if at < len(self.sfdp) else 0xFF
        if op == 0xAB:
            return self.jedec[2] - 1
        if op == 0x90:  # 8.2.23: manufacturer and device id in turn
            return self.jedec[0] if (self._addr + self._n) & 1 else self.jedec[2] - 1
        if op == 0x70:
            return (0 if self.busy() else 0x80) | self.flags | (1 if self.four else 0)
        if op == 0x2B:
            return (self.flags & 0x10) << 1 | (self.flags & 0x20) << 1
        if op == 0xC8:
            return self.extended
        self._value = byte
        return 0xFF

    def _status(self, n):
        if n:
            return self.sr[n]
        value = self.sr[0] | (BUSY if self.busy() else 0)
        if self.family == "spansion":
            # S25FL-S: P_ERR bit 6, E_ERR bit 5, and WIP stays 1 until 30h clears them.
            value = value & 0x9F | (self.flags & 0x20) | (self.flags & 0x10) << 2
            if self.flags & 0x30:
                value |= BUSY
        return value

    def _end(self, op):
        n = self._n
        if op == 0x06:  # 8.2.1
            if n == 0:
                if self.no_wel:
                    self.no_wel -= 1
                else:
                    self.sr[0] |= WEL
        elif op == 0x04:  # 8.2.3
            self.sr[0] &= ~WEL
        elif op == 0x50 and self.family == "micron":
            self.flags = 0
        elif op == 0x30 and self.family == "spansion":
            self.flags = 0
            self.sr[0] &= ~WEL
        elif op == 0x7A or op == 0x30:
            if self.suspended:
                self._begins(self.suspended)
                self.suspended = 0
        elif op == 0x50:  # 8.2.2
            self._volatile = True
        elif op in _PROGRAM:
            if not self._need and n:
                self._program()
        elif op in self.erases:
            if self._need or n:
                self._refuse("%02X with %d bytes too many or few" % (op, n or -self._need))
            else:
                size = self.erases[op]
                self._erase(self._addr, size if size != SECTOR else self.sector)
        elif op in (0xC7, 0x60):  # 8.2.18
            if n == 0:
                self._erase(0, self.size)
        elif op in _WRSR:
            if n:
                self._write_status(_WRSR[op])
        elif op == 0xB9:
            self.asleep = True
        elif op == 0xAB:
            self.asleep = False
        elif op == 0x66:
            self._reset = True
        elif op == 0x99:
            if self.busy() or self.suspended:
                self.refused.append("reset in the middle of an operation")
            self.power_cycle()
            self._level = 1
        elif op == 0xB7 or op == 0xE9:  # 256JV; micron wants the latch for it
            if self.family == "micron" and not self.sr[0] & WEL:
                self._refuse("%02X without WEL" % op)
            elif self.size > 1 << 24 and not self.four_only:
                self.four = op == 0xB7
                self.sr[2] = self.sr[2] & ~ADS | (ADS if self.four else 0)
                if self.family == "micron":
                    self.sr[0] &= ~WEL
        elif op == 0xC5:  # 256JV
            if self.sr[0] & WEL and n == 1:
                self.extended = self._value
                self.sr[0] &= ~WEL
        elif op == 0x98 or op == 0x7E:  # 8.2.36, 8.2.37 global block unlock and lock
            if self.sr[0] & WEL:
                self.unlocked = op == 0x98
                if self.family == "sst26":
                    self.locked = op != 0x98
                self.sr[0] &= ~WEL
        self._op = _NONE

    def _write_status(self, n):
        if not self.sr[0] & WEL and not self._volatile:
            self._refuse("status write without WEL")
            return
        keep = BUSY | WEL if n == 0 else 0x80 if n == 1 else ADS
        if self.family == "atmel":
            keep |= 0x10
            self.locked = self._value != 0
        old = self.sr[n]
        self.sr[n] = old & keep | self._value & ~keep
        if not self._volatile:
            self.nonvolatile[n] = self.sr[n] & ~keep
        self._volatile = False
        self._begins(self.times[4])

    def protected(self, addr, size):
        """Whether the protection bits cover any byte of the range (7.1.3-7.1.6, tables in 7.2)."""
        if self.sr[2] & WPS:
            return not self.unlocked
        bp = self.sr[0] >> 2 & 7 if self.family != "atmel" else 0
        if bp == 0:
            span = 0
        elif self.sr[0] & SEC:  # sectors of 4 KiB: 4, 8, 16, 32 KiB
            span = self.size if bp == 7 else 4096 << min(bp - 1, 3)
        else:  # 1/64 ... 1/2 of the chip, at least one 64 KiB block
            span = self.size if bp == 7 else max(self.size >> (7 - bp), min(65536, self.size))
        bottom = self.sr[0] & TB
        start, end = (0, span) if bottom else (self.size - span, self.size)
        if self.sr[1] & CMP:
            start, end = (end, self.size) if bottom else (0, start)
        return start < end and addr < end and start < addr + size

    # The array

    def _inside(self, addr, size):
        return self.base <= addr and addr + size <= self.base + self.array.size

    def _cells(self, addr, buf):
        n = len(buf)
        if not self._inside(addr, n):
            for i in range(n):  # the end of the chip, or what the array does not hold
                at = (addr + i) % self.size
                buf[i] = self.array.data[at - self.base] if self._inside(at, 1) else 0xFF
        elif self.array.faults is not None:
            self.array.faults.read(self.array, addr - self.base, buf)
        else:
            self.array.load(addr - self.base, buf)

    def _allowed(self, addr, size, what):
        if not self.sr[0] & WEL:
            self._refuse("%s without WEL" % what)
        elif self.locked or self.protected(addr, size):
            self._refuse("%s of a protected range" % what)
            if self.family == "micron":
                self.flags |= 0x02
        elif not self._inside(addr, size):
            self._refuse("%s at 0x%x: outside the array of this model" % (what, addr))
        else:
            return True
        return False

    def _fail(self, bit):
        # The latch of Micron and S25FL-S stays set until 04h, or their clear command.
        if self.family != "winbond":
            self.flags |= bit
        if self.family not in ("micron", "spansion"):
            self.sr[0] &= ~WEL

    def _begins(self, us):
        if self.family == "macronix":
            self.flags = 0
        self._until = self.clock.us + us

    def _program(self):
        addr = self._addr // PAGE * PAGE
        if not self._allowed(addr, PAGE, "program"):
            return
        if self.fail_program:
            self._fail(0x10)
            return
        self._begins(self.times[0])
        unit = self.array.unit
        self.array.writeblocks((addr - self.base) // unit, self._page, (addr - self.base) % unit)

    def _erase(self, addr, size):
        size = min(size, self.size)
        addr = addr // size * size
        if not self._allowed(addr, size, "erase"):
            return
        if self.fail_erase:
            self._fail(0x20)
            return
        us = self.times[1]
        if size > SECTOR:
            us = self.times[2] if size == 32768 else self.times[3] * max(1, size // 65536)
        self._begins(us)
        unit = self.array.unit
        self.array.erase_units((addr - self.base) // unit, size // unit)


def _log2(n):
    k = 0
    while n > 1:
        n >>= 1
        k += 1
    return k


def _times_field(us, units):
    # count - 1 in bits 0..4, unit in the bits above (BFPT DWORD 10 and 11)
    for n, unit in enumerate(units):
        if us <= 32 * unit:
            return max(0, (us + unit - 1) // unit - 1) | n << 5
    return 31 | (len(units) - 1) << 5


def sfdp_tables(
    size,
    times,
    *,
    opcodes=(0x20, 0x52, 0xD8),
    page=PAGE,
    dwords=16,
    multiple=8,
    four_only=False,
    sector=SECTOR,
    bait=True,
    latch=False,
):
    """SFDP header, basic flash parameter table, and for chips above 16 MiB the 4-byte table.

    opcodes: erase types 4, 32, 64 KiB (0: the chip has none). multiple: of typical to maximum
    time, even. bait: with the 4-byte table; latch: B7h wants the write enable latch. dwords: 9
    for the first edition of JESD216. Layout: JESD216B.
    """
    big = size > 1 << 24
    sizes = (_log2(sector), 15, 16)
    d = [0xFFFFFFFF] * dwords
    four = 2 if four_only else 1 if big else 0
    small = opcodes[0] if sector == SECTOR else 0
    d[0] = 0xFFF00000 | 0xE0 | four << 17 | (small or 0xFF) << 8 | (1 if small else 3) | 4
    bits = size * 8
    d[1] = bits - 1 if bits <= 1 << 31 else 1 << 31 | _log2(bits)
    have = [i for i in range(3) if opcodes[i]]
    types = [(sizes[i], opcodes[i]) for i in have] + [(0, 0xFF)] * 4
    d[7] = types[0][0] | types[0][1] << 8 | types[1][0] << 16 | types[1][1] << 24
    d[8] = types[2][0] | types[2][1] << 8 | types[3][0] << 16 | types[3][1] << 24
    if dwords > 9:
        ms = [times[1 + i] for i in have] + [0] * 4
        units = (1000, 16000, 128000, 1000000)
        word = multiple // 2 - 1
        for i in range(3):
            word |= _times_field(ms[i], units) << (4 + 7 * i)
        d[9] = word
        d[10] = (multiple // 2 - 1) | _log2(page) << 4
        d[10] |= _times_field(times[0], (8, 64)) << 8
        d[13] = 0x04  # busy is polled with 05h, bit 0
        d[15] = (0x22 if latch else 0x21) << 24 if big else 0  # B7h; dedicated 4-byte instructions
    heads = [(0x00, 0xFF, dwords, 0x80)]
    big = big and bait
    if big:
        heads.append((0x84, 0xFF, 2, 0xC0))
    out = bytearray(b"\xff" * 0xD0)
    out[0:8] = b"SFDP\x06\x01" + bytes((len(heads) - 1, 0xFF))
    for i in range(len(heads)):
        lsb, msb, n, at = heads[i]
        out[8 + 8 * i : 16 + 8 * i] = bytes((lsb, 6, 1, n, at, 0, 0, msb))
    for i in range(dwords):
        out[0x80 + 4 * i : 0x84 + 4 * i] = d[i].to_bytes(4, "little")
    if big:
        # 13h, 0Ch, 12h; erase types 1..3
        out[0xC0:0xC4] = (0x01 | 0x02 | 0x40 | 0x0E00).to_bytes(4, "little")
        out[0xC4:0xC8] = bytes((0x21, 0x5C, 0xDC, 0xFF))
    return bytes(out)
