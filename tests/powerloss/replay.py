"""Replays one case of the sweep, step by step: what was read, programmed, erased, and why not.

python tests/powerloss/replay.py [--on micropython] [--firmware DIR] CASE

CASE is what a failing test printed, as `chain:3x2:1.49:300`. --firmware: a folder that holds
another `edgeckpt` package, as a mutant.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from runners import FIRMWARE, INTERPRETERS, command, environment  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case")
    parser.add_argument("--on", choices=INTERPRETERS, default="cpython")
    parser.add_argument("--firmware", type=Path, default=FIRMWARE)
    options = parser.parse_args()
    words = command(options.on, "sweep", "replay", options.case)
    return subprocess.run(words, env=environment(options.firmware)).returncode


if __name__ == "__main__":
    sys.exit(main())
