"""One fault on the line: each byte of each request and answer, changed, lost or doubled. The
command ends right, at most a second later than undisturbed, and the board's program runs on. And
what may lie on a line before and during a command."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from edgeckpt_host.board import Board
from edgeckpt_host.errors import EXIT, HostError
from edgeckpt_host.link import Link
from edgeckpt_host.stream import SerialStream

from .conftest import FULL, Console, Result, VirtualBoard, raw_app, seed_of, wait_for

BOARDS = 8  # at once; sessions are mostly waiting
CASES = 24  # of a command, in the default run; all of them in the full one
SIZE = 700
LATER = 1.0  # seconds that a fault may cost
WAYS = ("to the board", "to the host")
KINDS = ("changed", "lost", "doubled")
# A program that leaves alone what it restored: a restart changes no state.
APP = raw_app(SIZE, 3).replace("range(3)", "range(0 if stage.sequence else 3)")
POLLS = APP.replace("    time.sleep_ms(20)", "    agent.poll(20)").replace(
    'print("ready")',
    "import sys, micropython\nfrom edgeckpt.agent import Agent\n"
    'agent = Agent(sys.stdin, sys.stdout)\nmicropython.kbd_intr(-1)\nprint("ready")',
)


@dataclass
class Fault:
    """What happens to byte number `at` on its way; none where `kind` is ""."""

    way: int = 0
    at: int = -1
    kind: str = ""

    def __str__(self) -> str:
        return f"byte {self.at} {WAYS[self.way]} {self.kind}"


@dataclass
class FaultyStream:
    """A line with one fault."""

    inner: Any
    fault: Fault
    passed: list[int] = field(default_factory=lambda: [0, 0])
    log: list[tuple[float, int, bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.inner.name)

    def _pass(self, way: int, data: bytes) -> bytes:
        start = self.passed[way]
        self.passed[way] += len(data)
        i = self.fault.at - start
        if way == self.fault.way and 0 <= i < len(data):
            if self.fault.kind == "changed":
                data = data[:i] + bytes([data[i] ^ 1 << self.fault.at % 8]) + data[i + 1 :]
            elif self.fault.kind == "lost":
                data = data[:i] + data[i + 1 :]
            elif self.fault.kind == "doubled":
                data = data[: i + 1] + data[i:]
        self.log.append((time.monotonic(), way, data))
        return data

    def read(self, timeout: float) -> bytes:
        return self._pass(1, self.inner.read(timeout))

    def write(self, data: bytes) -> None:
        self.inner.write(self._pass(0, data))

    def close(self) -> None:
        self.inner.close()


def line_to(board: VirtualBoard) -> SerialStream:
    """A port that was closed may be locked still, by a board that is just being started: a child
    of this process between its fork and its exec."""
    for _ in range(50):
        try:
            return SerialStream(board.port, 115200)
        except HostError:
            time.sleep(0.02)
    return SerialStream(board.port, 115200)


class Rig:
    """A board, and the commands on it."""

    def __init__(self, folder: Path, program: str) -> None:
        folder.mkdir()
        (folder / "main.py").write_text(program)
        self.console = Console()
        self.board = VirtualBoard(folder / "chip.bin", folder / "main.py", size=32 * 4096)
        self.board.on_output = self.console
        self.board.power_on()
        wait_for(lambda: b"ready" in self.console.data)
        self.polls = program is POLLS
        self.state = b""
        with self.open(Fault()) as host:
            self.state = host.pull(host.lease()).state
        self.goes_on()

    def open(self, fault: Fault) -> Board:
        self.console.data = b""
        self.stream = FaultyStream(line_to(self.board), fault)
        attach = "live" if self.polls else "auto"
        return Board.open(self.board.port, stream=self.stream, attach=attach)

    def goes_on(self) -> None:
        """The program is there, or is started again."""
        if self.polls:
            with self.open(Fault()) as host:
                assert host.lease().newest >= 0
        else:
            # Behind the last Ctrl-C: a fault in its goodbye may have it stopped and started twice.
            said = self.console
            wait_for(lambda: said.data.rfind(b"ready") > said.data.rfind(b"Interrupt"), 5.0)

    def info(self, host: Board) -> None:
        (lease,) = host.leases()
        assert lease.health == "ok" and lease.slots and len(host.history(lease)) >= 3

    def verify(self, host: Board) -> None:
        lease = host.lease()
        for _, slot, h in host.history(lease)[:2]:
            assert host.data_crc(lease, slot, h) == h.data_crc

    def pull(self, host: Board) -> None:
        assert host.pull(host.lease()).state == self.state

    def restore(self, host: Board) -> None:
        new = random.randbytes(SIZE)
        lease = host.lease()
        assert host.restore(lease, new)["sequence"] == lease.sequence + 1
        self.state = new

    def watch(self, host: Board) -> None:
        for _ in range(2):
            assert host.pull(host.status(0)).state == self.state

    def run(self, command: str, fault: Fault) -> float:
        """Seconds that it took."""
        start = time.monotonic()
        with self.open(fault) as host:
            getattr(self, command)(host)
        took = time.monotonic() - start
        self.goes_on()
        return took


COMMANDS = {"info": APP, "verify": APP, "pull": APP, "restore": APP, "watch": POLLS}


@pytest.mark.parametrize("command", COMMANDS)
def test_one_fault(tmp_path: Path, command: str) -> None:
    seed = seed_of(f"test_one_fault[{command}]")
    rigs: SimpleQueue[Rig] = SimpleQueue()
    boards = [Rig(tmp_path / f"rig{i}", COMMANDS[command]) for i in range(BOARDS)]
    for rig in boards:
        rigs.put(rig)
    undisturbed = min(boards[0].run(command, Fault()) for _ in range(5))
    boards[0].run(command, Fault())
    lengths = boards[0].stream.passed
    cases = [
        Fault(way, at, kind) for way in (0, 1) for at in range(lengths[way]) for kind in KINDS
    ]
    if not FULL:
        cases = random.Random(seed).sample(cases, CASES)

    def late(fault: Fault) -> str:
        rig = rigs.get()
        try:
            # A machine with other work to do may be late by itself; a rule is late again.
            for _ in range(3):
                took = rig.run(command, fault)
                if took <= undisturbed + LATER:
                    return ""
            return f"{fault}: {took:.2f} s, undisturbed {undisturbed:.2f} s"
        except (Exception, AssertionError) as e:
            return f"{fault}: {e!r}"
        finally:
            rigs.put(rig)

    try:
        with ThreadPoolExecutor(BOARDS) as pool:
            wrong = [text for text in pool.map(late, cases) if text]
    finally:
        for rig in boards:
            rig.board.close()
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:20]}"


class StallingStream(FaultyStream):
    """A line that stands still for `pause` seconds from byte `fault.at` on; nothing is lost."""

    def __init__(self, inner: Any, fault: Fault, pause: float) -> None:
        super().__init__(inner, fault)
        self.pause = pause
        self.until = 0.0
        self.held = [bytearray(), bytearray()]

    def _pass(self, way: int, data: bytes) -> bytes:
        self.passed[way] += len(data)
        self.held[way] += data
        if way == self.fault.way:
            if self.fault.at < self.passed[way] and not self.until:
                self.until = time.monotonic() + self.pause
            if time.monotonic() < self.until:
                return b""
        data = bytes(self.held[way])
        self.held[way].clear()
        return data

    def read(self, timeout: float) -> bytes:
        end = time.monotonic() + timeout
        while True:
            self.write(b"")
            data = self._pass(1, self.inner.read(min(0.02, max(0.0, end - time.monotonic()))))
            if data or time.monotonic() >= end:
                return data

    def close(self) -> None:
        while self.held[0]:
            time.sleep(0.02)
            self.write(b"")
        self.inner.close()


def test_a_line_that_stands_still(tmp_path: Path) -> None:
    """For half a second to five: in the start or in the work, the command ends right, and the
    program runs on."""
    rng = random.Random(seed_of("test_a_line_that_stands_still"))

    def run(i: int) -> str:
        rig = Rig(tmp_path / f"rig{i}", APP)
        rig.console.data = b""
        fault = Fault(i % 2, rng.randrange((300, 1500)[i // 2 % 2]))
        pause = (0.5, 5.0, rng.uniform(0.5, 5.0))[i // 4 % 3]
        stream = StallingStream(line_to(rig.board), fault, pause)
        try:
            with Board.open(rig.board.port, stream=stream) as host:
                rig.restore(host) if i % 3 else rig.pull(host)
            rig.goes_on()
            return ""
        except (Exception, AssertionError) as e:
            return f"{fault}, {pause:.1f} s: {e!r}"
        finally:
            rig.board.close()

    with ThreadPoolExecutor(BOARDS) as pool:
        wrong = [text for text in pool.map(run, range(96 if FULL else 12)) if text]
    assert not wrong, wrong


class NoisyStream(FaultyStream):
    """One byte in a thousand is changed, lost or doubled, both ways."""

    def __init__(self, inner: Any, seed: int) -> None:
        super().__init__(inner, Fault())
        self.rng = random.Random(seed)

    def _pass(self, way: int, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            kind = self.rng.randrange(3000)
            out += bytes([byte ^ 1 << self.rng.randrange(8)] if kind == 0 else [byte])
            if kind == 1:
                out.pop()
            elif kind == 2:
                out.append(byte)
        return bytes(out)


@pytest.mark.parametrize("command", ["pull", "verify", "restore"])
def test_noise(board: Callable[..., VirtualBoard], command: str) -> None:
    """A state of 64 KiB, right, in at most four times the undisturbed time."""
    seed = seed_of(f"test_noise[{command}]")
    size = 65_536
    b = board(raw_app(size, 1, units=72), ready=b"ready", baud=115_200 if FULL else 230_400)
    state = b""

    def run(stream: Any) -> float:
        nonlocal state
        start = time.monotonic()
        with Board.open(b.port, stream=stream, restart=False) as host:
            lease = host.lease()
            if command == "pull":
                assert state in (b"", host.pull(lease).state)
            elif command == "verify":
                for _, slot, h in host.history(lease):
                    assert host.data_crc(lease, slot, h) == h.data_crc
            else:
                state = random.Random(seed).randbytes(size)
                host.restore(lease, state)
        return time.monotonic() - start

    undisturbed = run(SerialStream(b.port, 115200))
    took = run(NoisyStream(SerialStream(b.port, 115200), seed))
    print(f"{command}: {undisturbed:.2f} s, with noise {took:.2f} s")
    assert took <= 4 * undisturbed + LATER
    if command == "restore":
        with Board.open(b.port, restart=False) as host:
            assert host.pull(host.lease()).state == state


def at_repl(b: VirtualBoard) -> SerialStream:
    """The board's program stopped, its REPL before us."""
    stream = SerialStream(b.port, 115200)
    stream.write(b"\x03")
    assert b">>> " in Link(stream)._until(b">>> ", 3.0)
    return stream


