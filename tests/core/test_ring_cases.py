"""r1 to r16: small inputs that failed, each with its right outcome (device/ring_cases.py)."""

from __future__ import annotations

import subprocess
import sys

import pytest
from test_device import HERE, environment, interpreter

SCRIPT = HERE / "device" / "ring_cases.py"


def run(command: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_rows(request: pytest.FixtureRequest, on: str) -> None:
    done = run(interpreter(request, on), str(SCRIPT))
    assert done.returncode == 0 and "ok" in done.stdout, done.stdout + done.stderr


def test_two_cores() -> None:
    done = run([sys.executable], str(HERE / "device" / "cores.py"))
    assert done.returncode == 0, done.stdout + done.stderr
