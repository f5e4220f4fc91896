"""Several boards at once: nothing mixes, nothing waits for another, Ctrl-C ends all of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeckpt import wire
from edgeckpt_host.board import Board
from edgeckpt_host.errors import EXIT, HostError
from edgeckpt_host.frames import Parser, build

from .conftest import ENV, Result, VirtualBoard, raw_app, takes_ctrl_c, wait_for

Run = Callable[..., Result]
Boards = Callable[..., VirtualBoard]


def test_one_after_the_other_in_the_output(board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    a = board(raw_app(600), ready=b"ready")
    b = board(raw_app(600, 9), ready=b"ready")
    both = ("-p", a.link, "-p", b.link, "--leave")
    alone = [edgeckpt("info", "-p", x.link, "--leave").out for x in (a, b)]
    together = edgeckpt("info", *both, "-p", a.link)  # one port is one board
    assert together.out == (f"== {a.link}\n{alone[0]}== {b.link}\n{alone[1]}== 2 of 2 boards\n")
    document = edgeckpt("info", *both, "--json").json
    assert document["ok"] and document["command"] == "info"
    ones = [edgeckpt("info", "-p", x.link, "--leave", "--json").json for x in (a, b)]
    assert document["boards"] == ones
    assert edgeckpt("info", EDGECKPT_PORT=f"{a.link} {b.link}").out == together.out
    assert edgeckpt("info", "--quiet", *both).out == ""

    none = tmp_path / "none"
    failed = edgeckpt("info", "-p", none, *both, code=EXIT["partial"])
    assert failed.out == f"== {none}\n{together.out.replace('2 of 2', '2 of 3')}"
    assert failed.err.startswith(f"edgeckpt: {none}: no such port\n")
    document = edgeckpt("info", *both, "-p", none, "--json", code=EXIT["partial"]).json
    assert [d["ok"] for d in document["boards"]] == [True, True, False]
    alike = edgeckpt("info", "-p", none, "-p", f"{none}2", "--json", code=EXIT["port"]).json
    assert [d["port"] for d in alike["boards"]] == [str(none), f"{none}2"]


def test_each_board_has_its_files(board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    boards = [board(raw_app(600), ready=b"ready"), board(raw_app(900), ready=b"ready")]
    ports = [word for b in boards for word in ("-p", b.link)]
    pulled = edgeckpt("pull", *ports, "--leave", "--trace", "t.txt", "s.img", "--json").json
    assert [d["image"]["data_len"] for d in pulled["boards"]] == [600, 900]
    edgeckpt("report", *ports, "--leave", "-o", "page.html")
    (tmp_path / "other").symlink_to(boards[1].port)
    edgeckpt("pull", *ports[:2], "-p", "other", "--leave", "n.img")
    for pattern in ("s-*.img", "t-*.txt", "page-*.html"):
        assert len(list(tmp_path.glob(pattern))) == 2, pattern
    assert {p.name for p in tmp_path.glob("n*.img")} == {"n-port.img", "n-other.img"}


# Two ports whose boards are silent until both have been opened.
BARRIER = """
import os, select, socket, sys, threading
together = threading.Barrier(2)
def serve(server, name):
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
    client, _ = server.accept()
    together.wait()
    while True:
        ready, _, _ = select.select([client, fd], [], [])
        if client in ready:
            data = client.recv(4096)
            if not data: return
            os.write(fd, data)
        if fd in ready:
            client.sendall(os.read(fd, 4096))
servers = [socket.create_server(("127.0.0.1", 0)) for _ in sys.argv[1:]]
print(*(s.getsockname()[1] for s in servers), flush=True)
for server, name in zip(servers, sys.argv[1:]):
    threading.Thread(target=serve, args=(server, name)).start()
"""


def test_at_once(board: Boards, edgeckpt: Run) -> None:
    boards = [board(raw_app(600), ready=b"ready") for _ in range(2)]
    server = subprocess.Popen(
        [sys.executable, "-c", BARRIER, *(b.port for b in boards)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        numbers = server.stdout.readline().split()
        ports = [word for n in numbers for word in ("-p", f"socket://127.0.0.1:{n}")]
        assert len(edgeckpt("verify", *ports, "--leave", "--json").json["boards"]) == 2
    finally:
        server.kill()
        server.wait()


def test_install_on_several(board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    bare = board(module=False)
    ports = ("-p", bare.link, "-p", tmp_path / "none")
    done = edgeckpt("install", *ports, "--json", code=EXIT["partial"]).json
    assert [d["ok"] for d in done["boards"]] == [True, False]
    assert "edgeckpt/agent.mpy" in done["boards"][0]["files"]
    assert edgeckpt("info", "-p", bare.link, "--json").json["leases"] == []


@pytest.mark.parametrize("options", [(), ("--leave", "--json")], ids=["program", "leave, JSON"])
def test_interrupted(board: Boards, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Ctrl-C in the middle of two pulls: each board gets its program, or its REPL, back."""
    boards: list[Any] = [
        board(raw_app(65_536, 1, units=72), ready=b"ready", baud=115200) for _ in range(2)
    ]
    ports = [word for b in boards for word in ("--port", str(b.link))]
    for b in boards:
        b.console.data = b""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeckpt_host.cli", "pull", *ports, *options, "x.img"],
        env=ENV,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=takes_ctrl_c,
    )
    try:
        wait_for(lambda: sum(p.stat().st_size > 0 for p in tmp_path.glob("x-*.part")) == 2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == EXIT["interrupted"], out + err
    assert err.strip() == "edgeckpt: interrupted"
    assert not list(tmp_path.glob("*.img"))
    end = b">>> " if options else b"ready\n"
    for b in boards:
        wait_for(lambda b=b: b.console.data.endswith(end))
        assert b.starts == (1 if options else 2)
        with Board.open(b.port, restart=False) as host:
            assert host.lease().sequence == (1 if options else 2)
    if options:
        document = Result(subprocess.CompletedProcess([], 130, out, err)).json
        assert document["error"]["cause"] == "interrupted"
    else:
        assert out == ""


def test_no_thread_disturbs_the_frames_of_another() -> None:
    """`edgeckpt.wire` keeps the CRC-32 it works on in one place."""
    before = sys.getswitchinterval()
    wrong: list[bytes] = []

    def work(tag: int) -> None:
        for a in range(4000):
            frame = build(wire.READ, tag, a=a, payload=b"abc")
            got = Parser().feed(frame)
            if [(f.tag, f.a) for f in got] != [(tag, a)]:
                wrong.append(frame)

    threads = [threading.Thread(target=work, args=(tag,)) for tag in range(1, 9)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong, len(wrong)


def test_a_failure_that_is_no_board_s_ends_all() -> None:
    from edgeckpt_host.workers import at_once

    stop = threading.Event()
    results: list[object] = []

    def broken() -> str:
        raise ZeroDivisionError

    def stopped() -> str:
        assert stop.wait(60)
        raise KeyboardInterrupt

    def refused() -> str:
        raise HostError("port", "no")

    with pytest.raises(ZeroDivisionError):
        jobs = [lambda: "ok", refused, stopped, broken]
        at_once(jobs, lambda i, result: results.append((i, str(result))), stop, 60)
    assert results == [(0, "ok"), (1, "no")]
