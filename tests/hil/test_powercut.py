"""Power cuts at every flash operation of 16 consecutive checkpoints, on the emulated Pico."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("EDGECKPT_FULL") == "1"
HALF = {"flash": 22, "nor": 22, "sd": 6} if FULL else {"flash": 8, "nor": 8, "sd": 6}
LEAST = 45 if FULL else 15  # operations of each half on flash
SD_CUTS = 500 if FULL else 100  # of each half


@pytest.mark.hil
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("medium", ["sd", "nor", "flash"])
def test_every_operation_cut(
    edgeckpt_image: Path, medium: str, half: int, record_property: Callable[[str, object], None]
) -> None:
    first = 1 + half * HALF[medium]
    last = first + HALF[medium] - 1
    command = ["-m", "tests.hil.powercut", medium, "--first", str(first), "--last", str(last)]
    command += ["--cuts", str(SD_CUTS)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    print(done.stdout)
    replay = f"python {' '.join(command)}\n{done.stdout}{done.stderr}"
    assert done.returncode == 0 and " 0 states lost" in done.stdout, replay
    found = re.search(r"(\d+) operations, (\d+) cuts, (\d+) states lost", done.stdout)
    assert found is not None, replay
    operations, cuts, lost = map(int, found.groups())
    if medium == "sd":
        assert cuts >= SD_CUTS, replay
    else:  # two pages each, and the erase of a unit for each eighth
        assert cuts == 3 * operations and operations >= LEAST, replay
    counts = {f"{medium}, cuts": cuts, f"{medium}, states lost": lost}
    record_property("summary", json.dumps({"power cuts on the emulated Pico": counts}))
