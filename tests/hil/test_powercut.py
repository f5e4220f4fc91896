"""Power cuts at every flash operation of 12 consecutive checkpoints, on the emulated Pico."""

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
# (checkpoints, cuts at most) of the run that everybody makes; the full one cuts at every
# operation of 12 and more, and 1,000 times on the card.
SHORT = {"flash": (4, 30), "nor": (1, 9), "sd": (1, 4)}


@pytest.mark.hil
@pytest.mark.parametrize("medium", ["sd", "nor", "flash"])
def test_every_operation_cut(
    pico_firmware: Path, medium: str, record_property: Callable[[str, object], None]
) -> None:
    checkpoints, cuts = (12 if medium == "sd" else 36, 1000) if FULL else SHORT[medium]
    command = ["-m", "tests.hil.powercut", medium]
    command += ["--cuts", str(cuts), "--checkpoints", str(checkpoints)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    print(done.stdout)
    found = re.search(r"(\d+) cuts, (\d+) states lost", done.stdout)
    replay = f"python {' '.join(command)}\n{done.stdout}{done.stderr}"
    assert done.returncode == 0 and " 0 states lost" in done.stdout, replay
    assert found is not None
    counts = {f"{medium}, cuts": int(found[1]), f"{medium}, states lost": int(found[2])}
    record_property("summary", json.dumps({"power cuts on the emulated Pico": counts}))
