"""`make bench`: runs every *_bench.py beside it, one after the other; each prints its table."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    here = Path(__file__).parent
    failed = 0
    for script in sorted(here.glob("*_bench.py")):
        print(f"\n== {script.stem} ==", flush=True)
        failed |= subprocess.run([sys.executable, str(script)]).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
