"""`make bench`, Pico: what the module costs on a Raspberry Pi Pico, in one run on an emulated one.

    python tests/bench/pico_bench.py [--readme]      # --readme writes the tables into README.md

Time is what the processor takes on the emulated board, plus what a chip takes for the pages and
erases that the board really sent to its flash (typical times of a W25Q16JV: 0.7 ms a page, 45 ms
an erase; the emulated flash itself answers at once). littlefs writes to the same flash, beside it.
RAM, heap needed and time to start are measured after a power-on each. Not measured: flash cache
misses of frozen code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "firmware"), str(ROOT / "host_tools")]

from edgeckpt_host.build import compiled, cross  # noqa: E402
from edgeckpt_host.schema_compile import compile_schema  # noqa: E402

from boards.tools import packages as tool  # noqa: E402
from boards.tools.debian import Unavailable  # noqa: E402
from boards.tools.firmware import build  # noqa: E402
from boards.tools.pico import Pico  # noqa: E402
from tests.tools import sizes  # noqa: E402

PAGE_MS, ERASE_MS = 0.7, 45
WRITES = 24
FIRST, UNITS = 320, 16  # erase units of rp2.Flash() that nothing else uses (board.toml)
SMALL = "{boots:u32,total:u64,gains:[f32;4],mode:enum{Idle,Run(u8)}}"  # as in the README
RECORD = (
    "{epoch:u32,sequence:u64,gains:[f32;8],label:Option<str>,"
    "samples:Vec<{ts:u64,ch:u8,value:i32}>,key:[u8;32]}"
)

# States, as statements that make `state`, and what makes the next one of it.
STATES = {
    "raw": "state = bytearray({size})\ndef change(n):\n    state[0] = state[-1] = n & 255\n",
    "small": 'state = {"boots": 0, "total": 0, "gains": [1.0] * 4, "mode": "Idle"}\n'
    'def change(n):\n    state["boots"] = n\n',
    "dicts": """
samples = [{"ts": 400_000_000_000_000 + 997 * i, "ch": i % 8, "value": (i * 7919 - 250_000) * 61}
           for i in range(64)]
state = {"epoch": 100_000_000, "sequence": 1 << 60, "gains": [0.25 * i for i in range(8)],
         "label": "stage-a, calibrat", "samples": samples, "key": bytes(range(32))}
def change(n):
    state["epoch"] = 100_000_000 + n
""",
    "columns": """
from array import array
class Fields:
    pass
state = Fields()
state.epoch, state.sequence, state.gains = 100_000_000, 1 << 60, [0.25 * i for i in range(8)]
state.label, state.key, state.samples = "stage-a, calibrat", bytes(range(32)), Fields()
state.samples.ts = array("Q", [400_000_000_000_000 + 997 * i for i in range(64)])
state.samples.ch = array("B", [i % 8 for i in range(64)])
state.samples.value = array("i", [(i * 7919 - 250_000) * 61 for i in range(64)])
def change(n):
    state.epoch = 100_000_000 + n
""",
}
STAGE = f"""
import rp2, edgeckpt
{{schema}}
{{state}}
lease = edgeckpt.BlockLease(rp2.Flash(), {FIRST}, {UNITS}, 0x5EED)
stage = edgeckpt.CheckpointedStageState(state, lease, {{text}})
write = stage.checkpoint
"""
LITTLEFS = f"""
import rp2, vfs, json
{{state}}
part = rp2.Flash(start={FIRST} * 4096, len={UNITS} * 4096)
vfs.VfsLfs2.mkfs(part, progsize=256, readsize=32, lookahead=32)
fs = vfs.VfsLfs2(part, progsize=256, readsize=32, lookahead=32)
def overwrite():
    with fs.open("state", "w" + {{mode!r}}) as f:
        {{dump}}
def renamed():
    with fs.open("new", "w" + {{mode!r}}) as f:
        {{dump}}
    fs.rename("new", "state")
"""
PACKED = """import struct
_pack = struct.pack_into
def _packed():
    s = state
    _pack("<IQ8fB17s", out, 0, s["epoch"], s["sequence"], *s["gains"], 1, s["label"])
    p = 62
    for x in s["samples"]:
        _pack("<QBi", out, p, x["ts"], x["ch"], x["value"])
        p += 13
    _pack("32s", out, p, s["key"])
    return out
