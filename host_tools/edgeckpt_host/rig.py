"""Boards of a test bench: code run on them, their checkpoints, their power.

A `Rig` is a board at a serial line; `VirtualRig` and `PicoRig` bring theirs with them (MicroPython
on this machine, an emulated Pico). The pytest plugin hands them out as fixtures (docs/testing.md).

Promises: every wait is bounded; a serial port is open only while a call lasts, so that other tools
can use it between calls (a line over the network stays: it takes a second to open); what fails on
the board is a `BoardFailed` with the board's own words, what a board cannot do an `Unsupported`. A
board that was not made here is written to only below `may_write`, and then only to the lease of
its board.toml and to files that a test names.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import HostError
from .stream import open_stream

if TYPE_CHECKING:
    from edgeckpt_boards.tools.board import Board as BoardFile
    from edgeckpt_boards.tools.board import Region
    from edgeckpt_boards.unix.vboard import VirtualBoard

    from .stream import Stream

LEASE_ID = 0xED6E
LEASES = "edgeckpt_leases.py"  # what the agent imports where no lease lives
_OURS = "# By the pytest plugin of edgeckpt: the lease of the board's board.toml."
_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_PIECE = 256  # bytes of a file in one line of code


class BoardFailed(AssertionError):
    """Code on the board raised, or the board did not answer."""


class Unsupported(Exception):
    """This board cannot do that; a test that needs it is skipped."""


class State(dict[str, Any]):
    """The state in a checkpoint, in the plain notation of docs/cli.md, with its `sequence`.

    Compared with `==` in a test, the fields that differ are told one by one.
    """

    def __init__(self, value: dict[str, Any], sequence: int) -> None:
        super().__init__(value)
        self.sequence = sequence


class RawRepl:
    """The raw REPL at the end of a stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._got = bytearray()

    def _until(self, mark: bytes, seconds: float, off: Callable[[], bool] | None = None) -> bytes:
        """What came before `mark`; BoardFailed after `seconds`, or once `off()`."""
        end = time.monotonic() + seconds
        seen = 0
        while (at := self._got.find(mark, seen)) < 0:
            if time.monotonic() > end:
                raise BoardFailed(
                    f"{self.stream.name}: no {mark!r} within {seconds:.1f} s; "
                    f"the board said {bytes(self._got[-300:])!r}"
                )
            seen = max(0, len(self._got) - len(mark) + 1)
            data = self.stream.read(0.1)
            self._got += data
            if not data and off is not None and off():
                raise BoardFailed(f"{self.stream.name}: the board is off")
        text = bytes(self._got[:at])
        del self._got[: at + len(mark)]
        return text

    def enter(self, seconds: float = 10.0) -> None:
        """Stop what runs, and get the raw REPL."""
        end = time.monotonic() + seconds
        while True:
            self._got.clear()
            self.stream.write(b"\r\x03\x03\r\x01")
            try:
                self._until(_BANNER, min(1.0, seconds))
                return
            except BoardFailed:
                if time.monotonic() > end:
                    raise

    def leave(self) -> None:
        """Give the friendly REPL back."""
        self.stream.write(b"\r\x02")
        self._until(b">>> ", 2.0)

    def run(self, code: str, seconds: float, off: Callable[[], bool] | None = None) -> str:
        """Execute `code`; its output. BoardFailed with its traceback."""
        self._submit(code.encode())
        out = self._until(b"\x04", seconds, off)
        trace = self._until(b"\x04", 5.0, off)
        self._until(b">", 2.0)
        if trace:
            told = out.decode(errors="replace") + trace.decode(errors="replace")
            raise BoardFailed(f"{self.stream.name}: {told}".replace("\r\n", "\n").rstrip())
        return out.decode(errors="replace").replace("\r\n", "\n")

    def _submit(self, data: bytes) -> None:
        # By raw paste, which has flow control, where the board knows it (MicroPython 1.14).
        self.stream.write(b"\x05A\x01")
        self._need(2)
        head, self._got = self._got[:2], self._got[2:]
        if head != b"R\x01":
            if head != b"R\x00":
                self._until(_BANNER[2:], 2.0)
            for i in range(0, len(data), 120):
                self.stream.write(data[i : i + 120])
                time.sleep(0.01)
            self.stream.write(b"\x04")
            self._until(b"OK", 5.0)
            return
        self._need(2)
        room = window = int.from_bytes(self._got[:2], "little")
        self._got = self._got[2:]
        at = 0
        while at < len(data):
            if not room:
                self._need(1)
                mark, self._got = self._got[:1], self._got[1:]
                if mark != b"\x01":
                    break  # the board does not compile it: it says why below
                room += window
                continue
            piece = data[at : at + room]
            self.stream.write(piece)
            at += len(piece)
            room -= len(piece)
        self.stream.write(b"\x04")
        self._until(b"\x04", 10.0)

    def _need(self, n: int) -> None:
        end = time.monotonic() + 5.0
        while len(self._got) < n:
            self._got += self.stream.read(0.1)
            if time.monotonic() > end:
                raise BoardFailed(f"{self.stream.name}: the raw REPL does not answer")


