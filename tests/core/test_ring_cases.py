"""r1 to r16: small inputs that failed, each with its right outcome (device/ring_cases.py).

What the core does right runs on CPython and both MicroPythons. `OPEN` are the rows that it does
not: each is tried, and one that begins to pass fails here until its name is taken off the list.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from test_device import HERE, environment, interpreter

SCRIPT = HERE / "device" / "ring_cases.py"
CASES = re.findall(r"^def (test_\w+)", SCRIPT.read_text(), re.M)

# row -> what the core does instead
OPEN = {
    "test_r1_one_worn_unit_costs_no_checkpoint": "each boot tries the same bad unit first",
    "test_r2_bad_neighbours_cost_no_checkpoint": "a checkpoint that meets a bad unit fails",
    "test_r3_lost_neighbours_never_hide_the_newest": "an older state, without a word",
    "test_r4_sd": "resume raises at every boot until somebody wipes",
    "test_r4_fram": "resume raises at every boot until somebody wipes",
    "test_r4_ecc": "flash with ECC is not told apart",
    "test_r4_plain_nor_that_cannot_be_read_is_an_error": "reason `none`, not `read`",
    "test_r5_the_same_on_flash_with_ecc": "flash with ECC is not told apart",
    "test_r6_the_newest_is_never_beside_what_is_programmed": "seven of eight are",
    "test_r6_lives_on_a_chip_whose_cuts_disturb": "committed checkpoints are hurt",
    "test_r7_one_flipped_bit_of_the_newest_header_on_nor": "an older state, without a word",
    "test_r7_one_flipped_bit_of_the_only_header_on_nor": "an error, or a fresh start",
    "test_r7_one_flipped_bit_of_the_newest_header_on_sd": "an older state, without a word",
    "test_r7_one_flipped_bit_of_the_only_header_on_sd": "an error, or a fresh start",
    "test_r8_a_lease_opened_at_another_start": "a fresh start",
    "test_r9_resume_with_another_capacity": "a fresh start",
    "test_r9_another_capacity_with_a_torn_slot": "another reason, or a fresh start",
    "test_resume_never_starts_fresh_where_all_headers_are_damaged": "a fresh start",
    "test_r10_nor": "an older state, without a word; then a checkpoint is lost",
    "test_r10_sd": "an older state, without a word; then a checkpoint is lost",
    "test_r11_a_lease_given_away_between_any_two_bytecodes": "an AttributeError",
    "test_r12_ctrl_c_at_any_jump_of_a_checkpoint": "completion is not told",
    "test_r12_ctrl_c_between_any_two_bytecodes_of_a_checkpoint": "busy for good",
    "test_r13_ctrl_c_between_any_two_bytecodes_of_a_constructor": "the lease is gone",
    "test_r14_leases_of_one_medium_overlap": "drivers do not tell their medium",
    "test_r15_a_device_whose_erase_does_nothing": "it fails for good after one lap",
    "test_r16_the_first_resume_of_a_blank_lease": "a quarter of a million reads",
}


def run(command: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def told(done: subprocess.CompletedProcess[str]) -> None:
    """A script that does not load is no verdict on the core: never what an open row fails of."""
    if re.search(r"^(Syntax|Import|ModuleNotFound|Name)Error", done.stderr, re.M):
        raise RuntimeError(done.stderr)


def test_open_rows_are_rows() -> None:
    assert set(OPEN) <= set(CASES)


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
def test_rows(request: pytest.FixtureRequest, on: str) -> None:
    names = [name for name in CASES if name not in OPEN]
    done = run(interpreter(request, on), str(SCRIPT), *names)
    assert done.returncode == 0 and "ok" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", OPEN)
def test_open_row(name: str, request: pytest.FixtureRequest) -> None:
    request.applymarker(pytest.mark.xfail(reason=OPEN[name], strict=True, raises=AssertionError))
    done = run([sys.executable], str(SCRIPT), name)
    told(done)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="two flushes both find the stage idle"
)
def test_two_cores() -> None:
    done = run([sys.executable], str(HERE / "device" / "cores.py"))
    told(done)
    assert done.returncode == 0, done.stdout + done.stderr
