"""Frames of the serial protocol (docs/protocol.md): the one truth for board and host.

    0   1  magic      0xC5
    1   1  kind       below
    2   1  tag        of the request; each of its replies carries it
    3   1  aux        lease index in requests, number of blocks in DATA
    4   4  a          u32, little-endian, below 2^30
    8   2  b          u16, little-endian
    10  2  length     of the payload in bytes
    12  4  CRC-32     of bytes 0..11
    16  n  payload
    +n  4  CRC-32     of bytes 0..11 and the payload; absent where the length is 0

The payload's CRC-32 goes on from the head's: a payload that was lost is never made up for by the
frame behind it, whose head alone is 12 bytes and their CRC-32.

Promises: `stamp()`, `sound()` and the accessors allocate nothing, on 32-bit too.
"""

from . import crc32
from .loops import copy
from .port import const

MAGIC = const(0xC5)
HEAD = const(16)
PROTOCOL = const(1)
MAX_A = const(0x3FFFFFFF)
MAX_PAYLOAD = const(8192)  # no receiver takes more; what a board takes it says in HELLO

# Requests, host to board
HELLO = const(0x01)  # a: protocol version -> TEXT (JSON)
BYE = const(0x02)  # aux: 1: run the board's program again -> OK, and the agent leaves
READ = const(0x03)  # aux: lease; a: longest DATA; payload: see READ -> DATA, BLANK, SAME, OK
DIGEST = const(0x04)  # aux: lease; payload: first, count, group (u32) -> DIGESTS, OK
BEGIN = const(0x05)  # aux: lease; a: data bytes; b: slot blocks or 0; payload: see BEGIN_FIXED
WRITE = const(0x06)  # a: offset; payload: data -> OK (a: offset expected next)
COMMIT = const(0x07)  # -> OK (a: sequence, b: slot)
ABORT = const(0x08)  # forget the transfer -> OK
AUTH = const(0x09)  # no payload -> DATA (challenge); payload: HMAC-SHA256 of it -> OK
STATUS = const(0x0A)  # aux: lease -> TEXT (JSON)
ECHO = const(0x0B)  # payload -> DATA with the same payload
PLAN = const(0x0C)  # as BEGIN, but only tells -> TEXT (JSON)

# Replies, board to host
OK = const(0x41)
ERROR = const(0x42)  # b: one of E_..; a: block or offset; payload: a sentence, UTF-8
DATA = const(0x43)  # a: first block; aux: blocks; payload
BLANK = const(0x44)  # a: first block; b: blocks that are all 0xFF
SAME = const(0x45)  # a: first block; b: blocks that are like the one sent before them
TEXT = const(0x46)  # a: offset; b: 1 in the last frame of the text; payload: UTF-8
DIGESTS = const(0x47)  # a: first group; payload: one CRC-32 per group

# Payload of BEGIN and PLAN: nonce u32, CRC-32 of the data, CRC-32 of the schema text, the text
BEGIN_FIXED = const(12)

E_FRAME = const(1)  # payload CRC-32 does not hold, or the frame is too long: send it again
E_KIND = const(2)
E_ARGUMENT = const(3)
E_LEASE = const(4)  # no such lease
E_READ_ONLY = const(5)
E_AUTH = const(6)
E_TRANSFER = const(7)  # no transfer, or another offset (a: expected)
E_DATA = const(8)  # the data arrived with another CRC-32 than announced
E_MEDIUM = const(9)  # the medium or the ring refused; payload: reason, colon, sentence
E_INTERNAL = const(10)
E_VERSION = const(11)


def put4(buf, at, value):
    """Store `value`, 0 .. 2^30-1, as u32."""
    buf[at] = value & 255
    buf[at + 1] = value >> 8 & 255
    buf[at + 2] = value >> 16 & 255
    buf[at + 3] = value >> 24


def get4(buf, at):
    """A u32 below 2^30; -1 for a larger one."""
    if buf[at + 3] > 63:
        return -1
    return buf[at] | buf[at + 1] << 8 | buf[at + 2] << 16 | buf[at + 3] << 24


def get2(buf, at):
    return buf[at] | buf[at + 1] << 8


def stamp(head, a, b, length):
    """Fill in a, b, length and the CRC-32 of `head` (16 bytes; kind, tag, aux are set)."""
    head[0] = MAGIC
    put4(head, 4, a)
    head[8] = b & 255
    head[9] = b >> 8
    head[10] = length & 255
    head[11] = length >> 8
    crc32.reset(_acc)
    crc32.update(_acc, head, 0, 12)
    copy(head, 12, _acc, 0, 4)


def begin(acc, head):
    """Start the CRC-32 `acc` (bytearray(4)) of the payload behind `head`: it covers both."""
    copy(acc, 0, head, 12, 4)


def sound(head):
    """Whether the 16 bytes in `head` are the head of a frame."""
    if head[0] != MAGIC:
        return False
    crc32.reset(_acc)
    crc32.update(_acc, head, 0, 12)
    if head[12] != _acc[0] or head[13] != _acc[1] or head[14] != _acc[2]:
        return False
    return head[15] == _acc[3] and head[7] < 64


_acc = bytearray(4)
