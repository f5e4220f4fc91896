"""Tree of a schema -> source of its encoder and decoder: straight-line calls of `codec.postcard`.

Promises: the bytes, the values and what is refused are those of the tree. Written by the host
(`edgeckpt schema compile`), and by a board that has this package from the same source, at its
start. The encoder expects states of one form; where one has another, it raises, and the `Codec`
goes on with the tree. Its functions stay within frames of 11 words.

    def f2(b, p, v):                def g2(r):
        p = u64(b, p, v["ts"])          return {"ts": r.u64(), "ch": r.u8()}
        return u8(b, p, v["ch"])
"""

from ..codec.tree import INTS, nodes

_LEAVES = {"bool": "boolean", "str": "string"}
_LEAVES.update(
    [(n, n) for n in "char unit u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64".split()]
)
_KEYWORDS = (
    "False None True and as assert async await break class continue def del elif else except "
    "finally for from global if import in is lambda nonlocal not or pass raise return try while "
    "with yield"
).split()


def built(tree, like):
    """(encode, decode) of a ready tree, for states like `like`."""
    source = Source(tree, like)
    names = {}
    exec(source.text(), names)
    return names["encode"], names["decode"]


def _child(like, form, names, i):
    try:
        if form == "a":
            return getattr(like, names[i])
        return like[names[i] if form == "d" else i]
    except (AttributeError, LookupError, TypeError):
        return None


def _first(like):
    return like[0] if isinstance(like, (list, tuple)) and len(like) else None


