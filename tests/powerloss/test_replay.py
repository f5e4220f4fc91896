"""A case that fails is replayed by the command that its failure prints, and fails there again."""

import json
import re
import subprocess
import sys

import pytest
from mutants import CACHE, CHAIN, DAMAGE, MUTANTS, PAIRS3, SINGLE
from runners import HERE, run

CASES = [
    ("header before data", SINGLE),
    ("one good read of a header is a commit", CHAIN),
    ("a header that reads differently each time passes for a corrupt one", PAIRS3),
    ("no sync between data and header", CACHE),
    ("the data CRC is not checked", DAMAGE),
]


@pytest.mark.parametrize(("name", "words"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_failure_is_replayed(name, words, tmp_path):
    (mutant,) = [m for m in MUTANTS if m.name == name]
    firmware = mutant.build(tmp_path)
    swept = run("cpython", *words, firmware=firmware)
    case, error = json.loads(swept.stdout.splitlines()[-1])["failures"][0]
    replay = [sys.executable, str(HERE / "replay.py"), case]
    again = subprocess.run(
        [*replay, "--firmware", str(firmware)], capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 1, again.stdout + again.stderr
    assert error.split(": ", 1)[1] in again.stderr, (error, again.stderr)
    assert re.search(r"^ +(read|program|erase) ", again.stdout, re.M), again.stdout
    # The module as it is passes the same case.
    sound = subprocess.run(replay, capture_output=True, text=True, timeout=120)
    assert sound.returncode == 0 and "nothing wrong" in sound.stdout, sound.stdout + sound.stderr
