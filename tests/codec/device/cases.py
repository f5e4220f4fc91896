"""Inputs that failed once, one of each kind, with the right outcome. MicroPython and CPython."""

import struct
import sys
from array import array
from collections import OrderedDict

from edgeckpt import (
    BlockLease,
    CheckpointedStageState,
    CheckpointFailed,
    EncodeError,
    codec,
)
from edgeckpt.errors import DecodeError
from law import SINGLE, Fields
from notation import encode
from ram import Device

INFINITY = float("inf")


def both(text, state):
    return codec.compile(text), codec.compile(text, like=state)


def back(text, state, into=None):
    """What comes back of `state`, from the tree and compiled; both give the same bytes."""
    tree, compiled = both(text, state)
    data = encode(tree, state)
    assert compiled.compiled and encode(compiled, state) == data and compiled.compiled, text
    assert compiled.decode(data, len(data)) == tree.decode(data, len(data))
    return tree.decode(data, len(data), into)


def refused(text, state, where, want):
    for c in both(text, state):
        try:
            encode(c, state)
        except EncodeError as e:
            assert e.where == where and want in str(e), (text, str(e))
        else:
            raise AssertionError("%s: %r is accepted" % (text, state))


def not_written(text, state, reason="state"):
    """A state that is refused leaves the medium as it is."""
    device = Device()
    stage = CheckpointedStageState(state, BlockLease(device, 0, 8, 1), text)
    try:
        stage.checkpoint()
    except CheckpointFailed as e:
        assert e.reason == reason and device.changes == 0, (e, device.changes)
        return e
    raise AssertionError("%s: %r is saved" % (text, state))


# c1, c2: nested values with the same names
assert back("{m:((i32,i32),i32)}", {"m": ((10, 20), 30)}) == {"m": ((10, 20), 30)}
STATE = {"imu": {"acc": {"x": 1, "ts": 2}, "ts": 3}, "n": 4}
assert back("{imu:{acc:{x:i16,ts:u32},ts:u32},n:u32}", STATE) == STATE

# c4: text that is none
HALF = "\ud83d"
for text, state, where in (
    ("str", HALF, "the state"),
    ("{a:str}", {"a": "x" + HALF}, "a"),
    ("{a:Vec<char>}", {"a": ["x", HALF]}, "a[1]"),
    ("str", "\ude00\ud83d", "the state"),
):
    refused(text, state, where, "surrogates")
not_written("{a:str}", {"a": HALF})
assert back("str", "\ud83d\ude00") == "\U0001f600" and back("char", "\ud83d\ude00") == "\U0001f600"
if sys.implementation.name == "micropython":
    refused("str", b"a\xc0\x80b".decode(), "the state", "text")

# c5: items of no bytes are counted in all of a value, on both sides
TEXT = "{a:Vec<()>,b:Vec<()>}"
assert back(TEXT, {"a": [None] * 10000, "b": [None] * 6384})["b"] == [None] * 6384
refused(TEXT, {"a": [None] * 10000, "b": [None] * 10000}, "b", "at most 16384")

# c6, c7: arrays, buffers and columns are restored in place, at the top and within
for kind, code in (("u16", "H"), ("i32", "i"), ("u64", "Q"), ("f32", "f"), ("i8", "b")):
    for text in ("Vec<%s>", "[%s;5]"):
        text = text % kind
        state = array(code, [1, 2, 3, 4, 100])
        other = array(code, [9] * 5)
        assert back(text, state, other) is other and list(other) == list(state), text
        mine = {"x": other, "y": {"z": bytearray(3)}}
        state = {"x": state, "y": {"z": b"abc"}}
        got = back("{x:%s,y:{z:[u8;3]}}" % text, state, mine)
        assert got is mine and got["x"] is other and list(other) == list(state["x"]), text
        assert got["y"]["z"] == bytearray(b"abc")
        longer = array(code, [7] * 6)
        if text[0] == "V":
            assert back(text, state["x"], longer) is longer and list(longer) == list(state["x"])
device = Device()
state = array("H", [1, 2, 3])
stage = CheckpointedStageState.resume(state, BlockLease(device, 0, 8, 1), "Vec<u16>")
stage.checkpoint()
lease = stage.into_block_lease()
other = array("H", [0, 0, 0])
stage = CheckpointedStageState.resume(other, lease, "Vec<u16>")
assert stage.state is other and list(other) == list(state)

# c10: f64 where floats have single precision
for x in (1e300, 2.2e-308, 1685774958.08):
    raw = struct.pack("<d", x) if not SINGLE else None
    if raw is not None:
        assert back("{t:f64}", {"t": x}) == {"t": x}
