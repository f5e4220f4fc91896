"""Postcard 1.x: values to bytes and back, by the tree of a schema (`schema.py`).

Promises: `encode()` allocates nothing (but for the types named there) and writes through a sink
of one layout block; `decode()` trusts nothing: every length is bounded by what is left before
anything is allocated, depth by the schema, and errors carry the offset and the path.
What is accepted and refused is what the Rust crate postcard 1.1 accepts and refuses.

Values: bool, int, float, str (char: one character), bytes (`Vec<u8>`, `[u8;N]`, bytes; any buffer
encodes), None for () and None, list (Vec, array), tuple, dict (Map; a struct too, or an object
with attributes), enum: "Name" or ("Name", payload), the payload of `V(A)` being the A, of `V(A,B)`
a tuple, of `V{..}` a struct. Some(x) is x; where x itself can be None it is the 1-tuple (x,).
Floats that no float can carry (signalling NaN) are their bytes, little-endian, both ways.
Maps encode in the order in which they give their keys, and decode sorted, as the crate's BTreeMap;
where a key is no dict key (a struct, a Vec), as a list of (key, value), which encodes as well.
"""

from collections import OrderedDict
from struct import calcsize, pack_into, unpack_from

from . import crc32
from .errors import Catch, DecodeError, EdgeError, EncodeError, SchemaError
from .loops import copy, strlen, utf8, varint, zigzag
from .port import byte_view, const
from .tree import INTS

SLACK = const(64)  # bytes an encoder may run past sink.mark (docs/design.md, "Sink")
_MAX_UNITS = const(16384)  # items that take no bytes, in all of one value
_USIZE = 64 if calcsize("P") == 8 else 32  # bits of a length, as in the crate


# A tuple written where it is used would be built, and allocated, at each call.
_LISTS = (list, tuple)
_BYTES = (bytes, bytearray)
_NO_BUFFERS = (str, int)
_NO_LISTS = (str, dict)
_FLAGS = (0, 1)

# Encoding: put(node, value, sink, p) -> p, small frames, no allocation


def _room(w, p):
    return p if p < w.mark else w.spill(p)


def _put_bool(t, v, w, p):
    if v is not True and v is not False:
        raise TypeError
    w.buf[p] = 1 if v else 0
    return _room(w, p + 1)


def _put_byte(t, v, w, p):
    if v < t.low or v > t.high:
        raise ValueError
    w.buf[p] = v & 255
    return _room(w, p + 1)


def _put_int(t, v, w, p):
    if v < t.low or v > t.high:
        raise ValueError
    if v < 64 and v >= 0:
        w.buf[p] = v << t.signed
        return _room(w, p + 1)
    return _put_wide(t, v, w, p)


def _put_wide(t, v, w, p):
    pack_into(t.format, t.bytes, 0, v)
    if t.signed:
        zigzag(t.bytes, t.width)
    return _room(w, varint(w.buf, p, t.bytes, t.width))


def _put_int128(t, v, w, p):
    if v < t.low or v > t.high:
        raise ValueError
    if t.low_64 <= v <= t.high_64:
        pack_into(t.format, t.bytes, 0, v)
        fill16(t.bytes, 255 if v < 0 else 0)
    else:
        _split(t, v)
    if t.signed:
        zigzag(t.bytes, 16)
    return _room(w, varint(w.buf, p, t.bytes, 16))


def fill16(b, x):
    i = 8
    while i < 16:
        b[i] = x
        i += 1


def _split(t, v):
    # The one integer that no struct format packs: allocates.
    copy(t.bytes, 0, (v & (1 << 128) - 1).to_bytes(16, "little"), 0, 16)


def _put_fixed(t, v, w, p):
    if v < t.low or v > t.high:
        raise ValueError
    if t.width == 16:
        _split(t, v)
    else:
        pack_into(t.format, t.bytes, 0, v)
    i = 0
    while i < t.width:
        w.buf[p + i] = t.bytes[t.width - 1 - i if t.big else i]
        i += 1
    return _room(w, p + i)


def _put_float(t, v, w, p):
    if isinstance(v, _BYTES):
        if len(v) != t.width:
            raise ValueError
        copy(w.buf, p, v, 0, t.width)
    else:
        pack_into(t.format, w.buf, p, v)
    return _room(w, p + t.width)


