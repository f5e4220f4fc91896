"""Ctrl-C on the host, at any moment of a pull or a restore: exit code 130, no traceback, no half
file under the final name, a board with its REPL and a checkpoint that was written."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeckpt_host.board import Board
from edgeckpt_host.errors import EXIT
from edgeckpt_host.image import parse

from .conftest import ENV, FULL, raw_app, seed_of, takes_ctrl_c, wait_for

MOMENTS = 200 if FULL else 8  # of each at which the command was still at work
SIZE = 65_536


@pytest.mark.parametrize("what", ["pull", "restore"])
def test_interrupted(board: Callable[..., Any], tmp_path: Path, what: str) -> None:
    rng = random.Random(seed_of(f"test_interrupted[{what}]"))
    b = board(raw_app(SIZE, 1, units=72), ready=b"ready", baud=921600)
    images = []
    with Board.open(b.port, restart=False) as host:
        for turn in range(2):
            image = host.pull(host.lease())
            (tmp_path / f"{turn}.img").write_bytes(image.blocks)
            images.append(image)
            host.restore(host.lease(), image.state[::-1])
    states = {image.state for image in images}
    ends: Counter[int] = Counter()
    longest = 1.0
    for i in range(4 * MOMENTS):
        trace = tmp_path / f"{i}.trace"
        file = tmp_path / ("out.img" if what == "pull" else f"{i % 2}.img")
        words = [what, "--port", b.port, "--leave", "--trace", str(trace), str(file)]
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeckpt_host.cli", *words],
            env=ENV,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=takes_ctrl_c,
        )
        try:
            wait_for(lambda p=process, t=trace: t.exists() or p.poll() is not None)
            start = time.monotonic()
            time.sleep(rng.uniform(0, longest))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        ends[process.returncode] += 1
        if process.returncode == 0:
            longest = max(0.3, 0.8 * (time.monotonic() - start))
        said = (out + err).decode()
        assert process.returncode in (0, EXIT["interrupted"]), f"moment {i}: {said}"
        assert "Traceback" not in said and "Exception ignored" not in said, said
        if process.returncode:
            assert "interrupted" in said
        if what == "pull" and file.exists():
            assert parse(file.read_bytes(), "out.img").state in states
            file.unlink()
        with Board.open(b.port, restart=False) as host:
            lease = host.lease()
            assert host.pull(lease).state in states, f"moment {i}"
        if ends[EXIT["interrupted"]] == MOMENTS:
            break
    print(dict(ends))
    assert ends[EXIT["interrupted"]] == MOMENTS, ends
