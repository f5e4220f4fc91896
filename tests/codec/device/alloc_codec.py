"""Encoding allocates nothing, for each form of state: `heap_lock` and `mem_total`. MicroPython."""

import gc
from array import array

import micropython
from edgeckpt import codec, generate
from notation import Sink

SCHEMA = (
    "{epoch:u32,sequence:u64,gains:[f32;8],label:Option<str>,"
    "samples:Vec<{ts:u64,ch:u8,value:i32}>,"
    "mode:enum{Idle,Sampling{rate_hz:u32,channels:Vec<u8>},Fault(u32,str)},"
    "on:bool,pair:(i16,f64),key:[u8;32]}"
)
NAMES = ("epoch", "sequence", "gains", "label", "samples", "mode", "on", "pair", "key")


class Fields:
    def __init__(self, fields):
        for name in fields:
            setattr(self, name, fields[name])


class Null(Sink):
    def spill(self, pos):
        i = 0
        while i < pos - self.mark:
            self.buf[i] = self.buf[self.mark + i]
            i += 1
        return pos - self.mark


def record(big):
    return {
        "epoch": 0xFFFF_FFFF if big else 77,
        "sequence": 0xFFFF_FFFF_FFFF_FFFF if big else 78,
        "gains": [0.1 * i for i in range(8)],
        "label": "a stage" if not big else "a longer label " * 9,
        "samples": [
            {
                "ts": ((1 << 63) if big else 1000) + i,
                "ch": i & 0xFF,
                "value": (i << 20) - (1 << 31 if big else 1 << 26),
            }
            for i in range(64)
        ],
        "mode": ("Sampling", {"rate_hz": 0x8000_0000, "channels": b"\x00\x01\x02"}),
        "on": True,
        "pair": (-30000, 0.25),
        "key": bytes(range(32)),
    }


def objects(state):
    made = Fields(state)
    made.samples = [Fields(s) for s in state["samples"]]
    return made


def tuples(state):
    made = dict(state)
    made["samples"] = [(s["ts"], s["ch"], s["value"]) for s in state["samples"]]
    return tuple([made[n] for n in NAMES])


def columns(state, as_dict):
    samples = state["samples"]
    table = {
        "ts": array("Q", [s["ts"] for s in samples]),
        "ch": array("B", [s["ch"] for s in samples]),
        "value": array("i", [s["value"] for s in samples]),
    }
    made = dict(state)
    made["samples"] = table if as_dict else Fields(table)
    made["gains"] = array("f", state["gains"])
    return made if as_dict else Fields(made)


def measure(name, c, state, generated=True):
    sink = Null()
    c.encode(state, sink)  # columns are looked at once
    for _ in range(3):
        gc.collect()
        before = micropython.mem_total()
        c.encode(state, sink)
        after = micropython.mem_total()
        assert after == before, "%s: %d bytes" % (name, after - before)
    micropython.heap_lock()
    try:
        c.encode(state, sink)
    finally:
        micropython.heap_unlock()
    assert (c._generated is not None) == generated, name
    print(name, "0 bytes")


def bytecode(c, state):
    made = codec.compile(c.text)
    made._generated = generate.built(generate.Source(made.tree, state, native=False))
    return made


for big in (False, True):
    state = record(big)
    for name, form in (
        ("dict", state),
        ("attributes", objects(state)),
        ("tuples", tuples(state)),
        ("columns in dicts", columns(state, True)),
        ("columns in objects", columns(state, False)),
    ):
        c = codec.compile(SCHEMA, like=form)
        measure("%s, big=%s" % (name, big), c, form)
        if "columns" not in name:
            # Without viper a str is allocated: left out by a type of its own (None).
            plain = dict(state)
            plain["label"] = None
            plain = {"dict": plain, "attributes": objects(plain), "tuples": tuples(plain)}[name]
            measure(name + ", bytecode", bytecode(c, plain), plain)
            measure(name + ", tree", codec.compile(SCHEMA), form, False)
# Columns that no loop can read, a list and items of another width, go to the tree.
odd = Fields({"a": [1, 2, 1 << 40], "b": array("H", [1, 2, 3])})
for word in "Vec<{a:u64,b:u32}>", "[{a:u64,b:u32};3]":
    measure(word + ", odd columns", codec.compile(word, like=odd), odd)
for text, state in (
    ("[u8;5000]", bytearray(5000)),
    ("Vec<u8>", bytearray(5000)),
    ("bytes", memoryview(bytearray(5000))),
    ("Vec<u32>", array("I", [0xFFFFFFFF] * 500)),
    ("[i64;100]", array("q", [-1 << 63] * 100)),
    ("Vec<f32>", array("f", [0.1] * 500)),
):
    measure(text, codec.compile(text, like=state), state)
print("ok")
