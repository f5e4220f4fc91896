"""What a serial NOR flash chip can do, from what the caller says, its SFDP tables, or chips.py.

Promises: a chip that it cannot describe for certain is an OSError (ENODEV) that says what to
type, never a guess at sizes or addresses. Runs at the start of the driver only; nothing of it is
kept afterwards.

Sources: "BFPT DWORD n" is the n-th word of the Basic Flash Parameter Table, "4BAIT" the 4-byte
Address Instruction Table, "SMPT" the Sector Map Parameter Table, of JESD216B; W25Q128JV is the
Winbond datasheet, revision F, its section in brackets. docs/drivers.md tells what was checked.
"""

from ..port import const

_ENODEV = const(19)
_EINVAL = const(22)

# How to 4-byte addresses: not known; B7h; write enable and B7h; there are no others
NO_WAY = const(0)
ENTER = const(1)
LATCH_ENTER = const(2)
ALWAYS = const(3)

# Longest times in ms (W25Q128JV 9.6: tPP, tSE, tBE1, tBE2). An SFDP that allows more is believed.
_PROGRAM_MS = const(3)
_ERASE_MS = {4096: 400, 32768: 1600, 65536: 2000}
# Of chips without one: no datasheet of chips.py allows more (M25P: tPP 5, tSE 3 s; 256 KiB of the
# M25P128, S25FL-P: 6 s).
_SLOW_PROGRAM_MS = const(5)
_SLOW_ERASE_MS = {4096: 1000, 32768: 3000, 65536: 4000, 262144: 12000}

# How vendors tell that an operation failed, where their protection bits are, and how the address
# mode is seen, by the first two bytes of 9Fh, or by the first: (protection bits of status register
# 1, command that reads the fail bits, program failed, erase failed, command that clears them, way
# to 4-byte addresses without SFDP, register that shows their mode, its bit, unlock at each start:
# 98h, or 01h with 00h). Status register 1 carries the fail bits itself where the command is 05h.
# A mode that no register shows is not used.
VENDORS = {
    0xEF: (0x1C, 0, 0, 0, 0, ENTER, 0x15, 0x01, 0),  # Winbond: W25Q128JV 7.1.3; 256JV: ADS
    # Macronix MX25L: BP3..BP0; P_FAIL and E_FAIL in the security register (RDSCUR, 2Bh), cleared
    # by the next success
    0xC2: (0x3C, 0x2B, 0x20, 0x40, 0, NO_WAY, 0, 0, 0),
    # Micron N25Q, MT25Q: BP3 is bit 6; flag status register (70h), cleared by 50h, bit 0: 4 bytes
    0x20BA: (0x5C, 0x70, 0x10, 0x20, 0x50, LATCH_ENTER, 0x70, 0x01, 0),
    0x20BB: (0x5C, 0x70, 0x10, 0x20, 0x50, LATCH_ENTER, 0x70, 0x01, 0),
    0x20: (0x3C, 0, 0, 0, 0, NO_WAY, 0, 0, 0),  # ST M25P, XMC: BP2..BP0, BP3..BP0
    # Spansion, Infineon S25FL-A, -P, -S: P_ERR, E_ERR in status register 1 (reserved in -A); -S is
    # busy until CLSR (30h). Its bank register (17h) is not spoken here.
    0x0102: (0x1C, 0x05, 0x40, 0x20, 0x30, NO_WAY, 0, 0, 0),
    0x0120: (0x1C, 0x05, 0x40, 0x20, 0x30, NO_WAY, 0, 0, 0),
    0x9D: (0x3C, 0, 0, 0, 0, NO_WAY, 0, 0, 0),  # ISSI IS25LP: BP3..BP0
    0xC8: (0x1C, 0, 0, 0, 0, NO_WAY, 0, 0, 0),  # GigaDevice GD25Q: 0 where nothing is locked
    0xBF26: (0, 0, 0, 0, 0, NO_WAY, 0, 0, 0x98),  # Microchip SST26VF: locked at power-up
    # Atmel AT25DF: SWP, bits 2 and 3, set at power-up; EPE, bit 5
    0xDF: (0x0C, 0x05, 0x20, 0x20, 0, NO_WAY, 0, 0, 0x01),
}
_OTHERS = (0x1C, 0, 0, 0, 0, NO_WAY, 0, 0, 0)

