"""Bytes to values: `get(node, reader) -> value` for each type of a schema's tree, and `merge`,
which puts a decoded value into one that exists.

Promises: nothing is trusted: every length is bounded by what is left before anything is allocated,
depth by the schema, and errors carry the offset and the path.
"""

from collections import OrderedDict
from struct import calcsize, pack_into, unpack_from

from .encode import MAX_UNITS, column, is_columns
from .errors import DecodeError, SchemaError
from .loops import copy
from .port import byte_view

_USIZE = 64 if calcsize("P") == 8 else 32  # bits of a length, as in the crate


class Reader:
    def __init__(self, buf, end):
        self.buf = buf
        self.end = end
        self.at = 0
        self.units = MAX_UNITS
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
                self.fail("%d items of no bytes, expected at most %d in all" % (n, MAX_UNITS))
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


def _get_newtype(t, r):
    return t.inner.get(t.inner, r)


# By the shape that `codec.ready` finds for a type.
GETS = {
    "bool": _get_bool,
    "byte": _get_byte,
    "int": _get_int,
    "int128": _get_int,
    "fixed": _get_fixed,
    "float": _get_float,
    "char": _get_char,
    "str": _get_str,
    "bytes": _get_bytes,
    "octets": _get_octets,
    "unit": _get_unit,
    "option": _get_option,
    "seq": _get_seq,
    "array": _get_array,
    "tuple": _get_tuple,
    "struct": _get_struct,
    "map": _get_map,
    "enum": _get_enum,
    "newtype": _get_newtype,
}

# Into what exists


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
