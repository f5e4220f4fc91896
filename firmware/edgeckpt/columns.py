"""Column arrays: a Vec of structs held as one buffer per field, all of one length.

Promises: `Columns.put` hands buffers to a generated loop only if their item type is the field's;
what is anything else goes to the tree. It looks at a buffer once, and again when it is another.
"""

from struct import calcsize

from .encode import column, put_length

_FLOATS = {"f32": "f", "f64": "d"}


def fits(t, buffer):
    """Whether the items of `buffer` are stored as the scalar type `t` would be."""
    if isinstance(buffer, (bytes, bytearray)):
        code = "B"
    else:
        # MicroPython's array tells its type only so; a memoryview not at all.
        text = repr(buffer[0:0])
        if text[:7] != "array('":
            return False
        code = text[7]
    if t.kind in _FLOATS:
        return code == _FLOATS[t.kind]
    width = 1 if t.kind == "bool" else t.width
    signed = t.kind != "bool" and t.signed
    return code in ("bhilq" if signed else "BHILQ") and calcsize(code) == width


class Columns:
    """Encoder of the Vec or array `t` from columns. rows: the generated loop,
    `rows(pos, sink.buf, 0, columns, count, sink) -> pos`."""

    def __init__(self, t, rows):
        self.t = t
        self.rows = rows
        self.cells = t.inner.items if t.inner.kind == "struct" else t.items
        self.count = 0
        self.held = [None] * len(self.cells)
        self.fits = bytearray(len(self.cells))

    def put(self, v, w, p):
        if not self._look(v):
            return self.t.put(self.t, v, w, p)
        self.count = len(self.held[0])
        if self.t.kind == "seq":
            p = put_length(self.count, w, p)
        return self._loop(p, w)

    def _loop(self, p, w):
        return self.rows(p, w.buf, 0, self.held, self.count, w)

    def _look(self, v):
        i = 0
        while i < len(self.held):
            if not self._take(i, column(self.t.inner, v, i)):
                return False
            i += 1
        return True

    def _take(self, i, buffer):
        if buffer is not self.held[i]:
            self.fits[i] = fits(self.cells[i], buffer)
            self.held[i] = buffer
        if self.t.kind == "array" and len(buffer) != self.t.count:
            return False
        return self.fits[i] and len(buffer) == len(self.held[0])
