"""The law of the codec: `law.py SEED COUNT [FIRST]`. MicroPython and CPython.

Draws schemas with nesting, a value, and the form that its parts have: dicts, objects, tuples,
columns, arrays, buffers. Either encoding is refused, with a path, by the compiled functions as by
the tree; or both give the same bytes, and these come back as what was saved: as new values, and
in place into another state. The CRC-32 that is printed at the end is the same on every interpreter
whose floats are double.
"""

import struct
import sys
from array import array
from collections import OrderedDict

from dice import Dice
from edgeckpt import EncodeError, codec, crc32
from edgeckpt.codec.order import merged
from edgeckpt.codec.tree import INTS
from edgeckpt.compiler import Source
from edgeckpt.errors import DecodeError
from notation import canonical, encode

LEAVES = ["bool", "f32", "f64", "char", "str", "bytes", "()", "u16le", "i64be", "u128le"]
LEAVES += "u8 i8 u16 i16 u32 i32 u64 i64 u128 i128".split()
KEYS = "u8 i16 u32 i64 str char bool ()".split()
CELLS = "u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 bool".split()
CODES = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q"}
CODES.update({"i64": "q", "f32": "f", "f64": "d", "bool": "B"})
CHARS = "a", "Z", "\x00", "\x7f", "\x80", "\u07ff", "\u20ac", "\ud7ff", "\ufffd", "\U0001f600"
WRONG = [None, True, -1, 1 << 200, 1.5, float("inf"), "", "ab", "\ud83d", b"", b"abc", (), (1,)]
WRONG += [[], [None] * 3, {}, {"a": 1}, ("A", 1), 256, -(1 << 63) - 1, 1 << 64, 3.5e38, array("H")]
SINGLE = 16777217.0 == 16777216.0


class Fields:
    def __init__(self, fields):
        for name in fields:
            setattr(self, name, fields[name])


# Schemas


def draw_text(dice, depth):
    kind = dice.below(16) if depth else 0
    if kind < 4:
        return LEAVES[dice.below(len(LEAVES))]
    if kind == 4:
        return "Option<%s>" % draw_text(dice, depth - 1)
    if kind == 5:
        return "Vec<%s>" % draw_text(dice, depth - 1)
    if kind == 6:
        return "[%s;%d]" % (draw_text(dice, depth - 1), dice.below(4))
    if kind == 7:
        return ("Vec<%s>", "[%s;3]")[dice.below(2)] % CELLS[dice.below(len(CELLS))]
    if kind == 8:
        names = [CELLS[dice.below(len(CELLS))] for _ in range(1 + dice.below(4))]
        row = fields(names)
        return ("Vec<%s>", "[%s;2]")[dice.below(2)] % row
    if kind == 9:
        return "Map<%s,%s>" % (draw_key(dice), draw_text(dice, depth - 1))
    if kind < 12:
        parts = [draw_text(dice, depth - 1) for _ in range(1 + dice.below(4))]
        return "(%s,)" % ",".join(parts)
    if kind < 15:
        return fields([draw_text(dice, depth - 1) for _ in range(dice.below(5))])
    variants = ["A"]
    for name in "BCDE"[: 1 + dice.below(4)]:
        shape = dice.below(4)
        if shape == 0:
            variants.append(name)
        elif shape == 1:
            variants.append("%s(%s)" % (name, draw_text(dice, depth - 1)))
        elif shape == 2:
            parts = draw_text(dice, depth - 1), draw_text(dice, depth - 1)
            variants.append("%s(%s,%s)" % ((name,) + parts))
        else:
            variants.append(name + fields([draw_text(dice, depth - 1)]))
    return "enum{%s}" % ",".join(variants)


def fields(types):
    # Names that occur at several depths, and one that is a word of Python.
    names = ("ts", "x", "n", "class", "value")
    return "{%s}" % ",".join(["%s:%s" % p for p in zip(names, types)])


