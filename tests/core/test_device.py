"""The core of the module, by scripts that run under CPython and real MicroPython alike."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from edgeckpt_host.build import compiled, sources_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIRMWARE = ROOT / "firmware"
FULL = os.environ.get("EDGECKPT_FULL") == "1"
CORE = ["leases.py", "observers.py", "raising.py", "restoring.py", "callers.py", "layout.py"]
CORE += ["long_rings.py"]


def environment(firmware: Path = FIRMWARE) -> dict[str, str]:
    path = os.pathsep.join(map(str, (firmware, HERE / "device", ROOT)))
    return dict(os.environ, PYTHONPATH=path, MICROPYPATH=path)


def run_script(command: list[str], name: str, firmware: Path = FIRMWARE) -> str:
    result = subprocess.run(
        [*command, str(HERE / "device" / name)],
        env=environment(firmware),
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
@pytest.mark.parametrize("script", CORE)
def test_core(request: pytest.FixtureRequest, script: str, on: str) -> None:
    run_script(interpreter(request, on), script)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module as a board gets it: merged, .mpy files of this processor."""
    folder = tmp_path_factory.mktemp("shipped")
    for part in compiled(sources_of(FIRMWARE / "edgeckpt"), "x64").values():
        for name, data in part.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("script", CORE if FULL else ["leases.py", "restoring.py", "alloc.py"])
def test_core_as_shipped(mpy64: list[str], shipped: Path, script: str) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("NOT TESTED HERE: the files that are shipped, for want of an x86-64")
    run_script(mpy64, script, shipped)


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_byte_loops(request: pytest.FixtureRequest, on: str) -> None:
    found = run_script(interpreter(request, on), "loops.py").split()
    there = ["bytewise", "in-use", "plain"] if on == "cpython" else ["in-use", "plain", "viper"]
    assert found == ["ok", *there]


@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
def test_checkpoint_allocates_nothing(request: pytest.FixtureRequest, on: str) -> None:
    print(run_script(interpreter(request, on), "alloc.py"))
