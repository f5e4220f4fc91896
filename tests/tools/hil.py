"""The board of the hardware-in-loop suite: `--port` names a real one, an emulated Pico is default.

Promises: one body of tests for both. `board` is a board with edgeckpt on it; on a real one,
tests that write need `--allow-erase` and use only the lease region of its board.toml.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boards.tools.board import Board, Region, load
from boards.tools.firmware import build
from tests.tools.micropythons import or_skip

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / p) for p in ("firmware", "host_tools")),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "hardware in the loop")
    group.addoption("--port", help="serial port of a real board (default: an emulated Pico)")
    group.addoption("--board", default="RPI_PICO", help="its folder below boards/")
    group.addoption("--lease", help="a lease of its board.toml (default: the first)")
    group.addoption("--allow-erase", action="store_true", help="tests may write to that lease")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Every lease of the emulated Pico's board.toml; on a real board the one that was chosen.
    if "medium_lease" in metafunc.fixturenames:
        option = metafunc.config.getoption
        leases = [r.name for r in load("RPI_PICO").leases]
        if option("--port"):
            leases = [option("--lease") or load(option("--board")).leases[0].name]
        metafunc.parametrize("medium_lease", leases)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # With a real board, only what runs on it.
    if config.getoption("--port"):
        here = [i for i in items if "board" in getattr(i, "fixturenames", ())]
        config.hook.pytest_deselected(items=[i for i in items if i not in here])
        items[:] = here


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "hil: runs on a board, real or emulated")


class Remote:
    """A board at a serial port, spoken to by raw REPL."""

    def __init__(self, port: str, board: Board, lease: str | None):
        self.port = port
        self.board = board
        self.lease: Region = board.lease(lease) if lease else board.leases[0]
        self.emulated = False

    def exec(self, source: str, timeout: float = 120) -> str:
        """Run a script without a reset and return its output; AssertionError with a traceback."""
        from mpremote.transport import TransportExecError

        transport = self._raw_repl()
        try:
            output, errors = transport.exec_raw(source, timeout=timeout)
            transport.exit_raw_repl()
        except TransportExecError as e:
            raise AssertionError(str(e)) from e
        finally:
            transport.close()
        assert not errors, errors.decode(errors="replace")
        return output.decode(errors="replace").replace("\r\n", "\n")

    def _raw_repl(self) -> Any:
        # A mpremote transport in the raw REPL; tried for ten seconds.
        from mpremote.transport import TransportError
        from mpremote.transport_serial import SerialTransport

        end = time.monotonic() + 10
        while True:
            try:
                # The timeout bounds single reads: on /dev/pts mpremote blocks in them.
                transport = SerialTransport(self.port, timeout=10)
                transport.enter_raw_repl(soft_reset=False)
                return transport
            except TransportError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def power_cycle(self) -> None:
        """Lose all RAM. On a real board a hard reset, which is as much as a cable can do."""
        transport = self._raw_repl()
        transport.exec_raw_no_follow("import machine, time\ntime.sleep_ms(50)\nmachine.reset()")
        transport.close()
        time.sleep(2)

    def make_lease(self, lease_id: int = 0xED6E, units: int = 4) -> str:
        """Statements for the board that make `lease` over the first blocks of the region."""
        r = self.lease
        count = min(r.count, units if r.erase_unit else 4 * units)
        lines = [*r.setup, "import edgeckpt, edgeckpt.lease", "del edgeckpt.lease.live[:]"]
        lines.append(f"assert {r.guard}, 'the lease region is in use: boards/{self.board.name}'")
        lines.append(f"device = {r.device}")
        lines.append(f"lease = edgeckpt.BlockLease(device, {r.start}, {count}, {lease_id})")
        return "\n".join(lines) + "\n"

    def tool(self, name: str, *words: object) -> str:
        """Run a command (mpremote, edgeckpt) to its good end; returns what it printed."""
        module = {"edgeckpt": "edgeckpt_host.cli", "mpremote": "mpremote"}[name]
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, words)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{name} {words}: {done.stdout}{done.stderr}"
        return done.stdout


class EmulatedPico(Remote):
    """An emulated Pico in a process of its own, on a pseudo-terminal."""

    def __init__(self, image: Path, chip: str = "none", lease: str | None = None):
        command = [sys.executable, "-m", "boards.tools.pico", "--image", str(image)]
        self._process = subprocess.Popen(
            [*command, "--chip", chip],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.startswith("port "), f"the emulated board did not start: {said!r}"
        super().__init__(said.split()[1], load("RPI_PICO"), lease)
        self.emulated = True

    def power_cycle(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("reset\n")
        assert self._process.stdout.readline() == "reset\n"

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("quit\n")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


@pytest.fixture(scope="session")
def pico_firmware() -> Path:
    """The .uf2 of an RPI_PICO with edgeckpt frozen."""
    return or_skip("the firmware of the Pico", lambda: build("RPI_PICO")) / "firmware.uf2"


@pytest.fixture(scope="session")
def stock_firmware() -> Path:
    """The .uf2 of an RPI_PICO without edgeckpt, for tests that install it."""
    made = or_skip("the firmware of the Pico", lambda: build("RPI_PICO", "stock.py"))
    return made / "firmware.uf2"


@pytest.fixture
def board(request: pytest.FixtureRequest) -> Remote:
    """The board under test; emulated ones with the chip for the test's `medium_lease`."""
    option = request.config.getoption
    if option("--port"):
        return Remote(option("--port"), load(option("--board")), option("--lease"))
    lease = "flash"
    if "medium_lease" in request.fixturenames:
        lease = request.getfixturevalue("medium_lease")
    return request.getfixturevalue("emulated")(lease)


@pytest.fixture(scope="session")
def emulated(request: pytest.FixtureRequest) -> Iterator[Callable[[str], EmulatedPico]]:
    """Emulated Picos with edgeckpt frozen, one for each lease of board.toml that is asked for."""
    boards: dict[str, EmulatedPico] = {}

    def get(lease: str) -> EmulatedPico:
        if lease not in boards:
            image = request.getfixturevalue("pico_firmware")
            boards[lease] = EmulatedPico(image, "none" if lease == "flash" else lease, lease)
        return boards[lease]

    yield get
    for board in boards.values():
        board.close()


@pytest.fixture
def writable(request: pytest.FixtureRequest, board: Remote) -> Remote:
    """The board, for tests that write to its lease region."""
    if not board.emulated and not request.config.getoption("--allow-erase"):
        if os.environ.get("CI") == "true":
            pytest.fail("a real board without --allow-erase under CI")
        r = board.lease
        pytest.skip(
            f"NOT TESTED: give --allow-erase to write to {r.device}, blocks"
            f" {r.start}..{r.start + r.count - 1}, of the board at {board.port}"
        )
    return board
