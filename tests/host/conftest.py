"""The host tests: real MicroPython on a virtual board, the real command as a process."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in ("host_tools", "firmware", "boards/unix"):
    sys.path.insert(0, str(ROOT / folder))

from edgeckpt_host.stream import SerialStream  # noqa: E402
from vboard import VirtualBoard  # noqa: E402

APPS = Path(__file__).parent / "apps"
STAGE_APP = ROOT / "boards" / "unix" / "stage_app.py"
VECTORS = ROOT / "tests" / "vectors"
FULL = os.environ.get("EDGECKPT_FULL") == "1"
ENV = {
    **{k: v for k, v in os.environ.items() if k != "EDGECKPT_PORT"},
    "PYTHONPATH": f"{ROOT / 'firmware'}{os.pathsep}{ROOT / 'host_tools'}",
}


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until it is true, bounded."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.002)
    return value


class Console:
    """What a board prints."""

    def __init__(self) -> None:
        self.data = b""

    def __call__(self, data: bytes) -> None:
        self.data += data

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.data.decode(errors="replace").split("\n")[:-1]]


class Result:
    """How the command ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self) -> dict[str, Any]:
        import jsonschema
        from edgeckpt_host.shapes import schema

        document: dict[str, Any] = json.loads(self.out)
        jsonschema.validate(document, schema())
        return document

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


def started_again(b: Any, start: int, seconds: float = 10.0) -> None:
    """Wait for a program that was interrupted after `start` to be ready again, if it ever is."""
    end = time.monotonic() + seconds
    while b.ready and time.monotonic() < end:
        said = b.console.data[start:]
        at = said.rfind(b"KeyboardInterrupt")
        if at < 0 or b.ready in said[at:]:
            return
        time.sleep(0.01)


@pytest.fixture
def made() -> list[Any]:
    """The virtual boards of the test."""
    return []


@pytest.fixture
def edgeckpt(tmp_path: Path, made: list[Any]) -> Callable[..., Result]:
    """Run the command as a user does, in tmp_path; `code` is the exit code expected.

    A program that it interrupted is waited for: the next command must not come in its start.
    """

    def run(*words: object, code: int | None = 0, timeout: float = 90, **env: str) -> Result:
        before = [len(b.console.data) for b in made]
        done = subprocess.run(
            [sys.executable, "-m", "edgeckpt_host.cli", *map(str, words)],
            env={**ENV, **env},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        result = Result(done)
        assert "Traceback" not in done.stderr + done.stdout, result
        assert code is None or result.code == code, result
        if "--leave" not in words:
            for b, start in zip(made, before, strict=True):
                started_again(b, start)
        return result

    return run


@pytest.fixture
def board(tmp_path: Path, made: list[Any]) -> Iterator[Callable[..., VirtualBoard]]:
    """Make virtual boards; they are closed at the end. `text` is their main.py."""

    def make(text: str | None = None, *, ready: bytes = b"", **options: Any) -> VirtualBoard:
        folder = tmp_path / f"board{len(made)}"
        folder.mkdir()
        app = options.pop("app", None)
        if text is not None:
            app = folder / "main.py"
            app.write_text(text)
        b = VirtualBoard(options.pop("chip", folder / "chip.bin"), app, **options)
        console = Console()
        b.on_output = console
        b.console = console  # type: ignore[attr-defined]
        b.ready = ready  # type: ignore[attr-defined]
        b.link = folder / "port"
        b.link.symlink_to(b.port)
        made.append(b)
        b.power_on()
        if ready:
            wait_for(lambda: ready in console.data)
        return b

    yield make
    for b in made:
        b.close()


@pytest.fixture
def others(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Callable[[int], None]]:
    """`others(fcntl.LOCK_SH)` by tests that load the machine with many boards, and
    `others(fcntl.LOCK_EX)` by one that measures a line: not both at once, with pytest -n too."""
    folder = tmp_path_factory.getbasetemp()
    with open((folder if worker_id == "master" else folder.parent) / "load.lock", "w") as file:
        yield lambda how: fcntl.flock(file, how)


# A stage with a state that is a buffer of `size` bytes; it makes `count` checkpoints and waits.
RAW_APP = """
import edgeckpt, time
from vflash import flash
state = bytearray({size})
for i in range(len(state)):
    state[i] = (i * 7 + i // 256) & 255
lease = edgeckpt.BlockLease(flash, {start}, {units}, {lease_id})
stage = edgeckpt.CheckpointedStageState.resume(state, lease)
for i in range({count}):
    state[0] = i & 255
    stage.checkpoint()
print("ready")
while True:
    time.sleep_ms(20)
"""


def raw_app(
    size: int = 600, count: int = 5, start: int = 8, units: int = 16, lease_id: int = 0x5EED
) -> str:
    return RAW_APP.format(size=size, count=count, start=start, units=units, lease_id=lease_id)


def power_on(b: Any) -> None:
    """Give a board of `board(..., ready=b"ready")` its power back, and wait for its program: a
    host that comes earlier stops it before it has made its lease."""
    b.console.data = b""
    b.power_on()
    wait_for(lambda: b"ready" in b.console.data)


def seed_of(name: str) -> int:
    """The seed of a random test: $EDGECKPT_SEED, or a fresh one."""
    seed = int(os.environ.get("EDGECKPT_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"replay: EDGECKPT_SEED={seed} pytest -n 0 -k '{name}'")
    return seed


def takes_ctrl_c() -> None:
    """For `preexec_fn`: a test run that was started in the background ignores SIGINT, and so
    would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class CutStream:
    """A line that goes dead after `limit` bytes to the board (None: never)."""

    def __init__(self, port: str, limit: int | None = None) -> None:
        self.inner = SerialStream(port, 115200)
        self.name = port
        self.limit = limit
        self.sent = 0

    def read(self, timeout: float) -> bytes:
        if self.limit is not None and self.sent >= self.limit:
            raise self._dead()
        return self.inner.read(timeout)

    def write(self, data: bytes) -> None:
        if self.limit is not None:
            data = data[: self.limit - self.sent]
        self.inner.write(data)
        self.sent += len(data)

    def _dead(self) -> Exception:
        from edgeckpt_host.errors import HostError

        return HostError("link", f"{self.name}: cut")

    def close(self) -> None:
        self.inner.close()
