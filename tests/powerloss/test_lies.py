"""Devices that lie, wear out, stick and disturb: never a false success, never a wrong state."""

import json

import pytest
from runners import FULL, run

LAPS = 200 if FULL else 20


def lies(on: str, *words: object) -> dict[str, int]:
    done = run(on, "lies", *words)
    lines = done.stdout.splitlines()
    assert lines and lines[-1].startswith("{"), done.stdout + done.stderr
    result = json.loads(lines[-1])
    again = f"tests/powerloss/device/lies.py {' '.join(map(str, words))} on {on}"
    assert not result["failures"], f"{again}:\n" + "\n".join(map(str, result["failures"]))
    assert sum(result["cases"].values()) > 0
    return result["cases"]


@pytest.mark.parametrize(
    ("on", "geometry"),
    [("cpython", g) for g in ("3x2", "4x1", "2x4", "3by2", "3by3", "codec3x1", "sd3", "sd4")]
    + [("micropython", g) for g in ("3x2", "codec3x1", "sd3")],
)
def test_every_answer_at_every_call(on, geometry, record_property):
    cases = lies(on, "answers", geometry)
    record_property("summary", json.dumps({"Answers of devices": cases}))


@pytest.mark.parametrize("on", ["cpython", "micropython"])
@pytest.mark.parametrize("geometry", ["3x2", "2x1", "3by2", "sd3"])
def test_bits_turned_on_the_bus(on, geometry, record_property):
    cases = lies(on, "turned", geometry)
    record_property("summary", json.dumps({"Answers of devices": cases}))


@pytest.mark.parametrize("on", ["cpython", "micropython"])
@pytest.mark.parametrize("geometry", ["3x2", "4x1", "2x1", "2x4", "3by2", "3by3", "3x8"])
def test_operations_silently_not_done(on, geometry, record_property):
    cases = lies(on, "silent", geometry)
    record_property("summary", json.dumps({"Operations silently not done": cases}))


@pytest.mark.parametrize("geometry", ["3x2", "4x1", "2x1", "2x4", "3by2", "3by3", "5x1"])
def test_stuck_worn_and_disturbed(geometry, record_property):
    cases = lies("cpython", "cells", geometry, 1, LAPS)
    record_property("summary", json.dumps({"Checkpoints on bad chips": cases}))
