"""Values to bytes: `put(node, value, sink, p) -> p` for each type of a schema's tree.

Promises: no put allocates (but for the types named at `Codec.encode`), each stays within a frame
of 11 words, writes through a sink of one layout block, and raises what Python raises where a value
does not fit: `explain.py` then says why. Columns: rows of a struct as one sequence per field.
"""

from struct import pack_into

from .loops import copy, strlen, utf8, varint, zigzag
from .port import const

MAX_UNITS = const(16384)  # items that take no bytes, in all of one value

# A tuple written where it is used would be built, and allocated, at each call.
_LISTS = (list, tuple)
_BYTES = (bytes, bytearray)
_NO_BUFFERS = (str, int)
_NO_LISTS = (str, dict)
_FLAGS = (0, 1)
_INFINITY = float("inf")
_MINUS_INFINITY = -_INFINITY
# Halfway from the largest f32 to what would be the next. As a text: a constant that no f32 holds
# cannot be frozen for boards with floats of single precision. There it is infinity: none is over.
_OVER_F32 = float("3.4028235677973366e38")
_UNDER_F32 = -_OVER_F32


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


def in_f32(v):
    """`v`, a float or int that an f32 can hold: MicroPython stores others as infinity."""
    if v >= _OVER_F32 and v != _INFINITY or v <= _UNDER_F32 and v != _MINUS_INFINITY:
        raise ValueError
    return v


def _put_float(t, v, w, p):
    if isinstance(v, _BYTES):
        if len(v) != t.width:
            raise ValueError
        copy(w.buf, p, v, 0, t.width)
    else:
        pack_into(t.format, w.buf, p, in_f32(v) if t.width == 4 else v)
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
    if isinstance(v, _NO_LISTS) or not t.inner.least and len(v) > MAX_UNITS:
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
    w.at = t.put(t, flag(v) if t.kind == "bool" else v, w, w.at)


def flag(v):
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
    if not t.least_pair and len(v) > MAX_UNITS:
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


def _put_newtype(t, v, w, p):
    return t.inner.put(t.inner, v, w, p)


# By the shape that `codec.ready` finds for a type.
PUTS = {
    "bool": _put_bool,
    "byte": _put_byte,
    "int": _put_int,
    "int128": _put_int128,
    "fixed": _put_fixed,
    "float": _put_float,
    "char": _put_char,
    "str": _put_str,
    "bytes": _put_bytes,
    "octets": _put_octets,
    "unit": _put_unit,
    "option": _put_option,
    "seq": _put_seq,
    "array": _put_array,
    "tuple": _put_tuple,
    "struct": _put_struct,
    "map": _put_map,
    "enum": _put_enum,
    "newtype": _put_newtype,
}