out = bytearray(62 + 64 * 13 + 32)
"""
CLOCKS = f"""
flash = rp2.Flash()
page = bytes(256)
t = time.ticks_us()
flash.writeblocks({FIRST + UNITS}, page, 0)
print(t)
"""
RUN = f"""
import gc, time
def timed(before):
    for n in range({WRITES}):
        change(n + 1)
        if before:
            before()
        gc.collect()
        time.sleep_ms(4)
        t = time.ticks_us()
        write()
        print(t, time.ticks_diff(time.ticks_us(), t))
        time.sleep_ms(4)
"""


@dataclass
class Cost:
    """Writes of one kind: ms of the processor, pages and erases of each."""

    cpu: list[float] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    erases: list[int] = field(default_factory=list)

    def all(self) -> list[float]:
        return [
            c + p * PAGE_MS + e * ERASE_MS for c, p, e in zip(self.cpu, self.pages, self.erases)
        ]

    def row(self, name: str) -> str:
        n = len(self.cpu)
        total = self.all()
        mean = [sum(x) / n for x in (self.cpu, self.pages, self.erases, total)]
        cells = (f"{mean[0]:.1f}", f"{mean[1]:.1f}", f"{mean[2]:.2f}")
        return f"| {name} | {' | '.join(cells)} | {mean[3]:.1f} | {max(total):.0f} |"


class Lab:
    """An emulated Pico with files of ours on it, or with the module frozen (`manifest`)."""

    def __init__(self, manifest: str = "stock.py", files: dict[str, bytes] | None = None):
        self.pico = Pico(build("RPI_PICO", manifest) / "firmware.uf2")
        self.pico.reset()
        for name, data in (files or {}).items():
            self.pico.put(f"/lib/{name}", data)
        self.operations: list[tuple[str, float]] = []

    def begin(self) -> None:
        """Power on, with the lease region erased."""
        first = len(self.pico.flash) - 1408 * 1024 + FIRST * 4096
        self.pico.load(b"\xff" * UNITS * 4096, first)
        self.pico.reset()

    def cost(self, setup: str, before: str = "None") -> Cost:
        """What the `write` costs that `setup` makes, after `before` each time."""
        self.begin()
        pico = self.pico
        pico.exec(setup + RUN, timeout=300)
        operations: list[tuple[str, int]] = []
        pico.on_op = lambda kind, at, size, data: operations.append((kind, pico.clock.us))
        # One page beside the lease, to compare the two clocks.
        base = -int(pico.exec(CLOCKS)) + operations[0][1]
        lines = pico.exec(f"timed({before})", timeout=600).splitlines()
        pico.on_op = None
        result = Cost()
        for line in lines:
            start, took = (int(w) for w in line.split())
            # The clocks were compared to a ms; nothing else runs within 4 ms of a write.
            low, high = base + start - 2000, base + start + took + 2000
            kinds = [kind for kind, at in operations if low <= at <= high]
            result.cpu.append(took / 1000)
            result.pages.append(kinds.count("program"))
            result.erases.append(kinds.count("erase"))
        return result

    def room(self, use: str) -> tuple[int, int, int]:
        """(bytes of RAM, bytes of free heap needed to 1 KiB, ms to start) of one of sizes.USES."""
        self.begin()
        self.pico.exec(sizes.measuring(use), timeout=300)  # so that there is a checkpoint
        self.pico.reset()
        ms, ram = (int(w) for w in self.pico.exec(sizes.measuring(use), timeout=300).split())
        low, high = ram, 0
        while not high or high - low > 1024:
            keep = (low + high) // 2 if high else low + 8192
            self.pico.reset()
            try:
                self.pico.exec(sizes.measuring(use, keep), timeout=300)
                high = keep
            except RuntimeError as e:
                if "emory" not in str(e):  # MemoryError, or a restore that says so
                    raise
                low = keep
                if low > 180_000:
                    raise
        return ram, high, ms


def installed(source: bool = False) -> dict[str, bytes]:
    """The files of the module for a Pico: merged .mpy, or the sources."""
    if source:
        of = tool.sources()
        files = {f"{m}.py": of.text(m).encode() for m in of.trees}
    else:
        parts = compiled(tool.sources(), "armv6m").values()
        files = {name: data for part in parts for name, data in part.items()}
    return {**files, "compiled_schema.mpy": sizes.compiled_schema()}


TIME_HEAD = """| ms on a Pico | CPU | pages | erases | mean | worst |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
ROOM_HEAD = """| on a Pico | RAM | free heap needed | ms to start |
| --- | ---: | ---: | ---: |
"""