def put_length(n, w, p):
    while n > 127:
        w.buf[p] = n & 127 | 128
        n >>= 7
        p += 1
    w.buf[p] = n
    return _room(w, p + 1)


def _put_raw(v, n, w, p):
    # n bytes of the buffer v, a piece at a time; w.at is the position meanwhile
    w.at = p
    p = 0
    while p < n:
        p += _put_piece(v, p, n, w)
    return w.at


def _put_piece(v, i, n, w):
    n -= i
    if n > w.mark - w.at:
        n = w.mark - w.at
    copy(w.buf, w.at, v, i, n)
    w.at = _room(w, w.at + n)
    return n


def _put_str(t, v, w, p):
    if not isinstance(v, str):
        raise TypeError
    p = put_length(strlen(v), w, p)
    return _put_raw(utf8(v), strlen(v), w, p)


def _put_char(t, v, w, p):
    if len(v) != 1:
        raise TypeError
    return _put_str(t, v, w, p)


def _put_bytes(t, v, w, p):
    if isinstance(v, _NO_BUFFERS):
        raise TypeError
    p = put_length(len(v), w, p)
    if is_bytes(v):
        return _put_raw(v, len(v), w, p)
    return _put_numbers(v, w, p)


def is_bytes(v):
    """Whether `v` is a buffer of bytes; an `array` may have wider items, and is no such buffer.

    MicroPython does not tell the items of a memoryview: there it has to be one of bytes.
    """
    if isinstance(v, memoryview):
        return getattr(v, "itemsize", 1) == 1
    return isinstance(v, _BYTES)


def _put_numbers(v, w, p):
    i = 0
    while i < len(v):
        p = _put_number(v[i], w, p)
        i += 1
    return p


def _put_number(x, w, p):
    if x < 0 or x > 255:
        raise ValueError
    w.buf[p] = x
    return _room(w, p + 1)


def _put_octets(t, v, w, p):
    # [u8;N] and [i8;N] from a buffer or a list
    if isinstance(v, _NO_BUFFERS):
        raise TypeError
    if len(v) != t.count:
        raise ValueError
    if not is_bytes(v):
        return _put_items(t, v, w, p)
    if isinstance(v, _BYTES) and t.count <= w.mark - p:
        pack_into(t.format, w.buf, p, v)
        return _room(w, p + t.count)
    return _put_raw(v, t.count, w, p)


def _put_unit(t, v, w, p):
    if v is not None:
        raise TypeError
    return p


def _put_option(t, v, w, p):
    w.buf[p] = 0 if v is None else 1
    p = _room(w, p + 1)
    if v is None:
        return p
    if t.marked:
        if len(v) != 1:
            raise ValueError
        v = v[0]
    return t.inner.put(t.inner, v, w, p)


def _put_seq(t, v, w, p):
    if t.rows and is_columns(t.inner, v):
        return _put_columns(t, v, w, p)
    p = put_length(len(v), w, p)
    if isinstance(v, _NO_BUFFERS):
        raise TypeError
    if t.octets and is_bytes(v):
        return _put_raw(v, len(v), w, p)
    return _put_items(t, v, w, p)


def _put_items(t, v, w, p):
    # No more items of no bytes than a reader takes (_Reader.items).
    if isinstance(v, _NO_LISTS) or not t.inner.least and len(v) > _MAX_UNITS:
        raise TypeError
    t = t.inner
    i = 0
    while i < len(v):
        p = t.put(t, v[i], w, p)
        i += 1
    return p


def _put_array(t, v, w, p):
    if t.rows and is_columns(t.inner, v):
        return _put_columns(t, v, w, p)
    if len(v) != t.count:
        raise ValueError
    return _put_items(t, v, w, p)


def is_columns(t, v):
    """Whether `v` holds rows of the struct `t` as columns: a dict or an object of sequences."""
    if isinstance(v, _LISTS):
        return False
    return isinstance(v, dict) or hasattr(v, t.names[0])


