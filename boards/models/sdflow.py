"""A second SD card in SPI mode, written apart from sdspi.py, as flows: generators that take the
byte of the host and give the one of the card, in the order in which the specification tells it.

Promises: what a host must not do is not forgiven but noted in `wrong`, and not heard: a command
less than a byte after an answer (NRC) or into one, while the card is busy, without a valid CRC7
once that is on, a token without a byte before it (NWR), a clock above 400 kHz before the card is
ready, a chip select that goes up in the middle. Sections: SD Physical Layer Simplified
Specification 4.10; runs on MicroPython and CPython.
"""

import random


def crc_bits(data, width, polynomial):
    """CRC of `data`, a bit at a time (4.5)."""
    top = 1 << (width - 1)
    crc = 0
    for byte in data:
        for i in range(8):
            bit = (byte >> (7 - i) & 1) ^ (1 if crc & top else 0)
            crc = (crc << 1) & ((1 << width) - 1)
            if bit:
                crc ^= polynomial
    return crc


def with_crc16(data):
    return bytes(data) + crc_bits(data, 16, 0x1021).to_bytes(2, "big")


class FlowCard:
    """A card of kind "v1", "sdsc" (version 2, standard capacity), "sdhc" or "sdxc".

    ncr, nac, nbr: bytes before a response, before a data token, before busy. busy, access, power:
    microseconds of a block write, of a read, from the first ACMD41 until the card is ready.
    deaf: so many CMD0 get no answer. bus: the SPI, whose clock is looked at.
    """

    def __init__(
        self,
        clock,
        kind="sdhc",
        sectors=1 << 14,
        *,
        ncr=1,
        nac=1,
        nbr=0,
        busy=800,
        access=200,
        power=50_000,
        deaf=0,
        bus=None,
    ):
        self.clock = clock
        self.kind = kind
        self.sectors = sectors
        self.block = kind in ("sdhc", "sdxc")
        self.ncr, self.nac, self.nbr = ncr, nac, nbr
        self.busy_us, self.access_us, self.power_us = busy, access, power
        self.deaf = deaf
        self.bus = bus
        self.store = {}  # sector -> 512 bytes; the others are zeros
        self.wrong = []
        self.dice = random
        self.power_on()

    def power_on(self):
        self.clocks = 0  # with chip select high
        self.selected = False
        self.spi = False
        self.idle_state = True
        self.check = False
        self.app = False
        self.since = None
        self.until = 0
        self.written = []  # [(sector, old)] that a cut may still take back
        self.dead = False
        self._begin()

    def power_off(self):
        """The supply goes: what the card was still programming is old, new, or torn."""
        self.dead = True
        if self.clock.us < self.until:
            for lba, old in self.written:
                new = self.store[lba]
                how = self.dice.getrandbits(2)
                keep = self.dice.getrandbits(9)
                self.store[lba] = (old, new, new[:keep] + old[keep:], old[:keep] + new[keep:])[how]

    def power_cycle(self):
        self.power_off()
        self.power_on()

    def _begin(self):
        self.flow = self._listen()
        self.out = next(self.flow)
        self.inside = False

    # What the bus sees

    def idle(self, n):
        self.clocks += n

    def select(self, level):
        if level == (not self.selected):
            return
        self.selected = not level
        if level and self.inside:
            self.wrong.append("deselected in the middle of " + self.inside)
            self._begin()
        if not level and self.bus is not None:
            limit = 400_000 if self.idle_state else 25_000_000
            if self.bus.baudrate > limit:
                self.wrong.append("%d Hz, at most %d" % (self.bus.baudrate, limit))

    def transfer(self, byte):
        if not self.selected or self.dead:
            return 0xFF
        out = self.out
        self.out = self.flow.send(byte)
        return out

    def write(self, buf):
        for b in buf:
            self.transfer(b)

    def readinto(self, buf, fill=0):
        for i in range(len(buf)):
            buf[i] = self.transfer(fill)

    def exchange(self, out, into):
        for i in range(len(out)):
            into[i] = self.transfer(out[i])

    # Flows

    def _line(self):
        return 0xFF if self.clock.us >= self.until else 0

    def _listen(self):
        gap = 1
        while True:
            byte = yield self._line() if self.spi else 0xFF
            if byte >> 6 != 1:
                gap += 1
                continue
            frame = bytearray((byte,))
            for _ in range(5):
                frame.append((yield 0xFF))
            index = byte & 63
            if gap < 1:
                self.wrong.append("CMD%d at once after an answer (NRC)" % index)
            elif self.spi and self.clock.us < self.until:
                self.wrong.append("CMD%d while busy" % index)
            else:
                yield from self._command(index, frame)
                gap = 0
                continue
            gap = 0

    def _reply(self, data, wait):
        for byte in b"\xff" * wait + bytes(data):
            sent = yield byte
            if sent != 0xFF:
                self.wrong.append("%02X into an answer" % sent)

    def _command(self, index, frame):
        arg = int.from_bytes(frame[1:5], "big")
        good = crc_bits(frame[:5], 7, 0x09) << 1 | 1 == frame[5]
        if not self.spi:
            if index or not good or self.clocks < 10:
                self.wrong.append("CMD%d after %d bytes with /CS high" % (index, self.clocks))
                return
            if self.deaf:
                self.deaf -= 1
                return
            self.spi = True
        app, self.app = self.app, False
        state = 1 if self.idle_state else 0
        if not good and (self.check or index in (0, 8)):
            yield from self._reply((state | 8,), self.ncr)
            return
        call = getattr(self, ("_a%d" if app else "_c%d") % index, None)
        if call is None or self.idle_state and index not in (0, 8, 41, 55, 58, 59):
            yield from self._reply((state | 4,), self.ncr)
            return
        self.inside = "CMD%d" % index
        yield from call(arg)
        self.inside = False

    def _r1(self, flags=0, rest=b""):
        return self._reply(bytes((flags | (1 if self.idle_state else 0),)) + rest, self.ncr)

    def _c0(self, arg):
        self.idle_state = True
        self.check = False
        self.since = None
        yield from self._r1()

    def _c8(self, arg):
        if self.kind == "v1":
            yield from self._r1(4)
        else:
            yield from self._r1(0, bytes((0, 0, arg >> 8 & 15, arg & 255)))

    def _c55(self, arg):
        self.app = True
        yield from self._r1()

    def _a41(self, arg):
        if self.since is None:
            self.since = self.clock.us
        if self.clock.us - self.since >= self.power_us and (not self.block or arg >> 30 & 1):
            self.idle_state = False
        yield from self._r1()

    def _c58(self, arg):
        first = 0 if self.idle_state else 0xC0 if self.block else 0x80
        yield from self._r1(0, bytes((first, 0xFF, 0x80, 0)))

    def _c59(self, arg):
        self.check = bool(arg & 1)
        yield from self._r1()

    def _c13(self, arg):
        yield from self._r1(0, b"\0")

    def _c16(self, arg):
        yield from self._r1(0 if arg == 512 else 0x40)

    def _a23(self, arg):
        yield from self._r1()

    def _c9(self, arg):
        csd = bytearray(16)
        if self.block:
            csd[0] = 0x40
            csd[7:10] = (self.sectors // 1024 - 1).to_bytes(3, "big")
        else:  # C_SIZE 12 bits from bit 73, C_SIZE_MULT 3 bits from 49, READ_BL_LEN from 80
            size = self.sectors // 4
            mult = 0
            while size > 4096:
                size //= 2
                mult += 1
            number = 9 << 80 | (size - 1) << 62 | mult << 47
            csd[:] = number.to_bytes(16, "big")
        csd[15] = crc_bits(csd[:15], 7, 0x09) << 1 | 1
        yield from self._r1()
        yield from self._reply(b"\xfe" + with_crc16(csd), self.nac)

    def _c10(self, arg):
        cid = b"\x03FLCARD1\x10\x00\x00\x00\x2a\x01\x76"
        cid += bytes((crc_bits(cid, 7, 0x09) << 1 | 1,))
        yield from self._r1()
        yield from self._reply(b"\xfe" + with_crc16(cid), self.nac)

    def _lba(self, arg):
        if not self.block and arg % 512:
            return -1
        lba = arg if self.block else arg // 512
        return lba if lba < self.sectors else -1

    def sector(self, lba):
        return self.store.get(lba, bytes(512))

    def _fetch(self, lba):
        """The bytes of one block on its way out, access time first."""
        start = self.clock.us
        for _ in range(self.nac):
            yield 0xFF
        while self.clock.us - start < self.access_us:
            yield 0xFF
        yield from b"\xfe" + with_crc16(self.sector(lba))

    def _c17(self, arg):
        lba = self._lba(arg)
        yield from self._r1(0x40 if lba < 0 else 0)
        if lba >= 0:
            for byte in self._fetch(lba):
                sent = yield byte
                if sent != 0xFF:
                    self.wrong.append("%02X into a block" % sent)

    def _c18(self, arg):
        lba = self._lba(arg)
        yield from self._r1(0x40 if lba < 0 else 0)
        frame = bytearray()
        while lba >= 0:
            for byte in self._fetch(lba):
                sent = yield byte
                if frame or sent >> 6 == 1:
                    frame.append(sent)
                if len(frame) == 6:
                    if frame[0] == 0x4C and (
                        not self.check or crc_bits(frame[:5], 7, 0x09) << 1 | 1 == frame[5]
                    ):
                        yield 0x55  # the stuff byte
                        yield from self._r1()
                        self.until = self.clock.us + 30
                        return
                    if frame[0] & 63 == 0:
                        yield from self._c0(0)
                        return
                    self.wrong.append("CMD%d in a read" % (frame[0] & 63))
                    frame = bytearray()
            lba = (lba + 1) % self.sectors

    def _c24(self, arg):
        lba = self._lba(arg)
        yield from self._r1(0x40 if lba < 0 else 0)
        if lba >= 0:
            yield from self._take(lba, 0xFE, False)

    def _c25(self, arg):
        lba = self._lba(arg)
        yield from self._r1(0x40 if lba < 0 else 0)
        if lba >= 0:
            yield from self._take(lba, 0xFC, True)

    def _take(self, lba, token, run):
        self.written = []
        waited = 0
        frame = bytearray()
        while True:
            line = self._line()
            sent = yield line
            if frame:
                frame.append(sent)
                if len(frame) == 6:
                    if frame[0] & 63 in (0, 12) and crc_bits(frame[:5], 7, 9) << 1 | 1 == frame[5]:
                        yield from self._c0(0) if frame[0] == 0x40 else self._r1()
                        self.until = self.clock.us + self.busy_us // 4
                        return
                    frame = bytearray()
            elif line == 0 and sent != 0xFF:
                self.wrong.append("%02X while busy" % sent)
            elif sent == token and waited:
                done = yield from self._receive(lba)
                if not run:
                    return
                lba += done
                waited = 0
            elif sent == 0xFD and run:
                yield from self._reply(b"", self.nbr)
                self.until = self.clock.us + self.busy_us
                return
            elif sent >> 6 == 1:
                frame.append(sent)
            elif sent != 0xFF:
                self.wrong.append("%02X for a token" % sent)
            else:
                waited += 1

    def _receive(self, lba):
        data = bytearray()
        while len(data) < 514:
            data.append((yield 0xFF))
        good = not self.check or with_crc16(data[:512]) == data
        yield from self._reply((0xE5 if good else 0xEB,), 0)
        yield from self._reply(b"", self.nbr)
        if not good:
            return 0
        self.written.append((lba, self.sector(lba)))
        self.store[lba] = bytes(data[:512])
        self.until = self.clock.us + self.busy_us
        return 1