def draw_key(dice):
    kind = dice.below(12)
    if kind < 8:
        return KEYS[kind]
    if kind == 8:
        return "Option<%s>" % KEYS[dice.below(7)]
    if kind == 9:
        return "(%s,%s)" % (KEYS[dice.below(8)], KEYS[dice.below(8)])
    if kind == 10:
        return "enum{A,B(%s),C}" % KEYS[dice.below(7)]
    return ("[u16;2]", "{x:u8,n:i8}", "Vec<u8>", "Vec<i8>")[dice.below(4)]


# Values, in the form that a decoder gives


def draw_int(dice, t):
    if dice.below(2):
        x = dice.below(300) - 150
    else:
        bits = dice.below(8 * t.width + 1)
        x = (1 << bits) + dice.below(3) - 1
        if dice.below(2):
            x = -x
    return x if t.low <= x <= t.high else (t.low, t.high, 0, t.high >> 1)[dice.below(4)]


def draw_float(dice, t):
    kind = dice.below(8)
    if kind == 0:
        return (0.0, float("inf"), -float("inf"), 1.0)[dice.below(4)]
    if kind == 2:
        # A NaN: a float, or where none keeps its bits, its bytes.
        raw = bytes([dice.below(256) for _ in range(t.width - 2)])
        raw += b"\xc0\x7f" if t.kind == "f32" else b"\xf8\x7f"
        return kept(t, raw)
    x = (dice.below(1 << 24) - (1 << 23)) / (1 << dice.below(20))
    if t.kind == "f64" and kind == 1:
        # Beyond single precision: its bytes, where that is what there is.
        raw = bytes([dice.below(256) for _ in range(6)]) + b"\xf0\x3f"
        return kept(t, raw)
    return x


def kept(t, raw):
    form = "<f" if t.kind == "f32" else "<d"
    x = struct.unpack(form, raw)[0]
    return x if struct.pack(form, x) == raw else raw


def draw_str(dice):
    n = (0, 1, 3, 40, 130)[dice.below(5)]
    return "".join([CHARS[dice.below(len(CHARS))] for _ in range(n)])


def draw(dice, t):
    kind = t.kind
    if kind in INTS:
        return draw_int(dice, t)
    if kind in ("f32", "f64"):
        return draw_float(dice, t)
    if kind == "bool":
        return dice.below(2) == 1
    if kind == "unit":
        return None
    if kind == "char":
        return CHARS[dice.below(len(CHARS))]
    if kind == "str":
        return draw_str(dice)
    if kind == "bytes" or kind == "seq" and t.octets:
        return bytes([dice.below(256) for _ in range((0, 1, 5, 200)[dice.below(4)])])
    if kind == "array" and t.octets:
        return bytes([dice.below(256) for _ in range(t.count)])
    if kind == "option":
        if dice.below(3) == 0:
            return None
        return (draw(dice, t.inner),) if t.marked else draw(dice, t.inner)
    if kind in ("seq", "array"):
        n = t.count if kind == "array" else dice.below(4)
        return [draw(dice, t.inner) for _ in range(n)]
    if kind == "variant" and len(t.items) == 1:
        return draw(dice, t.items[0])
    if kind in ("tuple", "variant"):
        return tuple([draw(dice, i) for i in t.items])
    if kind == "struct":
        return dict([(n, draw(dice, i)) for n, i in zip(t.names, t.items)])
    if kind == "map":
        pairs = [(draw(dice, t.items[0]), draw(dice, t.items[1])) for _ in range(dice.below(5))]
        pairs = merged(t.items[0], pairs)
        # (Ordered, so that what is drawn from it is the same on every interpreter.)
        return OrderedDict(pairs) if t.hashable else pairs
    i = dice.below(len(t.items))
    return t.names[i] if t.items[i] is None else (t.names[i], draw(dice, t.items[i]))


# Forms


def cells(t, values):
    # A Vec or array of scalars, as a buffer that holds them exactly, or None.
    code = CODES.get(t.kind)
    if code is None:
        return None
    try:
        made = array(code, [int(v) if t.kind == "bool" else v for v in values])
    except (TypeError, OverflowError):
        return None
    return made


