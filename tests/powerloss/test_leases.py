"""Damaged leases: every flipped bit is detected; 1,000,000 mutated leases never lie."""

import json

import pytest
from runners import FULL, run

TIMES = 4 if FULL else 1
JOBS = [
    *[("cpython", name, seed, 62_500) for name in ("2x1", "3x1", "4x1") for seed in range(5)],
    ("cpython", "3x2", 0, 60_000),
    ("micropython", "2x1", 0, 10_000),
]


def leases(on, record_property, *words):
    done = run(on, "leases", *words)
    lines = done.stdout.splitlines()
    assert lines and lines[-1].startswith("{"), done.stdout + done.stderr
    result = json.loads(lines[-1])
    again = f"tests/powerloss/device/leases.py {' '.join(map(str, words))} on {on}"
    assert not result["failures"], f"{again}:\n" + "\n".join(map(str, result["failures"]))
    record_property("summary", json.dumps({"Damaged leases": result["cases"]}))
    return sum(result["cases"].values())


@pytest.mark.parametrize(
    ("on", "geometry"),
    [("cpython", g) for g in ("3x2", "4x1", "2x4", "3by2")] + [("micropython", "3x2")],
)
def test_every_flipped_bit(on, geometry, record_property):
    assert leases(on, record_property, "flips", geometry) > 2000


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_mutated_leases(job, record_property):
    on, geometry, seed, count = job
    done = leases(on, record_property, "mutated", geometry, seed, count * TIMES)
    assert done > count * TIMES - 8


def test_enough_mutations():
    assert sum(job[3] - 8 for job in JOBS) >= 1_000_000
