"""Postcard 1.x, one value at a time: the run time of compiled schemas, and of the tree.

Promises: `u32(b, p, v)` and the like put the value `v` into the bytearray `b` at `p` and return
the position behind it; `Reader` has the ways back. Nothing is allocated by a put but where it says
so, each stays within a frame of 11 words, and what does not fit the type or the buffer raises
(whatever Python raises: `explain` says why). A Reader trusts no byte: DecodeError.
"""

import sys
from array import array
from struct import calcsize, pack_into, unpack_from

from ..errors import DecodeError
from ..loops import copy
from ..port import byte_view, const
from .varints import varint, zigzag

_ON_BOARD = sys.implementation.name == "micropython"
MAX_UNITS = const(16384)  # items that take no bytes, in all of one value
USIZE = const(64) if calcsize("P") == 8 else const(32)  # bits of a length, as in the crate
SMALL = sys.maxsize >> 1  # the largest int that is no object
_HALF = SMALL >> 1

# A tuple written where it is used would be built, and allocated, at each call.
LISTS = (list, tuple)
_BYTES = (bytes, bytearray)
_NO_LISTS = (str, dict)
_NO_BUFFERS = (str, int)
_NO_STRUCTS = (int, float, str, bytes, bytearray, list, tuple, dict)
_INFINITY = float("inf")
_MINUS_INFINITY = -_INFINITY
# Halfway from the largest f32 to what would be the next. As a text: a constant that no f32 holds
# cannot be frozen for boards with floats of single precision. There it is infinity: none is over.
_OVER_F32 = float("3.4028235677973366e38")
_UNDER_F32 = -_OVER_F32
_EXACT = const(16777216)  # integers up to here are floats, whatever their precision

_wide = bytearray(16)
_out = bytearray(20)


def boolean(b, p, v):
    if v is not True and v is not False:
        raise TypeError
    b[p] = 1 if v else 0
    return p + 1


def flag(v):
    """The bool of a cell of a buffer, where bools are 0 and 1."""
    return v == 1 if isinstance(v, int) and 0 <= v <= 1 else v


def u8(b, p, v):
    if v < 0 or v > 255:
        raise ValueError
    b[p] = v
    return p + 1


def i8(b, p, v):
    if v < -128 or v > 127:
        raise ValueError
    b[p] = v & 255
    return p + 1


def uint(b, p, v):
    """A varint of the int `v`, 0 up to the largest that is no object."""
    while v > 127:
        b[p] = v & 127 | 128
        v >>= 7
        p += 1
    b[p] = v
    return p + 1


def _sint(b, p, v):
    return uint(b, p, v << 1 if v >= 0 else ~(v << 1))


def u16(b, p, v):
    if v < 0 or v > 0xFFFF:
        raise ValueError
    return uint(b, p, v)


def u32(b, p, v):
    if v < 0 or v > 0xFFFFFFFF:
        raise ValueError
    return uint(b, p, v) if v <= SMALL else _words(b, p, v, "<I", 4)


def u64(b, p, v):
    if v < 0 or v > 0xFFFFFFFFFFFFFFFF:
        raise ValueError
    return uint(b, p, v) if v <= SMALL else _words(b, p, v, "<Q", 8)


def i16(b, p, v):
    if v < -0x8000 or v > 0x7FFF:
        raise ValueError
    return _sint(b, p, v)


def i32(b, p, v):
    if v < -0x80000000 or v > 0x7FFFFFFF:
        raise ValueError
    if -_HALF <= v <= _HALF:
        return _sint(b, p, v)
    return _words(b, p, v, "<i", -4)


def i64(b, p, v):
    if v < -0x8000000000000000 or v > 0x7FFFFFFFFFFFFFFF:
        raise ValueError
    if -_HALF <= v <= _HALF:
        return _sint(b, p, v)
    return _words(b, p, v, "<q", -8)


