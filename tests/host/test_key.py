"""An agent that the board's program polls on its own stream, with a key: who may write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeckpt import wire
from edgeckpt.key import hmac_sha256
from edgeckpt_host.board import Board
from edgeckpt_host.errors import EXIT
from edgeckpt_host.link import AgentError

from .conftest import Result

KEY = b"seven times seven"
APP = """
import sys, micropython, edgeckpt
from edgeckpt.agent import Agent
from vflash import flash
state = bytearray(600)
stage = edgeckpt.CheckpointedStageState(state, edgeckpt.BlockLease(flash, 8, 16, 0x5EED))
stage.checkpoint()
agent = Agent(sys.stdin, sys.stdout, key=%r)
micropython.kbd_intr(-1)
print("ready")
while True:
    agent.poll(20)
"""


def test_key_over_a_line(
    board: Callable[..., Any], edgeckpt: Callable[..., Result], tmp_path: Path
) -> None:
    b = board(APP % KEY, ready=b"ready")
    port = ("--port", b.link, "--attach", "direct")
    (tmp_path / "right").write_bytes(KEY + b"\n")
    (tmp_path / "wrong").write_bytes(KEY[:-1])
    edgeckpt("pull", *port, "a.img")  # reading needs no key
    refused = edgeckpt("restore", *port, "a.img", code=EXIT["refused"])
    assert "key" in refused.err
    edgeckpt("restore", *port, "--key-file", "wrong", "a.img", code=EXIT["refused"])
    # A wrong key changed nothing, and the right one is taken after it.
    assert edgeckpt("info", *port, "--json").json["leases"][0]["sequence"] == 1
    edgeckpt("restore", *port, "--key-file", "right", "a.img")
    edgeckpt("restore", *port, "a.img", EDGECKPT_KEY_FILE=str(tmp_path / "right"))
    assert edgeckpt("info", *port, "--json").json["leases"][0]["sequence"] == 3


def test_an_answer_serves_once(board: Callable[..., Any]) -> None:
    b = board(APP % KEY, ready=b"ready")
    with Board.open(b.port, attach="direct") as host:
        challenge = host.link.request(wire.AUTH, expect=wire.DATA)[-1].payload
        answer = hmac_sha256(KEY, challenge)
        assert len(challenge) == 16
        other = host.link.request(wire.AUTH, expect=wire.DATA)[-1].payload
        assert other != challenge
        for _ in range(2):  # to an older challenge, and with no challenge open
            with pytest.raises(AgentError) as e:
                host.link.request(wire.AUTH, payload=answer, expect=wire.OK)
            assert e.value.code == wire.E_AUTH
        lease = host.lease()
        with pytest.raises(Exception, match="key"):
            host.restore(lease, bytes(600))
        host.authorize(KEY)
        assert host.restore(lease, bytes(600))["sequence"] == 2
