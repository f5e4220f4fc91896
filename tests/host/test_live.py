"""A restore by the host while the stage on the board is in use: its program polls the agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from edgeckpt import wire
from edgeckpt_host.board import Board, _announce
from edgeckpt_host.link import AgentError

from .conftest import wait_for

SIZE = 600
# It makes a checkpoint when there is a file `go`, and takes over what the host restored.
APP = """
import os, sys, micropython, edgeckpt
from edgeckpt.agent import Agent
from vflash import flash

class Observer:
    starts = ends = 0
    def on_flush_start(self, lease_id):
        self.starts += 1
    def on_flush_complete(self, lease_id):
        self.ends += 1

state = bytearray(%d)
observer = Observer()
lease = edgeckpt.BlockLease(flash, 8, 16, 0x5EED)
stage = edgeckpt.CheckpointedStageState.resume(state, lease, observer=observer)
agent = Agent(sys.stdin, sys.stdout)
micropython.kbd_intr(-1)
seen = 0
print("ready")
while True:
    agent.poll(5)
    if agent.restored != seen:
        seen = agent.restored
        lease = stage.into_block_lease()
        stage = edgeckpt.CheckpointedStageState.restore(lease, into=state, observer=observer)
    if "go" in os.listdir():
        state[0] += 1
        stage.checkpoint()
        with open("done", "w") as f:
            f.write("%%d %%d %%d" %% (stage.sequence, observer.starts, observer.ends))
        os.remove("go")
"""


def checkpoint(folder: Path) -> list[int]:
    """Let the program make one; the sequence, and how often its observer was called."""
    (folder / "go").touch()
    wait_for(lambda: not (folder / "go").exists())
    return [int(n) for n in (folder / "done").read_text().split()]


def test_restore_beside_a_live_stage(board: Callable[..., Any], tmp_path: Path) -> None:
    b = board(APP % SIZE, ready=b"ready")
    folder = tmp_path / "board0"
    assert checkpoint(folder) == [1, 1, 1]
    new = bytes(i & 255 for i in range(SIZE))
    with Board.open(b.port, attach="direct") as host:
        done = host.restore(host.lease(), new)
        assert done["sequence"] == 2
        assert host.pull(host.lease()).state == new
        # The program goes on from what the host restored, in the same ring; the host's commit is
        # none of the stage's flushes.
        assert checkpoint(folder) == [3, 2, 2]
        assert host.pull(host.lease()).state == bytes([1]) + new[1:]

        # A checkpoint in the middle of a transfer ends the transfer, not the checkpoint.
        link = host.link
        announce = _announce(new, "", b"1234")
        link.request(wire.BEGIN, 0, SIZE, payload=announce, expect=wire.OK)
        link.request(wire.WRITE, a=0, payload=new[:256], expect=wire.OK)
        assert checkpoint(folder) == [4, 3, 3]
        with pytest.raises(AgentError, match="meanwhile") as e:
            link.request(wire.WRITE, a=256, payload=new[256:512], expect=wire.OK)
        assert e.value.code == wire.E_TRANSFER
        assert crc32(host.pull(host.lease()).state) == crc32(bytes([2]) + new[1:])
        assert host.restore(host.lease(), new)["sequence"] == 5
        assert checkpoint(folder)[0] == 6
        assert host.pull(host.lease()).state == bytes([1]) + new[1:]