_SAY = (
    "%s. Say what it is: SPINor(spi, cs, size=4194304, erases={4096: 0x20, 65536: 0xD8},"
    " page=256); above 16 MiB with address_bytes=4 and opcodes such as 0x21, 0xDC"
)


class Chip:
    """The chip that answers `jedec` (6 bytes) to 9Fh; `read(at, n)` gives `n` bytes of SFDP from
    `at` on. What the caller says (`size`, `erases`, `page`, `address_bytes`) goes before the
    tables, those before chips.py.

    Attributes: `sfdp` (bool: it has tables), `size`, `page` (bytes); `types` (erase size ->
    opcode), `types4` (the same with 4 address bytes, where 13h and 12h exist too, or None),
    `erase_us`, `erase_ms` (erase size -> typical microseconds, longest milliseconds),
    `program_us`, `program_ms`; `way` to 4-byte addresses, as above; `protection`, `fail_op`,
    `program_failed`, `erase_failed`, `clear_op`, `mode_op`, `mode_bit`, `unlock` as of the
    vendor's row above.
    """

    def __init__(self, jedec, read, size=0, erases=None, page=256, address_bytes=0):
        self._adopt(VENDORS.get(jedec[0] << 8 | jedec[1]) or VENDORS.get(jedec[0]) or _OTHERS)
        self.sfdp = False
        self.page = page
        self.types4 = None
        self.program_us = 700
        self.size = 0
        self._order = ()
        if size or erases:
            self._said(size, erases, page, address_bytes)
            return
        why = "JEDEC id %s: no SFDP tables, and not in drivers/chips.py" % hex_id(jedec[:3])
        head = read(0, 8)
        if head[:4] == b"SFDP":
            self._begin({}, _PROGRAM_MS, _ERASE_MS)
            if not self._tables(head, read):
                why = "JEDEC id %s: sectors of several sizes (SFDP sector map)" % hex_id(jedec[:3])
                self._order = None
        if (not self.size or self._order is None) and not self._listed(jedec):
            raise OSError(_ENODEV, _SAY % why)
        if not 4096 <= self.size <= 1 << 29:
            raise OSError(_ENODEV, "JEDEC id %s: size %d" % (hex_id(jedec[:3]), self.size))
        if jedec[0] == 0xEF and self.size > 1 << 24:
            self.protection = 0x3C  # W25Q256JV: BP3..BP0, TB is bit 6

    def _adopt(self, row):
        self.protection, self.fail_op, self.program_failed, self.erase_failed = row[:4]
        self.clear_op, self.way, self.mode_op, self.mode_bit, self.unlock = row[4:]

    def _begin(self, types, program_ms, erase_ms):
        self.types = types
        self.program_ms = program_ms
        self.erase_us = {4096: 45_000}
        self.erase_ms = dict(erase_ms)

    def _said(self, size, erases, page, address_bytes):
        long = address_bytes == 4
        if size < 4096 or not erases or size > 1 << (29 if long else 24):
            raise OSError(_EINVAL, _SAY % ("size=%r, erases=%r" % (size, erases)))
        for unit in erases:
            if unit & (unit - 1) or unit < page or size % unit or not 0 < erases[unit] < 256:
                raise OSError(_EINVAL, _SAY % ("size=%r, erases=%r" % (size, erases)))
        self._begin(erases, _SLOW_PROGRAM_MS, _SLOW_ERASE_MS)
        self.size = size
        if long:
            self.types4 = erases

    def _listed(self, jedec):
        # The table is not kept: a board has one such chip, if any.
        import sys

        from . import chips

        row = chips.find(jedec)
        if row and self.size and (jedec[0] not in (1, 0xBF) or self.size != int(row[1]) << 10):
            row = None  # a sector map where the listed chip has none: it is another one
        if row:
            self.types4 = None
            self.page = 256
            self._begin(chips.erases(row[2]), _SLOW_PROGRAM_MS, _SLOW_ERASE_MS)
            self.size = int(row[1]) << 10
            if len(row) > 4:
                self._adopt(VENDORS[int(row[4], 16)])
            elif len(row) > 3:
                self.types4 = self.types
        sys.modules.pop("edgeckpt.drivers.chips", None)
        return row

    def _tables(self, head, read):
        # SFDP header, parameter headers of 8 bytes, then the tables they point to
        for i in range(min(head[6], 15) + 1):
            h = read(8 + 8 * i, 8)
            at = h[4] | h[5] << 8 | h[6] << 16
            if h[0] == 0x00 and h[7] == 0xFF and h[3] >= 9:
                self._basic(read(at, 4 * min(h[3], 16)))
            elif h[0] == 0x84 and h[7] == 0xFF and h[3] >= 2:
                self._four(read(at, 8))
            elif h[0] == 0x81 and h[7] == 0xFF:
                # Erases of the basic table may not fit everywhere, and take more than asked.
                return False
        return True

    def _basic(self, table):
        words = [int.from_bytes(table[i : i + 4], "little") for i in range(0, len(table), 4)]
        # DWORD 2: density in bits, less one, or as a power of two
        bits = 1 << (words[1] & 0x3F) if words[1] >> 31 else words[1] + 1
        self.size = bits // 8
        types = {}
        order = []
        for i in range(4):  # DWORD 8 and 9: size as a power of two, opcode
            field = words[7 + i // 2] >> (16 * (i % 2))
            order.append(field & 0xFF)
            if 8 <= field & 0xFF <= 17:
                types[1 << (field & 0xFF)] = field >> 8 & 0xFF
        if not types and words[0] & 3 == 1:  # DWORD 1: 4 KiB, and its opcode
            types[4096] = words[0] >> 8 & 0xFF
        if not types:
            self.size = 0
        self.types = types
        self._order = order
        self.sfdp = True
        if len(words) > 10:
            self._timing(words[9], words[10])
        if len(words) > 15:
            # DWORD 16, from bit 24 on: B7h; write enable and B7h; bit 30: always
            way = words[15] >> 24
            self.way = ENTER if way & 1 else LATCH_ENTER if way & 2 else NO_WAY
            if way & 0x40:
                self.way = ALWAYS
        if words[0] >> 17 & 3 == 2:  # DWORD 1: 4-byte addresses only
            self.way = ALWAYS

    def _timing(self, erase, program):
        # DWORD 10: typical times and the factor to the maximum; DWORD 11: page size, program
        times = 2 * ((erase & 15) + 1)
        for i in range(4):
            size = 1 << self._order[i] if 8 <= self._order[i] <= 17 else 0
            field = erase >> (4 + 7 * i) & 0x7F
            if size in self.types:
                ms = ((field & 31) + 1) * (1, 16, 128, 1000)[field >> 5]
                self.erase_us[size] = ms * 1000
                self.erase_ms[size] = max(ms * times, self.erase_ms.get(size, 0))
        self.page = min(256, 1 << (program >> 4 & 15))
        self.program_us = ((program >> 8 & 31) + 1) * (64 if program >> 13 & 1 else 8)
        longest = self.program_us * 2 * ((program & 15) + 1)
        self.program_ms = max(_PROGRAM_MS, (longest + 999) // 1000)

    def _four(self, table):
        # 4BAIT DWORD 1: what there is (bit 0 13h, bit 1 0Ch, bit 6 12h, bits 9-12 the erase
        # types); DWORD 2: their opcodes, in the order of the types
        has = table[0] | table[1] << 8
        if has & 0x43 == 0x43 and has & 0x1E00:
            types = {}
            for i in range(len(self._order)):
                if has >> (9 + i) & 1 and 8 <= self._order[i] <= 17:
                    types[1 << self._order[i]] = table[4 + i]
            self.types4 = types

    def erases(self, types, block):
        """The erases to be used on blocks of `block` bytes, largest first: (size, opcode, typical
        us, longest ms). Those above the block only where they take less than what they replace."""
        found = []
        for size in sorted(types):
            us = self.erase_us.get(size, 25 * size)  # 100 ms for 4 KiB
            if size == block or found and us * found[0][0] < found[0][2] * size:
                found.insert(0, (size, types[size], us, self.erase_ms.get(size, 12000)))
        return found


def hex_id(data):
    """Bytes as a datasheet writes them."""
    return "".join("%02X" % b for b in data)
