"""Makes the tree of a schema an encoder and decoder.

Promises: `ready(t)` sets on each node put, get, least and most (bytes of an encoding; None: no
bound), and what these need.
"""

from . import decode, encode
from .postcard import Fixed, Floats
from .tree import INTS


def _varint_size(n):
    size = 1
    while n > 127:
        n >>= 7
        size += 1
    return size


def ready(t):
    """Make the tree `t` an encoder and decoder."""
    for i in t.items:
        if i is not None:
            ready(i)
    if t.items:
        t.inner = t.items[0]
    kind = t.kind
    if kind in INTS:
        _ready_int(t)
        return
    if kind == "variant":
        kind = "newtype" if len(t.items) == 1 else "tuple"
    _ready_sizes(t, kind)
    shape = kind
    if kind == "struct":
        t.row = 0
    if kind in ("seq", "array"):
        t.octets = t.inner.kind == "u8"
        t.rows = t.inner.kind == "struct" and len(t.inner.items) > 0
        t.floats = _floats(t.inner)
        if t.rows:
            for i in t.inner.items:
                i.cells = _floats(i)
        if t.octets:
            shape = "octets" if kind == "seq" else "octet_array"
    elif kind == "bytes":
        shape = "octets"
    if kind in encode.LEAVES:
        t.leaf = encode.LEAVES[kind]
        t.read = decode.LEAVES[kind]
        t.put = encode.LEAF
        t.get = decode.LEAF
    else:
        t.put = encode.PUTS[shape]
        t.get = decode.GETS[shape]


def _ready_sizes(t, kind):
    least = [i.least for i in t.items if i is not None]
    most = [i.most for i in t.items if i is not None]
    bound = None not in most
    t.least = t.most = 0
    if kind in ("tuple", "struct", "newtype"):
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
    elif kind in ("f32", "f64"):
        t.least = t.most = t.width = 4 if kind == "f32" else 8
    elif kind == "char":
        t.least, t.most = 2, 5
    elif kind != "unit":
        t.least, t.most = 1, None
    if kind == "map":
        t.least_pair = sum(least)
        t.hashable = _hashable(t.items[0])
        t.at = t.b = t.key = t.next = t.first = t.found = None


def _floats(t):
    return Floats("f" if t.kind == "f32" else "d") if t.kind in ("f32", "f64") else None


def _ready_int(t):
    t.signed, bits, order = INTS[t.kind]
    t.width = bits // 8
    t.low = -(1 << bits - 1) if t.signed else 0
    t.high = (1 << bits - (1 if t.signed else 0)) - 1
    t.put = encode.LEAF
    t.get = decode.LEAF
    if order:
        t.least = t.most = t.width
        fixed = Fixed(t.width, t.signed, order == "be")
        t.leaf = fixed.put
        t.read = fixed.get
    else:
        t.least = 1
        t.most = 1 if bits == 8 else (bits + 6) // 7
        t.leaf = encode.LEAVES[t.kind]
        t.read = decode.LEAVES[t.kind]


def _hashable(t):
    if t.kind in ("struct", "seq", "map", "array"):
        return t.kind != "struct" and t.kind != "map" and t.inner.kind == "u8"
    return all([i is None or _hashable(i) for i in t.items])