for raw in (b"\x9c\x75\x00\x88\x3c\xe4\x37\x7e", b"\xd3\x8b\x1e\x2b\x97\x1e\xd9\x41"):
    c = codec.compile("{a:u8,t:f64}")
    data = b"\x01" + raw
    if SINGLE:
        try:
            raise AssertionError(c.decode(data, 9))
        except DecodeError as e:
            assert e.where == "t" and e.offset == 1 and "single precision" in str(e), e
    else:
        assert encode(c, c.decode(data, 9)) == data
    # Eight bytes in the state keep what they are, on every port; so does an array of doubles.
    kept = c.decode(data, 9, {"a": 0, "t": bytearray(8)})
    assert kept["t"] == raw and encode(c, kept) == data
    c = codec.compile("Vec<f64>")
    doubles = array("d", [0, 0])
    data = b"\x02" + raw + raw
    assert c.decode(data, 17, doubles) is doubles and encode(c, doubles) == data
    assert encode(codec.compile("Vec<f64>", like=doubles), doubles) == data
wide = (1 << 24) + 1 if SINGLE else (1 << 53) + 1
refused("{a:f64}", {"a": wide}, "a", "exactly")
assert back("{a:f64}", {"a": 1 << 24})["a"] == float(1 << 24)

# What an array does not hold is not stored as something else.
for text, state, mine in (
    ("Vec<u16>", [1, 300], array("B", [0, 0])),
    ("Vec<i8>", [-1, 2], array("B", [0, 0])),
    ("Vec<{a:i16}>", [{"a": -1}], {"a": array("H", [0])}),
    ("[u8;2]", b"\x01\xff", array("b", [0, 0])),
):
    data = encode(codec.compile(text), state)
    try:
        raise AssertionError(codec.compile(text).decode(data, len(data), mine))
    except DecodeError as e:
        assert "holds" in str(e), e

# c11: a key that is no field
refused("{a:u8}", {"a": 1, "b": 2}, "the state", "no key but a")
refused("{r:Vec<{a:u8}>}", {"r": {"a": b"", "b": b""}}, "r", "no key but a")
not_written("{a:u8}", {"a": 1, "b": 2})

# c12: what no f32 holds
if not SINGLE:
    refused("{a:[f32;2]}", {"a": [1.0, 1e300]}, "a[1]", "3.4028236e38")
assert back("{a:f32}", {"a": INFINITY}) == {"a": INFINITY}

# c13, c15: a Map is written in the order of the crate's BTreeMap
for text, ordered in (
    ("Map<Option<u8>,u8>", [(None, 1), (0, 2), (200, 3)]),
    ("Map<enum{B,A(u8),C},u8>", [("B", 1), (("A", 1), 2), (("A", 9), 3), ("C", 4)]),
    ("Map<str,u8>", [("", 0), ("Z", 1), ("a", 2), ("b\u00e9", 3), ("\U0001f600", 4)]),
    ("Map<(u8,bool),u8>", [((1, False), 1), ((1, True), 2), ((2, False), 3)]),
    ("Map<i16,u8>", [(-300, 1), (-1, 2), (0, 3), (7, 4)]),
    ("Map<Vec<u8>,u8>", [(b"", 1), (b"a", 2), (b"aa", 3), (b"b", 4)]),
    ("Map<Vec<u16>,u8>", [([], 1), ([1], 2), ([1, 0], 3), ([2], 4)]),
    ("Map<{a:u8,b:i8},u8>", [({"a": 1, "b": -1}, 1), ({"a": 1, "b": 0}, 2)]),
):
    data = encode(codec.compile(text), ordered)
    pairs = list(ordered)
    for _ in range(len(pairs)):
        pairs = pairs[1:] + pairs[:1]
        assert encode(codec.compile(text), pairs) == data, text
        if codec.node(text).hashable:
            assert encode(codec.compile(text), dict(pairs)) == data, text
            assert list(back(text, OrderedDict(pairs)).items()) == ordered, text
    refused(text, ordered + ordered[:1], "the state", "each key once")

# Form by form the same, and what stands for a tuple or a list only by chance is refused.
refused("(char,char)", "ab", "the state", "a tuple of 2")
refused("Vec<u16>", {0: 1}, "the state", "a list")
refused("{}", 5, "the state", "an object")
refused("[i8;2]", b"\x01\xff", "[1]", "i8")
assert back("{a:u8,r:Vec<{ts:u64,n:i16}>}", Fields({"a": 1, "r": [(1 << 40, -2)]})) == {
    "a": 1,
    "r": [{"ts": 1 << 40, "n": -2}],
}

# A state that no slot holds is told by its size, and nothing is erased.
device = Device()
stage = CheckpointedStageState([0] * 100, BlockLease(device, 0, 8, 1), "Vec<u64>", capacity=256)
stage.state = [1 << 60] * 100
try:
    stage.checkpoint()
except CheckpointFailed as e:
    assert e.reason == "too-large" and (e.got, e.want) == (901, 256), e
else:
    raise AssertionError("saved")
assert device.changes == 0
print("ok")
