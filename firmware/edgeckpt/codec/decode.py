"""Bytes to values, by walking the tree of a schema: `get(node, reader) -> value`, and `merge`,
which puts a decoded value into one that exists. The reference.

Promises: as of `postcard.Reader`; depth is bounded by the schema, every length by what is left
before anything is allocated, and an error gathers its path on the way out: none is built before.
"""

from collections import OrderedDict

from ..errors import DecodeError, SchemaError
from ..loops import copy
from ..port import byte_view
from .encode import column, is_columns
from .order import merged
from .postcard import Reader


def _within(e, step):
    e.where = step + e.where
    return e


def LEAF(t, r):
    return t.read(r)


def _get_octets(t, r):
    return r.octets()


def _get_octet_array(t, r):
    return r.octet_array(t.count)


def _get_option(t, r):
    if not r.option():
        return None
    v = t.inner.get(t.inner, r)
    return (v,) if t.marked else v


def _get_seq(t, r):
    return _get_items(t.inner, r, r.items(r.length(), t.inner.least))


def _get_array(t, r):
    return _get_items(t.inner, r, r.items(t.count, t.inner.least))


def _get_items(t, r, n):
    values = []
    try:
        for _ in range(n):
            values.append(t.get(t, r))
    except DecodeError as e:
        raise _within(e, "[%d]" % len(values))
    return values


def _get_tuple(t, r):
    values = []
    try:
        for item in t.items:
            values.append(item.get(item, r))
    except DecodeError as e:
        raise _within(e, ".%d" % len(values))
    return tuple(values)


def _get_struct(t, r):
    values = {}
    i = 0
    try:
        for item in t.items:
            values[t.names[i]] = item.get(item, r)
            i += 1
    except DecodeError as e:
        raise _within(e, "." + t.names[i])
    return values


def _get_map(t, r):
    pairs = []
    key, item = t.items
    try:
        for _ in range(r.items(r.length(), t.least_pair)):
            pairs.append((key.get(key, r), item.get(item, r)))
    except DecodeError as e:
        raise _within(e, "[%d]" % len(pairs))
    pairs = merged(key, pairs)
    return OrderedDict(pairs) if t.hashable else pairs


def _get_enum(t, r):
    i = r.variant(len(t.items))
    item = t.items[i]
    if item is None:
        return t.names[i]
    try:
        return t.names[i], item.get(item, r)
    except DecodeError as e:
        raise _within(e, "." + t.names[i])


def _get_newtype(t, r):
    return t.inner.get(t.inner, r)


# By the shape that `ready` finds for a type; every other is a leaf of `postcard.Reader`.
GETS = {
    "octets": _get_octets,
    "octet_array": _get_octet_array,
    "option": _get_option,
    "seq": _get_seq,
    "array": _get_array,
    "tuple": _get_tuple,
    "struct": _get_struct,
    "map": _get_map,
    "enum": _get_enum,
    "newtype": _get_newtype,
}
LEAVES = {"bool": Reader.boolean, "char": Reader.char, "str": Reader.string, "unit": Reader.unit}
for _name in "u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64".split():
    LEAVES[_name] = getattr(Reader, _name)

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