class Source:
    """Source for a ready `tree`, as `text()`: `encode(b, p, v) -> p`, `decode(r) -> value`.

    like: a state of the form to expect. Where it does not say: form, "a" (attributes), "d" (dict)
    or "t" (tuple), of structs; columns: a Vec of structs is one sequence per field.
    """

    def __init__(self, tree, like=None, form="a", columns=False):
        self.nodes = nodes(tree)
        self.columns = columns
        self.imports = ""
        self.used = []  # names of the run time
        self.maps = []  # lines that make what the functions name
        self.done = []
        self.made = {}
        put = self._put(tree, like, form)
        self._function("encode", "b, p, v", ["return " + put("p", "v")])
        self._function("decode", "r", ["return " + self._get(tree)])

    def text(self):
        """The module's lines."""
        names = ["from edgeckpt.codec.postcard import " + name for name in sorted(self.used)]
        return self.imports + "\n".join(names + self.maps + self.done) + "\n"

    def _function(self, name, arguments, lines):
        self.done.append("def %s(%s):" % (name, arguments))
        self.done.extend([" " + line for line in lines])

    def _use(self, name):
        if name not in self.used:
            self.used.append(name)
        return name

    def _index(self, t):
        for i in range(len(self.nodes)):
            if self.nodes[i] is t:
                return i

    def _kept(self, name, line):
        # A line of the module that makes `name`, once.
        if name not in self.made:
            self.made[name] = True
            self.maps.append("%s = %s" % (name, line))
        return name

    def _fixed(self, t):
        sign, bits, order = INTS[t.kind]
        self._use("Fixed")
        return self._kept("F_" + t.kind, "Fixed(%d, %r, %r)" % (bits // 8, sign, order == "be"))

    def _map(self, t):
        # Its order needs the types of the keys: the tree's own.
        self.imports = "from edgeckpt.codec import node\n"
        return self._kept("M%d" % self._index(t), "node(%r)" % t.text())

    # Encoder: `_put(...)` gives a function from the sources of position and value to a call.

    def _put(self, t, like, form):
        kind = t.kind
        if kind == "variant" and len(t.items) == 1:
            return self._put(t.items[0], like, form)
        if kind in _LEAVES:
            return self._call(self._use(_LEAVES[kind]))
        if kind in INTS:
            return self._call(self._fixed(t) + ".put")
        if kind == "bytes" or kind == "seq" and t.octets:
            return self._call(self._use("octets"))
        if kind == "array" and t.octets:
            return self._call(self._use("octet_array"), ", %d" % t.count)
        if kind == "map":
            name = self._map(t)
            return self._call(name + ".put", "", name + ", ")
        if kind == "struct" and not t.items:
            form = "d" if form == "t" else form
        name = "f%d" % self._index(t)
        self._function(name, "b, p, v", getattr(self, "_put_" + kind)(t, like, form))
        return self._call(name)

    def _call(self, name, after="", before=""):
        def call(p, v):
            return "%s(%sb, %s, %s%s)" % (name, before, p, v, after)

        return call

    def _each(self, t, parts):
        # parts: a source of the value and a prototype for each item
        lines = []
        for i in range(len(t.items)):
            value, like, form = parts[i]
            lines.append("p = " + self._put(t.items[i], like, form)("p", value))
        return lines + ["return p"]

    def _put_tuple(self, t, like, form):
        self._use("parts")
        parts = []
        for i in range(len(t.items)):
            parts.append(("v[%d]" % i, _child(like, "t", None, i), form))
        return ["parts(v, %d)" % len(t.items)] + self._each(t, parts)

    _put_variant = _put_tuple

    def _put_struct(self, t, like, form):
        if like is not None:
            form = (
                "d" if isinstance(like, dict) else "t" if isinstance(like, (list, tuple)) else "a"
            )
        if form == "t":
            return self._put_tuple(t, like, form)
        parts = []
        for i in range(len(t.items)):
            parts.append((_read(form, t.names[i]), _child(like, form, t.names, i), form))
        lines = self._each(t, parts)
        if form == "d":
            lines.insert(0, "%s(v, %d)" % (self._use("fields"), len(t.items)))
        elif not t.items:
            lines.insert(0, "%s(v)" % self._use("no_fields"))
        return lines

    def _put_option(self, t, like, form):
        lines = ["b[p] = 0 if v is None else 1", "if v is None:", " return p + 1"]
        value = "v"
        if t.marked:
            lines.append("%s(v, 1)" % self._use("parts"))
            like = _first(like)
            value = "v[0]"
        return lines + ["return " + self._put(t.items[0], like, form)("p + 1", value)]

    def _put_seq(self, t, like, form):
        if t.rows and self._is_columns(like):
            return self._put_columns(t, like)
        item = self._put(t.items[0], _first(like), form)
        self._use("count")
        if t.kind == "seq":
            lines = ["p = %s(b, p, count(v))" % self._use("uint")]
        else:
            lines = ["if count(v) != %d:" % t.count, " raise ValueError"]
        if t.floats:
            return lines + ["return %s.put(b, p, v)" % self._floats(t.items[0])]
        if not t.items[0].least:
            lines.append("%s(len(v))" % self._use("use_units"))
        return lines + [
            "i = 0",
            "while i < len(v):",
            " p = " + item("p", "v[i]"),
            " i += 1",
            "return p",
        ]

    _put_array = _put_seq

    def _floats(self, t):
        self._use("Floats")
        code = "f" if t.kind == "f32" else "d"
        return self._kept("A%d" % self._index(t), "Floats(%r)" % code)

    def _is_columns(self, like):
        if like is None:
            return self.columns
        return not isinstance(like, (list, tuple))

    def _put_columns(self, t, like):
        row = t.items[0]
        form = "d" if isinstance(like, dict) else "a"
        columns = [_read(form, n) for n in row.names]
        self._use("same")
        lines = []
        if form == "d":
            lines.append("%s(v, %d)" % (self._use("fields"), len(row.items)))
        lines.append("n = len(%s)" % columns[0])
        lines += ["same(n, %s)" % c for c in columns[1:]]
        if t.kind == "seq":
            lines.append("p = %s(b, p, n)" % self._use("uint"))
        else:
            lines += ["if n != %d:" % t.count, " raise ValueError"]
        if not row.least:
            lines.append("%s(n)" % self._use("use_units"))
        lines += ["i = 0", "while i < n:"]
        for i in range(len(row.items)):
            if row.items[i].cells:
                lines.append(
                    " p = %s.put_at(b, p, %s, i)" % (self._floats(row.items[i]), columns[i])
                )
                continue
            cell = columns[i] + "[i]"
            if row.items[i].kind == "bool":
                cell = "%s(%s)" % (self._use("flag"), cell)
            like_cell = _first(_child(like, form, row.names, i))
            lines.append(" p = " + self._put(row.items[i], like_cell, "a")("p", cell))
        return lines + [" i += 1", "return p"]

    def _put_enum(self, t, like, form):
        name = "V%d" % self._index(t)
        units = dict([(t.names[i], i) for i in range(len(t.names)) if t.items[i] is None])
        others = dict([(t.names[i], i) for i in range(len(t.names)) if t.items[i] is not None])
        self._use("uint")
        self._kept("U" + name, repr(units))
        lines = ["if isinstance(v, str):", " return uint(b, p, U%s[v])" % name]
        self._kept(name, repr(others))
        lines.append("%s(v, 2)" % self._use("parts"))
        lines.append("p = uint(b, p, %s[v[0]])" % name)
        for word in others:
            given = like[1] if isinstance(like, tuple) and len(like) == 2 else None
            mine = given if given is not None and like[0] == word else None
            put = self._put(t.items[others[word]], mine, form)
            lines += ["if v[0] == %r:" % word, " return " + put("p", "v[1]")]
        return lines + ["raise ValueError"]

    # Decoder: `_get(t)` gives the source of an expression.

    def _get(self, t):
        kind = t.kind
        if kind == "variant" and len(t.items) == 1:
            return self._get(t.items[0])
        if kind in _LEAVES:
            return "r.%s()" % _LEAVES[kind]
        if kind in INTS:
            return self._fixed(t) + ".get(r)"
        if kind == "bytes" or kind == "seq" and t.octets:
            return "r.octets()"
        if kind == "array" and t.octets:
            return "r.octet_array(%d)" % t.count
        if kind == "map":
            name = self._map(t)
            return "%s.get(%s, r)" % (name, name)
        if kind == "option":
            inner = self._get(t.items[0])
            return (
                "((%s,) if r.option() else None)" if t.marked else "(%s if r.option() else None)"
            ) % (inner)
        name = "g%d" % self._index(t)
        if name not in self.made:
            self.made[name] = True
            self._function(name, "r", getattr(self, "_get_" + kind)(t))
        return name + "(r)"

    def _get_struct(self, t):
        parts = ["%r: %s" % (t.names[i], self._get(t.items[i])) for i in range(len(t.items))]
        return ["return {%s}" % ", ".join(parts)]

    def _get_tuple(self, t):
        return ["return (%s)" % "".join([self._get(i) + ", " for i in t.items])]

    _get_variant = _get_tuple

    def _get_seq(self, t):
        count = "r.length()" if t.kind == "seq" else str(t.count)
        return [
            "v = []",
            "for _ in range(r.items(%s, %d)):" % (count, t.items[0].least),
            " v.append(%s)" % self._get(t.items[0]),
            "return v",
        ]

    _get_array = _get_seq

    def _get_enum(self, t):
        lines = ["i = r.variant(%d)" % len(t.names)]
        for i in range(len(t.names)):
            if t.items[i] is not None:
                lines += [
                    "if i == %d:" % i,
                    " return %r, %s" % (t.names[i], self._get(t.items[i])),
                ]
        names = self._kept("N%d" % self._index(t), repr(tuple(t.names)))
        return lines + ["return %s[i]" % names]


def _read(form, name):
    # Source that reads a field of `v`.
    if form == "d":
        return "v[%r]" % name
    return ("getattr(v, %r)" if name in _KEYWORDS else "v.%s") % name
