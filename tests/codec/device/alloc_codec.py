"""Encoding allocates nothing, for each form of state: `heap_lock` and `mem_total`. MicroPython."""

import gc
from array import array

import micropython
from edgeckpt import codec

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
        "ts": array("I", [s["ts"] for s in samples]),
        "ch": array("B", [s["ch"] for s in samples]),
        "value": array("i", [s["value"] for s in samples]),
    }
    made = dict(state)
    made["samples"] = table if as_dict else Fields(table)
    return made if as_dict else Fields(made)


def measure(name, c, state):
    buf = bytearray(c.encode(state, bytearray(1 << 14)))
    for _ in range(3):
        gc.collect()
        before = micropython.mem_total()
        c.encode(state, buf)
        after = micropython.mem_total()
        assert after == before, "%s: %d bytes" % (name, after - before)
    micropython.heap_lock()
    try:
        c.encode(state, buf)
    finally:
        micropython.heap_unlock()
    print(name, "0 bytes")


for big in (False, True):
    state = record(big)
    forms = [("dict", state), ("attributes", objects(state)), ("tuples", tuples(state))]
    if not big:
        # Reading a large integer or a float from an array makes an object of it.
        forms.append(("columns in dicts", columns(state, True)))
        forms.append(("columns in objects", columns(state, False)))
    for name, form in forms:
        c = codec.compile(SCHEMA, like=form)
        assert c.compiled
        measure("%s, big=%s" % (name, big), c, form)
        measure(name + ", tree", codec.compile(SCHEMA), form)
# Another form than the one that is compiled for goes to the tree.
measure("dict for attributes", codec.compile(SCHEMA, like=objects(state)), state)
for text, state in (
    ("[u8;5000]", bytearray(5000)),
    ("Vec<u8>", bytearray(5000)),
    ("bytes", memoryview(bytearray(5000))),
    ("Vec<u16>", array("H", [0xFFFF] * 500)),
    ("[i32;100]", array("i", [-1 << 28] * 100)),
    ("Map<str,u32>", {"b": 1, "a": 1 << 31, "c": 3}),
    ("Map<Option<u8>,u8>", {3: 1, None: 2, 1: 3}),
    ("Map<enum{A,B(u8)},()>", {("B", 3): None, "A": None, ("B", 2): None}),
):
    measure(text, codec.compile(text, like=state), state)
    measure(text, codec.compile(text), state)
print("ok")
