"""Generated encoders give the bytes of the tree, for every form of state: `forms.py FOLDER`.

The golden vectors as dicts, objects and tuples; values at the edges of every integer; wrong
values; forms that change after construction; columns. MicroPython and CPython.
"""

import json
import sys
from array import array

from edgeckpt import EncodeError, codec
from edgeckpt.codec.postcard import start
from edgeckpt.codec.tree import INTS
from notation import encode, schema_text, unhex, value_of

NATIVE = sys.implementation.name == "micropython"


def alone(c, state):
    """Whether the compiled functions do without the tree."""
    try:
        start()
        c._encode(bytearray(1 << 16), 0, state)
        return True
    except Exception:
        return False


class Fields:
    def __init__(self, fields):
        for name in fields:
            setattr(self, name, fields[name])


def formed(t, v, form):
    """The value `v` of node `t` with its structs as "a" objects or "t" tuples."""
    kind = t.kind
    if v is None or isinstance(v, (str, bytes)):
        return v
    if kind == "struct":
        fields = dict([(n, formed(i, v[n], form)) for n, i in zip(t.names, t.items)])
        return Fields(fields) if form == "a" else tuple([fields[n] for n in t.names])
    if kind in ("seq", "array"):
        return [formed(t.inner, x, form) for x in v]
    if kind == "option":
        return (formed(t.inner, v[0], form),) if t.marked else formed(t.inner, v, form)
    if kind == "tuple":
        return tuple([formed(i, x, form) for i, x in zip(t.items, v)])
    return v


def check_vector(case, count):
    text = schema_text(case["type"])
    tree = codec.compile(text).tree
    value = value_of(tree, case["value"])
    data = unhex(case["hex"])
    for form in "dat":
        state = value if form == "d" else formed(tree, value, form)
        c = codec.compile(text, like=state)
        assert c.compiled or state is None, case["id"]
        got = encode(c, state)
        assert got == data, "%s, form %s: encoded as %r" % (case["id"], form, got)
        count[alone(c, state)] += 1


def refused(c, state):
    try:
        encode(c, state)
    except EncodeError as e:
        return e.where
    raise AssertionError("accepted")


def check_integers():
    for kind in INTS:
        plain = codec.compile("{x:%s}" % kind)
        t = plain.tree.items[0]
        quick = codec.compile("{x:%s}" % kind, like={"x": 0})
        for k in range(130):
            for x in ((1 << k) - 1, 1 << k, (1 << k) + 1, -(1 << k) - 1, -(1 << k), 1 - (1 << k)):
                state = {"x": x}
                if t.low <= x <= t.high:
                    assert encode(quick, state) == encode(plain, state), (kind, x)
                else:
                    assert refused(quick, state) == "x"
        for x in (1.0, "1", None, b"1", (1,), [1]):
            assert refused(quick, {"x": x}) == "x"
        assert quick.compiled


TEXT = "{a:Vec<{ts:u64,n:i32,s:str}>,b:[f32;3],c:Option<u16>,d:bool,k:[u8;4]}"


def sample(n):
    return {
        "a": [{"ts": 1 << (i % 64), "n": -i * 99, "s": "x" * i} for i in range(n)],
        "b": [0.5, 1.5, -2.0],
        "c": 300,
        "d": True,
        "k": b"\x00\x01\x02\x03",
    }


def check_changes():
    # The form changes behind the prototype, with blocks already spilled: the same bytes.
    plain = codec.compile(TEXT)
    expected = encode(plain, sample(70))
    for at in (0, 1, 35, 69):
        c = codec.compile(TEXT, like=sample(1))
        state = sample(70)
        state["a"][at] = Fields(state["a"][at])
        assert not alone(c, state) and encode(c, state) == expected
        assert not c.compiled and encode(c, state) == expected
    c = codec.compile(TEXT, like=sample(1))
    for name, wrong in (
        ("d", 1),
        ("c", 65536),
        ("c", (1 << 64) + 5),
        ("k", b"123"),
        ("k", "1234"),
        ("b", [0.5]),
        ("b", ["1", 2, 3]),
        ("a", None),
    ):
        state = sample(40)
        state[name] = wrong
        assert refused(c, state).startswith(name), name
        assert encode(c, sample(70)) == expected and c.compiled
    state = sample(40)
    state["a"][33]["ts"] = (1 << 64) + 5
    assert refused(c, state) == "a[33].ts"
    state["a"][33] = {"ts": 1, "n": 2}
    assert refused(c, state) == "a[33]"


CELLS = "{a:u64,b:u8,c:i32,d:f32,e:f64,f:i16,g:u16,h:i8,i:u32,j:i64,k:bool}"
CODES = "QBifdhHbIqB"


def columns(n, seed):
    x = seed
    made = {}
    for name, code in zip("abcdefghijk", CODES):
        width = {"b": 8, "h": 16, "i": 32, "q": 64}.get(code.lower(), 0)
        values = []
        for _ in range(n):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
            v = x * 0x9E3779B97F4A7C15 >> (x & 31)
            if name == "k":
                v = x >> 9 & 1
            elif not width:
                v = (x - (1 << 30)) / 64
            else:
                v = (v & (1 << width) - 1) >> (x >> 8) % width
                if code.islower():
                    v -= (x >> 4 & 1) << width - 1 if v < 1 << width - 1 else 1 << width
            values.append(v)
        made[name] = array(code, values)
    return made


def rows(table):
    names = "abcdefghijk"
    return [
        dict([(n, table[n][i] == 1 if n == "k" else table[n][i]) for n in names])
        for i in range(len(table["a"]))
    ]


