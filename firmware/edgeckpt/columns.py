"""Column arrays: a Vec of structs held as one buffer per field, all of one length.

Promises: `Columns.put` hands buffers to a generated loop only if their item type is the field's;
what is anything else goes to the tree. It examines a buffer once, and again when it is another.
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
    """Encoder of the Vec or array `t` from columns, by two generated functions.

    look: `look(columns, held) -> count` of the rows, -1 where the columns are not those held.
    rows: the loop, `rows(pos, sink.buf, 0, held, count, sink) -> pos`.
    """

    def __init__(self, t, look, rows):
        self.t = t
        self.look = look
        self.rows = rows
        self.cells = t.inner.items if t.inner.kind == "struct" else t.items
        self.count = 0
        self.held = [None] * len(self.cells)
        self.odd = [None] * len(self.cells)  # that do not fit: examining one allocates

    def put(self, v, w, p):
        self.count = self.look(v, self.held)
        if self.count < 0:
            self.count = self._take(v)
        if self.count < 0 or self.t.kind == "array" and self.count != self.t.count:
            return self.t.put(self.t, v, w, p)
        if self.t.kind == "seq":
            p = put_length(self.count, w, p)
        return self._loop(p, w)

    def _loop(self, p, w):
        return self.rows(p, w.buf, 0, self.held, self.count, w)

    def _take(self, v):
        # Hold the columns of `v` that fit, and look again; no column is None.
        i = 0
        while i < len(self.held):
            self._hold(i, column(self.t.inner, v, i))
            i += 1
        return self.look(v, self.held)

    def _hold(self, i, buffer):
        if buffer is not self.held[i] and buffer is not self.odd[i]:
            if fits(self.cells[i], buffer):
                self.held[i] = buffer
            else:
                self.odd[i] = buffer