def column(t, v, i):
    """The column of field `i` in columns `v` of rows `t`; `v` itself where a row is a scalar."""
    if t.kind != "struct":
        return v
    return v[t.names[i]] if isinstance(v, dict) else getattr(v, t.names[i])


def _put_columns(t, v, w, p):
    n = _count(t.inner, v)
    if t.kind == "seq":
        p = put_length(n, w, p)
    elif n != t.count:
        raise ValueError
    w.at = p
    p = 0
    while p < n:
        _put_row(t.inner, v, p, w)
        p += 1
    return w.at


def _count(t, v):
    n = len(column(t, v, 0))
    k = 1
    while k < len(t.items):
        if len(column(t, v, k)) != n:
            raise ValueError
        k += 1
    return n


def _put_row(t, v, i, w):
    k = 0
    while k < len(t.items):
        _put_cell(t, v, k, i, w)
        k += 1


def _put_cell(t, v, k, i, w):
    v = column(t, v, k)[i]
    t = t.items[k]
    w.at = t.put(t, _flag(v) if t.kind == "bool" else v, w, w.at)


def _flag(v):
    # Buffers hold bools as 0 and 1.
    return v == 1 if isinstance(v, int) and v in _FLAGS else v


def _put_tuple(t, v, w, p):
    if len(v) != len(t.items) or isinstance(v, dict):
        raise ValueError
    i = 0
    while i < len(v):
        p = t.items[i].put(t.items[i], v[i], w, p)
        i += 1
    return p


def _put_struct(t, v, w, p):
    if isinstance(v, dict):
        return _put_fields(t, v, w, p)
    if isinstance(v, _LISTS):
        return _put_tuple(t, v, w, p)
    return _put_attributes(t, v, w, p)


def _put_fields(t, v, w, p):
    i = 0
    while i < len(t.items):
        p = t.items[i].put(t.items[i], v[t.names[i]], w, p)
        i += 1
    return p


def _put_attributes(t, v, w, p):
    i = 0
    while i < len(t.items):
        p = _put(t.items[i], getattr(v, t.names[i]), w, p)
        i += 1
    return p


def _put(t, v, w, p):
    return t.put(t, v, w, p)


def _put_map(t, v, w, p):
    if not t.least_pair and len(v) > _MAX_UNITS:
        raise TypeError
    p = put_length(len(v), w, p)
    if isinstance(v, dict):
        return _put_keys(t, v, w, p)
    return _put_pairs(t, v, w, p)


def _put_keys(t, v, w, p):
    for k in v:
        p = _put_pair(t, k, v[k], w, p)
    return p


def _put_pairs(t, v, w, p):
    i = 0
    while i < len(v):
        p = _put_pair(t, v[i][0], v[i][1], w, p)
        i += 1
    return p


def _put_pair(t, k, v, w, p):
    p = t.items[0].put(t.items[0], k, w, p)
    return t.items[1].put(t.items[1], v, w, p)


def _put_enum(t, v, w, p):
    if isinstance(v, str):
        i = t.index[v]
        if t.items[i] is not None:
            raise ValueError
        return put_length(i, w, p)
    if len(v) != 2:
        raise ValueError
    return _put_variant(t, t.index[v[0]], v[1], w, p)


def _put_variant(t, i, v, w, p):
    p = put_length(i, w, p)
    t = t.items[i]
    return t.put(t, v, w, p)


# Decoding: get(node, reader) -> value


class _Reader:
    def __init__(self, buf, end):
        self.buf = buf
        self.end = end
        self.at = 0
        self.units = _MAX_UNITS
        self.path = []

    def fail(self, why):
        path = "".join(self.path) or "the value"
        raise DecodeError("bytes", path.lstrip("."), why, offset=self.at)

    def byte(self):
        if self.at >= self.end:
            self.fail("end of data, expected more")
        b = self.buf[self.at]
        self.at += 1
        return b

    def take(self, n):
        if n > self.end - self.at:
            self.fail("end of data, expected %d bytes, %d are left" % (n, self.end - self.at))
        self.at += n
        return self.at - n

    def varint(self, bits):
        value = shift = 0
        start = self.at
        most = (bits + 6) // 7
        for i in range(most):
            b = self.byte()
            value |= (b & 127) << shift
            shift += 7
            if b < 128:
                if i == most - 1 and b >= 1 << (bits - 7 * (most - 1)):
                    break
                return value
        self.at = start
        self.fail("a varint that does not fit %d bits" % bits)

    def length(self):
        return self.varint(_USIZE)

    def items(self, n, least):
        # n items of at least `least` bytes follow; those of none are bounded by their number.
        if least == 0:
            self.units -= n
            if self.units < 0:
                self.fail("%d items of no bytes, expected at most %d in all" % (n, _MAX_UNITS))
        return n