def times(say: Callable[[str], None]) -> str:
    """The table of times."""
    files = installed()
    schema = {}
    for form, like in (("dicts", {"form": "dict"}), ("columns", {"columns": True})):
        text = compile_schema(RECORD, **like)  # type: ignore[arg-type]
        files[f"record_{form}.mpy"] = cross(text, f"record_{form}", None)
        schema[form] = f"import record_{form}"
    lab = Lab("stock.py", files)
    rows = []

    def add(name: str, setup: str, before: str = "None") -> None:
        rows.append(lab.cost(setup, before).row(name))
        say(rows[-1])

    for size in (64, 4000, 16384):
        state = STATES["raw"].format(size=size)
        ours = STAGE.format(schema="", state=state, text="None")
        add(f"{size} bytes", ours)
        add(f"{size} bytes, prepared", ours, "stage.prepare")
        if size < 16384:
            fs = LITTLEFS.format(state=state, mode="b", dump="f.write(state)")
            add(f"littlefs, {size} bytes over a file", fs + "write = overwrite\n")
            add(f"littlefs, {size} bytes, temp and rename", fs + "write = renamed\n")
    for form in ("dicts", "columns"):
        text = f"record_{form}.TEXT"
        ours = STAGE.format(schema=schema[form], state=STATES[form], text=text)
        add(f"record of 861 bytes, {form}, prepared", ours, "stage.prepare")
    state = STATES["dicts"]
    fs = LITTLEFS.format(state=state, mode="", dump="json.dump(state, f)")
    add("littlefs, the record as json, over a file", fs + "write = overwrite\n")
    add("littlefs, the record as json, temp and rename", fs + "write = renamed\n")
    fs = LITTLEFS.format(state=state + PACKED, mode="b", dump="f.write(_packed())")
    add("littlefs, the record by struct, over a file", fs + "write = overwrite\n")
    add("littlefs, the record by struct, temp and rename", fs + "write = renamed\n")
    return TIME_HEAD + "\n".join(rows)


def rooms(say: Callable[[str], None]) -> str:
    """The table of RAM."""
    one = {"compiled_schema.mpy": sizes.compiled_schema()}
    labs = [
        (".mpy files", Lab("stock.py", installed()), sizes.USES),
        ("frozen", Lab("manifest.py", one), sizes.USES),
        (".py files", Lab("stock.py", installed(source=True)), ("raw",)),
    ]
    rows = []
    for form, lab, uses in labs:
        for use in uses:
            ram, needed, ms = lab.room(use)
            rows.append(f"| {use}, {form} | {ram} | {needed} | {ms} |")
            say(rows[-1])
    return ROOM_HEAD + "\n".join(rows)


def flash_sentence() -> str:
    """What the frozen module takes of the program flash."""
    size = {m: (build("RPI_PICO", m) / "firmware.bin").stat().st_size
            for m in ("stock.py", "core.py", "manifest.py")}  # fmt: skip
    core, everything = (size[m] - size["stock.py"] for m in ("core.py", "manifest.py"))
    return f"Program flash of the frozen module: {core} bytes the core, {everything} all of it."


def main() -> int:
    def say(row: str) -> None:
        print(row, flush=True)

    try:
        tables = {TIME_HEAD: times(say), ROOM_HEAD: rooms(say)}
        sentence = flash_sentence()
    except Unavailable as e:
        print(f"NOT RUN: {e}")
        return 0
    say(sentence)
    if "--readme" in sys.argv:
        readme = ROOT / "README.md"
        text = readme.read_text()
        for head, table in tables.items():
            start = re.escape(head.split("|")[1].strip())
            text, n = re.subn(rf"\| {start} \|.*?(?=\n\n)", table, text, flags=re.DOTALL)
            assert n == 1, f"README.md: no table that begins with {start}"
        readme.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