def _words(b, p, v, form, n):
    # An int that may be an object, by its bytes; n: how many, negative where it is signed.
    pack_into(form, _wide, 0, v)
    if n < 0:
        zigzag(_wide, -n)
        n = -n
    return _put(b, p, n)


def _put(b, p, n):
    # The machine code does not look where `b` ends: near it, each byte is put by itself.
    if p + 20 <= len(b):
        return varint(b, p, _wide, n)
    n = varint(_out, 0, _wide, n)
    i = 0
    while i < n:
        b[p + i] = _out[i]
        i += 1
    return p + n


def u128(b, p, v):
    """Allocates where `v` has more than 64 bits."""
    if v < 0 or v >> 128:
        raise ValueError
    if v <= 0xFFFFFFFFFFFFFFFF:
        return u64(b, p, v)
    _split(v)
    return _put(b, p, 16)


def i128(b, p, v):
    """Allocates where `v` has more than 64 bits."""
    if -0x8000000000000000 <= v <= 0x7FFFFFFFFFFFFFFF:
        return i64(b, p, v)
    if v >> 127 != 0 and v >> 127 != -1:
        raise ValueError
    _split(v)
    zigzag(_wide, 16)
    return _put(b, p, 16)


def _split(v):
    # The one integer that no struct format packs.
    copy(_wide, 0, (v & (1 << 128) - 1).to_bytes(16, "little"), 0, 16)


class Fixed:
    """An integer of fixed width, by its `struct` format; 128 bits have none."""

    def __init__(self, width, signed, big):
        self.width = width
        self.big = big
        self.signed = signed
        bits = 8 * width
        self.low = -(1 << bits - 1) if signed else 0
        self.high = (1 << (bits - 1 if signed else bits)) - 1
        form = {2: "h", 4: "i", 8: "q", 16: ""}[width]
        self.form = (">" if big else "<") + (form if signed else form.upper())

    def put(self, b, p, v):
        if v < self.low or v > self.high:
            raise ValueError
        if self.width < 16:
            pack_into(self.form, b, p, v)
        else:
            self._wide(b, p, v)
        return p + self.width

    def _wide(self, b, p, v):
        room(b, p, 16)
        copy(b, p, (v & (1 << 128) - 1).to_bytes(16, "big" if self.big else "little"), 0, 16)

    def get(self, r):
        at = r.take(self.width)
        if self.width < 16:
            return unpack_from(self.form, r.buf, at)[0]
        v = int.from_bytes(bytes(r.buf[at : at + 16]), "big" if self.big else "little")
        return v - (1 << 128) if self.signed and v >> 127 else v


def room(b, p, n):
    """Raise where `n` bytes do not fit from b[p] on."""
    if n > len(b) - p:
        raise IndexError


def f32(b, p, v):
    if isinstance(v, _BYTES):
        return _float_bytes(b, p, v, 4)
    pack_into("<f", b, p, in_f32(v))
    return p + 4


def in_f32(v):
    """`v`, a float or int that an f32 can hold: MicroPython stores others as infinity."""
    if v >= _OVER_F32 and v != _INFINITY or v <= _UNDER_F32 and v != _MINUS_INFINITY:
        raise ValueError
    return v


def f64(b, p, v):
    if isinstance(v, _BYTES):
        return _float_bytes(b, p, v, 8)
    if isinstance(v, int) and not -_EXACT <= v <= _EXACT:
        exact(v)
    pack_into("<d", b, p, v)
    return p + 8


def exact(v):
    """Raise where the int `v` is no float of this port. Allocates."""
    if int(float(v)) != v:
        raise ValueError


def _float_bytes(b, p, v, n):
    if len(v) != n:
        raise ValueError
    return raw(b, p, v, n)


def raw(b, p, v, n):
    """The n bytes of the buffer `v`, as they are."""
    room(b, p, n)
    copy(b, p, v, 0, n)
    return p + n


