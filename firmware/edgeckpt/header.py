"""The header block of a slot: build it, parse it, say what it is (docs/format.md, "A slot").

Promises: the one place that knows the 64 bytes. `Template.stamp()` and `is_older()` are
allocation-free, on 32-bit too; `parse()` trusts nothing and touches no device.
"""

from struct import pack_into, unpack_from

from . import crc32
from .port import const

MAGIC = b"CKPT"
VERSION = 1
SIZE = const(64)  # bytes of the header before the schema text
MAX_SEQUENCE = const(0x3FFFFFFF)

# What a header block turned out to be.
VALID = const(0)  # extension present, CRC-32 holds
PLAIN = const(1)  # magic and version, but no extension: no integrity data
DAMAGED = const(2)  # magic or extension recognisable, CRC-32 does not hold
OTHER_VERSION = const(3)  # our magic, another format version
NOTHING = const(4)  # no header here

_FIXED = "<4sIQII16sIHHBBHIII"  # magic .. header_crc, docs/format.md


class Header:
    """One parsed header. Lengths in bytes, CRCs as ints, `schema` as bytes, ids as 16 bytes.

    `kind` is one of VALID, PLAIN, DAMAGED, OTHER_VERSION. Only of a VALID one may the fields
    behind `data_len` be believed.
    """

    def __init__(self, kind, fields, schema):
        self.kind = kind
        (
            self.magic,
            self.version,
            self.data_len,
            self.sequence,
            self.data_crc,
            self.lease_id,
            self.schema_crc,
            self.schema_len,
            self.flags,
            self.ext_version,
            self.block_size_log2,
            self.slot_index,
            self.lease_blocks,
            self.slot_blocks,
            self.header_crc,
        ) = fields
        self.schema = schema

    @property
    def block_size(self):
        return 1 << self.block_size_log2


def _looks_extended(f):
    # A damaged extension must not pass for a plain image: three of four known fields suffice.
    score = (f[9] == 1) + (7 <= f[10] <= 16) + (f[8] == 0 and f[3] != 0) + (2 <= f[13] <= f[12])
    return score >= 3


def parse(buf, magic=MAGIC, version=VERSION):
    """Parse the header block in `buf` (at least 16 bytes; whole layout block for the schema).

    Returns a `Header`, or None where there is no header (NOTHING). Allocates; never raises.
    """
    if len(buf) < 16:
        return None
    if bytes(buf[0:4]) != magic:
        return _without_magic(buf, magic, version)
    if len(buf) < SIZE:
        f = unpack_from("<4sIQ", buf, 0) + (0, 0, bytes(16), 0, 0, 0, 0, 0, 0, 0, 0, 0)
        return Header(PLAIN if f[1] == version else OTHER_VERSION, f, b"")
    f = unpack_from(_FIXED, buf, 0)
    end = SIZE + f[7]
    schema = b""
    sound = end <= len(buf)
    if sound:
        acc = bytearray(4)
        crc32.reset(acc)
        crc32.update(acc, buf, 0, 60)
        crc32.update(acc, buf, SIZE, end)
        sound = acc == bytes(buf[60:64])
        schema = bytes(buf[SIZE:end])
    if sound and f[1] == version:
        # A CRC over an extension of another version says nothing about these fields.
        return Header(VALID if f[9] == 1 and 7 <= f[10] <= 16 else OTHER_VERSION, f, schema)
    if f[1] != version:
        return Header(OTHER_VERSION, f, schema)
    return Header(DAMAGED if _looks_extended(f) else PLAIN, f, b"")


def impossible(h):
    """What no writer of this format puts into a header, if the valid `h` holds it: (found,
    expected), or None."""
    if not 0 < h.sequence <= MAX_SEQUENCE:
        return "sequence %d" % h.sequence, "1..%d" % MAX_SEQUENCE
    if not 2 <= h.slot_blocks <= h.lease_blocks:
        return "slots of %d layout blocks" % h.slot_blocks, "2..%d" % h.lease_blocks
    if h.data_len > (h.slot_blocks - 1) * h.block_size:
        return "data_len %d" % h.data_len, "0..%d" % ((h.slot_blocks - 1) * h.block_size)
    if h.flags:
        return "flags 0x%04x" % h.flags, "0"
    return None


def _without_magic(buf, magic, version):
    # One flipped bit must not make the only checkpoint of a lease look like none.
    off = int.from_bytes(buf[0:4], "little") ^ int.from_bytes(magic, "little")
    if off & (off - 1) or len(buf) < SIZE:
        return None
    f = unpack_from(_FIXED, buf, 0)
    return Header(DAMAGED, f, b"") if f[1] == version and _looks_extended(f) else None


def is_older(buf, acc, number):
    """Whether the layout block `buf` is a header whose CRC-32 holds, of a lower sequence.

    `acc`: a bytearray(4). Allocates nothing.
    """
    end = SIZE + buf[44] + 256 * buf[45]
    if buf[19] > 63 or end > len(buf):
        return False
    crc32.reset(acc)
    crc32.update(acc, buf, 0, 60)
    crc32.update(acc, buf, SIZE, end)
    i = 4
    while i > 0:
        i -= 1
        if acc[i] != buf[60 + i]:
            return False
    return buf[16] + (buf[17] << 8) + (buf[18] << 16) + (buf[19] << 24) < number


class Template:
    """The header block of one ring: what never changes is filled in once, the rest stamped.

    `block`: bytearray of one layout block, ready to be programmed after `stamp()`.
    """

    def __init__(self, block_size, lease_blocks, slot_blocks, id_bytes, magic, version):
        self.block = bytearray(b"\xff" * block_size)
        self._acc = bytearray(4)
        self._schema_end = SIZE
        log2 = 0
        while 1 << log2 < block_size:
            log2 += 1
        pack_into(
            _FIXED,
            self.block,
            0,
            *(
                magic,
                version,
                0,
                0,
                0,
                id_bytes,
                0,
                0,
                0,
                1,
                log2,
                0,
                lease_blocks,
                slot_blocks,
                0,
            ),
        )

    def set_schema(self, text, crc):
        """Put in the schema: `text` as bytes (b"" for raw states), `crc` as bytearray(4).

        A text that does not fit behind the header is left out, its CRC is not. Allocates.
        """
        block = self.block
        room = len(block) - SIZE
        n = len(text) if len(text) <= room else 0
        block[40:44] = crc
        pack_into("<H", block, 44, n)
        block[SIZE:] = text[:n] + b"\xff" * (room - n)
        self._schema_end = SIZE + n

    def stamp(self, data_len, sequence, slot, data_crc):
        """Fill in one commit: `data_len` bytes, `sequence`, slot index, CRC as bytearray(4)."""
        pack_into("<I", self.block, 8, data_len)
        pack_into("<I", self.block, 16, sequence)
        pack_into("<H", self.block, 50, slot & 0xFFFF)
        copy4(self.block, 20, data_crc)
        self._seal()

    def _seal(self):
        crc32.reset(self._acc)
        crc32.update(self._acc, self.block, 0, 60)
        crc32.update(self._acc, self.block, SIZE, self._schema_end)
        copy4(self.block, 60, self._acc)


def copy4(buf, at, src):
    buf[at] = src[0]
    buf[at + 1] = src[1]
    buf[at + 2] = src[2]
    buf[at + 3] = src[3]
