"""The interpreters, as processes: the device scripts below `device/` run on each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEVICE = HERE / "device"
FIRMWARE = ROOT / "firmware"
FULL = os.environ.get("EDGECKPT_FULL") == "1"
INTERPRETERS = ("cpython", "micropython", "micropython32")


def command(interpreter: str, script: str, *args: object, heap: str = "64M") -> list[str]:
    """The command line that runs `device/<script>.py` on the interpreter."""
    words = [str(DEVICE / f"{script}.py"), *map(str, args)]
    if interpreter == "cpython":
        return [sys.executable, *words]
    if interpreter == "micropython32":
        from boards.tools.micropython import build_unix32

        binary = build_unix32()
    else:
        binary = Path(sys.executable).with_name("micropython")
    return [str(binary), "-X", f"heapsize={heap}", *words]


def environment(firmware: Path = FIRMWARE) -> dict[str, str]:
    """Where both interpreters find the module under test, the models and the scripts."""
    path = os.pathsep.join(map(str, (firmware, ROOT, DEVICE)))
    return {**os.environ, "PYTHONPATH": path, "MICROPYPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def run(
    interpreter: str,
    script: str,
    *args: object,
    firmware: Path = FIRMWARE,
    timeout: float = 600,
    heap: str = "64M",
) -> subprocess.CompletedProcess[str]:
    """Run it to its end and return what it printed; never raises for its exit status."""
    return subprocess.run(
        command(interpreter, script, *args, heap=heap),
        env=environment(firmware),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