def test_what_lies_on_the_line_is_not_executed(board: Callable[..., VirtualBoard]) -> None:
    """Half-typed text, a half-pasted program, a raw REPL with or without raw paste: none of it is
    executed, no name of the program is overwritten, and the friendly REPL is given back."""
    b = board("agent = edgeckpt = 7\n")
    for left in (
        b"agent = 8",
        b"if 1:\r agent = 8",
        b"\x05agent = 8\r",
        b"\x01agent = 8",
        b"\x01\x05A\x01agent = 8\r",
    ):
        stream = at_repl(b)
        stream.write(left)
        assert stream.read(1.0), left
        stream.close()
        with Board.open(b.port) as host:
            assert not host.leases() and not host.link.interrupted
        stream = at_repl(b)
        stream.write(b"print(agent,edgeckpt)\r")
        said = Link(stream)._until(b"7 7", 2.0)
        stream.close()
        assert b"7 7" in said, (left, said)


def test_a_board_reset_in_the_middle(board: Callable[..., VirtualBoard]) -> None:
    """It is told at once, by what the board says, and the program runs again."""
    b = board(raw_app(65_536, 1, units=72), ready=b"ready", baud=115_200)
    with pytest.raises(HostError, match="the board was reset") as e:  # noqa: PT012
        with Board.open(b.port) as host:
            lease = host.lease()
            start = 0.0

            def cut(done: int, total: int) -> None:
                nonlocal start
                if not start and done > total // 3:
                    b.console.data = b""  # type: ignore[attr-defined]
                    start = time.monotonic()
                    b.power_cycle()

            host.pull(lease, progress=cut)
    assert e.value.exit_code == EXIT["link"] and time.monotonic() - start < 8
    wait_for(lambda: b.console.data.count(b"ready") >= 1, 5.0)  # type: ignore[attr-defined]


