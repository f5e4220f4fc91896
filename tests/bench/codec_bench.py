"""Codec against json.dumps, struct.pack_into and a buffer copy, on 64- and 32-bit MicroPython.

The script starts itself on both interpreters; each line there is the best of several runs, so
that the ratios of one table come from one process.
"""

import sys

RUNS = 7
LOOPS = 200


def device() -> None:
    """The tables of one interpreter."""
    import json
    import struct
    import time
    from array import array

    import micropython
    from edgeckpt import codec

    schema = (
        "{epoch:u32,sequence:u64,gains:[f32;8],label:Option<str>,"
        "samples:Vec<{ts:u64,ch:u8,value:i32}>,key:[u8;32]}"
    )

    class Fields:
        def __init__(self, fields):
            for name in fields:
                setattr(self, name, fields[name])

    samples = [
        {"ts": 400_000_000_000_000 + 997 * i, "ch": i % 8, "value": (i * 7919 - 250_000) * 61}
        for i in range(64)
    ]
    record = {
        "epoch": 100_000_000,
        "sequence": 1 << 60,
        "gains": [0.25 * i for i in range(8)],
        "label": "stage-a, calibrat",
        "samples": samples,
        "key": bytes(range(32)),
    }
    objects = Fields(record)
    objects.samples = [Fields(s) for s in samples]
    tuples = dict(record)
    tuples["samples"] = [(s["ts"], s["ch"], s["value"]) for s in samples]
    table = Fields(record)
    table.samples = Fields(
        {
            "ts": array("Q", [s["ts"] for s in samples]),
            "ch": array("B", [s["ch"] for s in samples]),
            "value": array("i", [s["value"] for s in samples]),
        }
    )
    printable = dict(record)
    printable["key"] = list(record["key"])
    out = bytearray(2048)

    def pack():
        # The same fields at fixed places, read from the same objects.
        s = objects
        g = s.gains
        struct.pack_into(
            "<IQ8fB17s", out, 0, s.epoch, s.sequence, g[0], g[1], g[2], g[3], g[4], g[5], g[6],
            g[7], 1, s.label,
        )  # fmt: skip
        p = 62
        for x in s.samples:
            struct.pack_into("<QBi", out, p, x.ts, x.ch, x.value)
            p += 13
        struct.pack_into("32s", out, p, s.key)
        return p + 32

    @micropython.viper
    def checked(s, low, high) -> int:
        n = 0
        for x in s.samples:
            if low <= x.ts <= high:
                n += 1
            if low <= x.ch <= high:
                n += 1
            if low <= x.value <= high:
                n += 1
        return n

    def best(run, loops):
        times = []
        garbage = 0
        for _ in range(RUNS):
            before = micropython.mem_total()
            run()
            garbage = micropython.mem_total() - before
            start = time.ticks_us()
            for _ in range(loops):
                run()
            times.append(time.ticks_diff(time.ticks_us(), start) / loops)
        return min(times), garbage

    def line(name, run, size, loops=LOOPS):
        took, garbage = best(run, loops)
        ratios = ""
        if len(base) > 1:
            ratios = "%7.2fx json %6.2fx pack" % (base[0] / took, took / base[1])
        shown = (name, took, size, garbage, ratios)
        print("%-36s %9.2f us %6d bytes %6d garbage %s" % shown)
        return took

    base = []
    base.append(line("json.dumps", lambda: json.dumps(printable), len(json.dumps(printable))))
    base.append(line("struct.pack_into, fixed", pack, pack()))
    # What no encoder of objects can do without, in viper too: reading the attributes of the 64
    # samples, and comparing each with the ends of its range.
    line("(samples read and checked, no more)", lambda: checked(objects, -(1 << 29), 1 << 29), 0)
    buf = bytearray(2048)
    for name, state in (
        ("objects", objects),
        ("dicts", record),
        ("rows as tuples", tuples),
        ("columns", table),
    ):
        c = codec.compile(schema, like=state)
        size = c.encode(state, buf)
        assert c.compiled
        line("encode " + name, lambda c=c, s=state: c.encode(s, buf), size)
    line(
        "encode by the tree, objects", lambda: codec.compile(schema).encode(objects, buf), size, 20
    )

    text = json.dumps(printable)
    base[0] = line("json.loads", lambda: json.loads(text), len(text))
    c = codec.compile(schema, like=record)
    data = bytes(buf[: c.encode(record, buf)])
    line("decode, new dicts", lambda: c.decode(data, len(data)), size)
    c = codec.compile(schema, like=table)
    line("decode into columns", lambda: c.decode(data, len(data), table), size)


def main() -> int:
    """Run `device()` on both MicroPythons."""
    import os
    import subprocess
    from pathlib import Path

    root = Path(__file__).parents[2]
    sys.path.insert(0, str(root))
    from boards.tools.debian import Unavailable
    from tests.tools.micropythons import HEAP, _wheel, build_unix32

    path = str(root / "firmware")
    failed = 0
    for name, build in (("64-bit", _wheel), ("32-bit", build_unix32)):
        try:
            command = str(build())
        except Unavailable as e:
            print(f"{name}: NOT RUN: {e}")
            failed |= os.environ.get("CI") == "true"
            continue
        print(f"-- {name} MicroPython", flush=True)
        env = dict(os.environ, MICROPYPATH=path)
        failed |= subprocess.run([command] + HEAP + [__file__], env=env, timeout=300).returncode
    return int(failed)


if __name__ == "__main__":
    if sys.implementation.name == "micropython":
        device()
    else:
        sys.exit(main())
