"""The golden vectors with floats of single precision, as boards have, on 32-bit unix: also those
that are too large or too slow for the emulated Pico (test_board.py)."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.hil.test_board import GOLDEN, VECTORS, exact_in_single

FIRMWARE = Path(__file__).parents[2] / "firmware"
RUN = """
import struct
assert struct.unpack("<f", struct.pack("<f", 0.1))[0] == 0.1, "not single precision"
with open("cases") as f:
    each(CHECK, [line for line in f])
"""


@pytest.mark.parametrize(
    "name, check, least",
    [("postcard_vectors", "check_vector", 378), ("decode_cases", "check_case", 109)],
)
def test_golden_vectors_in_single_precision(
    mpy32f: list[str], name: str, check: str, least: int, tmp_path: Path
) -> None:
    lines = (VECTORS / f"{name}.jsonl").read_text().splitlines()
    exact = [line for line in lines if exact_in_single(json.loads(line))]
    assert len(exact) >= least
    (tmp_path / "cases").write_text("\n".join(exact))
    (tmp_path / "script.py").write_text(GOLDEN + RUN.replace("CHECK", check))
    done = subprocess.run(
        [*mpy32f, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "MICROPYPATH": str(FIRMWARE)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip() == f"ok {len(exact)}", done.stdout + done.stderr
