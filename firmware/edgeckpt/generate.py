"""Tree of a schema -> source of a straight-line encoder, as viper code or as bytecode.

Promises: what the source does not cover (a shape, a big int, another form of state) goes to the
`put` of that node of the tree (`codec.py`), so the bytes are the tree's; a form that changed
raises, and the `Codec` goes back to the tree. Values are range-checked before they are cut to
machine words. Nothing allocates; bytecode frames stay within 11 words.

Runs at construction on the board, and on the host for `edgeckpt schema compile`. It knows no
device and no sink but by `buf`, `mark`, `spill` (docs/design.md, "Sink").
"""

import sys

from .columns import Columns
from .port import const
from .tree import INTS, nodes

_SLACK = const(64)  # bytes between two looks at the mark (docs/design.md, "Sink")
_SHORT = const(48)  # bytes of a str or [u8;N] that are copied in line
_INLINE = const(24)  # nodes of a struct that is not a function of its own
_MOST = const(400)  # nodes of a schema that is worth its code
_FLOATS = {"f32": ("f", 4), "f64": ("d", 8)}
# What the source names besides its nodes.
PRELUDE = """\
from struct import pack_into
from edgeckpt.encode import in_f32, put_length as length
from edgeckpt.loops import strlen, varint, zigzag
LISTS = (list, tuple)
OCTETS = (bytes, bytearray)
NONE = None
"""
_KEYWORDS = (
    "False None True and as assert async await break class continue def del elif else except "
    "finally for from global if import in is lambda nonlocal not or pass raise return try while "
    "with yield"
).split()


def columnar(t):
    """Whether rows of the Vec or array `t` can be read from buffers, one for each field."""
    inner = t.items[0]
    return all([_cell(i) for i in inner.items]) if _rows(inner) else _cell(inner)


def _rows(t):
    return t.kind == "struct" and len(t.items) > 0


def _cell(t):
    if t.kind in INTS:
        return t.width <= 8 and not INTS[t.kind][2]
    return t.kind == "bool" or t.kind in _FLOATS


def _form(like, form):
    # "a" attributes, "d" dict, "t" tuple or list, as the prototype has it
    if like is None:
        return form
    return "d" if isinstance(like, dict) else "t" if isinstance(like, (list, tuple)) else "a"


def _read(v, form, names, i):
    # Source that reads field i of the local `v`.
    if form == "t":
        return "%s[%d]" % (v, i)
    if form == "d":
        return "%s['%s']" % (v, names[i])
    return ("getattr(%s, '%s')" if names[i] in _KEYWORDS else "%s.%s") % (v, names[i])


def _child(like, form, names, i):
    try:
        if form == "a":
            return getattr(like, names[i])
        return like[names[i] if form == "d" else i]
    except (AttributeError, LookupError, TypeError):
        return None


def _first(like):
    return like[0] if isinstance(like, (list, tuple)) and len(like) else None


def _is_columns(t, like, columns):
    if like is None:
        return columns and _rows(t.items[0]) and columnar(t)
    if isinstance(like, (list, tuple, str, bytes, bytearray)) or t.items[0].kind == "u8":
        return False
    return columnar(t) and (_rows(t.items[0]) or not isinstance(like, dict))


def encoder(tree, like):
    """The encoder of a ready tree for states like `like`, or None where it must be the tree:
    `encode(pos, sink.buf, 0, state, sink) -> pos`."""
    word = 64 if sys.maxsize > 1 << 32 else 32
    if sys.implementation.name == "micropython":
        try:
            return built(Source(tree, like, word=word))
        except (SyntaxError, TypeError):  # no native emitter, or one that knows less
            pass
    try:
        return built(Source(tree, like, word=word, native=False))
    except (SyntaxError, NameError):  # no compiler
        return None


def built(source):
    """The `encode` of a Source, compiled."""
    text = source.text()
    if not text:
        return None
    names = {}
    exec(PRELUDE, names)
    for i in source.used:
        names["T%d" % i] = t = source.nodes[i]
        names["P%d" % i] = t.put
    for i, n in enumerate(source.bounds):
        names["K%d" % i] = n
    exec(text, names)
    for i in source.tables:
        names["C%d" % i] = Columns(source.nodes[i], names["look%d" % i], names["rows%d" % i])
    return names["encode"]


