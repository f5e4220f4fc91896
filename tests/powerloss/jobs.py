"""What `make test` and `make test-full` sweep: (interpreter, arguments of device/sweep.py)."""

from __future__ import annotations

import functools
import sys

from runners import DEVICE, FIRMWARE, ROOT

sys.path[:0] = [str(FIRMWARE), str(ROOT), str(DEVICE)]

import harness  # noqa: E402

from boards.models import faults, ram  # noqa: E402

Job = tuple[str, tuple[str, ...]]

SMALL = ("3x2", "2x2", "3x4", "2x4", "4x1", "3x1", "2x1", "3by2", "3by3", "5x1")
CODEC = ("codec3x1", "codec3x2")
SECTORS = ("sd4", "sd3", "sd2")


def jobs(full: bool) -> list[Job]:
    """At least 1,000,000 cases; at least 10,000,000 in full."""
    found: list[Job] = []

    def add(on: str, *words: object) -> None:
        found.append((on, tuple(map(str, words))))

    for history in range(1, 41 if full else 5):
        small_ints = "micropython32" if history % 2 else "micropython"  # of 31 bits, of 63
        for name in SMALL:
            add("cpython", "single", name, history, 16)
            add(small_ints, "single", name, history, 2)
        for name in CODEC:
            add("cpython", "single", name, history, 1)
            add(small_ints, "single", name, history, 1)
        add("cpython", "single", "3x8", history, 4)
        add("cpython", "single", "2by2", history, 1)
        add(small_ints, "single", "3x8", history, 1)
        for name in SECTORS:
            add("cpython", "single", name, history, 20)
            add(small_ints, "single", name, history, 2)
        for name in ("3x2", "3x4", "3x8", *SECTORS):
            add("cpython", "damage", name, history, 10)
    for history in range(1, 11 if full else 2):
        pairs = [("4x1", 2), ("3x1", 2), ("3x2", 1), ("3x4", 2)]
        pairs += [("2x2", 1), ("2x4", 1), ("2x1", 1), ("5x1", 1)]
        pairs += [(name, 1) for name in SECTORS]
        for name, parts in [*pairs, ("3by2", 4)] if full else pairs:
            for part in range(parts):
                add("cpython", "pair", name, history, part, parts)
    for name in CODEC:
        add("cpython", "chain", name, 1, 10, 300)
        add("micropython32", "chain", name, 1, 5, 300)
        add("micropython32", "cache", name, 1, 60)
    for name in (*SMALL, *SECTORS):
        for seed in range(1, 11 if full else 2):
            add("cpython", "chain", name, seed, 135, 300)
            add("micropython", "chain", name, seed, 6, 300)
            add("micropython32", "chain", name, seed + 100, 6, 300)
            add("cpython", "cache", name, seed, 1200)
            add("micropython", "cache", name, seed, 60)
    return found


@functools.cache
def _ways(name: str, history: str) -> int:
    geometry = harness.GEOMETRIES[name]
    if not geometry.erases:
        return len(harness.record(geometry, history)[1]) * len(ram.SECTOR_CUTS)
    return sum(len(geometry.cuts(record)) for record in harness.record(geometry, history)[1])


def least(job: Job) -> int:
    """How many cases the job has at least."""
    part, name, *words = job[1]
    geometry = harness.GEOMETRIES[name]
    programs = geometry.operations - geometry.group_units
    ways = len(geometry.program_cuts() if geometry.erases else ram.SECTOR_CUTS)
    if part == "chain":
        return int(words[1]) * int(words[2])
    if part == "cache":
        return int(words[1])
    if part == "single":
        return _ways(name, words[0]) * int(words[1])
    if part == "damage":
        ways = len(faults.DISTURB_CUTS if geometry.erases else ram.UNRELATED_CUTS)
        return (2 * geometry.slots + 2) * programs * ways * int(words[1])
    return (geometry.slots + 2) * programs * ways * programs * ways // int(words[2]) // 2
