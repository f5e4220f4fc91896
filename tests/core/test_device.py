"""The core of the module, by scripts that run under CPython and real MicroPython alike."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIRMWARE = ROOT / "firmware"


def environment() -> dict[str, str]:
    path = os.pathsep.join(map(str, (FIRMWARE, HERE / "device", ROOT)))
    return dict(os.environ, PYTHONPATH=path, MICROPYPATH=path)


def run_script(command: list[str], name: str) -> str:
    result = subprocess.run(
        [*command, str(HERE / "device" / name)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0 and "ok" in result.stdout, output
    return result.stdout


def interpreter(request: pytest.FixtureRequest, name: str) -> list[str]:
    return [sys.executable] if name == "cpython" else request.getfixturevalue(name)


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
@pytest.mark.parametrize(
    "script",
    [
        "leases.py",
        "observers.py",
        "raising.py",
        "restoring.py",
        "callers.py",
        "layout.py",
        "long_rings.py",
    ],
)
def test_core(request: pytest.FixtureRequest, script: str, on: str) -> None:
    run_script(interpreter(request, on), script)


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_byte_loops(request: pytest.FixtureRequest, on: str) -> None:
    found = run_script(interpreter(request, on), "loops.py").split()
    assert found == ["ok", *(["bytewise", "plain"] if on == "cpython" else ["plain", "viper"])]


@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
def test_checkpoint_allocates_nothing(request: pytest.FixtureRequest, on: str) -> None:
    print(run_script(interpreter(request, on), "alloc.py"))