def formed(dice, t, v):
    """The value `v` in some form that stands for it."""
    kind = t.kind
    if kind == "bytes" or kind in ("seq", "array") and t.octets:
        pick = dice.below(4)
        if pick == 1:
            return bytearray(v)
        if pick == 2:
            return memoryview(bytearray(v))
        return array("H", list(v)) if pick == 3 else v
    if kind == "option":
        if v is None:
            return None
        return (formed(dice, t.inner, v[0]),) if t.marked else formed(dice, t.inner, v)
    if kind in ("seq", "array"):
        pick = dice.below(3)
        if t.rows and pick == 1:
            table = {}
            for name, item in zip(t.inner.names, t.inner.items):
                column = [row[name] for row in v]
                buffer = cells(item, column) if dice.below(3) else None
                table[name] = column if buffer is None else buffer
            return table if dice.below(2) else Fields(table)
        buffer = cells(t.inner, v) if pick == 2 and t.inner.kind != "bool" else None
        if buffer is not None:
            return buffer
        values = [formed(dice, t.inner, x) for x in v]
        return tuple(values) if pick == 0 and dice.below(2) else values
    if kind == "variant" and len(t.items) == 1:
        return formed(dice, t.items[0], v)
    if kind in ("tuple", "variant"):
        values = [formed(dice, i, x) for i, x in zip(t.items, v)]
        return values if dice.below(3) == 0 else tuple(values)
    if kind == "struct":
        made = dict([(n, formed(dice, i, v[n])) for n, i in zip(t.names, t.items)])
        pick = dice.below(3)
        if pick == 1:
            return Fields(made)
        return tuple([made[n] for n in t.names]) if pick == 2 else made
    if kind == "map":
        pairs = v.items() if isinstance(v, dict) else v
        pairs = [(k, formed(dice, t.items[1], x)) for k, x in pairs]
        if isinstance(v, dict) and dice.below(4):
            return dict(pairs)
        return pairs
    if kind == "enum" and not isinstance(v, str):
        return v[0], formed(dice, t.items[t.index[v[0]]], v[1])
    return v


def plain(t, v):
    """The value that a form stands for, as canonical text."""
    return canonical(plainly(t, v))


def plainly(t, v):
    kind = t.kind
    if kind in ("f32", "f64"):
        if isinstance(v, (bytes, bytearray, memoryview)):
            return kept(t, bytes(v))
        form = "<f" if kind == "f32" else "<d"  # an integer is the float that it is
        return struct.unpack(form, struct.pack(form, v))[0]
    if kind in INTS:
        return int(v)
    if kind == "bytes" or kind in ("seq", "array") and t.octets:
        return bytes(list(v))
    if kind == "option":
        if v is None:
            return None
        return (plainly(t.inner, v[0]),) if t.marked else plainly(t.inner, v)
    if kind in ("seq", "array"):
        if t.rows and not isinstance(v, (list, tuple, array)):
            of = v if isinstance(v, dict) else dict([(n, getattr(v, n)) for n in t.inner.names])
            n = len(of[t.inner.names[0]])
            v = [dict([(name, of[name][i]) for name in t.inner.names]) for i in range(n)]
        return [plainly(t.inner, x) for x in v]
    if kind == "bool":
        return v == 1
    if kind == "variant" and len(t.items) == 1:
        return plainly(t.items[0], v)
    if kind in ("tuple", "variant"):
        return tuple([plainly(i, x) for i, x in zip(t.items, v)])
    if kind == "struct":
        if isinstance(v, (tuple, list)):
            return dict([(n, plainly(i, x)) for n, i, x in zip(t.names, t.items, v)])
        assert not isinstance(v, dict) or len(v) == len(t.names), "a key was dropped"
        of = v if isinstance(v, dict) else dict([(n, getattr(v, n)) for n in t.names])
        return dict([(n, plainly(i, of[n])) for n, i in zip(t.names, t.items)])
    if kind == "map":
        pairs = v.items() if isinstance(v, dict) else v
        pairs = [(k, plainly(t.items[1], x)) for k, x in pairs]
        return dict(pairs) if t.hashable else pairs
    if kind == "enum" and not isinstance(v, str):
        return v[0], plainly(t.items[t.index[v[0]]], v[1])
    return v


