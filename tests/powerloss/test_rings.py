"""Finding the newest of 4,096 slots, and even wear."""

import json

import pytest
from runners import FULL, run


def measured(on, *words):
    done = run(on, "rings", *words, heap="192M")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])["counts"]


@pytest.mark.parametrize("seed", range(40 if FULL else 4))
@pytest.mark.parametrize("shape", [(512, 4096, 200), (4096, 512, 200)], ids=str)
def test_newest_of_4096_slots(shape, seed, record_property):
    counts = measured("cpython", "search", *shape, seed)
    assert counts["clean restarts"] > 20 and counts["restarts after cuts"] > 50
    # As promised in docs/format.md: the script compares each restart.
    assert counts["most headers read, clean"] <= 40
    assert counts["most headers read, after cuts"] <= 60
    print(counts)
    record_property("counts", json.dumps(counts))


@pytest.mark.parametrize("on", ["cpython", "micropython"])
@pytest.mark.parametrize("geometry", ["3x2", "4x1", "3by2", "2x4"])
def test_wear_is_even(on, geometry):
    counts = measured(on, "wear", geometry, 10_000)
    assert counts["most erases"] - counts["least erases"] <= 2 and counts["least erases"] > 100