class Floats:
    """Lists and arrays of floats, `code` "f" or "d". An array of the same type is copied as it is:
    no float is made of its items, which one of single precision might not hold."""

    def __init__(self, code):
        self.code = code
        self.width = 4 if code == "f" else 8
        self._put = f32 if code == "f" else f64
        self._at = self._n = -1  # where the array was that the view is of, and its length
        self._view = None

    def put(self, b, p, v):
        """The items of `v`."""
        if isinstance(v, array) and self._look(v):
            return raw(b, p, self._view, len(v) * self.width)
        i = 0
        while i < len(v):
            p = self._put(b, p, v[i])
            i += 1
        return p

    def put_at(self, b, p, v, i):
        """The i-th item of `v`."""
        if isinstance(v, array) and self._look(v):
            room(b, p, self.width)
            copy(b, p, self._view, i * self.width, self.width)
            return p + self.width
        return self._put(b, p, v[i])

    def _look(self, v):
        # Whether `v` is such an array; its bytes are then in _view. An array that has not moved
        # is looked at once. (The host has doubles, and arrays that do not grow under a view.)
        if not _ON_BOARD:
            return False
        if self._at != address(v) or self._n != len(v):
            self._at = address(v)
            self._n = len(v)
            self._view = byte_view(v) if typecode(v) == self.code else None
        return self._view is not None

    def into(self, r, v, n):
        """Read n items into the array `v`; False if it is none of these."""
        if not isinstance(v, array) or typecode(v) != self.code:
            return False
        n *= self.width
        copy(byte_view(v), 0, r.buf, r.take(n), n)
        return True


if _ON_BOARD:
    from uctypes import addressof as address

    def typecode(v):
        """The type code of the array `v`. Allocates."""
        return str(v[0:0])[7:8]

else:

    def typecode(v):
        return v.typecode


if _ON_BOARD:
    from io import BytesIO

    # Bytes of a str without an allocation, but for the longest one so far.
    _text = BytesIO(64)
    _chunk = bytearray(32)

    def string(b, p, v):
        if not isinstance(v, str):
            raise TypeError
        _text.seek(0)
        n = _text.write(v)
        room(b, p, n)
        p = uint(b, p, n)
        _text.seek(0)
        _chunks(b, p, p + n)
        # Bytes for characters: ASCII, and there is no check to be made.
        if n != len(v) and not is_utf8(b, p, p + n):
            return string(b, _start(p, n), _joined(v))
        return p + n

    def _chunks(b, p, end):
        while p < end:
            n = _text.readinto(_chunk)
            if n > end - p:
                n = end - p
            room(b, p, n)
            copy(b, p, _chunk, 0, n)
            p += n

    def _start(p, n):
        # Where the length before p began.
        while n > 127:
            n >>= 7
            p -= 1
        return p - 1

    def _joined(v):
        # MicroPython keeps what json.loads makes of "\ud83d\ude00" as two halves: `v` with one
        # character in their place. ValueError where there are none, or other than pairs.
        made = []
        high = 0
        for c in v:
            n = ord(c)
            if high:
                if not 0xDC00 <= n < 0xE000:
                    raise ValueError
                c = chr(0x10000 + (high - 0xD800 << 10) + n - 0xDC00)
                high = 0
            elif 0xD800 <= n < 0xDC00:
                high = n
                continue
            made.append(c)
        made = "".join(made)
        if high or made == v:
            raise ValueError
        return made

else:

    def _host_string(b, p, v):
        if not isinstance(v, str):
            raise TypeError
        try:
            data = v.encode()
        except UnicodeEncodeError:
            data = v.encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()
        return raw(b, uint(b, p, len(data)), data, len(data))

    string = _host_string


def is_utf8(s, i, n):
    """Whether s[i:n] is UTF-8 (RFC 3629, section 4); MicroPython's own check lets surrogates and
    overlong forms pass."""
    while i < n:
        k = _utf8_length(s, i, n)
        if not k:
            return False
        i += k
    return True