def test_an_agent_that_has_left_is_started_again(board: Callable[..., VirtualBoard]) -> None:
    """The host was away for longer than the agent waits: the same command goes on, a transfer
    where it stopped."""
    b = board(raw_app(SIZE, 3), ready=b"ready")
    Board.open(b.port, restart=False).close()
    link = Link(SerialStream(b.port, 115200), arguments="idle_ms=400")
    link.start_agent()
    with Board(link) as host:
        lease = host.lease()
        pause = iter((0.0, 3.0, 0.0))
        new = random.randbytes(SIZE)
        host.hello["frame"] = 300
        done = host.restore(lease, new, progress=lambda *_: time.sleep(next(pause, 0.0)))
        assert done["sequence"] == lease.sequence + 1
        assert host.pull(host.status(0)).state == new
        assert host.hello["session"] == 3


STUBBORN = """
import time
time.sleep_ms(500)
while True:
    try:
        while True:
            print("busy")
            time.sleep_ms(20)
    except KeyboardInterrupt:
        pass
"""


@pytest.fixture
def adapter() -> Iterator[Callable[[VirtualBoard], str]]:
    """`adapter(board)`: the port of a terminal server (RFC 2217) whose RTS resets the board."""
    import socket
    import threading

    import serial
    from serial.rfc2217 import PortManager

    done = threading.Event()
    threads = []

    class Lines(type(serial.serial_for_url("loop://"))):  # type: ignore[misc]
        board: VirtualBoard

        def _update_rts_state(self) -> None:
            super()._update_rts_state()
            if hasattr(self, "board"):
                self.board.power_off() if self._rts_state else self.board.power_on()

    def start(board: VirtualBoard) -> str:
        server = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            client, _ = server.accept()
            server.close()
            client.settimeout(0.01)
            lines = Lines()
            lines.port = "loop://"
            lines.open()
            lines.rts = False
            lines.board = board
            inner = SerialStream(board.port, 115200)

            class Writer:
                def write(self, data: bytes) -> None:
                    client.sendall(data)

            manager = PortManager(lines, Writer())
            while not done.is_set():
                try:
                    data = client.recv(4096)
                    if not data:
                        break
                    inner.write(b"".join(manager.filter(data)))
                except TimeoutError:
                    pass
                out = inner.read(0.005)
                if out:
                    client.sendall(b"".join(manager.escape(out)))
            client.close()
            inner.close()

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return "rfc2217://127.0.0.1:%d" % server.getsockname()[1]

    yield start
    done.set()
    for thread in threads:
        thread.join(5)


def test_a_program_that_takes_ctrl_c_for_itself(
    board: Callable[..., VirtualBoard],
    adapter: Callable[[VirtualBoard], str],
    edgeckpt: Callable[..., Result],
) -> None:
    """What was seen is named, with the ways out; a reset by RTS is one."""
    b = board(STUBBORN)
    wait_for(lambda: b"busy" in b.console.data)  # type: ignore[attr-defined]
    told = edgeckpt("info", "-p", b.link, code=EXIT["no-answer"])
    assert "busy" in told.err and "--attach direct" in told.err and "--reset" in told.err
    told = edgeckpt("info", "-p", b.link, "--reset", code=EXIT["port"])
    assert "DTR and RTS" in told.err
    starts = b.starts
    said = edgeckpt("info", "-p", adapter(b), "--reset", "--leave").out
    assert "no leases" in said and b.starts == starts + 1
