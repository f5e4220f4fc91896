"""The law of the codec, on every kind of interpreter: what is accepted comes back (`law.py`).

A failing case is printed by its number: `law.py NUMBER 1` draws it again, on any interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.mutant import Mutant

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
CASES = 100_000 if os.environ.get("EDGECKPT_FULL") else 5_000  # on each interpreter
SEED = int(os.environ.get("EDGECKPT_SEED", "1"))
PART = 2_500  # cases of one run

# Each kind of mistake that was found in the codec, put back.
MUTANTS = [
    Mutant(
        "c1: a value within another overwrites the name of its parent",
        "compiler/__init__.py",
        '            lines.append("p = " + self._put(t.items[i], like, form)("p", value))\n',
        '            lines.append("p = " + self._put(t.items[i], like, form)("p", value))\n'
        '            if t.items[i].kind in ("struct", "tuple"):\n'
        '                lines.append("v = " + value)\n',
        (),
    ),
    Mutant(
        "c5: items of no bytes are counted for each list",
        "codec/postcard.py",
        "    _units[0] -= n\n",
        "    _units[0] = MAX_UNITS - n\n",
        (),
    ),
    Mutant(
        "c10: an f64 is rounded to the port's float",
        "codec/postcard.py",
        "        if data == _wide[:n]:\n",
        "        if v == v:\n",
        (),
    ),
    Mutant(
        "c11: a key that is no field is dropped",
        "codec/postcard.py",
        "    if not isinstance(v, dict) or len(v) != n:\n",
        "    if not isinstance(v, dict):\n",
        (),
    ),
    Mutant(
        "c15: keys of a Map in the order of the dict",
        "codec/encode.py",
        "    if not t.found or less(t.items[0], k, t.next):\n",
        "    if not t.found:\n",
        (),
    ),
]
# The input that shows it, where the draw is not sure to.
SHOWN_BY_CASES = ("c5", "c10", "c15")


def run(command: list[str], script: str, *args: str, firmware: Path = FIRMWARE) -> str:
    path = f"{firmware}{os.pathsep}{HERE / 'device'}"
    result = subprocess.run(
        [*command, str(HERE / "device" / script), *args],
        env=dict(os.environ, PYTHONPATH=path, MICROPYPATH=path),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0 and "ok" in result.stdout, result.stdout + result.stderr
    return result.stdout


def interpreter(request: pytest.FixtureRequest, on: str) -> list[str]:
    return [sys.executable] if on == "cpython" else request.getfixturevalue(on)


@pytest.mark.parametrize("on", ["mpy64", "mpy32", "mpy32f"])
def test_what_is_accepted_comes_back(request: pytest.FixtureRequest, on: str) -> None:
    command = interpreter(request, on)
    for seed in range(SEED, SEED + CASES, PART):
        there = run(command, "law.py", str(seed), str(PART))
        print(there.strip())
        # The same bytes and refusals as on CPython; of f64, floats of single precision have less.
        if on != "mpy32f":
            assert there == run([sys.executable], "law.py", str(seed), str(PART))


@pytest.mark.parametrize("on", ["mpy64", "mpy32f"])
def test_without_native_emitters(request: pytest.FixtureRequest, on: str) -> None:
    script = str(HERE / "device" / "law.py")
    output = run(interpreter(request, on), "no_native.py", script, str(SEED), str(CASES // 10))
    assert "without viper" in output


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32", "mpy32f"])
def test_cases(request: pytest.FixtureRequest, on: str) -> None:
    run(interpreter(request, on), "cases.py")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name.partition(":")[0])
def test_mutants_are_caught(mutant: Mutant, tmp_path: Path, mpy32f: list[str]) -> None:
    firmware = mutant.build(tmp_path)
    args = ["cases.py"] if mutant.name.startswith(SHOWN_BY_CASES) else ["law.py", "1", "1000"]
    with pytest.raises(AssertionError):
        run(mpy32f, *args, firmware=firmware)