def _utf8_length(s, i, n):
    # Bytes of the character at s[i], 0 where it is none
    c = s[i]
    if c < 0x80:
        return 1
    if c < 0xC2 or c > 0xF4:
        return 0
    k = 2 if c < 0xE0 else 3 if c < 0xF0 else 4
    if i + k > n or not _is_second(c, s[i + 1]):
        return 0
    while k > 2:
        k -= 1
        if s[i + k] & 0xC0 != 0x80:
            return 0
    return 2 if c < 0xE0 else 3 if c < 0xF0 else 4


def _is_second(c, x):
    low = 0xA0 if c == 0xE0 else 0x90 if c == 0xF0 else 0x80
    high = 0x9F if c == 0xED else 0x8F if c == 0xF4 else 0xBF
    return low <= x <= high


def char(b, p, v):
    if not isinstance(v, str) or len(v) > 2:
        raise TypeError
    at = string(b, p, v)
    # One character: its first byte tells how many there are. A joined pair is one too.
    if at - p < 2 or _utf8_length(b, p + 1, at) != at - p - 1:
        raise TypeError
    return at


def unit(b, p, v):
    if v is not None:
        raise TypeError
    return p


def parts(v, n):
    """Raise unless `v` is a tuple or list of n."""
    if not isinstance(v, LISTS) or len(v) != n:
        raise ValueError


def fields(v, n):
    """Raise unless `v` is a dict of n keys."""
    if not isinstance(v, dict) or len(v) != n:
        raise ValueError


def no_fields(v):
    """Raise unless `v` is an object that stands for a struct without fields."""
    if v is None or isinstance(v, _NO_STRUCTS):
        raise TypeError


def same(n, v):
    """Raise unless `v` has n items."""
    if len(v) != n:
        raise ValueError


_units = [0]  # items of no bytes that may still come


def start():
    """A new value begins."""
    _units[0] = MAX_UNITS


def use_units(n):
    """Count n items of no bytes: no more are written than a Reader takes."""
    _units[0] -= n
    if _units[0] < 0:
        raise ValueError


def count(v):
    """Items of the list or buffer `v`."""
    if isinstance(v, _NO_LISTS):
        raise TypeError
    return len(v)


def is_bytes(v):
    """Whether `v` is a buffer of bytes; an `array` may have wider items, and is no such buffer.

    MicroPython does not tell the items of a memoryview: there it has to be one of bytes.
    """
    if isinstance(v, memoryview):
        return getattr(v, "itemsize", 1) == 1
    return isinstance(v, _BYTES)


def octets(b, p, v):
    """A length and the bytes of `v`, a buffer or a list of numbers."""
    if isinstance(v, _NO_BUFFERS):
        raise TypeError
    return octet_array(b, uint(b, p, len(v)), v, len(v))


def octet_array(b, p, v, n):
    """The n bytes of `v`, a buffer or a list of numbers."""
    if isinstance(v, _NO_BUFFERS):
        raise TypeError
    if len(v) != n:
        raise ValueError
    if is_bytes(v):
        return raw(b, p, v, n)
    n = 0
    while n < len(v):
        p = u8(b, p, v[n])
        n += 1
    return p


_LAST = {16: (14, 3), 32: (28, 15), 64: (63, 1), 128: (126, 3)}