def _get_bool(t, r):
    b = r.byte()
    if b > 1:
        r.at -= 1
        r.fail("bool is %d, expected 0 or 1" % b)
    return b == 1


def _get_byte(t, r):
    b = r.byte()
    return b - 256 if t.signed and b > 127 else b


def _get_int(t, r):
    n = r.varint(t.width * 8)
    return (n >> 1) ^ -(n & 1) if t.signed else n


def _get_fixed(t, r):
    at = r.take(t.width)
    n = int.from_bytes(bytes(r.buf[at : at + t.width]), "big" if t.big else "little")
    return n - (1 << t.width * 8) if t.signed and n >> (t.width * 8 - 1) else n


def _get_float(t, r):
    at = r.take(t.width)
    value = unpack_from(t.format, r.buf, at)[0]
    if value != value:
        # A NaN whose bits a float does not keep is given as its bytes.
        pack_into(t.format, t.bytes, 0, value)
        raw = bytes(r.buf[at : at + t.width])
        if raw != t.bytes:
            return raw
    return value


def _get_utf8(r, n):
    at = r.take(n)
    raw = bytes(r.buf[at : at + n])
    if not _is_utf8(raw):
        r.at = at
        r.fail("text that is not UTF-8")
    return raw.decode()


def _is_utf8(s):
    # RFC 3629, section 4; MicroPython's own check lets surrogates and overlong forms pass.
    i = 0
    n = len(s)
    while i < n:
        c = s[i]
        i += 1
        if c < 0x80:
            continue
        if 0xC2 <= c < 0xE0:
            more, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= c < 0xF0:
            more = 2
            low = 0xA0 if c == 0xE0 else 0x80
            high = 0x9F if c == 0xED else 0xBF
        elif 0xF0 <= c < 0xF5:
            more = 3
            low = 0x90 if c == 0xF0 else 0x80
            high = 0x8F if c == 0xF4 else 0xBF
        else:
            return False
        if i + more > n or not low <= s[i] <= high:
            return False
        for k in range(i + 1, i + more):
            if s[k] & 0xC0 != 0x80:
                return False
        i += more
    return True


def _get_str(t, r):
    return _get_utf8(r, r.length())


def _get_char(t, r):
    start = r.at
    n = r.length()
    if n > 4:
        r.at = start
        r.fail("a char of %d bytes, expected 1 to 4" % n)
    at = r.take(n)
    raw = bytes(r.buf[at : at + n])
    if n == 0 or not _is_utf8(raw):
        r.at = start
        r.fail("a char that is not one")
    return raw.decode()[0]


def _get_bytes(t, r):
    at = r.take(r.length())
    return bytes(r.buf[at : r.at])


def _get_octets(t, r):
    at = r.take(t.count)
    return bytes(r.buf[at : r.at])


def _get_unit(t, r):
    return None


def _get_option(t, r):
    b = r.byte()
    if b > 1:
        r.at -= 1
        r.fail("an Option tag of %d, expected 0 or 1" % b)
    if b == 0:
        return None
    v = t.inner.get(t.inner, r)
    return (v,) if t.marked else v


def _get_seq(t, r):
    if t.octets:
        return _get_bytes(t, r)
    return _get_items(t, r, r.items(r.length(), t.inner.least))


def _get_items(t, r, n):
    values = []
    t = t.inner
    for i in range(n):
        r.path.append("[%d]" % i)
        values.append(t.get(t, r))
        r.path.pop()
    return values


def _get_array(t, r):
    return _get_items(t, r, r.items(t.count, t.inner.least))


