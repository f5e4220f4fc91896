"""The drivers over SPI-level chip models, by scripts that run on CPython and MicroPython alike."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run_script(command: list[str], name: str, *arguments: str, timeout: int = 300) -> str:
    path = os.pathsep.join(str(p) for p in (ROOT / "firmware", ROOT, HERE / "device"))
    env = dict(os.environ, PYTHONPATH=path, MICROPYPATH=path)
    result = subprocess.run(
        [*command, str(HERE / "device" / name), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0 and "ok" in result.stdout, output
    return result.stdout


def interpreter(request: pytest.FixtureRequest, name: str) -> list[str]:
    return [sys.executable] if name == "cpython" else request.getfixturevalue(name)


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
@pytest.mark.parametrize("script", ["nor_basic.py", "sd_basic.py"])
def test_driver(request: pytest.FixtureRequest, script: str, on: str) -> None:
    run_script(interpreter(request, on), script)