def check_columns():
    for text in ("Vec<%s>" % CELLS, "[%s;40]" % CELLS):
        plain = codec.compile(text)
        for seed in range(30):
            table = columns(40, seed)
            expected = encode(plain, rows(table))
            for state in (table, Fields(table)):
                c = codec.compile(text, like=state)
                assert encode(plain, state) == expected, (text, seed)
                assert encode(c, state) == expected, (text, seed)
                assert c.compiled
            # Other buffers of the same kind; then one of another kind, and lists.
            assert encode(c, Fields(columns(40, seed + 1))) == encode(
                plain, rows(columns(40, seed + 1))
            )
            other = columns(40, seed)
            other["g"] = array("I", other["g"])
            other["a"] = list(other["a"])
            assert encode(c, Fields(other)) == expected
            # Back: into new and into existing columns.
            into = columns(40 if seed % 2 or text[0] == "[" else 7, seed + 2)
            kept = into["a"]
            got = plain.decode(expected, len(expected), into)
            assert got is into and encode(plain, into) == expected
            assert (into["a"] is kept) == (len(kept) == 40)
        for name, wrong in (
            ("b", array("B", [1] * 39)),
            ("g", array("i", [-1] * 40)),
            ("k", array("B", [2] * 40)),
            ("d", b"x"),
            ("a", None),
        ):
            table = columns(40, 1)
            table[name] = wrong
            refused(codec.compile(text, like=table), table)
            refused(plain, table)
    # A single column is the Vec itself.
    for kind, code in (("i32", "i"), ("u64", "Q"), ("f32", "f"), ("f64", "d"), ("u16", "H")):
        values = array(code, [0, 1, 2, 3, 127, 128, 200])
        c = codec.compile("{x:Vec<%s>,y:u8}" % kind, like={"x": values, "y": 1})
        assert encode(c, {"x": values, "y": 1}) == encode(c, {"x": list(values), "y": 1})
        assert c.compiled
    appended = columns(40, 3)
    c = codec.compile("Vec<%s>" % CELLS, like=appended)
    for _ in range(100):
        for name in "abcdefghijk":
            appended[name].append(1)
        assert encode(c, appended) == encode(codec.compile("Vec<%s>" % CELLS), appended)


def check_f32():
    """What an f32 cannot hold is refused: MicroPython would store infinity."""
    infinity = float("inf")
    for text, make in (
        ("{a:f32,b:u8}", lambda x: {"a": x, "b": 1}),
        ("{a:[f32;3]}", lambda x: {"a": [1.0, x, 2.0]}),
        ("{a:Vec<f32>}", lambda x: {"a": [x]}),
    ):
        for like in (None, make(0.5)):
            c = codec.compile(text, like=like)
            for x in (infinity, -infinity, 3.4e38, -3.4e38, 1e-300, 5):
                encode(c, make(x))
            for x in (1e39, -1e300, 3.4028236e38):
                if x < infinity and x > -infinity and x != 3.4028235e38:
                    # (floats of single precision know none of these)
                    assert refused(c, make(x)), (text, x)


class Draw:
    """Shapes and values from a seed, the same on every interpreter."""

    def __init__(self, seed):
        self.seed = seed

    def below(self, n):
        self.seed = (self.seed * 1103 + 12345) % 1000003
        return self.seed // 7 % n

    def shape(self, depth):
        """(schema text, value): structs, tuples, options and lists within each other."""
        kind = self.below(6 if depth else 2)
        if kind < 2:
            return (("u32", self.below(99999)), ("i16", self.below(999) - 500))[kind]
        if kind == 2:
            text, value = self.shape(depth - 1)
            if text[:6] == "Option":  # Some(x) of one that can be None is (x,): not drawn here
                return text, value
            return "Option<%s>" % text, value if self.below(3) else None
        if kind == 3:
            text, value = self.shape(depth - 1)
            return "Vec<%s>" % text, [value] * self.below(4)
        parts = [self.shape(depth - 1) for _ in range(1 + self.below(4))]
        if kind == 4:
            return "(%s,)" % ",".join([t for t, _ in parts]), tuple([v for _, v in parts])
        text = ",".join(["f%d:%s" % (i, parts[i][0]) for i in range(len(parts))])
        return "{%s}" % text, dict([("f%d" % i, parts[i][1]) for i in range(len(parts))])


def check_nested(count):
    """A value within another is not taken for one of its parent's, whatever the nesting."""
    cases = [
        ("{m:((i32,i32),i32)}", {"m": ((10, 20), 30)}),
        (
            "{imu:{acc:{x:i16,ts:u32},ts:u32},n:u32}",
            {"imu": {"acc": {"x": 1, "ts": 2}, "ts": 3}, "n": 4},
        ),
    ]
    cases += [Draw(seed).shape(4) for seed in range(1, count)]
    for seed, (text, value) in enumerate(cases):
        plain = codec.compile(text)
        data = encode(plain, value)
        assert plain.decode(data, len(data)) == value, (seed, text, value)
        for form in "dat":
            state = value if form == "d" else formed(plain.tree, value, form)
            got = encode(codec.compile(text, like=state), state)
            assert got == data, "seed %d, %s, form %s: %r encoded as %r, not %r" % (
                (seed, text, form, value, got, data)
            )


def run(folder):
    count = {False: 0, True: 0}
    with open(folder + "/postcard_vectors.jsonl") as f:
        for line in f:
            check_vector(json.loads(line), count)
    check_integers()
    check_changes()
    check_columns()
    check_nested(400)
    check_f32()
    assert count[False] < 30 and count[True] > 1000, count
    print("ok", count)


run(sys.argv[1])
