"""What a terminal shows, and what comes where there is none."""

from __future__ import annotations

import errno
import os
import pty
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ENV, STAGE_APP, Result, VirtualBoard, raw_app

Run = Callable[..., Result]
Boards = Callable[..., VirtualBoard]
COLOUR = re.compile(r"\x1b\[[\d;]*m")
ESCAPE = re.compile(r"\x1b\[[?\d;]*[a-zA-Z]")
# description, bar, percentage, bytes done of bytes in all, speed, time remaining
BAR = re.compile(r"(\S*) ?pull +[━╸╺]+ +(\d+)% +[\d.]+/65\.8 kB +[\d.]+ kB/s +\d:\d\d:\d\d")


@pytest.fixture
def terminal(tmp_path: Path) -> Callable[..., str]:
    """Run the command on a terminal of 200 columns; everything that it sent there."""

    def run(*words: object, code: int = 0, **env: str) -> str:
        pid, fd = pty.fork()
        if not pid:
            os.chdir(tmp_path)
            command = [sys.executable, "-m", "edgeckpt_host.cli", *map(str, words)]
            colourless = {k: v for k, v in ENV.items() if k != "NO_COLOR"}
            size = {"TERM": "xterm-256color", "COLUMNS": "200", "LINES": "40"}
            os.execve(sys.executable, command, {**colourless, **size, **env})
        data = b""
        try:
            while part := os.read(fd, 65536):
                data += part
        except OSError as e:
            assert e.errno == errno.EIO  # the other side is closed
        finally:
            os.close(fd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        text = data.decode()
        assert status == code and "Traceback" not in text, text
        return text

    return run


def test_bars(board: Boards, terminal: Callable[..., str]) -> None:
    boards = [board(raw_app(65_536, 1, units=72), ready=b"ready", baud=460800) for _ in range(2)]
    ports = [word for b in boards for word in ("-p", b.link)]
    said = terminal("pull", *ports[:2], "--leave", "x.img")
    shares = [int(share) for _, share in BAR.findall(ESCAPE.sub("", said))]
    assert shares and shares == sorted(shares)
    assert COLOUR.search(said)
    # Nothing of it is left: the cursor is shown, the line of the bar is empty.
    end = said[said.rindex("\x1b[?25h") :]
    assert re.fullmatch(r"\x1b\[\?25h\r\x1b\[1A\x1b\[2Kx\.img: sequence 1, .*\r\n", end), end

    said = terminal("pull", *ports, "--leave", "y.img", NO_COLOR="1")
    assert not COLOUR.search(said)
    plain = ESCAPE.sub("", said)
    assert {name for name, _ in BAR.findall(plain)} == {str(b.link) for b in boards}
    # The lines of a board stand above the bars, and in the order of the ports.
    places = [plain.index(f"== {b.link}\r\n") for b in boards]
    assert places == sorted(places)
    assert "2 of 2 boards" in plain[places[-1] :] and "│ ok " in plain[places[-1] :]

    assert terminal("pull", *ports[:2], "--leave", "--quiet", "x.img") == ""
    # No bar where the terminal cannot show one.
    assert "\x1b" not in terminal("pull", *ports[:2], "--leave", "x.img", TERM="dumb")


def test_tables_and_map(board: Boards, terminal: Callable[..., str], edgeckpt: Run) -> None:
    b = board(app=STAGE_APP, ready=b"saved 20 ")
    port = ("-p", b.link, "--leave")
    info = edgeckpt("info", *port)
    shown = terminal("info", *port)
    assert "\x1b[1;32m#\x1b[0m" in shown and "\x1b[32mo\x1b[0m" in shown
    assert COLOUR.sub("", shown).replace("\r\n", "\n") == info.out
    assert terminal("info", *port, NO_COLOR="1").replace("\r\n", "\n") == info.out
    lease = edgeckpt("info", *port, "--json").json["leases"][0]
    assert lease["laps"] == lease["sequence"] // lease["slots"]
    assert f"  wear: each unit erased about {lease['laps']} times" in info.out

    plain = edgeckpt("log", *port).out.splitlines()
    table = COLOUR.sub("", terminal("log", *port)).splitlines()
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in table if "│" in line]
    numbers = [line.replace("raw bytes", "raw-bytes").split() for line in plain[1:]]
    assert len(cells) == len(numbers) >= 14
    for cell, number in zip(cells, numbers):
        assert [c for c in cell if c] == number
    assert "┃" in table[1] and "sequence" in table[1]


