"""RAM and time of the module on a board, measured, and the tables of README.md that tell it."""

from __future__ import annotations

import re
from pathlib import Path

from edgeckpt_host.build import cross
from edgeckpt_host.rig import BoardFailed, Rig
from edgeckpt_host.schema_compile import compile_schema

README = Path(__file__).parents[2] / "README.md"
SCHEMA = "{boots:u32,total:u64,gains:[f32;4],mode:enum{Idle,Run(u8)}}"  # as in the README

# What a program keeps that uses the module so; its imports and what it makes are what counts.
_BEGIN = """
import gc, os, rp2, select, sys, time
lease = stage = state = agent = None
def begin(load, keep=-1):
    # Milliseconds until there is a stage, and bytes of heap that are in use since then; keep: of
    # the heap, no more bytes are left free before.
    global ballast
    gc.collect()
    ballast = bytearray(gc.mem_free() - keep) if keep >= 0 else None
    gc.collect()
    a = gc.mem_free()
    t = time.ticks_ms()
    load()
    t = time.ticks_diff(time.ticks_ms(), t)
    gc.collect()
    print(t, a - gc.mem_free())
def resumed(text):
    global lease, stage
    import edgeckpt
    lease = edgeckpt.BlockLease(rp2.Flash(), 320, 16, 0x5EED)
    stage = edgeckpt.CheckpointedStageState.resume(state, lease, text)
    stage.checkpoint()
    stage.checkpoint()
"""
_LOADS = {
    "raw": """
def load():
    global state
    state = bytearray(64)
    resumed(None)
""",
    "one schema": """
def load():
    global state
    import compiled_schema
    state = {"boots": 0, "total": 0, "gains": [1.0] * 4, "mode": "Idle"}
    resumed(compiled_schema.TEXT)
""",
    "schema text": f"""
def load():
    global state
    state = {{"boots": 0, "total": 0, "gains": [1.0] * 4, "mode": "Idle"}}
    resumed({SCHEMA!r})
""",
    "raw, agent": """
def load():
    global state, agent
    state = bytearray(64)
    resumed(None)
    import edgeckpt.agent
    agent = edgeckpt.agent.Agent(sys.stdin)
""",
}
USES = tuple(_LOADS)


def measuring(use: str, keep: int = -1) -> str:
    """A script for a board: "<ms until there is a stage> <bytes of heap in use>" for one of USES;
    MemoryError where `keep` bytes of free heap are too few."""
    return f"{_BEGIN}{_LOADS[use]}begin(load, {keep})\n"


def compiled_schema() -> bytes:
    """The module that "one schema" imports: SCHEMA for states that are dicts."""
    return cross(compile_schema(SCHEMA, form="dict"), "compiled_schema", None)


# Buffers of 16 bytes and more that an object holds, each by every name it is reached by: which
# of them comes first is the order of a dict, and another on each firmware.
_WALK = """
def walk(x, path, seen):
    if isinstance(x, bytearray):
        if len(x) >= 16:
            print(id(x), path, len(x))
    elif id(x) not in seen and hasattr(x, "__dict__") and not isinstance(x, type):
        seen[id(x)] = x
        for k in x.__dict__:
            walk(x.__dict__[k], type(x).__name__ + "." + k, seen)
"""


def buffers(board: Rig) -> list[tuple[set[str], int]]:
    """({"Class.attribute", ..}, bytes) of each buffer of a stage with a schema and of an agent;
    of its device where that is a driver of ours."""
    script = board.make_lease(read_only=True) + _WALK
    script += "import sys, edgeckpt.agent\nkeep = {}\n"
    script += "if type(device).__name__ not in ('SPINor', 'SDCard'): keep[id(device)] = device\n"
    script += "stage = edgeckpt.CheckpointedStageState({'n': 1}, lease, '{n:u32}')\n"
    script += "walk(stage, '', keep)\nwalk(edgeckpt.agent.Agent(sys.stdin), '', keep)\n"
    found: dict[str, tuple[set[str], int]] = {}
    for line in board.run(script).splitlines():
        key, name, size = line.split()
        found.setdefault(key, (set(), int(size)))[0].add(name)
    return list(found.values())


def told(start: str) -> list[list[str]]:
    """The rows of the table in README.md whose head begins with `start`, cell by cell."""
    found = re.search(rf"^\| {re.escape(start)} .*?(?=\n\n)", README.read_text(), re.S | re.M)
    assert found, f"README.md has no table that begins with {start!r}"
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in found.group(0).splitlines()]
    return rows[2:]


def check_ram(board: Rig, form: str) -> None:
    """The README's rows of raw states for modules of this form are true: RAM to 3 %, and the heap
    that is needed: with a tenth less it does not do."""
    ram, needed = (int(n) for n in _row(f"raw, {form}")[1:3])
    board.run(board.make_lease(units=None) + "lease.wipe()", timeout=300)
    board.power_cycle()
    board.run(measuring("raw"))  # so that there is a checkpoint
    board.power_cycle()
    true = int(board.run(measuring("raw")).split()[1])
    assert abs(true - ram) <= 64 + 0.03 * true, f"README.md: {ram} bytes, {form}; now {true}"
    board.power_cycle()
    board.run(measuring("raw", int(1.03 * needed)))
    board.power_cycle()
    try:
        board.run(measuring("raw", int(0.9 * needed)))
    except BoardFailed as e:
        assert "emory" in str(e), e
    else:
        raise AssertionError(f"README.md: {needed} bytes of heap needed, {form}; now it is less")
    board.power_cycle()


def _row(name: str) -> list[str]:
    return next(row for row in told("on a Pico") if row[0] == name)
