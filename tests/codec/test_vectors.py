"""The golden vectors of the Rust crate, on CPython and on both MicroPythons."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
VECTORS = HERE.parent / "vectors"


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_vectors(request: pytest.FixtureRequest, on: str) -> None:
    command = [sys.executable] if on == "cpython" else request.getfixturevalue(on)
    path = f"{FIRMWARE}{os.pathsep}{HERE / 'device'}"
    result = subprocess.run(
        [*command, str(HERE / "device" / "vectors.py"), str(VECTORS)],
        env=dict(os.environ, PYTHONPATH=path, MICROPYPATH=path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0 and "ok 500" in result.stdout, result.stdout + result.stderr