def _get_tuple(t, r):
    values = []
    for i, item in enumerate(t.items):
        r.path.append(".%d" % i)
        values.append(item.get(item, r))
        r.path.pop()
    return tuple(values)


def _get_struct(t, r):
    values = {}
    for name, item in zip(t.names, t.items):
        r.path.append("." + name)
        values[name] = item.get(item, r)
        r.path.pop()
    return values


def _get_map(t, r):
    pairs = []
    for i in range(r.items(r.length(), t.least_pair)):
        r.path.append("[%d]" % i)
        k = t.items[0].get(t.items[0], r)
        pairs.append((k, t.items[1].get(t.items[1], r)))
        r.path.pop()
    if not t.hashable:
        return pairs
    values = OrderedDict(pairs)
    keys = list(values)
    try:
        ordered = sorted(keys)
    except TypeError:  # keys of several shapes (an enum) stay in their order
        ordered = keys
    return OrderedDict([(k, values[k]) for k in ordered]) if ordered != keys else values


def _get_enum(t, r):
    start = r.at
    i = r.varint(32)
    if i >= len(t.items):
        r.at = start
        r.fail("variant %d, expected 0..%d" % (i, len(t.items) - 1))
    item = t.items[i]
    if item is None:
        return t.names[i]
    r.path.append("." + t.names[i])
    value = item.get(item, r)
    r.path.pop()
    return t.names[i], value


# The tree made ready: what the functions above look up on a node

_FORMATS = {8: "b", 16: "h", 32: "i", 64: "q", 128: "q"}

_SHAPES = {
    "bool": (_put_bool, _get_bool),
    "char": (_put_char, _get_char),
    "str": (_put_str, _get_str),
    "bytes": (_put_bytes, _get_bytes),
    "unit": (_put_unit, _get_unit),
    "option": (_put_option, _get_option),
    "seq": (_put_seq, _get_seq),
    "array": (_put_array, _get_array),
    "tuple": (_put_tuple, _get_tuple),
    "struct": (_put_struct, _get_struct),
    "map": (_put_map, _get_map),
    "enum": (_put_enum, _get_enum),
}


def _varint_size(n):
    size = 1
    while n > 127:
        n >>= 7
        size += 1
    return size


def ready(t):
    """Make the tree `t` an encoder and decoder: sets put, get, least and most (bytes of an
    encoding; None: no bound) and what they need."""
    for i in t.items:
        if i is not None:
            ready(i)
    if t.items:
        t.inner = t.items[0]
    kind = t.kind
    if kind == "variant":
        if len(t.items) == 1:
            kind = ""
            t.put, t.get = _put_newtype, _get_newtype
        else:
            kind = "tuple"
    if kind in INTS:
        _ready_int(t)
        return
    if kind in ("f32", "f64"):
        t.format = "<f" if kind == "f32" else "<d"
        t.width = t.least = t.most = 4 if kind == "f32" else 8
        t.bytes = bytearray(t.width)
        t.put, t.get = _put_float, _get_float
        return
    if kind:
        t.put, t.get = _SHAPES[kind]
    if kind == "array" and t.inner.kind in ("u8", "i8"):
        t.put = _put_octets
        t.format = "%ds" % t.count
        if t.inner.kind == "u8":
            t.get = _get_octets
    _ready_sizes(t, kind)


def _ready_sizes(t, kind):
    least = [i.least for i in t.items if i is not None]
    most = [i.most for i in t.items if i is not None]
    bound = None not in most
    t.least = t.most = 0
    if kind in ("tuple", "struct", ""):
        t.least = sum(least)
        t.most = sum(most) if bound else None
    elif kind == "array":
        t.least = t.inner.least * t.count
        t.most = t.inner.most * t.count if bound else None
    elif kind == "option":
        t.marked = t.inner.nullable()
        t.least = 1
        t.most = 1 + most[0] if bound else None
    elif kind == "enum":
        t.index = dict((n, i) for i, n in enumerate(t.names))
        t.least = 1
        t.most = (
            max([_varint_size(i) + (x.most if x else 0) for i, x in enumerate(t.items)])
            if bound
            else None
        )
    elif kind == "bool":
        t.least = t.most = 1
    elif kind == "char":
        t.least, t.most = 2, 5
    elif kind != "unit":
        t.least, t.most = 1, None
    if kind == "seq":
        t.octets = t.inner.kind == "u8"
    if kind in ("seq", "array"):
        t.rows = t.inner.kind == "struct" and len(t.inner.items) > 0
    if kind == "map":
        t.least_pair = sum(least)
        t.hashable = _hashable(t.items[0])


