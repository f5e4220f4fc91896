"""Power cuts at every flash operation of 12 consecutive checkpoints, on the emulated Pico."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("EDGECKPT_FULL") == "1"


@pytest.mark.hil
@pytest.mark.parametrize("medium", ["sd", "nor", "flash"])
def test_every_operation_cut(pico_firmware: Path, medium: str) -> None:
    cuts = "1000" if FULL else "200"
    checkpoints = "36" if FULL and medium != "sd" else "12"
    command = ["-m", "tests.hil.powercut", medium, "--cuts", cuts, "--checkpoints", checkpoints]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    print(done.stdout)
    replay = f"python {' '.join(command)}\n{done.stdout}{done.stderr}"
    assert done.returncode == 0 and " 0 states lost" in done.stdout, replay