# It polls an agent, and makes a checkpoint every tenth of a second.
COUNTS = """
import sys, time, micropython, edgeckpt
from edgeckpt.agent import Agent
from vflash import flash
lease = edgeckpt.BlockLease(flash, 8, 16, 0x5EED)
state = {"n": 0, "name": "pump"}
stage = edgeckpt.CheckpointedStageState(state, lease, "{n:u32,name:str}")
stage.checkpoint()
agent = Agent(sys.stdin, sys.stdout)
micropython.kbd_intr(-1)
print("ready")
last = time.ticks_ms()
while True:
    agent.poll(5)
    if time.ticks_diff(time.ticks_ms(), last) > 100:
        last = time.ticks_ms()
        state["n"] += 1
        stage.checkpoint()
"""


def test_watch_draws_the_numbers_that_change(board: Boards, terminal: Callable[..., str]) -> None:
    b = board(COUNTS, ready=b"ready")
    said = terminal("watch", "-p", b.link, "--interval", 0.15, "--count", 10)
    drawn = re.findall(r"^  n: \d+ -> \d+  ([▁-█]+)\r$", said, re.M)
    assert len(drawn) >= 3 and [len(d) for d in drawn] == list(range(2, len(drawn) + 2)), said
    # It only rises.
    assert all(d[0] == "▁" and d[-1] == "█" and list(d) == sorted(d) for d in drawn), drawn


def test_no_terminal(board: Boards, edgeckpt: Run) -> None:
    """Plain lines, nothing about a short transfer, and rich is not so much as imported."""
    b = board(raw_app(65_536, 1, units=72), ready=b"ready")
    done = edgeckpt("pull", "-p", b.link, "--leave", "x.img")
    assert done.err == "" and "\x1b" not in done.out and done.out.count("\n") == 1
    lines = edgeckpt("pull", "-p", b.link, "--leave", "y.img", PYTHONPROFILEIMPORTTIME="1").err
    assert "edgeckpt_host.terminal" in lines and not re.search(r"\| +rich\b", lines)
    lines = edgeckpt("--version", PYTHONPROFILEIMPORTTIME="1").err
    assert not re.search(r"\| +(rich|serial|edgeckpt_host\.output)\b", lines)


def test_lines_on_a_long_transfer() -> None:
    from edgeckpt_host.terminal import Lines

    lines: list[str] = []
    now = 0.0
    transfer = Lines(lines.append, "a pull", lambda: now)
    for second in range(101):
        now = float(second)
        # A resumed one: what was there before does not count as fast.
        transfer(512 * 1024 + second * 1024, 1024 * 1024)
    assert len(lines) == 20
    assert lines[0] == "a pull: 50 %, 517.0 KiB of 1.0 MiB, 1.0 KiB/s, 507 s left"
    short = Lines(lines.append, "pull", lambda: now)
    for second in range(5):
        now = 100.0 + second
        short(second, 4)
    assert len(lines) == 20


def test_what_is_written_goes_above_the_bars(capsys: Any, monkeypatch: Any) -> None:
    """A stdout that is no terminal gets the text itself, while bars are shown on stderr."""
    from edgeckpt_host.output import Output

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Output()
    with out.progress("pull") as bar:
        assert bar is not None
        bar(0, 100)
        bar(50, 100)
        out.line("to stdout")
        out.note("[to] stderr")
    said = capsys.readouterr()
    assert said.out == "to stdout\n"
    assert re.search(r"\x1b\[2K\[to\] stderr\n", said.err)