class Rig:
    """A board at the serial port (or URL) `port`, of the board folder `board`.

    lease: the name of a lease in its board.toml; default: the first one.
    trace: a file that gets all that passes on the line.
    may_write: whether tests may write to that lease and put files on the board.
    """

    emulated = False  # made for the test, and by it
    kind = "board"

    def __init__(
        self,
        port: str,
        board: BoardFile,
        lease: str | None = None,
        *,
        trace: Path | None = None,
        may_write: bool = False,
    ) -> None:
        self.port = port
        self.board = board
        self.lease: Region = board.lease(lease) if lease else board.leases[0]
        self.trace = trace
        self.may_write = may_write
        self._kept: Stream | None = None  # a line over the network

    def __repr__(self) -> str:
        return f"<{self.kind} {self.board.name} at {self.port}>"

    # Code

    def run(self, code: str, timeout: float = 120.0) -> str:
        """Run `code` on the board, without a reset, and return what it prints.

        What runs there is interrupted; names stay from one call to the next. BoardFailed with
        the board's traceback, or where it does not end within `timeout` seconds.
        """
        return self._run(code, timeout, None)

    def _run(self, code: str, timeout: float, off: Callable[[], bool] | None) -> str:
        stream = self._open()
        try:
            repl = RawRepl(stream)
            repl.enter()
            try:
                said = repl.run(code, timeout, off)
            except BoardFailed:
                if off is None or not off():
                    with suppress(BoardFailed):  # what went wrong before is told
                        stream.write(b"\r\x03\x03")  # it may still run
                        repl.leave()
                raise
            repl.leave()
            return said
        except HostError as e:
            self.hang_up()
            raise BoardFailed(str(e)) from e
        finally:
            self._done(stream)

    def _done(self, stream: Stream) -> None:
        if stream is not self._kept:
            stream.close()

    def hang_up(self) -> None:
        """Close a line that was kept open."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _open(self) -> Stream:
        if self._kept is None:
            stream = self._opened()
            if "://" not in self.port:
                return stream
            self._kept = stream
        return self._kept

    def _opened(self) -> Stream:
        # A port that has just come back (USB, after a reset) takes a moment.
        end = time.monotonic() + 5.0
        while True:
            try:
                return open_stream(self.port, 115200, self.trace)
            except HostError as e:
                if e.cause != "port" or time.monotonic() > end:
                    raise BoardFailed(str(e)) from e
                time.sleep(0.2)

    def put(self, source: Path | str | bytes, name: str | None = None) -> None:
        """Copy a file (a Path) or a text onto the board's file system, and prove it by SHA-256.

        name: its name there; default: that of the Path.
        """
        if not self.may_write:
            raise Unsupported(f"{self}: give --edgeckpt-allow-erase to write files to it")
        if isinstance(source, Path):
            name, source = name or source.name, source.read_bytes()
        if not name:
            raise ValueError("put() of a text: expected a name for the file on the board")
        data = source.encode() if isinstance(source, str) else source
        lines = ["import binascii, hashlib", f"f = open({name!r}, 'wb')"]
        for i in range(0, len(data), _PIECE):
            text = base64.b64encode(data[i : i + _PIECE]).decode()
            lines.append(f"f.write(binascii.a2b_base64('{text}'))")
        lines += ["f.close()", "h = hashlib.sha256()", f"f = open({name!r}, 'rb')"]
        lines += ["while True:", "    b = f.read(256)", "    if not b: break", "    h.update(b)"]
        lines += ["f.close()", "print(binascii.hexlify(h.digest()).decode())"]
        got = self.run("\n".join(lines) + "\n").strip()
        if got != hashlib.sha256(data).hexdigest():
            raise BoardFailed(f"{self}: {name} reads back with SHA-256 {got!r}")

    def tool(self, name: str, *words: object, timeout: float = 300.0) -> str:
        """Run `edgeckpt` or `mpremote` to its good end; returns what it printed."""
        self.hang_up()
        module = {"edgeckpt": "edgeckpt_host.cli", "mpremote": "mpremote"}[name]
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            raise BoardFailed(f"{name} {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    # What it needs for a test

    def make_lease(
        self, lease_id: int = LEASE_ID, units: int | None = 4, *, read_only: bool = False
    ) -> str:
        """Statements for the board that make `lease` over the first `units` (None: all) erase
        units of its lease in board.toml, or four times as many blocks of a card.

        read_only: the statements do not write; only then a board that may not be written to
        gets them. The guard of board.toml is in them: a region in use is refused.
        """
        r = self.lease
        if not self.may_write and not read_only:
            raise Unsupported(
                f"{self}: give --edgeckpt-allow-erase to write to {r.device}, "
                f"blocks {r.start}..{r.start + r.count - 1}"
            )
        count = r.count
        if units is not None:
            count = min(count, units if r.erase_unit else 4 * units)
        lines = [*r.setup, "import edgeckpt, edgeckpt.lease", "del edgeckpt.lease.live[:]"]
        lines.append(f"assert {r.guard}, 'the lease region is in use: boards/{self.board.name}'")
        lines.append(f"device = {r.device}")
        lines.append(f"lease = edgeckpt.BlockLease(device, {r.start}, {count}, {lease_id})")
        return "\n".join(lines) + "\n"

    def install(self) -> None:
        """The module, where the board has none; and a module `edgeckpt_leases`, in which code on
        the board and the host's tools find `lease`, where it has none. That lease is wiped: each
        test begins with a board that never made a checkpoint. A module of the user's stays."""
        there = "try:\n import edgeckpt\n print('there')\nexcept ImportError: print('missing')\n"
        if self.run(there).strip() == "missing":
            if not self.may_write:
                raise Unsupported(f"{self}: it has no edgeckpt; `edgeckpt install` brings it")
            self.tool("edgeckpt", "install", "--port", self.port, "--leave")
        there = f"try:\n print(open({LEASES!r}).readline())\nexcept OSError: print('missing')\n"
        first = self.run(there).strip()
        if first == "missing":
            # `del live[:]` is for scripts that are run again and again, not for a module.
            text = self.make_lease(units=None).replace("del edgeckpt.lease.live[:]\n", "")
            self.put(f"{_OURS}\n{text}", LEASES)
        if first in ("missing", _OURS):
            self.reset()  # of an earlier test nothing is left in RAM
            self.run("from edgeckpt_leases import lease\nlease.wipe()\n")
        self.reset()

    # Checkpoints

    def checkpoint_state(self, lease_id: int | None = None) -> State:
        """The state in the newest checkpoint of the board, read by the host's tools.

        lease_id: which lease, where the board has several. HostError where there is none.
        """
        from . import state as st
        from .board import Board, complete_schema

        self.hang_up()
        with Board.open(self.port, trace=self.trace, restart=False) as board:
            lease = board.lease(lease_id)
            image = board.pull(lease)
            complete_schema(image, lease)
        text, _, plain = st.of_image(image)
        if not text or not isinstance(plain, dict):
            plain = {"the state": plain}
        return State(plain, image.header.sequence)

    def save(self, folder: Path) -> list[Path]:
        """What tells of the board's medium, as files in `folder`: the newest checkpoint of each
        lease."""
        from .board import Board
        from .image import write_file

        saved = []
        self.hang_up()
        with Board.open(self.port, restart=False, retries=1) as board:
            for lease in board.leases():
                if lease.newest >= 0:
                    path = folder / f"lease-{lease.id:x}.img"
                    write_file(path, board.pull(lease, lease.newest).blocks)
                    saved.append(path)
        return saved

    # Power

    def power_off(self) -> None:
        raise Unsupported(f"{self}: nothing here switches its power")

    def power_on(self) -> None:
        raise Unsupported(f"{self}: nothing here switches its power")

    def power_cycle(self) -> None:
        """Lose all RAM: the power off and on, or a hard reset, which is as much as a cable can."""
        stream = self._open()
        try:
            repl = RawRepl(stream)
            repl.enter()
            repl._submit(b"import machine, time\ntime.sleep_ms(50)\nmachine.reset()")
        finally:
            self._done(stream)
        time.sleep(2)

    def reset(self) -> None:
        """A soft reset: RAM is lost, main.py runs where there is one."""
        stream = self._open()
        try:
            repl = RawRepl(stream)
            repl.enter()
            stream.write(b"\r\x02")
            repl._until(b">>> ", 2.0)
            stream.write(b"\x04")
            repl._until(b"reboot", 5.0)
        finally:
            self._done(stream)

    def cut_power_during(
        self,
        code: str,
        *,
        at: int | None = None,
        after: float | None = None,
        seed: int = 0,
        timeout: float = 60.0,
    ) -> bool:
        """Run `code` and cut the power meanwhile; then the board gets it back, and starts.

        at: in which program or erase of the lease's medium (the first is 0): on boards that are
            made here. `seed` decides what the cells hold after it.
        after: seconds after its start: on boards whose power can be switched.
        True where the power failed, False where the code ended before.
        """
        if (at is None) == (after is None):
            raise ValueError(f"cut_power_during(at={at}, after={after}): expected one of the two")
        if at is not None:
            self._arm(at, seed)
        switch = None
        if after is not None:
            self._can_switch()
            switch = threading.Timer(after, self.power_off)
            switch.start()
        try:
            self._run(code, timeout, self._is_off)
        except BoardFailed:
            if switch is not None:
                switch.join(max(0.0, after or 0.0) + 10.0)
            if not self._is_off():
                raise
        finally:
            if switch is not None:
                switch.cancel()
                switch.join(10.0)
        cut = self._is_off()
        if cut:
            self.power_cycle()
        elif at is not None:
            self._arm(-1, 0)
        return cut

    def _arm(self, at: int, seed: int) -> None:
        raise Unsupported(f"{self}: it cannot fail at a given operation; `after=` seconds?")

    def _can_switch(self) -> None:
        if type(self).power_off is Rig.power_off:
            raise Unsupported(f"{self}: nothing here switches its power")

    def _is_off(self) -> bool:
        return False

    def close(self) -> None:
        """Give back what was made for it."""
        self.hang_up()


