"""States that live through new firmwares: the rules, and a fleet of boards with power cuts."""

from __future__ import annotations

import os

import pytest

from tests.codec.test_law import interpreter, run

ALL = ["cpython", "mpy64", "mpy32", "mpy32f"]
FULL = bool(os.environ.get("EDGECKPT_FULL"))


@pytest.mark.parametrize("on", ALL)
def test_rules(request: pytest.FixtureRequest, on: str) -> None:
    run(interpreter(request, on), "migrating.py")


@pytest.mark.parametrize("on", ALL if FULL else ["mpy32f"])
def test_fleet(request: pytest.FixtureRequest, on: str) -> None:
    """50 histories, each through 20 power cuts: no state lost, no field wrong."""
    output = run(interpreter(request, on), "fleet.py", "1", "500" if FULL else "50", "20")
    print(output)
    assert f"{10_000 if FULL else 1_000} cuts" in output
