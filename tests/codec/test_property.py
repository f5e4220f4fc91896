"""Random schemas and values, from the host to a real MicroPython and back.

A failing example is printed by hypothesis with a @reproduce_failure line; adding that line to the
test replays it.
"""

import os
import select
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
from edgeckpt import codec
from edgeckpt.codec.order import merged
from edgeckpt.codec.tree import INTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
sys.path.insert(0, str(HERE / "device"))
from notation import canonical, encode, same  # noqa: E402

EXAMPLES = 10_000 if os.environ.get("EDGECKPT_FULL") else 750  # for each interpreter
ANSWER = 60  # seconds that an interpreter may take for one case
LEAVES = ["bool", "f32", "f64", "char", "str", "bytes", "()", *INTS]
NAMES = [f"n{i}" for i in range(200)]
WIDE = "enum{" + ",".join(f"V{i}" for i in range(199)) + ",W(u8)}"


def _schemas() -> st.SearchStrategy[str]:
    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        some = st.lists(inner, min_size=1, max_size=4)
        payload = st.one_of(
            st.just(""),
            inner.map(lambda t: f"({t})"),
            st.lists(inner, min_size=2, max_size=3).map(lambda ts: f"({','.join(ts)})"),
            some.map(_struct),
        )
        return st.one_of(
            inner.map(lambda t: f"Option<{t}>"),
            inner.map(lambda t: f"Vec<{t}>"),
            st.tuples(inner, st.integers(0, 5)).map(lambda p: f"[{p[0]};{p[1]}]"),
            some.map(lambda ts: f"({','.join(ts)},)"),
            some.map(_struct),
            st.tuples(st.sampled_from(LEAVES), inner).map(lambda p: f"Map<{p[0]},{p[1]}>"),
            st.lists(payload, min_size=1, max_size=5).map(
                lambda ps: "enum{" + ",".join(n + p for n, p in zip(NAMES, ps)) + "}"
            ),
        )

    return st.recursive(st.sampled_from([*LEAVES, WIDE]), grow, max_leaves=12)


def _struct(types: list[str]) -> str:
    return "{" + ",".join(f"{n}:{t}" for n, t in zip(NAMES, types)) + "}"


def _float(kind: str) -> st.SearchStrategy[object]:
    form, size = ("<f", 4) if kind == "f32" else ("<d", 8)

    def of(raw: bytes) -> object:
        x = struct.unpack(form, raw)[0]
        return raw if x != x and struct.pack(form, x) != raw else x

    usual = st.floats(width=32 if kind == "f32" else 64)
    return st.one_of(
        usual.map(lambda x: of(struct.pack(form, x))),
        st.binary(min_size=size, max_size=size).map(of),
    )


TEXT = st.characters(exclude_categories=["Cs"])


def _values(t: object) -> st.SearchStrategy[object]:
    kind = t.kind
    if kind in INTS:
        edges = [t.low, t.high, 0, t.high // 2, min(t.high, 1 << 30), min(t.high, 127)]
        return st.one_of(st.sampled_from(edges), st.integers(t.low, t.high))
    if kind in ("f32", "f64"):
        return _float(kind)
    if kind == "bool":
        return st.booleans()
    if kind == "unit":
        return st.none()
    if kind == "char":
        return TEXT
    if kind == "str":
        return st.text(TEXT, max_size=200)
    if kind == "bytes":
        return st.binary(max_size=400)
    if kind == "option":
        some = _values(t.inner)
        return st.one_of(st.none(), some.map(lambda v: (v,)) if t.marked else some)
    if kind in ("seq", "array"):
        size = {"max_size": 6} if kind == "seq" else {"min_size": t.count, "max_size": t.count}
        if t.inner.kind == "u8":
            return st.binary(**size)
        return st.lists(_values(t.inner), **size)
    if kind == "variant" and len(t.items) == 1:
        return _values(t.inner)
    if kind in ("tuple", "variant"):
        return st.tuples(*[_values(i) for i in t.items])
    if kind == "struct":
        return st.fixed_dictionaries({n: _values(i) for n, i in zip(t.names, t.items)})
    if kind == "map":
        pairs = st.lists(st.tuples(_values(t.items[0]), _values(t.items[1])), max_size=4)
        return pairs.map(lambda ps: _map(t, ps))
    variants = [
        st.just(n) if i is None else _values(i).map(lambda v, n=n: (n, v))
        for n, i in zip(t.names, t.items)
    ]
    return st.one_of(*variants[:8], variants[-1])


def _map(t: object, pairs: list) -> object:
    # What a decoder gives: the last of equal keys, in order.
    if any(repr(k) in repr([x for x, _ in pairs[:i]]) for i, (k, _) in enumerate(pairs)):
        pairs = pairs[:1]
    pairs = merged(t.items[0], pairs)
    return OrderedDict(pairs) if t.hashable else pairs


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, object]:
    text = draw(_schemas())
    c = codec.compile(text)
    return text, draw(_values(c.tree))


class Peer:
    """A MicroPython that answers one case after the other."""

    def __init__(self, command: list[str]) -> None:
        path = f"{FIRMWARE}{os.pathsep}{HERE / 'device'}"
        self.process = subprocess.Popen(
            [*command, str(HERE / "device" / "peer.py")],
            env=dict(os.environ, MICROPYPATH=path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, text: str, data: bytes) -> list[str]:
        self.process.stdin.write(f"{text}\t{data.hex()}\n")
        self.process.stdin.flush()
        # The answer is one line, and nothing but answers to questions comes.
        if not select.select([self.process.stdout], [], [], ANSWER)[0]:
            self.process.kill()
            raise AssertionError(f"no answer within {ANSWER} s to {text} {data.hex()}")
        return self.process.stdout.readline().rstrip("\n").split("\t")


@pytest.fixture(scope="module", params=["mpy64", "mpy32"])
def peer(request: pytest.FixtureRequest):
    peer = Peer(request.getfixturevalue(request.param))
    yield peer
    peer.process.stdin.close()
    assert peer.process.wait(timeout=10) == 0


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(case=cases())
def test_host_and_board_agree(peer: Peer, case: tuple[str, object]) -> None:
    text, value = case
    c = codec.compile(text)
    assert codec.compile(c.text).text == c.text
    data = encode(c, value)
    assert c.tree.least <= len(data) and (c.max_size is None or len(data) <= c.max_size)
    here = c.decode(data, len(data))
    assert same(here, value)
    hexed, there = peer.ask(text, data)
    assert hexed == data.hex(), there
    assert there == canonical(here)
