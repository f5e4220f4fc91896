"""Postcard 1.x: states to bytes and back, by a schema text.

Promises: `encode()` fills one buffer and allocates nothing (but for what is named there);
`decode()` trusts nothing; what does not encode is explained. Accepted and refused is what the
Rust crate postcard 1.1 accepts and refuses.

Values: bool, int, float, str (char: one character), bytes (`Vec<u8>`, `[u8;N]`, bytes; any buffer
encodes), None for () and None, list (Vec, array), tuple, dict (Map; a struct too, or an object
with attributes), enum: "Name" or ("Name", payload), the payload of `V(A)` being the A, of `V(A,B)`
a tuple, of `V{..}` a struct. Some(x) is x; where x itself can be None it is the 1-tuple (x,).
Maps are written and given in the order of the crate's BTreeMap: dicts, and where a key is no dict
key (a struct, a Vec), lists of (key, value), which encode as well.

Floats: what no float holds (signalling NaN) are their bytes, little-endian, both ways. An f64
that a board's floats of single precision do not hold exactly is refused.

A dict that stands for a struct has its fields and no other keys.
"""

from .. import crc32
from ..errors import Catch, DecodeError, EncodeError, SchemaError
from .postcard import Reader, start

__all__ = ["Codec", "DecodeError", "compile", "known", "node"]


class Codec:
    """Encoder and decoder of one schema.

    text: canonical schema text; crc: its CRC-32, bytearray(4), little-endian; max_size: bytes of
    the largest encoding, None where a length has no bound; compiled: whether it has functions of
    its own, for states of one form; tree: the `tree.Node`, which serves every form, and where
    there are none.
    """

    def __init__(self, text, max_size, tree, functions):
        self.text = text
        self.max_size = max_size
        self.compiled = functions is not None
        self._tree = tree
        self._encode, self._decode = functions or (None, None)
        self._caught = Catch()
        self._buf = None
        self._n = 0
        self.crc = bytearray(4)
        raw = text.encode()
        crc32.reset(self.crc)
        crc32.update(self.crc, raw, 0, len(raw))

    @property
    def tree(self):
        if self._tree is None:
            self._tree = node(self.text)
        return self._tree

    def encode(self, state, buf):
        """Encode into the bytearray `buf`; the number of bytes. EncodeError names the field, or
        says `too-large`; `buf` is then of no use.

        Allocation-free, but for u128 and i128 beyond 64 bits, integers in an f64 beyond 2^24,
        columns of floats and large integers, the longest str so far, Maps as lists of pairs out
        of order, and keys of Maps that hold a Map themselves.
        """
        self._buf = buf
        if self.compiled:
            self._try(state)
            if self._caught.error is None:
                return self._n
            # Another form than the one it is compiled for, or a value is wrong: the tree knows.
            self._only_state(self._caught.take())
        self._walk(state)
        if self._caught.error is not None:
            self._fail(state, buf)
        self.compiled = False  # each raise is an allocation
        return self._n

    def _try(self, state):
        with self._caught:
            self._put(state)

    def _put(self, state):
        start()
        self._n = self._encode(self._buf, 0, state)

    def _walk(self, state):
        with self._caught:
            self._put_tree(state)

    def _put_tree(self, state):
        start()
        self._n = self.tree.put(self.tree, self._buf, 0, state)

    def _only_state(self, error):
        # A Ctrl-C, or a heap without room, says nothing about the state.
        if not isinstance(error, Exception) or isinstance(error, MemoryError):
            raise error

    def _fail(self, state, buf):
        error = self._caught.take()
        self._only_state(error)
        from .explain import explain, size

        explain(self.tree, state)
        n = size(self.tree, state)
        if n > len(buf):
            raise EncodeError("too-large", "the state", n, len(buf))
        raise error

    def decode(self, buf, end, into=None):
        """The value that exactly buf[0:end] encodes. DecodeError; reason `trailing` if there is
        more. into: an object, dict, list or buffer that takes the value, in place; SchemaError
        where it cannot. After a DecodeError it may hold a part of it."""
        r = Reader(buf, end)
        try:
            value = self._read(r) if into is None else self._read_into(r, into)
        except MemoryError:
            raise DecodeError("bytes", "the value", "no memory for the value", offset=r.at)
        except DecodeError as e:
            raise DecodeError("bytes", e.where.lstrip(".") or "the value", e.got, offset=e.offset)
        if r.at != end:
            raise DecodeError("trailing", "the value", end - r.at, offset=r.at)
        return value

    def _read(self, r):
        if not self.compiled:
            return self.tree.get(self.tree, r)
        try:
            return self._decode(r)
        except DecodeError:
            # Once more, for the path.
            return self.tree.get(self.tree, Reader(r.buf, r.end))

    def _read_into(self, r, old):
        from .into import into

        value = into(self.tree, r, old)
        if value is not old:
            what = "what a %s fits in" % self.tree.kind
            raise SchemaError("value", "into", repr(old)[:40], what)
        return value


# Compiled schemas (`edgeckpt schema compile`), by text: (max_size, (encode, decode)).
known = {}


def node(text):
    """The tree of a schema text, as encoder and decoder. SchemaError points at what does not
    parse."""
    from .ready import ready
    from .schema import parse

    tree = parse(text)
    ready(tree)
    return tree


def compile(text, like=None):
    """The `Codec` of a schema text: with the functions of a compiled schema that was imported,
    or, where the package `edgeckpt.compiler` is there, made for states of the form of `like`."""
    if text in known:
        max_size, functions = known[text]
        return Codec(text, max_size, None, functions)
    tree = node(text)
    functions = None
    if like is not None:
        try:
            from ..compiler import built

            functions = built(tree, like)
        except (ImportError, NameError):  # not there, or a port without a compiler
            pass
    return Codec(tree.text(), tree.most, tree, functions)
