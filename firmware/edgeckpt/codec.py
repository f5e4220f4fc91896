"""Postcard 1.x: values to bytes and back, by the tree of a schema (`schema.py`).

Promises: `encode()` allocates nothing (but for the types named there) and writes through a sink
of one layout block (`encode.py`); `decode()` trusts nothing (`decode.py`); what does not encode is
explained (`explain.py`). Accepted and refused is what the Rust crate postcard 1.1 accepts and
refuses.

Values: bool, int, float, str (char: one character), bytes (`Vec<u8>`, `[u8;N]`, bytes; any buffer
encodes), None for () and None, list (Vec, array), tuple, dict (Map; a struct too, or an object
with attributes), enum: "Name" or ("Name", payload), the payload of `V(A)` being the A, of `V(A,B)`
a tuple, of `V{..}` a struct. Some(x) is x; where x itself can be None it is the 1-tuple (x,).
Floats that no float can carry (signalling NaN) are their bytes, little-endian, both ways.
Maps encode in the order in which they give their keys, and decode sorted, as the crate's BTreeMap;
where a key is no dict key (a struct, a Vec), as a list of (key, value), which encodes as well.
"""

from . import crc32, decode, encode
from .errors import Catch, DecodeError, EdgeError
from .loops import copy
from .port import const
from .tree import INTS

SLACK = const(64)  # bytes an encoder may run past sink.mark (docs/design.md, "Sink")

_FORMATS = {8: "b", 16: "h", 32: "i", 64: "q", 128: "q"}


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
    shape = kind = t.kind
    if kind in INTS:
        shape = _ready_int(t)
    elif kind in ("f32", "f64"):
        t.format = "<f" if kind == "f32" else "<d"
        t.width = t.least = t.most = 4 if kind == "f32" else 8
        t.bytes = bytearray(t.width)
        shape = "float"
    else:
        if kind == "variant":
            shape = kind = "newtype" if len(t.items) == 1 else "tuple"
        elif kind == "array" and t.inner.kind in ("u8", "i8"):
            t.format = "%ds" % t.count
            shape = "octets"
        _ready_sizes(t, kind)
    t.put = encode.PUTS[shape]
    t.get = decode.GETS["array" if shape == "octets" and t.inner.signed else shape]


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
        return "fixed"
    if bits == 8:
        t.most = 1
        return "byte"
    if bits == 128:
        t.low_64 = -(1 << 63) if t.signed else 0
        t.high_64 = (1 << (63 if t.signed else 64)) - 1
        return "int128"
    return "int"


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
            from .explain import explain

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
        r = decode.Reader(buf, end)
        try:
            value = self.tree.get(self.tree, r)
        except MemoryError:
            r.fail("no memory for the value")
        if r.at != end:
            raise DecodeError("trailing", "the value", end - r.at, offset=r.at)
        return value if into is None else decode.merge(self.tree, value, into)


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
