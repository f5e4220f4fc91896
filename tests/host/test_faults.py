"""Faults on the wire: each session ends right or with a clear error, within its bound; no wrong
image, no damaged checkpoint, no board without its REPL."""

from __future__ import annotations

import fcntl
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgeckpt_host.board import Board, Lease
from edgeckpt_host.errors import HostError
from edgeckpt_host.frames import build
from edgeckpt_host.link import Link
from edgeckpt_host.stream import SerialStream

from .conftest import FULL, Console, VirtualBoard, power_on, raw_app, seed_of, wait_for

SESSIONS = 20_000 if FULL else 1_000
SHARDS = 2
BOARDS = 16  # at once; sessions are mostly waiting
SIZE = 1500
BOUND = 30.0  # seconds for a session; its own waits add up to less
KINDS = ("lose", "double", "change", "delay", "garbage", "disconnect", "reset", "none")
CLEAR = {"link", "no-answer", "no-module", "port"}


class FaultyStream:
    """A line with faults: `faults` is a list of (way, position in bytes, kind)."""

    def __init__(self, board: VirtualBoard, rng: random.Random, kinds: list[str]) -> None:
        self.board = board
        self.rng = rng
        self.inner = SerialStream(board.port, 115200)
        self.name = board.port
        self.at = [0, 0]
        # Most positions are after the REPL's part, some are in it.
        self.faults = [
            (rng.randrange(2), rng.randrange(rng.choice((200, 4000))), k) for k in kinds
        ]
        self.gone = False
        self.log: list[tuple[int, bytes, bytes]] = []  # way, what came, what went on

    def _pass(self, way: int, data: bytes) -> bytes:
        if self.gone:
            raise HostError("link", f"{self.name}: gone")
        start = self.at[way]
        self.at[way] += len(data)
        came = data
        for fault in list(self.faults):
            if fault[0] != way or not start <= fault[1] < start + len(data):
                continue
            self.faults.remove(fault)
            data = self._apply(fault[2], data, fault[1] - start)
        self.log.append((way, came, data))
        return data

    def _apply(self, kind: str, data: bytes, at: int) -> bytes:
        rng = self.rng
        n = rng.choice((1, 1, 2, 7, 40, 300))
        at = min(at, max(0, len(data) - 1))
        if kind == "lose":
            return data[:at] + data[at + n :]
        if kind == "double":
            return data[: at + n] + data[at:]
        if kind == "change":
            part = bytes(b ^ rng.randrange(1, 256) for b in data[at : at + n])
            return data[:at] + part + data[at + n :]
        if kind == "garbage":
            return data[:at] + rng.randbytes(n) + data[at:]
        if kind == "delay":
            time.sleep(rng.choice((0.01, 0.05, 0.2)))
            return data
        if kind == "disconnect":
            self.gone = True
            return data[:at]
        assert kind == "reset"
        self.board.power_cycle()
        return data[:at]

    def read(self, timeout: float) -> bytes:
        return self._pass(1, self.inner.read(timeout))

    def write(self, data: bytes) -> None:
        self.inner.write(self._pass(0, data))

    def close(self) -> None:
        self.inner.close()