class VirtualRig(Rig):
    """The virtual board of boards/unix: real MicroPython, a NOR chip in a file of `folder`, which
    is the board's file system too."""

    emulated = True
    kind = "virtual board"

    def __init__(self, folder: Path, trace: Path | None = None, **options: Any) -> None:
        """options: as of `VirtualBoard`."""
        import edgeckpt
        from edgeckpt_boards.tools.board import load
        from edgeckpt_boards.unix.vboard import VirtualBoard

        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "edgeckpt").symlink_to(Path(edgeckpt.__file__).parent)
        self.virtual: VirtualBoard = VirtualBoard(folder / "chip.bin", module=False, **options)
        super().__init__(self.virtual.port, load("unix"), trace=trace, may_write=True)
        self.said = bytearray()
        self.virtual.on_output = self.said.extend
        self.virtual.power_on()

    def save(self, folder: Path) -> list[Path]:
        """The whole chip, as `edgeckpt report` and `edgeckpt info` read it."""
        path = folder / "chip.bin"
        path.write_bytes(self.virtual.chip.read_bytes())
        return [path]

    def power_off(self) -> None:
        self.virtual.power_off()

    def power_on(self) -> None:
        self.virtual.power_on()

    def power_cycle(self) -> None:
        self.virtual.power_cycle()

    def _arm(self, at: int, seed: int) -> None:
        self.run(f"import vflash\nvflash.cut({at}, {seed})")

    def _is_off(self) -> bool:
        return self.virtual.pid is None

    def _run(self, code: str, timeout: float, off: Callable[[], bool] | None) -> str:
        try:
            return super()._run(code, timeout, off)
        finally:
            # A chip that has lost its supply has taken its board with it.
            if off is not None and not off():
                dead = "import vflash\nprint(vflash.flash.dead)"
                if super()._run(dead, 10.0, off).strip() == "True":
                    self.virtual.power_off()

    def close(self) -> None:
        self.virtual.close()


