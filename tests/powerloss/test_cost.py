"""Cost on the model chip beside littlefs; times are those of the model clock, not of a machine."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import cost_bench  # noqa: E402


@pytest.fixture(scope="module")
def rows():
    done = cost_bench.run("json", "200")
    assert done.returncode == 0, done.stderr
    return {(r["who"], r["state"]): r for r in json.loads(done.stdout)}


def test_prepared_checkpoints_are_fast(rows):
    for size, limit in ((64, 1.5), (4000, 12.5)):
        r = rows["edgeckpt, prepared", size]
        assert r["worst_ms"] + r["read_ms"] <= limit and r["erases"] == 0
        assert r["mean_ms"] < rows["littlefs, overwrite", size]["mean_ms"]


def test_the_worst_case_is_the_device(rows):
    for (who, _), r in rows.items():
        if who == "edgeckpt":
            assert r["worst_ms"] + r["read_ms"] <= 1.1 * r["raw_ms"]
            assert r["worst_ms"] <= rows["littlefs, temp + rename", r["state"]]["worst_ms"]


def test_write_amplification(rows):
    assert rows["edgeckpt", 64]["amplification"] <= 8
    assert rows["edgeckpt", 4000]["amplification"] <= 1.09


def test_wear_spreads(rows):
    for (who, size), r in rows.items():
        if who.startswith("edgeckpt") and size < 16000:
            assert r["wear_spread"] <= 1