def _ready_int(t):
    t.signed, bits, order = INTS[t.kind]
    t.width = bits // 8
    t.low = -(1 << bits - 1) if t.signed else 0
    t.high = (1 << bits - (1 if t.signed else 0)) - 1
    t.bytes = bytearray(t.width)
    t.format = "<" + (_FORMATS[bits] if t.signed else _FORMATS[bits].upper())
    t.least = 1
    t.most = (bits + 6) // 7
    if order:
        t.big = order == "be"
        t.least = t.most = t.width
        t.put, t.get = _put_fixed, _get_fixed
    elif bits == 8:
        t.most = 1
        t.put, t.get = _put_byte, _get_byte
    elif bits == 128:
        t.low_64 = -(1 << 63) if t.signed else 0
        t.high_64 = (1 << (63 if t.signed else 64)) - 1
        t.put, t.get = _put_int128, _get_int
    else:
        t.put, t.get = _put_int, _get_int


def _put_newtype(t, v, w, p):
    return t.inner.put(t.inner, v, w, p)


def _get_newtype(t, r):
    return t.inner.get(t.inner, r)


def _hashable(t):
    if t.kind in ("struct", "seq", "map", "array"):
        return t.kind != "struct" and t.kind != "map" and t.inner.kind == "u8"
    return all([i is None or _hashable(i) for i in t.items])


class Codec:
    """Encoder and decoder of one schema.

    text: canonical schema text; crc: its CRC-32, bytearray(4), little-endian; max_size: bytes of
    the largest encoding, None where a length has no bound; tree: the `schema.Node`.
    """

    def __init__(self, tree, text):
        self.tree = tree
        self.text = text
        self.max_size = tree.most
        self._caught = Catch()
        self._sink = self._to = None
        self._generated = None
        # The generated encoder writes through this object: what the sink has taken is known.
        self.buf = None
        self.mark = self.at = 0
        self._spilling = False
        self._taken = 0
        self.crc = bytearray(4)
        raw = self.text.encode()
        crc32.reset(self.crc)
        crc32.update(self.crc, raw, 0, len(raw))

    def encode(self, state, sink, pos=0):
        """Encode through the sink from `pos` on; the new position. EncodeError names the field,
        and what the sink raises passes through.

        Allocation-free, but for u128 and i128 beyond 64 bits, Map as a dict, and, where there
        is no viper, str and columns of floats and large integers.
        """
        self._sink = sink
        if self._generated is not None:
            return self._quick(state, pos)
        sink.at = pos
        self._slow(state, sink)
        return sink.at

    def _slow(self, state, sink):
        self._to = sink
        self._encode(state)
        if self._caught.error is not None:
            self._fail(state)

    def _encode(self, state):
        with self._caught:
            self._put(state, self._to)

    def _put(self, state, sink):
        sink.at = self.tree.put(self.tree, state, sink, sink.at)

    def _fail(self, state):
        error = self._caught.take()
        # What the device, or a Ctrl-C, raised inside the sink says nothing about the state.
        if isinstance(error, Exception) and not isinstance(error, (EdgeError, OSError)):
            explain(self.tree, state, "")
        raise error

    def _quick(self, state, pos):
        self.buf = self._sink.buf
        self.mark = self._sink.mark
        self.at = pos
        self._taken = 0
        self._spilling = False
        self._run(state)
        if self._caught.error is not None:
            self._again(state, pos)
        return self.at

    def _run(self, state):
        with self._caught:
            self._call(state)

    def _call(self, state):
        self.at = self._generated(self.at, self.buf, 0, state, self)

    def _again(self, state, pos):
        # The form is another than that of the prototype, or a value is wrong: the tree knows.
        error = self._caught.take()
        if self._spilling or not isinstance(error, Exception):
            raise error
        # The bytes are the same, so what the sink has taken already is left out.
        self._taken = -self._taken
        self.at = pos
        self._slow(state, self)
        self._generated = None

    def spill(self, pos):
        """The sink's, for the generated encoder."""
        self._taken += 1
        if self._taken <= 0:
            copy(self.buf, 0, self.buf, self.mark, pos - self.mark)
            return pos - self.mark
        self._spilling = True
        pos = self._sink.spill(pos)
        self._spilling = False
        return pos

    def decode(self, buf, end, into=None):
        """The value that exactly buf[0:end] encodes. DecodeError; reason `trailing` if there is
        more. into: an object, dict, list or buffer that takes the value (its own shape)."""
        r = _Reader(buf, end)
        try:
            value = self.tree.get(self.tree, r)
        except MemoryError:
            r.fail("no memory for the value")
        if r.at != end:
            raise DecodeError("trailing", "the value", end - r.at, offset=r.at)
        return value if into is None else merge(self.tree, value, into)


