"""The tests of this folder bite: every defect in mutants.py is caught, by power cuts or lies."""

import pytest
from mutants import BATTERY, MUTANTS
from runners import run


@pytest.mark.parametrize("words", BATTERY, ids=" ".join)
def test_sound_module_passes(words):
    done = run("cpython", *words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_mutant_is_caught(mutant, tmp_path):
    firmware = mutant.build(tmp_path)
    for words in mutant.caught_by:
        done = run("cpython", *words, firmware=firmware)
        # The scripts report what they found; a mutant that does not even import proves nothing.
        assert '"failures"' in done.stdout, done.stdout + done.stderr
        if done.returncode == 1:
            return
    raise AssertionError(f"not caught: {mutant.name}")
