"""What `make test` and `make test-full` sweep: (interpreter, arguments of device/sweep.py)."""

from __future__ import annotations

Job = tuple[str, tuple[str, ...]]

SMALL = ("3x2", "2x2", "3x4", "2x4", "4x1", "3x1", "2x1", "3by2", "5x1")
SECTORS = ("sd4", "sd3", "sd2")


def jobs(full: bool) -> list[Job]:
    """The jobs, longest first. At least 1,000,000 cases; at least 10,000,000 in full."""
    found: list[Job] = []

    def add(on: str, *words: object) -> None:
        found.append((on, tuple(map(str, words))))

    for history in range(1, 41 if full else 5):
        for name in SMALL:
            add("cpython", "single", name, history, 26)
            add("micropython", "single", name, history, 2)
        add("cpython", "single", "3x8", history, 4)
        add("cpython", "single", "2by2", history, 1)
        add("micropython", "single", "3x8", history, 1)
        for name in SECTORS:
            add("cpython", "single", name, history, 20)
            add("micropython", "single", name, history, 2)
        for name in ("3x2", "3x4", "3x8", *SECTORS):
            add("cpython", "damage", name, history, 10)
    for history in range(1, 11 if full else 2):
        for name, parts in (("4x1", 2), ("3x1", 2), ("3by2", 3), ("3x2", 1), ("3x4", 1)):
            for part in range(parts):
                add("cpython", "pair", name, history, part, parts)
        for name in ("2x2", "2x4", "2x1", "5x1", *SECTORS):
            add("cpython", "pair", name, history, 0, 1)
    for name in (*SMALL, *SECTORS):
        for seed in range(1, 11 if full else 2):
            add("cpython", "chain", name, seed, 110, 300)
            add("micropython", "chain", name, seed, 12, 300)
            add("cpython", "cache", name, seed, 1200)
            add("micropython", "cache", name, seed, 60)
    return found