# Schemas compiled ahead (`edgeckpt schema compile`), by text: (tree, encoder).
known = {}


def compile(text, like=None):
    """The `Codec` of a schema text, fast for states of the form of `like`. SchemaError points
    at what does not parse."""
    if text in known:
        codec = Codec(known[text][0], text)
        codec._generated = known[text][1]
        return codec
    from .schema import parse

    tree = parse(text)
    ready(tree)
    codec = Codec(tree, tree.text())
    if like is not None:
        from .generate import encoder

        codec._generated = encoder(tree, like)
    return codec


def merge(t, value, into):
    """Put a decoded value into an existing one, in place: attributes of an object, items of a
    dict, elements of a list, bytes of a buffer; returns `into`. SchemaError where it cannot."""
    if t.kind == "struct" and isinstance(value, dict):
        for name, item in zip(t.names, t.items):
            if isinstance(into, dict):
                into[name] = _merged(item, value[name], into.get(name))
            else:
                setattr(into, name, _merged(item, value[name], getattr(into, name, None)))
        return into
    if t.kind in ("seq", "array") and t.rows and is_columns(t.inner, into):
        _merge_columns(t.inner, value, into)
        return into
    if isinstance(into, (bytearray, memoryview)) or (
        isinstance(value, bytes) and not isinstance(into, (list, dict))
    ):
        view = byte_view(into)
        if len(view) != len(value):
            raise SchemaError("value", "into", "%d bytes" % len(view), "%d" % len(value))
        copy(view, 0, value, 0, len(value))
        return into
    if isinstance(into, list):
        into[:] = list(value)
        return into
    if isinstance(into, dict) and isinstance(value, dict):
        into.clear()
        into.update(value)
        return into
    if hasattr(into, "__setitem__") and len(into) == len(value):
        for i in range(len(value)):
            into[i] = value[i]
        return into
    raise SchemaError("value", "into", repr(into)[:40], "what a %s fits in" % t.kind)


def _merge_columns(t, rows, into):
    for i, name in enumerate(t.names):
        old = column(t, into, i)
        if len(old) != len(rows):
            # An empty one of the same type, and as many items as there are.
            old = old[0:0]
            for row in rows:
                old.append(row[name])
            if isinstance(into, dict):
                into[name] = old
            else:
                setattr(into, name, old)
            continue
        for k in range(len(rows)):
            old[k] = rows[k][name]


def _merged(t, value, old):
    # Containers are filled in place where they fit, so that other references see the state.
    if old is None or isinstance(old, (int, float, str, bytes, tuple)) or value is None:
        return value
    try:
        return merge(t, value, old)
    except (SchemaError, TypeError):
        return value


# Why a state does not encode: slow, and only asked then


def _has_len(v):
    # Not by hasattr: MicroPython's lists and buffers have no __len__ to be seen.
    try:
        len(v)
    except TypeError:
        return False
    return True


