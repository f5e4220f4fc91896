"""At least 1,000,000 cuts and restarts of the real module (10,000,000 with EDGECKPT_FULL=1).

A failure prints one command that replays the case, step by step.
"""

import json

import pytest
from jobs import jobs, least
from runners import FULL, run

JOBS = jobs(FULL)


def test_enough_cases():
    assert sum(map(least, JOBS)) >= (10_000_000 if FULL else 1_000_000)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: "-".join((job[0], *job[1])))
def test_cut_and_restart(job, record_property):
    on, words = job
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
