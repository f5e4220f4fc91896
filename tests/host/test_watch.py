"""`edgeckpt watch`: a program that polls an agent is seen at work, and is not interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeckpt_host.errors import EXIT

from .conftest import ENV, Result, VirtualBoard, raw_app, takes_ctrl_c, wait_for

Run = Callable[..., Result]
Boards = Callable[..., VirtualBoard]

# It polls an agent, and makes a checkpoint when there is a file `go`.
APP = """
import os, sys, micropython, edgeckpt
from edgeckpt.agent import Agent
from vflash import flash

state = {"n": 1, "big": 1 << 60, "name": "pump"}
lease = edgeckpt.BlockLease(flash, 8, 16, 0x5EED)
stage = edgeckpt.CheckpointedStageState(state, lease, "{n:u32,big:u64,name:str}")
stage.checkpoint()
agent = Agent(sys.stdin, sys.stdout)
micropython.kbd_intr(-1)
print("ready")
while True:
    agent.poll(5)
    if "go" in os.listdir():
        state["n"] += 1
        stage.checkpoint()
        os.remove("go")
"""
FIRST = '  {"n":1,"big":1152921504606846976,"name":"pump"}'


@contextmanager
def watching(tmp_path: Path, *words: object) -> Iterator[subprocess.Popen[str]]:
    """The command at work; Ctrl-C ends it."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "edgeckpt_host.cli",
            "watch",
            "--interval",
            "0.02",
            *map(str, words),
        ],
        env=ENV,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=takes_ctrl_c,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == EXIT["interrupted"], out + err
        assert err.strip() == "edgeckpt: interrupted"  # and no note on a program that is stopped
        if "--json" in words:
            assert look(out.splitlines()[-1])["error"]["cause"] == "interrupted"
    finally:
        process.kill()
        process.wait()


def until(process: subprocess.Popen[str], condition: Callable[[str], Any]) -> list[str]:
    """Its lines up to the first one that is as wanted, which is the last of the list."""
    assert process.stdout is not None
    lines = []
    while True:
        line = process.stdout.readline()
        assert line, "it ended"
        lines.append(line.rstrip("\n"))
        if condition(lines[-1]):
            return lines


def look(line: str) -> dict[str, Any]:
    return Result(subprocess.CompletedProcess([], 0, line, "")).json


def test_live(board: Boards, tmp_path: Path) -> None:
    b: Any = board(APP, ready=b"ready")
    go = tmp_path / "board0" / "go"
    with watching(tmp_path, "-p", b.link) as process:
        first = until(process, lambda line: line.startswith("  "))
        assert first[0].endswith(" sequence 1 slot 0 ok") and first[1] == FIRST
        go.touch()
        lines = until(process, lambda line: line.startswith("  "))
        assert lines[-2].endswith(" sequence 2 slot 1 ok") and lines[-1] == "  n: 1 -> 2"
        assert all(line.endswith(" sequence 1 slot 0 ok") for line in lines[:-2])
    with watching(tmp_path, "-p", b.link, "--json") as process:
        assert process.stdout is not None
        found = look(process.stdout.readline())
        assert found["look"] == 1 and found["lease"]["sequence"] == 2
        assert found["state"] == {"n": 2, "big": str(1 << 60), "name": "pump"}
        assert look(process.stdout.readline())["state"] is None
        go.touch()
        found = look(until(process, lambda line: look(line)["state"])[-1])
        assert found["state"]["n"] == 3 and found["lease"]["sequence"] == 3
    # The program was not interrupted, and answers still.
    assert b.starts == 1 and b"KeyboardInterrupt" not in b.console.data
    go.touch()
    wait_for(lambda: not go.exists())


def test_a_program_that_is_stopped(board: Boards, edgeckpt: Run) -> None:
    b = board(raw_app(600), ready=b"ready")
    port = ("-p", b.link, "--leave", "--interval", "0.05")
    done = edgeckpt("watch", *port, "--count", 3)
    looks = done.out.splitlines()
    assert looks.pop(1) == "  04070e151c232a31383f464d545b626970777e858c939aa1.. (600 bytes)"
    assert len(looks) == 3 and all(line.endswith(" sequence 5 slot 2 ok") for line in looks)
    assert done.err.count("\n") == 1 and "--attach direct" in done.err
    assert edgeckpt("watch", *port, "--count", 1, "--quiet").err == ""
    # The agent is kept from leaving while nobody looks.
    slow = edgeckpt("watch", "-p", b.link, "--leave", "--interval", 3.5, "--count", 2, "--json")
    *looked, end = map(look, slow.out.splitlines())
    assert [d["state"] is None for d in looked] == [False, True]
    assert end["ok"] and end["looks"] == 2 and end["lease"]["sequence"] == 5


def test_a_bare_repl_is_not_harmed_by_the_question(board: Boards, edgeckpt: Run) -> None:
    b: Any = board()
    wait_for(lambda: b.console.data.endswith(b">>> "))
    edgeckpt("watch", "-p", b.link, "--count", 1, code=EXIT["lease"])
    assert b.starts == 1
    wait_for(lambda: b.console.data.endswith(b">>> "))


def test_a_state_that_does_not_decode(board: Boards, edgeckpt: Run) -> None:
    b = board(APP, ready=b"ready")
    words = ("watch", "-p", b.link, "--count", 3, "--interval", "0.01", "--schema", "{a:u8}")
    lines = edgeckpt(*words).out.splitlines()
    assert len(lines) == 4 and lines[1].startswith("  the state cannot be shown: ")
    documents = [look(line) for line in edgeckpt(*words, "--json").out.splitlines()]
    assert [d.get("state", 0) for d in documents] == [None, None, None, 0]
    assert (
        edgeckpt("watch", "-p", b.link, "--count", 1, "--lease", 7, code=EXIT["lease"]).out == ""
    )


def test_several(board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    boards = [board(APP, ready=b"ready") for _ in range(2)]
    ports = [word for b in boards for word in ("-p", b.link)]
    with watching(tmp_path, *ports) as process:
        there = {f"{b.link}: {FIRST}" for b in boards}
        until(process, lambda line: there.discard(line) or not there)
        (tmp_path / "board1" / "go").touch()
        lines = until(process, lambda line: "->" in line)
        assert lines[-1] == f"{boards[1].link}:   n: 1 -> 2"
    done = edgeckpt("watch", *ports, "--count", 2, "--interval", "0.01")
    *lines, end = done.out.splitlines()
    assert end == "== 2 of 2 boards" and len(lines) == 6
    for b in boards:
        assert sum(line.startswith(f"{b.link}: ") for line in lines) == 3
    documents = edgeckpt("watch", *ports, "--count", 2, "--interval", "0.01", "--json").out
    *looks, end = [look(line) for line in documents.splitlines()]
    assert len(looks) == 4 and [d["looks"] for d in end["boards"]] == [2, 2]


def test_a_reader_that_goes(board: Boards, tmp_path: Path) -> None:
    """`edgeckpt watch | head -1` ends well, and gives the board its program back."""
    b: Any = board(raw_app(600), ready=b"ready")
    b.console.data = b""
    words = ["watch", "--interval", "0.02", "-p", str(b.link)]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeckpt_host.cli", *words],
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0 and process.stderr.read().count("\n") == 1  # the note
    process.stderr.close()
    wait_for(lambda: b.console.data.endswith(b"ready\n"))