def explain(t, v, path):
    """EncodeError for the first field of `v` that does not fit `t`; returns if all fit."""
    kind = t.kind
    where = path.lstrip(".") or "the state"

    def bad(want):
        raise EncodeError("value", where, repr(v)[:60], want)

    if kind in INTS:
        if not isinstance(v, int) or not t.low <= v <= t.high:
            bad("%s, %d..%d" % (kind, t.low, t.high))
    elif kind in ("f32", "f64"):
        if isinstance(v, (bytes, bytearray)):
            if len(v) != t.width:
                bad("a float, or its %d bytes" % t.width)
        elif not isinstance(v, (int, float)):
            bad("a float")
    elif kind == "bool":
        if v is not True and v is not False:
            bad("True or False")
    elif kind in ("str", "char"):
        if not isinstance(v, str) or kind == "char" and len(v) != 1:
            bad("a str" if kind == "str" else "a str of one character")
    elif kind == "unit":
        if v is not None:
            bad("None")
    elif kind == "option":
        if v is not None:
            if t.marked and (not isinstance(v, (tuple, list)) or len(v) != 1):
                bad("None or a tuple of one, (x,)")
            explain(t.inner, v[0] if t.marked else v, path)
    elif kind in ("seq", "array") and t.rows and is_columns(t.inner, v):
        _explain_columns(t, v, path, bad)
    elif kind in ("seq", "array", "bytes"):
        if isinstance(v, (str, dict)) or not _has_len(v):
            bad("a list or a buffer")
        if kind == "array" and len(v) != t.count:
            bad("%d items, not %d" % (t.count, len(v)))
        if kind != "bytes" and not t.inner.least and len(v) > _MAX_UNITS:
            bad("at most %d items of no bytes" % _MAX_UNITS)
        if kind == "bytes":
            for i in range(0 if is_bytes(v) else len(v)):
                if not isinstance(v[i], int) or not 0 <= v[i] <= 255:
                    raise EncodeError("value", "%s[%d]" % (where, i), repr(v[i])[:60], "0..255")
        else:
            for i in range(len(v)):
                explain(t.inner, v[i], "%s[%d]" % (path, i))
    elif kind == "variant" and len(t.items) == 1:
        explain(t.inner, v, path)
    elif kind in ("tuple", "variant"):
        if not isinstance(v, (tuple, list)) or len(v) != len(t.items):
            bad("a tuple of %d" % len(t.items))
        for i, item in enumerate(t.items):
            explain(item, v[i], "%s.%d" % (path, i))
    elif kind == "struct":
        if isinstance(v, (tuple, list)) and len(v) != len(t.items):
            bad("%d fields" % len(t.items))
        for i, name in enumerate(t.names):
            if isinstance(v, dict):
                if name not in v:
                    bad("a field %s" % name)
                x = v[name]
            elif isinstance(v, (tuple, list)):
                x = v[i]
            else:
                if not hasattr(v, name):
                    bad("an attribute %s" % name)
                x = getattr(v, name)
            explain(t.items[i], x, path + "." + name)
    elif kind == "map":
        for k, x in v.items() if isinstance(v, dict) else v:
            explain(t.items[0], k, path + "[key]")
            explain(t.items[1], x, "%s[%r]" % (path, k))
    elif kind == "enum":
        name = v if isinstance(v, str) else v[0] if isinstance(v, (tuple, list)) and v else v
        if name not in t.names:
            bad("one of " + ", ".join(t.names[:8]))
        item = t.items[t.index[name]]
        if (item is None) != isinstance(v, str) or item is not None and len(v) != 2:
            bad("'%s'" % name if item is None else "('%s', payload)" % name)
        if item is not None:
            explain(item, v[1], path + "." + name)


def _explain_columns(t, v, path, bad):
    count = None
    for i, name in enumerate(t.inner.names):
        if name not in v if isinstance(v, dict) else not hasattr(v, name):
            bad("a column %s" % name)
        values = column(t.inner, v, i)
        if not _has_len(values):
            bad("a column %s" % name)
        if count is None:
            count = len(values)
            if t.kind == "array" and count != t.count:
                bad("columns of %d items, not %d" % (t.count, count))
        elif len(values) != count:
            bad("columns of one length, not %d and %d (%s)" % (count, len(values), name))
        item = t.inner.items[i]
        for k in range(count):
            x = _flag(values[k]) if item.kind == "bool" else values[k]
            explain(item, x, "%s[%d].%s" % (path, k, name))
