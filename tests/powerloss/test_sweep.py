"""At least 1,000,000 cuts and restarts of the real module (10,000,000 with EDGECKPT_FULL=1).

A failure prints one command that replays the case, step by step. The full run alone:

    EDGECKPT_FULL=1 .venv/bin/python -m pytest -n 2 --dist worksteal tests/powerloss/test_sweep.py
"""

import json

import pytest
from jobs import jobs, least
from runners import FULL, run

JOBS = jobs(FULL)


def test_enough_cases():
    # Without those of the 32-bit interpreter, which not every machine can have.
    sure = [job for job in JOBS if job[0] != "micropython32"]
    assert sum(map(least, sure)) >= (10_000_000 if FULL else 1_000_000)
    assert sum(map(least, JOBS)) - sum(map(least, sure)) >= 30_000


@pytest.mark.parametrize("job", JOBS, ids=lambda job: "-".join((job[0], *job[1])))
def test_cut_and_restart(job, record_property, request):
    on, words = job
    if on == "micropython32":
        request.getfixturevalue("mpy32")  # skips, with the line that would enable it
    done = run(on, "sweep", *words)
    lines = done.stdout.splitlines()
    assert lines and lines[-1].startswith("{"), done.stdout + done.stderr
    result = json.loads(lines[-1])
    failures = [
        f"{error}\n    python tests/powerloss/replay.py --on {on} {case}"
        for case, error in result["failures"]
    ]
    assert not failures, "replay with\n" + "\n".join(failures)
    assert done.returncode == 0
    assert sum(result["cases"].values()) >= least(job)
    record_property("summary", json.dumps({"Power cuts and restarts": result["cases"]}))