class Reader:
    """Reads buf[:end] from `at` on."""

    def __init__(self, buf, end):
        # Exactly that long: the index of a byte behind it raises.
        self.buf = buf if len(buf) == end else memoryview(buf)[:end]
        self.end = end
        self.at = 0
        self.units = MAX_UNITS

    def fail(self, why, at=None):
        raise DecodeError("bytes", "", why, offset=self.at if at is None else at)

    def byte(self):
        if self.at >= self.end:
            self.fail("end of data, expected more")
        self.at += 1
        return self.buf[self.at - 1]

    def take(self, n):
        """The position of the next n bytes."""
        if n > self.end - self.at:
            self.fail("end of data, expected %d bytes, %d are left" % (n, self.end - self.at))
        self.at += n
        return self.at - n

    def number(self, bits):
        b = self.buf
        p = self.at
        n = self.byte()
        if n < 128:
            return n
        n &= 127
        shift = 7
        end, last = _LAST[bits]
        while True:
            p += 1
            if p == self.end:
                self.at = p
                self.fail("end of data, expected more")
            x = b[p]
            n |= (x & 127) << shift
            if x < 128 and (shift < end or x <= last):
                self.at = p + 1
                return n
            shift += 7
            if x < 128 or shift > end:
                self.fail("a varint that does not fit %d bits" % bits, self.at - 1)

    def u8(self):
        return self.byte()

    def i8(self):
        n = self.byte()
        return n - 256 if n > 127 else n

    def u16(self):
        return self.number(16)

    def u32(self):
        return self.number(32)

    def u64(self):
        return self.number(64)

    def u128(self):
        return self.number(128)

    def i16(self):
        n = self.number(16)
        return n >> 1 ^ -(n & 1)

    def i32(self):
        n = self.number(32)
        return n >> 1 ^ -(n & 1)

    def i64(self):
        n = self.number(64)
        return n >> 1 ^ -(n & 1)

    def i128(self):
        n = self.number(128)
        return n >> 1 ^ -(n & 1)

    def boolean(self):
        n = self.byte()
        if n > 1:
            self.fail("bool is %d, expected 0 or 1" % n, self.at - 1)
        return n == 1

    def f32(self):
        return self._float("<f", 4)

    def f64(self):
        return self._float("<d", 8)

    def _float(self, form, n):
        at = self.take(n)
        v = unpack_from(form, self.buf, at)[0]
        pack_into(form, _wide, 0, v)
        data = bytes(self.buf[at : at + n])
        if data == _wide[:n]:
            return v
        # A NaN whose bits a float does not keep is given as its bytes.
        if v != v:
            return data
        self.fail(
            "an f64 that is no float of single precision (its bytes: %s), expected one, or bytes "
            "of 8 in the state that it is put into" % "".join(["%02x" % x for x in data]),
            at,
        )

    def length(self):
        return self.number(USIZE)

    def items(self, n, least):
        """`n`, where so many items of at least `least` bytes may follow."""
        if least == 0:
            self.units -= n
            if self.units < 0:
                self.fail("%d items of no bytes, expected at most %d in all" % (n, MAX_UNITS))
        elif n * least > self.end - self.at:
            self.fail(
                "end of data, expected %d items, %d bytes are left" % (n, self.end - self.at)
            )
        return n

    def string(self):
        n = self.length()
        at = self.take(n)
        if not is_utf8(self.buf, at, self.at):
            self.fail("text that is not UTF-8", at)
        return bytes(self.buf[at : self.at]).decode()

    def char(self):
        start = self.at
        n = self.length()
        if n > 4:
            self.fail("a char of %d bytes, expected 1 to 4" % n, start)
        at = self.take(n)
        k = _utf8_length(self.buf, at, self.at) if n else 0
        if not k:
            self.fail("a char that is not one", start)
        # As the crate does: the first character of a text.
        if not is_utf8(self.buf, at, self.at):
            self.fail("a char that is not one", start)
        return bytes(self.buf[at : at + k]).decode()

    def octets(self):
        return self.octet_array(self.length())

    def octet_array(self, n):
        at = self.take(n)
        return bytes(self.buf[at : self.at])

    def unit(self):
        return None

    def option(self):
        """Whether there is a value."""
        n = self.byte()
        if n > 1:
            self.fail("an Option tag of %d, expected 0 or 1" % n, self.at - 1)
        return n == 1

    def variant(self, n):
        """The index of one of `n` variants."""
        at = self.at
        i = self.number(32)
        if i >= n:
            self.fail("variant %d, expected 0..%d" % (i, n - 1), at)
        return i
