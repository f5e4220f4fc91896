"""The golden vectors of the Rust crate, on CPython and on both MicroPythons."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
VECTORS = HERE.parent / "vectors"


def run(request: pytest.FixtureRequest, on: str, script: str, *args: str) -> str:
    command = [sys.executable] if on == "cpython" else request.getfixturevalue(on)
    path = f"{FIRMWARE}{os.pathsep}{HERE / 'device'}"
    result = subprocess.run(
        [*command, str(HERE / "device" / script), *args],
        env=dict(os.environ, PYTHONPATH=path, MICROPYPATH=path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32", "mpy32f"])
def test_vectors(request: pytest.FixtureRequest, on: str) -> None:
    assert "ok 500" in run(request, on, "vectors.py", str(VECTORS))


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_compiled_functions_equal_the_tree(request: pytest.FixtureRequest, on: str) -> None:
    assert "ok" in run(request, on, "forms.py", str(VECTORS))


@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
def test_encoding_allocates_nothing(request: pytest.FixtureRequest, on: str) -> None:
    assert "ok" in run(request, on, "alloc_codec.py")


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_what_stands_for_bytes(request: pytest.FixtureRequest, on: str) -> None:
    assert "ok" in run(request, on, "octets.py")


@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
@pytest.mark.parametrize("script", ["vectors.py", "forms.py"])
def test_without_native_emitters(request: pytest.FixtureRequest, script: str, on: str) -> None:
    output = run(request, on, "no_native.py", str(HERE / "device" / script), str(VECTORS))
    assert "ok" in output and "without viper" in output


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_varints(request: pytest.FixtureRequest, on: str) -> None:
    found = run(request, on, "varints.py").split()
    there = ["postcard", "varints_plain", *([] if on == "cpython" else ["varints_viper"])]
    assert found == ["ok", *there]


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_schema_texts_that_are_refused(request: pytest.FixtureRequest, on: str) -> None:
    assert "ok" in run(request, on, "schema_texts.py")
