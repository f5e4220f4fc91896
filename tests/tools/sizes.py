"""RAM of the module on a board, measured, and the tables of README.md that tell it."""

from __future__ import annotations

import re
from pathlib import Path

from edgeckpt_host.rig import Rig

README = Path(__file__).parents[2] / "README.md"

# Each step on top of the ones before it.
_STEPS = ("edgeckpt", "edgeckpt.codec.ready, edgeckpt.codec.schema", "edgeckpt.drivers.spinor")
_STEPS += ("edgeckpt.agent",)
_MEASURE = """
import gc, os, select, struct
def step():
    gc.collect()
    return gc.mem_free()
step()
a = 0
b = 0
"""

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


def ram_after_import(board: Rig) -> list[int]:
    """Bytes of heap in use after each of the four steps; the board is power-cycled first."""
    board.power_cycle()
    lines = [_MEASURE]
    for modules in _STEPS:
        lines += ["a = step()", f"import {modules}", "b += a - step()", "print(b)"]
    return [int(w) for w in board.run("\n".join(lines)).split()]


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


def check_ram(board: Rig, row: str) -> None:
    """The row `row` of the README's table of RAM is true to 3 % (and 64 bytes)."""
    numbers = {r[0]: [int(n) for n in r[1:]] for r in told("bytes of RAM")}
    true = ram_after_import(board)
    assert all(abs(a - b) <= 64 + 0.03 * b for a, b in zip(numbers[row], true)), (
        f"README.md tells {numbers[row]} bytes of RAM, {row}; now it is {true}"
    )
