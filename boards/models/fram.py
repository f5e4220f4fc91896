"""FRAM, MRAM and EEPROM of the 25 series at the level of SPI bytes, for `drivers.spifram`.

What differs: an FRAM stores each byte as it comes and clears its latch at chip select; an MRAM
leaves the latch set; an EEPROM stores a page when chip select goes up, wraps within it, and is
busy then. A cut (`power_off`) leaves the byte in flight, or the page, as any mix of old and new.
Runs on MicroPython and CPython.
"""

from .faults import Dice


class Fram:
    """kind: "fram", "mram", "eeprom" (with `page` bytes). ident: what 9Fh gives."""

    def __init__(self, size, clock, *, kind="fram", ident=b"", page=0, write_us=4000, seed=1):
        self.data = bytearray(size)
        self.size = size
        self.clock = clock
        self.kind = kind
        self.ident = ident
        self.page = page
        self.write_us = write_us
        self.dice = Dice(seed)
        self.refused = []
        self.absent = None
        self.stuck = False
        self.status = 0
        self.power_on()

    def power_on(self):
        self.dead = False
        self.status &= 0x8C
        self._level = 1
        self._op = None
        self._until = 0
        self._flying = []  # (address, old) that a cut may still take back

    def power_off(self):
        if self._flying and (self.kind != "eeprom" or self.clock.us < self._until):
            for at, old in self._flying:
                mask = self.dice.below(256)
                self.data[at] = self.data[at] & mask | old & ~mask
        self.dead = True

    def power_cycle(self):
        self.power_off()
        self.power_on()

    def idle(self, n):
        pass

    def busy(self):
        return self.stuck or self.clock.us < self._until

    def select(self, level):
        if level == self._level:
            return
        self._level = level
        if level and self._op == 0x02 and self._address is not None and self._sent:
            self._end()
        self._op = None

    def _end(self):
        if self.kind == "eeprom":
            base = self._at // self.page * self.page
            self._flying = [(at, self.data[at]) for at in range(base, base + self.page)]
            for at in self._sent:
                self.data[at] = self._sent[at]
            self._until = self.clock.us + self.write_us
        if self.kind != "mram":
            self.status &= ~2

    def transfer(self, byte):
        if self.absent is not None:
            return self.absent
        if self.dead or self._level:
            return 0xFF
        if self._op is None:
            self._begin(byte)
            return 0xFF
        if self._need:
            self._address = (self._address or 0) << 8 | byte
            self._need -= 1
            self._at = self._address % self.size
            return 0xFF
        return self._data(byte)

    def _begin(self, op):
        self._op = op
        self._n = 0
        self._sent = {}
        self._address = None
        self._need = 0
        if self.busy() and op != 0x05:
            self.refused.append("%02X while busy" % op)
            self._op = -1
        elif op == 0x06:
            self.status |= 2
        elif op == 0x04:
            self.status &= ~2
        elif op in (0x02, 0x03):
            self._need = 3 if self.size > 65536 else 2
            if op == 0x02 and not self.status & 2:
                self.refused.append("write without the latch")
                self._op = -1

    def _data(self, byte):
        op = self._op
        if op == 0x05:
            return self.status | (1 if self.busy() else 0)
        if op == 0x9F:
            self._n += 1
            return self.ident[self._n - 1] if self._n <= len(self.ident) else 0
        if op == 0x03:
            value = self.data[self._at]
            self._at = (self._at + 1) % self.size
            return value
        if op == 0x02:
            self._store(byte)
        return 0xFF

    def _store(self, byte):
        if self.kind == "eeprom":
            self._sent[self._at] = byte
            base = self._at // self.page * self.page
            self._at = base + (self._at + 1) % self.page
            return
        self._sent = {self._at: byte}
        self._flying = [(self._at, self.data[self._at])]
        self.data[self._at] = byte
        self._at = (self._at + 1) % self.size

    def write(self, buf):
        for b in buf:
            self.transfer(b)

    def readinto(self, buf, fill=0):
        for i in range(len(buf)):
            buf[i] = self.transfer(fill)

    def exchange(self, out, into):
        for i in range(len(out)):
            into[i] = self.transfer(out[i])