def spoilt(dice, t, v):
    """`v` with some part of it replaced: mostly wrong, though it may be right by chance."""
    if dice.below(3) == 0:
        return WRONG[dice.below(len(WRONG))]
    if isinstance(v, dict) and v and t.kind == "struct":
        made = dict(v)
        i = dice.below(len(t.names) + 1)
        if i == len(t.names):
            made["unknown"] = 1
        elif dice.below(4) == 0:
            del made[t.names[i]]
        else:
            made[t.names[i]] = spoilt(dice, t.items[i], v[t.names[i]])
        return made
    if isinstance(v, list) and v and t.kind in ("seq", "array"):
        made = list(v)
        i = dice.below(len(v))
        made[i] = spoilt(dice, t.inner, v[i])
        return made
    if isinstance(v, tuple) and v and t.kind == "tuple":
        made = list(v)
        i = dice.below(len(v))
        made[i] = spoilt(dice, t.items[i], v[i])
        return tuple(made)
    return WRONG[dice.below(len(WRONG))]


class Counts:
    saved = refused = inexact = 0


def outcome(c, state, buf):
    """The bytes, or where it was refused. Anything but an EncodeError passes through."""
    try:
        return bytes(buf[: c.encode(state, buf)])
    except EncodeError as e:
        assert e.reason == "value", e
        return e.where


def check(seed, crc):
    dice = Dice(seed)
    text = draw_text(dice, 4)
    tree = codec.compile(text)
    t = tree.tree
    value = draw(dice, t)
    state = formed(dice, t, value)
    wrong = dice.below(4) == 0
    if wrong:
        state = spoilt(dice, t, value)
    like = formed(dice, t, draw(dice, t)) if dice.below(4) == 0 else state
    c = codec.compile(text, like=like)
    assert c.compiled or like is None
    buf = bytearray(4096)
    told = outcome(tree, state, buf)
    got = outcome(c, state, buf)
    assert got == told, "compiled: %r, the tree: %r" % (got, told)
    if isinstance(told, str):
        assert wrong, "refused at " + told
        Counts.refused += 1
        crc32.update(crc, told.encode(), 0, len(told.encode()))
        return
    assert tree.max_size is None or len(told) <= tree.max_size
    Counts.saved += 1
    saved = plain(t, state)
    if not wrong:
        assert saved == canonical(value), "the test's own forms"
    other = formed(dice, t, draw(dice, t))
    if not SINGLE or "f64" not in text:
        crc32.update(crc, told, 0, len(told))
    for name, codec_of in (("tree", tree), ("compiled", c)):
        try:
            restored = plain(t, codec_of.decode(told, len(told)))
        except DecodeError as e:
            # What no float of this port holds is in the state by its bytes.
            assert SINGLE and "single precision" in str(e), e
            Counts.inexact += 1
            return
        assert restored == saved, "%s: %s restored as %s" % (name, saved, restored)
    if other is not None and not isinstance(other, (int, float, str, bytes, tuple, bool)):
        try:
            restored = tree.decode(told, len(told), other)
        except codec.SchemaError:  # nothing that this value can be put into
            return
        assert encode(tree, restored) == told, "into: %r encoded as %r" % (told, restored)
        if SINGLE and "f64" in text:  # read from an array, it would be rounded
            return
        assert plain(t, restored) == saved, "into: %s restored as %s" % (saved, plain(t, restored))


def run(seed, count):
    crc = bytearray(4)
    crc32.reset(crc)
    for n in range(seed, seed + count):
        try:
            check(n, crc)
        except Exception as e:
            print("law.py %d 1" % n)
            text = draw_text(Dice(n), 4)
            print(text)
            print(Source(codec.compile(text).tree).text())
            raise e
    print("ok", count, "saved", Counts.saved, "refused", Counts.refused, "of", end=" ")
    print("single precision refused", Counts.inexact, "crc", "".join(["%02x" % x for x in crc]))


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