class PicoRig(Rig):
    """An emulated Pico with the firmware `image` (.uf2), in a process of its own.

    chip: "nor" or "sd" wires that chip to its SPI0.
    """

    emulated = True
    kind = "emulated Pico"

    def __init__(
        self,
        image: Path,
        chip: str = "none",
        lease: str | None = None,
        *,
        trace: Path | None = None,
        log: Path | None = None,
    ) -> None:
        from edgeckpt_boards.tools import board as board_file

        command = [sys.executable, "-m", "edgeckpt_boards.tools.pico", "--image", str(image)]
        self._process = subprocess.Popen(
            [*command, "--chip", chip],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w") if log else None,
        )
        self._said = b""
        self._on = True
        port = self._answer("port", 120.0)
        super().__init__(port, board_file.load("RPI_PICO"), lease, trace=trace, may_write=True)

    def _answer(self, word: str, seconds: float) -> str:
        # The line of the process that begins with `word`, without it.
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        end = time.monotonic() + seconds
        while b"\n" not in self._said:
            if select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
                data = os.read(fd, 4096)
                if not data:
                    raise BoardFailed(f"the emulated Pico ended, status {self._process.wait(10)}")
                self._said += data
            elif time.monotonic() >= end:
                raise BoardFailed(f"the emulated Pico said no {word!r} within {seconds:.0f} s")
        line, _, self._said = self._said.partition(b"\n")
        first, _, rest = line.decode().partition(" ")
        if first != word and word:
            raise BoardFailed(f"the emulated Pico said {line!r}, expected {word!r}")
        return rest if word else first

    def _tell(self, line: str, word: str | None = None, seconds: float = 90.0) -> str:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as e:
            raise BoardFailed("the emulated Pico has ended") from e
        return self._answer(line.split()[0] if word is None else word, seconds)

    def power_off(self) -> None:
        self._tell("off")

    def power_on(self) -> None:
        self._tell("reset")

    def power_cycle(self) -> None:
        self._tell("reset")

    def blank(self) -> None:
        """As delivered: nothing on its flash but the firmware; it starts anew."""
        self._tell("blank")

    def _arm(self, at: int, seed: int) -> None:
        if self.lease.name != "flash":
            raise Unsupported(f"{self}: power fails at operations of its on-chip flash only")
        self._tell(f"cut {at} {seed}")

    def _is_off(self) -> bool:
        return self._tell("left", "") == "off"

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def tail(trace: Path, lines: int = 60) -> str:
    """The last lines of a trace, with its bytes as text; what came in small pieces, an echo byte
    by byte, is put together."""
    passed: list[tuple[str, str, bytes]] = []
    for line in trace.read_text().splitlines():
        words = line.split()
        if len(words) != 3:
            passed.append((line, "", b""))
            continue
        head, way, data = words[0], words[1], bytes.fromhex(words[2])
        if passed and passed[-1][1] == way and len(passed[-1][2] + data) <= 128:
            head, _, before = passed.pop()
            data = before + data
        passed.append((head, way, data))
    shown = []
    for head, way, data in passed[-lines:]:
        text = f"{head:>10} {way} {data!r}" if way else head
        shown.append(text if len(text) < 200 else f"{text[:180]} ... {len(text)} characters")
    return "\n".join(shown)


def differences(left: Any, right: Any) -> Sequence[str]:
    """Two states, field by field, as the lines of a failed assertion."""
    from . import state as st

    found = st.differences(left, right)
    lines = [f"the states differ in {len(found)} field{'s' * (len(found) != 1)}:"]
    return lines + [f"  {path}: {a!r} != {b!r}" for path, a, b in found]