class Rig:
    """One board and what its newest checkpoint may be."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir()
        app = folder / "main.py"
        # A program that leaves alone what it restored: a reset changes no state.
        count = "range(0 if stage.sequence else 3)"
        app.write_text(raw_app(SIZE, 3).replace("range(3)", count))
        self.seed = seed
        self.rng = random.Random(seed)
        self.console = Console()
        self.board = VirtualBoard(folder / "chip.bin", app, size=32 * 4096)
        self.board.on_output = self.console
        self.board.power_on()
        wait_for(lambda: b"ready" in self.console.data)
        self.counts: Counter[str] = Counter()
        self.longest = 0.0
        with self._open(SerialStream(self.board.port, 115200)) as host:
            self.allowed = {host.pull(host.lease()).state}

    def _open(self, stream: object) -> Board:
        return Board.open(
            self.board.port,
            stream=stream,  # type: ignore[arg-type]
            timeout=0.08,
            retries=3,
            restart=False,
            gap_ms=25,
        )

    def run(self, sessions: int) -> None:
        try:
            for i in range(sessions):
                self.session(i)
        finally:
            self.board.close()

    def session(self, i: int) -> None:
        kinds = self.rng.choices(
            KINDS, (8, 8, 8, 4, 8, 3, 1, 2), k=self.rng.choice((1, 1, 1, 2, 3))
        )
        kinds = [k for k in kinds if k != "none"]
        where = f"seed {self.seed}, session {i}, {kinds}"
        start = time.monotonic()
        self.console.data = b""
        try:
            stream = FaultyStream(self.board, self.rng, kinds)
            with self._open(stream) as host:
                host.hello["frame"] = 512  # as of a board with little RAM: several to a state
                self.work(host, where)
            self.counts["right"] += 1
        except HostError as e:
            assert e.cause in CLEAR and str(e), f"{where}: {e.cause}: {e}\n{stream.log}"
            self.counts[e.cause] += 1
        took = time.monotonic() - start
        self.longest = max(self.longest, took)
        assert took < BOUND, f"{where}: {took:.1f} s"
        # A clean line: the REPL answers, and the newest checkpoint is one that may be.
        end = time.monotonic() + BOUND
        while True:
            try:
                with self._open(SerialStream(self.board.port, 115200)) as host:
                    state = host.pull(host.lease()).state
                break
            except HostError as e:
                # A reset board may still be starting, a loaded machine may be slow.
                late = time.monotonic() > end
                assert not late and e.cause in (*CLEAR, "lease"), f"{where}: left as: {e}"
                if e.cause == "lease":
                    # Garbage held a Ctrl-D for the raw REPL: a soft reset without main.py.
                    self.console.data = b""
                    self.board.power_cycle()
                    wait_for(lambda: b"ready" in self.console.data)
                time.sleep(0.1)
        assert state in self.allowed, f"{where}: the newest checkpoint is none that was written"
        self.allowed = {state}

    def work(self, host: Board, where: str) -> None:
        try:
            lease: Lease = host.lease()
        except HostError as e:
            # A board that was reset has no lease before its program has made it.
            if e.cause == "lease":
                raise HostError("link", f"the board was reset: {e}") from e
            raise
        what = self.rng.randrange(4)
        if what == 0:
            assert host.pull(lease).state in self.allowed, where
        elif what == 1:
            new = self.rng.randbytes(SIZE)
            self.allowed.add(new)
            host.restore(lease, new)
            self.allowed = {new}
        elif what == 2:
            raw = host.read_raw(lease)
            chip = self.board.chip.read_bytes()
            assert raw == chip[8 * 4096 : 24 * 4096], f"{where}: a wrong image"
        else:
            assert host.differing(lease, 0, bytes(lease.block_size)) == [0], where


@pytest.mark.parametrize("shard", range(SHARDS))
def test_fault_sweep(tmp_path: Path, shard: int, others: Callable[[int], None]) -> None:
    others(fcntl.LOCK_SH)
    seed = seed_of(f"test_fault_sweep[{shard}]")
    rigs = [Rig(tmp_path / f"rig{i}", seed * 100 + i) for i in range(BOARDS)]
    with ThreadPoolExecutor(BOARDS) as pool:
        runs = [pool.submit(rig.run, -(-SESSIONS // SHARDS // BOARDS)) for rig in rigs]
        errors = [e for run in runs if (e := run.exception())]
    counts: Counter[str] = sum((rig.counts for rig in rigs), Counter())
    bites = sum(rig.board.watchdogs for rig in rigs)
    longest = max(rig.longest for rig in rigs)
    print(dict(counts), f"longest session {longest:.1f} s, {bites} watchdog resets")
    if errors:
        raise errors[0]
    assert sum(counts.values()) >= SESSIONS // SHARDS
    assert counts["right"] > SESSIONS // SHARDS // 3, counts
    assert bites <= SESSIONS // SHARDS // 50  # MicroPython's own, see boards/unix/vboard.py


def test_every_way_out_gives_the_repl_back(board: Callable[..., VirtualBoard]) -> None:
    """The host is killed, at any moment: the agent leaves by itself, and whoever opens the port
    next finds the program running, or the friendly REPL where none ran; never a raw one."""
    b = board(raw_app(600), ready=b"ready")
    console: Console = b.console  # type: ignore[attr-defined]
    for runs in (True, False):
        for half in (b"", build(2, 7)[:9], build(6, 9, payload=bytes(500))[:100]):
            if runs:
                b.power_off()
                power_on(b)
            stream = SerialStream(b.port, 115200)
            link = Link(stream, arguments="idle_ms=300,gap_ms=30")
            link.start_agent()
            assert link.interrupted == runs
            console.data = b""
            stream.write(half)
            stream.close()
            wait_for(lambda end=b"ready" if runs else b">>> ": end in console.data, 3.0)
            stream = SerialStream(b.port, 115200)
            stream.write(b"\x03")
            seen = Link(stream)._until(b">>> ", 3.0)
            stream.close()
            assert b">>> " in seen and (b"KeyboardInterrupt" in seen) == runs, (half, seen)
