"""Values to bytes, by walking the tree of a schema: `put(node, b, p, v) -> p`. The reference.

Promises: as of `postcard.py`, whose puts it calls for what has no parts. Columns: rows of a struct
as one sequence per field.
"""

from . import postcard
from .order import ascending, less
from .postcard import (
    LISTS,
    count,
    fields,
    flag,
    no_fields,
    octet_array,
    octets,
    parts,
    same,
    uint,
    use_units,
)


def _put_leaf(t, b, p, v):
    return t.leaf(b, p, v)


def _put_option(t, b, p, v):
    b[p] = 0 if v is None else 1
    if v is None:
        return p + 1
    if t.marked:
        parts(v, 1)
        v = v[0]
    return t.inner.put(t.inner, b, p + 1, v)


def _put_seq(t, b, p, v):
    if t.rows and is_columns(t.inner, v):
        p = uint(b, p, rows(t.inner, v))
        return _put_columns(t.inner, b, p, v)
    p = uint(b, p, count(v))
    return t.floats.put(b, p, v) if t.floats else _put_items(t.inner, b, p, v)


def _put_array(t, b, p, v):
    if t.rows and is_columns(t.inner, v):
        same(t.count, column(t.inner, v, 0))
        return _put_columns(t.inner, b, p, v)
    if count(v) != t.count:
        raise ValueError
    return t.floats.put(b, p, v) if t.floats else _put_items(t.inner, b, p, v)


def _put_items(t, b, p, v):
    if not t.least:
        use_units(len(v))
    i = 0
    while i < len(v):
        p = _put(t, b, p, v[i])
        i += 1
    return p


def _put(t, b, p, v):
    return t.put(t, b, p, v)


def _put_at(t, i, b, p, v):
    return _put(t.items[i], b, p, v[i])


def _put_octets(t, b, p, v):
    return octets(b, p, v)


def _put_octet_array(t, b, p, v):
    return octet_array(b, p, v, t.count)


def is_columns(t, v):
    """Whether `v` holds rows of the struct `t` as columns: a dict or an object of sequences."""
    if isinstance(v, LISTS):
        return False
    return isinstance(v, dict) or hasattr(v, t.names[0])


def column(t, v, i):
    """The column of field `i` in columns `v` of rows `t`."""
    return v[t.names[i]] if isinstance(v, dict) else getattr(v, t.names[i])


def rows(t, v):
    """How many rows the columns `v` hold: all must be as long as the first, and none unknown."""
    if isinstance(v, dict):
        fields(v, len(t.items))
    n = count(column(t, v, 0))
    k = 1
    while k < len(t.items):
        same(n, column(t, v, k))
        k += 1
    return n


# A schema is a tree: no node is within itself, so what a table, or a Map, is at fits on its node.


def _put_columns(t, b, p, v):
    t.row = 0
    if not t.least:
        use_units(rows(t, v))
    while t.row < rows(t, v):
        p = _put_row(t, b, p, v)
        t.row += 1
    return p


def _put_row(t, b, p, v):
    i = 0
    while i < len(t.items):
        p = _put_cell(t, i, b, p, v)
        i += 1
    return p


def _put_cell(t, i, b, p, v):
    v = column(t, v, i)
    i = t.items[i]
    if i.cells:
        return i.cells.put_at(b, p, v, t.row)
    v = v[t.row]
    return _put(i, b, p, flag(v) if i.kind == "bool" else v)


def _put_tuple(t, b, p, v):
    parts(v, len(t.items))
    i = 0
    while i < len(v):
        p = _put_at(t, i, b, p, v)
        i += 1
    return p


def _put_struct(t, b, p, v):
    if isinstance(v, dict):
        return _put_fields(t, b, p, v)
    if isinstance(v, LISTS):
        return _put_tuple(t, b, p, v)
    if not t.items:
        no_fields(v)
    return _put_attributes(t, b, p, v)


def _put_fields(t, b, p, v):
    fields(v, len(t.items))  # no key that is no field
    i = 0
    while i < len(t.items):
        p = _put_field(t, i, b, p, v)
        i += 1
    return p


def _put_attributes(t, b, p, v):
    i = 0
    while i < len(t.items):
        p = _put_attribute(t, i, b, p, v)
        i += 1
    return p


def _put_field(t, i, b, p, v):
    v = v[t.names[i]]
    return _put(t.items[i], b, p, v)


def _put_attribute(t, i, b, p, v):
    v = getattr(v, t.names[i])
    return _put(t.items[i], b, p, v)


def _put_map(t, b, p, v):
    if not t.least:
        use_units(len(v))
    t.at = uint(b, p, len(v))
    t.b = b
    if isinstance(v, dict):
        _put_dict(t, v)
    elif isinstance(v, LISTS):
        _put_pairs(t, v)
    else:
        raise TypeError
    return t.at


def _put_dict(t, v):
    # In the order of the crate's BTreeMap, each time the smallest key above the last one.
    t.key = None
    t.first = True
    i = 0
    while i < len(v):
        _find_next(t, v)
        _put_pair(t, t.next, v[t.next])
        t.key = t.next
        t.first = False
        i += 1
    t.key = t.next = None


def _find_next(t, v):
    t.found = False
    for k in v:
        _look_at(t, k)
    if not t.found:
        raise ValueError


def _look_at(t, k):
    if not t.first and not less(t.items[0], t.key, k):
        return
    if not t.found or less(t.items[0], k, t.next):
        t.next = k
        t.found = True


def _put_pairs(t, v):
    v = ascending(t.items[0], v)
    i = 0
    while i < len(v):
        parts(v[i], 2)
        _put_pair(t, v[i][0], v[i][1])
        i += 1


def _put_pair(t, k, v):
    p = _put(t.items[0], t.b, t.at, k)
    t.at = _put(t.items[1], t.b, p, v)


def _put_enum(t, b, p, v):
    if isinstance(v, str):
        if t.items[t.index[v]] is not None:
            raise ValueError
        return uint(b, p, t.index[v])
    parts(v, 2)
    return _put_variant(t, b, p, t.index[v[0]], v[1])


def _put_variant(t, b, p, i, v):
    p = uint(b, p, i)
    t = t.items[i]
    return t.put(t, b, p, v)


def _put_newtype(t, b, p, v):
    return t.inner.put(t.inner, b, p, v)


# By the shape that `ready` finds for a type; every other is a leaf of `postcard`.
PUTS = {
    "octets": _put_octets,
    "octet_array": _put_octet_array,
    "option": _put_option,
    "seq": _put_seq,
    "array": _put_array,
    "tuple": _put_tuple,
    "struct": _put_struct,
    "map": _put_map,
    "enum": _put_enum,
    "newtype": _put_newtype,
}
LEAF = _put_leaf
LEAVES = {"bool": postcard.boolean, "char": postcard.char, "str": postcard.string}
LEAVES["unit"] = postcard.unit
for _name in "u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64".split():
    LEAVES[_name] = getattr(postcard, _name)
