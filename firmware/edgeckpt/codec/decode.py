"""Bytes to values, by walking the tree of a schema: `get(node, reader) -> value`. The reference.

Promises: as of `postcard.Reader`; depth is bounded by the schema, every length by what is left
before anything is allocated, and an error gathers its path on the way out: none is built before.
"""

from collections import OrderedDict

from ..errors import DecodeError
from .order import merged
from .postcard import Reader


def within(e, step):
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
    return _get_items(t.inner, r, r.items(t.count, t.inner.least)) if t.count else []


def _get_items(t, r, n):
    values = []
    try:
        for _ in range(n):
            values.append(t.get(t, r))
    except DecodeError as e:
        raise within(e, "[%d]" % len(values))
    return values


def _get_tuple(t, r):
    values = []
    try:
        for item in t.items:
            values.append(item.get(item, r))
    except DecodeError as e:
        raise within(e, ".%d" % len(values))
    return tuple(values)


def _get_struct(t, r):
    values = {}
    i = 0
    try:
        for item in t.items:
            values[t.names[i]] = item.get(item, r)
            i += 1
    except DecodeError as e:
        raise within(e, "." + t.names[i])
    return values


def _get_map(t, r):
    pairs = []
    key, item = t.items
    try:
        for _ in range(r.items(r.length(), t.least_pair)):
            pairs.append((key.get(key, r), item.get(item, r)))
    except DecodeError as e:
        raise within(e, "[%d]" % len(pairs))
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
        raise within(e, "." + t.names[i])


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