class Source:
    """Source of an encoder for `tree` (a ready one, `codec.ready`), as `text()`.

    like: a state of the form to expect; form: "a", "d" or "t", the form where `like` does not
    say; columns: Vecs of structs are columns where `like` does not say; word: 32 or 64, bits of
    the machine; native: viper, else bytecode. `nodes` and `bounds` are what the source names:
    `T<i>`, node i; `P<i>`, its put; `C<i>`, its `columns.Columns`; `K<i>`, bounds[i].
    """

    def __init__(self, tree, like=None, form="a", columns=False, word=64, native=True):
        self.nodes = nodes(tree)
        self.word = word
        self.native = native
        self.columns = columns
        self.bounds = []
        self.used = []
        self.tables = []
        self.lines = []
        self.done = []
        if len(self.nodes) > _MOST:
            return
        self._function("encode", tree, like, form)

    def text(self):
        """The functions; the last is `encode(pos, sink.buf, 0, state, sink) -> pos`.
        "": not worth it."""
        return "\n".join(self.done)

    def _function(self, name, t, like, form):
        lines, self.lines = self.lines, []
        run, self.run = getattr(self, "run", 0), 0
        count, self.locals = getattr(self, "locals", 0), 0
        if self.native:
            self._emit(t, "v", like, form, 1)
            self._look(1)
            # Viper keeps the first three locals in registers: the hot ones, n to start with 0.
            head = "@micropython.viper\ndef %s(p: int, b: ptr8, n: int, v, w) -> int:\n" % name
            head += " m = int(w.mark)"
            for i in range(len(self.bounds)):
                head += "\n k%d = K%d" % (i, i)
        else:
            self._plain(t, "v", like, form, 1)
            entry = "p, b, n, v, w" if name == "encode" else "v, w, p"
            head = "def %s(%s):" % (name, entry)
        self.lines.append(" return p")
        self.done.append(head + "\n" + "\n".join(self.lines))
        self.lines = lines
        self.run = run
        self.locals = count
        return name

    def _add(self, depth, *lines):
        for line in lines:
            self.lines.append(" " * depth + line)

    def _number(self, t):
        i = self._index(t)
        if i not in self.used:
            self.used.append(i)
        return i

    def _index(self, t):
        for i in range(len(self.nodes)):
            if self.nodes[i] is t:
                return i

    # Bytecode: calls of the nodes' own puts, without the look-ups between

    def _plain(self, t, v, like, form, depth):
        if t.kind in ("seq", "array") and not (
            t.items[0].kind == "u8" or _is_columns(t, like, self.columns)
        ):
            if t.items[0].kind == "struct" and t.items[0].least:
                self._plain_list(t, v, like, form, depth)
                return
        elif t.kind == "struct" and t.items:
            self._plain_struct(t, v, like, form, depth)
            return
        i = self._number(t)
        self._add(depth, "p = P%d(T%d, %s, w, p)" % (i, i, v))

    def _plain_struct(self, t, v, like, form, depth):
        form = _form(like, form)
        if form == "t":
            self._add(depth, "if len(v) != %d or isinstance(v, dict):" % len(t.items))
            self._add(depth + 1, "raise ValueError")
        for i, item in enumerate(t.items):
            child = _child(like, form, t.names, i)
            read = _read(v, form, t.names, i)
            if item.kind == "struct" and item.items or item.kind in ("seq", "array"):
                name = self._function("f%d" % self._index(item), item, child, form)
                self._add(depth, "p = %s(%s, w, p)" % (name, read))
            else:
                self._plain(item, read, child, form, depth)

    def _plain_list(self, t, v, like, form, depth):
        i = self._number(t)
        item = t.items[0]
        name = self._function("f%d" % self._index(item), item, _first(like), form)
        count = "" if t.kind == "seq" else " or len(v) != %d" % t.count
        self._add(depth, "if not isinstance(v, LISTS)%s:" % count)
        self._add(depth + 1, "return P%d(T%d, v, w, p)" % (i, i))
        if t.kind == "seq":
            self._add(depth, "p = length(len(v), w, p)")
        self._add(depth, "i = 0", "while i < len(v):")
        self._add(depth + 1, "p = %s(v[i], w, p)" % name, "i += 1")

    # Viper

    def _look(self, depth):
        # Nothing may run further past the mark.
        if self.run:
            self._add(depth, "if p >= m:", " p = int(w.spill(p))")
        self.run = 0

    def _need(self, n, depth):
        # n bytes more, at most, from here
        if self.run + n > _SLACK:
            self._look(depth)
        self.run += n

    def _call(self, t, x, depth):
        i = self._number(t)
        self._add(depth, "p = int(P%d(T%d, %s, w, p))" % (i, i, x))

    def _emit(self, t, v, like, form, depth):
        # v: source of the value, evaluated once
        kind = t.kind
        items = t.items
        if kind == "struct" and items or kind == "tuple":
            if depth > 1 and len(nodes(t)) > _INLINE:
                self._look(depth)
                name = self._function("f%d" % self._index(t), t, like, form)
                self._add(depth, "p = int(%s(p, w.buf, 0, %s, w))" % (name, v))
            else:
                self._fields(t, self._local(v, depth), like, form, depth)
            return
        if kind == "option" and not t.marked:
            v = self._local(v, depth)
            self._need(1, depth)
            self._add(depth, "if %s is NONE:" % v, " b[p] = 0", " p += 1", "else:")
            self._add(depth + 1, "b[p] = 1", "p += 1")
            run = self.run
            self._emit(items[0], v, like, form, depth + 1)
            self.run = max(run, self.run)
            return
        if kind in INTS and t.width <= 8 and not INTS[kind][2]:
            self._int(t, v, depth)
            return
        if kind in _FLOATS:
            self._need(t.width, depth)
            value = "in_f32(%s)" % v if kind == "f32" else v
            self._add(depth, "pack_into('<%s', w.buf, p, %s)" % (_FLOATS[kind][0], value))
            self._add(depth, "p += %d" % t.width)
            return
        self._look(depth)
        if kind == "str":
            self._add(depth, "x = " + v, "if isinstance(x, str):", " n = int(strlen(x))")
            self._add(depth, "else:", " n = %d" % _SLACK, "if n <= %d:" % _SHORT)
            self._add(depth + 1, "b[p] = n", "p += 1")
            self._copy(t, depth, _SHORT + 1)
        elif kind == "array" and items[0].kind == "u8" and t.count <= _SHORT:
            self._add(depth, "x = " + v, "n = %d" % t.count)
            self._add(depth, "if isinstance(x, OCTETS) and int(len(x)) == n:")
            self._copy(t, depth, t.count)
        elif kind in ("seq", "array") and _is_columns(t, like, self.columns):
            self._rows(t, v, like, form, depth)
        elif kind == "array" and self._packs(t):
            self._pack(t, v, depth)
        elif kind in ("seq", "array") and items[0].kind != "u8" and items[0].least:
            self._list(t, self._local(v, depth), like, form, depth)
        else:
            self._call(t, v, depth)

    def _local(self, v, depth):
        if v == "v" or v[0] in "xy" and v[1:].isdigit():
            return v
        # One name a value: the parent's is read again after its children.
        self.locals += 1
        self._add(depth, "x%d = %s" % (self.locals, v))
        return "x%d" % self.locals

    def _fields(self, t, v, like, form, depth):
        form = "t" if t.kind == "tuple" else _form(like, form)
        if form == "t":
            self._add(
                depth, "if int(len(%s)) != %d or isinstance(%s, dict):" % (v, len(t.items), v)
            )
            self._add(depth + 1, "raise ValueError")
        for i, item in enumerate(t.items):
            child = _child(like, form, t.names, i)
            self._emit(item, _read(v, form, t.names, i), child, form, depth)

    def _bound(self, n):
        if n not in self.bounds:
            self.bounds.append(n)
        return "k%d" % self.bounds.index(n)

    def _int(self, t, v, depth):
        # Small ints here, others (and what is no int of the type) by the tree.
        small = (1 << self.word - 2) - 1
        low = self._bound(max(t.low, -small - 1))
        high = self._bound(min(t.high, small))
        self._need(t.most, depth)
        self._add(depth, "x = " + v, "if %s <= x <= %s:" % (low, high), " n = int(x)")
        if t.width > 1:
            if t.signed:
                self._add(depth + 1, "n = n << 1 ^ n >> %d" % (self.word - 1))
            self._varint(depth + 1)
        else:
            self._add(depth + 1, "b[p] = n", "p += 1")
        if t.width > 2 and t.high > small:
            low, high = self._bound(t.low), self._bound(t.high)
            i = self._number(t)
            self._add(depth, "elif %s <= x <= %s:" % (low, high))
            self._add(depth + 1, "pack_into('%s', T%d.bytes, 0, x)" % (t.format, i))
            if t.signed:
                self._add(depth + 1, "zigzag(T%d.bytes, %d)" % (i, t.width))
            self._add(depth + 1, "p = int(varint(w.buf, p, T%d.bytes, %d))" % (i, t.width))
        self._add(depth, "else:")
        self._call(t, "x", depth + 1)

    def _varint(self, depth):
        self._add(depth, "while n > 127:", " b[p] = n | 128", " n >>= 7", " p += 1")
        self._add(depth, "b[p] = n", "p += 1")

    def _copy(self, t, depth, most):
        # In an open `if`: n bytes of x; else the tree.
        self._add(depth + 1, "q = ptr8(x)", "i = 0", "while i < n:")
        self._add(depth + 2, "b[p] = q[i]", "p += 1", "i += 1")
        self._add(depth, "else:")
        self._call(t, "x", depth + 1)
        self.run = most

    def _packs(self, t):
        kind = t.items[0].kind
        return kind in _FLOATS and 0 < t.count * _FLOATS[kind][1] <= _SLACK

    def _pack(self, t, v, depth):
        v = self._local(v, depth)
        code, width = _FLOATS[t.items[0].kind]
        item = "in_f32(%s[%d])" if code == "f" else "%s[%d]"
        values = ", ".join([item % (v, i) for i in range(t.count)])
        self._add(depth, "if isinstance(%s, LISTS) and int(len(%s)) == %d:" % (v, v, t.count))
        self._add(depth + 1, "pack_into('<%d%s', w.buf, p, %s)" % (t.count, code, values))
        self._add(depth + 1, "p += %d" % (t.count * width))
        self._add(depth, "else:")
        self._call(t, v, depth + 1)
        self.run = t.count * width

    def _list(self, t, v, like, form, depth):
        count = "" if t.kind == "seq" else " and int(len(%s)) == %d" % (v, t.count)
        self._add(depth, "if isinstance(%s, LISTS)%s:" % (v, count))
        if t.kind == "seq":
            self._add(depth + 1, "n = int(len(%s))" % v)
            self._varint(depth + 1)
            self.run = 10
            self._look(depth + 1)
        self._add(depth + 1, "for y%d in %s:" % (depth, v))
        start = len(self.lines)
        self._emit(t.items[0], "y%d" % depth, _first(like), form, depth + 2)
        self._look(depth + 2)
        if len(self.lines) == start:
            self._add(depth + 2, "pass")
        self._add(depth, "else:")
        self._call(t, v, depth + 1)
        self.run = 0

    # Columns: one loop over the rows, the fields read as machine words

    def _rows(self, t, v, like, form, depth):
        i = self._index(t)
        if i not in self.tables:
            self.tables.append(i)
            self._number(t)
            self._look_at(t, "look%d" % i, _form(like, form))
            self._table(t, "rows%d" % i)
        self._add(depth, "p = int(C%d.put(%s, w, p))" % (i, v))

    def _look_at(self, t, name, form):
        # How many rows there are, -1 if the columns are not the held ones, or not of one length.
        lines = ["@micropython.viper", "def %s(v, h) -> int:" % name, " n = 0"]
        names = t.items[0].names
        for i in range(len(names) or 1):
            lines.append(" x = " + (_read("v", form, names, i) if names else "v"))
            lines.append(" if x is not h[%d]%s:" % (i, " or int(len(x)) != n" if i else ""))
            lines.append("  return -1")
            if not i:
                lines.append(" n = int(len(x))")
        lines.append(" return n")
        self.done.append("\n".join(lines))

    def _table(self, t, name):
        lines, self.lines = self.lines, []
        run, self.run = self.run, 0
        cells = t.items[0].items if _rows(t.items[0]) else t.items
        head = "@micropython.viper\ndef %s(p: int, b: ptr8, x: int, c, n: int, w) -> int:" % name
        self._add(1, "m = int(w.mark)")
        for i, cell in enumerate(cells):
            self._add(1, "c%d = ptr%d(c[%d])" % (i, _pointer(cell), i))
        self._add(1, "i = 0", "while i < n:")
        for i, cell in enumerate(cells):
            self._need(cell.most, 2)
            self._cells(cell, "c%d" % i)
        self._look(2)
        self._add(2, "i += 1")
        self._add(1, "return p")
        self.done.append(head + "\n" + "\n".join(self.lines))
        self.lines = lines
        self.run = run

    def _cells(self, t, c):
        add = self._add
        if t.kind == "bool":
            add(2, "x = %s[i]" % c, "if x > 1:", " raise ValueError", "b[p] = x", "p += 1")
        elif t.kind in _FLOATS:
            add(2, "k = i << %d" % (2 if t.width == 4 else 3), "e = p + %d" % t.width)
            add(2, "while p < e:", " b[p] = %s[k]" % c, " p += 1", " k += 1")
        elif t.width == 1:
            add(2, "b[p] = %s[i]" % c, "p += 1")
        elif t.width == 2:
            add(2, "x = %s[i]" % c)
            if t.signed:
                add(2, "x = (x ^ 32768) - 32768", "x = x << 1 ^ x >> %d" % (self.word - 1))
            add(2, "while x > 127:", " b[p] = x | 128", " x >>= 7", " p += 1")
            add(2, "b[p] = x", "p += 1")
        elif self.word == 64:
            self._wide(t, c)
        else:
            self._pair(t, c)

    def _wide(self, t, c):
        # A machine word of 64 bits; its top bit may be set after all.
        add = self._add
        if t.width == 4:
            add(2, "x = %s[i] & 0xFFFFFFFF" % c)
            if t.signed:
                add(2, "x = (x ^ 0x80000000) - 0x80000000", "x = x << 1 ^ x >> 63")
        else:
            add(2, "x = %s[i << 1] & 0xFFFFFFFF | %s[(i << 1) + 1] << 32" % (c, c))
            if t.signed:
                add(2, "x = x << 1 ^ x >> 63")
            add(2, "if x < 0:", " b[p] = x | 128", " x = x >> 7 & 0x1FFFFFFFFFFFFFF", " p += 1")
        add(2, "while x > 127:", " b[p] = x | 128", " x >>= 7", " p += 1")
        add(2, "b[p] = x", "p += 1")

    def _pair(self, t, c):
        # Machine words of 32 bits: x the low one, h the high one.
        add = self._add
        if t.width == 4:
            add(2, "x = %s[i]" % c)
            if t.signed:
                add(2, "x = x << 1 ^ x >> 31")
        else:
            add(2, "x = %s[i << 1]" % c, "h = %s[(i << 1) + 1]" % c)
            if t.signed:
                add(2, "s = h >> 31", "h = (h << 1 | x >> 31 & 1) ^ s", "x = x << 1 ^ s")
            add(2, "while h != 0:", " b[p] = x | 128", " x = x >> 7 & 0x1FFFFFF | h << 25")
            add(3, "h = h >> 7 & 0x1FFFFFF", "p += 1")
        add(2, "if x < 0:", " b[p] = x | 128", " x = x >> 7 & 0x1FFFFFF", " p += 1")
        add(2, "while x > 127:", " b[p] = x | 128", " x >>= 7", " p += 1")
        add(2, "b[p] = x", "p += 1")


def _pointer(t):
    if t.kind == "bool" or t.kind in _FLOATS or t.width == 1:
        return 8
    return 16 if t.width == 2 else 32
