"""Whether something lives on the blocks of a card that a lease is to take; loaded to ask once.

Promises: `check()` reads only. A partition of an MBR or GPT, a FAT, exFAT, littlefs or ext on the
whole card, data of any other kind, and a block that cannot be read are "in use"; blocks that are
all 00 or all FF, and those of an edgeckpt lease, are free.

Sources: MBR and GPT: UEFI 2.9, 5.2 and 5.3; FAT: Microsoft's fatgen103, "Boot Sector and BPB";
exFAT: Microsoft's specification, 3.1; littlefs: SPEC.md, "0x0ff LFS_TYPE_SUPERBLOCK"; ext:
kernel.org, ext4 "Super Block".
"""

from ..port import const

_EEXIST = const(17)
_SECTOR = const(512)


def _int(b, at, n):
    return int.from_bytes(bytes(b[at : at + n]), "little")


class _Card:
    def __init__(self, device, start, count):
        self.device = device
        self.start = start
        self.end = start + count
        self.block = bytearray(_SECTOR)

    def read(self, n):
        self.device.readblocks(n, self.block)
        return self.block

    def covers(self, first, count):
        return first < self.end and self.start < first + count


def in_use(device, start, count):
    """What lives on blocks `start` to `start + count - 1` of 512 bytes, as a sentence, or None."""
    card = _Card(device, start, count)
    if start < 0 or count < 1 or card.end > device.ioctl(4, 0):
        return "blocks %d..%d are not on the card, which has %d" % (
            start,
            card.end - 1,
            device.ioctl(4, 0),
        )
    at = 0
    try:
        for at in (0, 1, 2, 4, 8):
            found = _volume(card, at, card.read(at))
            if found:
                return found
        for at in range(start, card.end):
            b = card.read(at)
            if bytes(b[:4]) == b"CKPT":
                return None  # a lease of ours, and the tables leave it alone
            if not found and (b[0] not in (0, 0xFF) or bytes(b) != bytes(b[:1]) * _SECTOR):
                found = "data of an unknown kind in block %d" % at
    except Exception as e:
        # In a lease of ours a cut may have left a sector that cannot be read; a header tells.
        if not (start <= at < card.end and _leased(card, at + 1)):
            return "block %d cannot be read (%r)" % (at, e)
        return None
    return found


def check(device, start, count, anyway=False):
    """OSError EEXIST with what lives there, unless `anyway`."""
    found = in_use(device, start, count)
    if found and not anyway:
        raise OSError(
            _EEXIST,
            "blocks %d..%d are in use: %s. To lease them all the same:"
            " guard.check(device, %d, %d, anyway=True)"
            % (start, start + count - 1, found, start, count),
        )


def _leased(card, first):
    for n in range(first, card.end):
        try:
            if bytes(card.read(n)[:4]) == b"CKPT":
                return True
        except Exception:
            pass
    return False


def _volume(card, at, b):
    if bytes(b[8:16]) == b"littlefs":
        size = _int(b, 24, 4) * _int(b, 28, 4) // _SECTOR
        if card.covers(0, size):
            return "littlefs on the whole card, blocks 0..%d" % (size - 1)
    if at == 2 and b[56] == 0x53 and b[57] == 0xEF:
        size = _int(b, 4, 4) << (1 + (_int(b, 24, 4) & 7))
        if card.covers(0, size):
            return "ext on the whole card, blocks 0..%d" % (size - 1)
    if at == 0:
        return _first(card, b)
    if at == 1 and bytes(b[:8]) == b"EFI PART":
        return _gpt(card, b)
    return None


def _first(card, b):
    if bytes(b[3:11]) == b"EXFAT   ":
        size = _int(b, 72, 8)
        return "exFAT on the whole card" if card.covers(0, size) else None
    if b[510] != 0x55 or b[511] != 0xAA:
        return None
    if b[0] in (0xEB, 0xE9) and _int(b, 11, 2) in (512, 1024, 2048, 4096) and b[16] in (1, 2):
        size = (_int(b, 19, 2) or _int(b, 32, 4)) * (_int(b, 11, 2) // _SECTOR)
        return "FAT on the whole card, blocks 0..%d" % (size - 1) if card.covers(0, size) else None
    if card.start == 0:
        return "a partition table or boot code in block 0"
    for i in range(4):
        e = 446 + 16 * i
        first, size = _int(b, e + 8, 4), _int(b, e + 12, 4)
        if b[e + 4] and b[e + 4] != 0xEE and card.covers(first, size):
            return "partition %d of the MBR, type %02X, blocks %d..%d" % (
                i + 1,
                b[e + 4],
                first,
                first + size - 1,
            )
    return None


def _gpt(card, b):
    table, entries, size = _int(b, 72, 8), _int(b, 80, 4), _int(b, 84, 4)
    last = card.device.ioctl(4, 0) - 1
    if card.covers(0, table + (entries * size + _SECTOR - 1) // _SECTOR):
        return "the GPT, at the start of the card"
    if card.covers(_int(b, 48, 8) + 1, last - _int(b, 48, 8)):
        return "the GPT, at the end of the card"
    if not 128 <= size <= _SECTOR or _SECTOR % size or entries > 1024:
        return "a GPT that makes no sense: %d entries of %d bytes" % (entries, size)
    for i in range(entries):
        if i * size % _SECTOR == 0:
            b = card.read(table + i * size // _SECTOR)
        e = i * size % _SECTOR
        first, end = _int(b, e + 32, 8), _int(b, e + 40, 8)
        if bytes(b[e : e + 16]) != bytes(16) and card.covers(first, end - first + 1):
            return "partition %d of the GPT, blocks %d..%d" % (i + 1, first, end)
    return None
