"""Random and mutated input to the decoder and the schema parser, on all interpreters."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
INPUTS = 1_000_000 if os.environ.get("EDGECKPT_FULL") else 100_000
SHARE = {"cpython": 0.3, "mpy64": 0.5, "mpy32": 0.2}


@pytest.mark.parametrize("on", SHARE)
def test_fuzz(request: pytest.FixtureRequest, on: str) -> None:
    command = [sys.executable] if on == "cpython" else [request.getfixturevalue(on)[0]]
    if on != "cpython":
        command += ["-X", "heapsize=24M"]
    seed = int(os.environ.get("EDGECKPT_SEED", time.time_ns() % 10**8))
    count = int(INPUTS * SHARE[on])
    path = f"{FIRMWARE}{os.pathsep}{HERE / 'device'}"
    result = subprocess.run(
        [*command, str(HERE / "device" / "fuzz.py"), str(seed), str(count)],
        env=dict(os.environ, PYTHONPATH=path, MICROPYPATH=path),
        capture_output=True,
        text=True,
        timeout=3600,
    )
    full = "EDGECKPT_FULL=1 " if os.environ.get("EDGECKPT_FULL") else ""
    replay = f"replay: {full}EDGECKPT_SEED={seed} pytest tests/codec/test_fuzz.py -k {on}"
    print(result.stdout, replay)
    assert result.returncode == 0 and "ok" in result.stdout, replay + result.stdout + result.stderr
