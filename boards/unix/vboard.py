#!/usr/bin/env python3
"""A virtual board: real MicroPython on a pseudo-terminal, with a NOR chip kept in a file.

    python boards/unix/vboard.py --chip chip.bin --app boards/unix/stage_app.py --link /tmp/board

The host tools get the name of the port and nothing else. As on a board: main.py runs, then the
REPL; Ctrl-C interrupts unless the program has set `kbd_intr(-1)`; Ctrl-D is a soft reset; a power
cut is a kill -9 in the middle of whatever runs, and the chip keeps what had reached it.

    host tools <-- outer pty --> supervisor <-- inner pty --> micropython

The supervisor is there for what a terminal does not do as a serial line does: a Ctrl-C must not
discard the bytes around it, two of them must not end the port (the second SIGINT would), output
without a reader must not stop the board for good, and the port must outlive a reset. It is the
board's watchdog, too, for what no board has: the unix port raises KeyboardInterrupt from its
signal handler (MICROPY_ASYNC_KBD_INTR), be the heap locked or not, and may then wait for that
lock for good.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CHIP_SIZE = 1 << 20
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_HOLD = 0.5  # seconds that output waits for a reader before it is dropped, as in TinyUSB
_BACKLOG = 4096
_WATCH = 3.0  # seconds after a Ctrl-C in which the board may turn out to wait for its own lock
_LAG = 0.02  # seconds that a ring may be full, beside those in which no core was free


class VirtualBoard:
    """One board. `port` is the name of its serial port; `chip` the file with the flash content.

    chip: made, blank, `size` bytes long, if there is none.
    app: the board's main.py; None: the one in the folder of the chip, which is the board's file
        system, if there is one.
    link: a symbolic link to the port, kept while the board exists.
    micropython: the interpreter; default: the one beside this Python.
    module: False leaves edgeckpt off the board's path (a board without the module).
    speed: per cent of the chip's typical times that flash operations take (0: none).
    grain: bytes of a program or erase that reach the file in one piece (0: all).
    baud, ring: a UART of that speed (8N1) whose receive ring of `ring` bytes drops what comes
        while it is full; 0: as USB, without a limit, holding back. `dropped` counts them.
    env: more environment variables for the program on the board (`os.getenv`).

    `starts`, `watchdogs`: how often it was started, and how often of these by its watchdog.

    Use as a context manager, or call `power_on()` and `close()`.
    """

    def __init__(
        self,
        chip: Path,
        app: Path | None = None,
        *,
        size: int = CHIP_SIZE,
        link: Path | None = None,
        micropython: Path | None = None,
        module: bool = True,
        speed: int = 0,
        grain: int = 0,
        baud: int = 0,
        ring: int = 256,
        heap: str = "8M",
        env: dict[str, str] | None = None,
    ) -> None:
        self.chip = Path(chip)
        if not self.chip.exists():
            self.chip.write_bytes(b"\xff" * size)
        self._command = [
            str(micropython or Path(sys.executable).with_name("micropython")),
            *("-X", f"heapsize={heap}", "-i", str(HERE / "lib" / "vboard_boot.py")),
        ]
        path = [HERE / "lib", HERE.parent / "models"]
        self._env = {
            **os.environ,
            "MICROPYPATH": os.pathsep.join(
                ["", ".frozen", *map(str, [ROOT / "firmware", *path] if module else path)]
            ),
            "VBOARD_CHIP": str(self.chip.resolve()),
            "VBOARD_SPEED": str(speed),
            "VBOARD_GRAIN": str(grain),
            **(env or {}),
        }
        self._app = str(Path(app).resolve()) if app else ""
        self._outer, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._outer, False)
        self.port = os.ttyname(self._slave)
        self.link = link
        if link:
            link.unlink(missing_ok=True)
            link.symlink_to(self.port)
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._inner = -1
        self._inner_name = ""
        self._to_board = bytearray()
        self._to_host = bytearray()
        self._line = bytearray()  # of a UART: on its way
        self._stalled = 0.0
        self._hold_until = 0.0
        self._watch = (0.0, 0.0)  # after a Ctrl-C: when to look next, and until when
        self._raw = False  # the REPL is in raw mode
        self._mute = b""  # output is dropped up to this text
        self._tail = b""
        self._closing = False
        self._rate = baud / 10
        self._tick = min(0.001, max(0.0005, 16 / self._rate)) if baud else 0.001
        self._ring = ring
        self._free = [0.0, 0.0]  # until when the line has carried, to the board and back
        self._busy = [False, False]
        self._full_since = 0.0
        self.dropped = 0
        self.starts = 0
        self.watchdogs = 0
        self.on_output: Callable[[bytes], None] | None = None
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    # Power and reset

    @property
    def pid(self) -> int | None:
        """The process id of the running board."""
        process = self._process
        return process.pid if process else None

    def power_on(self) -> None:
        """Start it, if it is off."""
        with self._lock:
            if self._process is None:
                self._lose()
                self._start(self._main())

    def power_off(self) -> None:
        """Cut its power: nothing gets to finish."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            process.kill()
            process.wait()
            try:
                while data := os.read(self._inner, 65536):
                    self._emit(data)  # what had left the board
            except OSError:
                pass
            self._drop()
            self._lose()

    def _lose(self) -> None:
        # What a host sent to a board without power reaches nobody, not even the next start.
        with contextlib.suppress(OSError):
            while os.read(self._outer, 65536):
                pass

    def power_cycle(self) -> None:
        self.power_off()
        self.power_on()

    def close(self) -> None:
        """Off for good; the port is gone."""
        self._closing = True
        self.power_off()
        os.write(self._wake_w, b"x")
        self._thread.join(5)
        for fd in (self._outer, self._slave, self._wake_r, self._wake_w):
            os.close(fd)
        if self.link:
            self.link.unlink(missing_ok=True)

    def __enter__(self) -> VirtualBoard:
        self.power_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _main(self) -> str:
        own = self.chip.resolve().with_name("main.py")
        return self._app or (str(own) if own.exists() else "")

    def _start(self, app: str) -> None:
        inner, slave = os.openpty()
        # Raw and without signals: the boot script sets ISIG when there is a handler for them.
        tty.setraw(slave, termios.TCSANOW)
        self._process = subprocess.Popen(
            self._command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            cwd=self.chip.resolve().parent,  # the board's file system
            env={**self._env, "VBOARD_APP": app},
        )
        self._inner_name = os.ttyname(slave)
        os.close(slave)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._outer, 65536):
                pass  # what was on its way to a board without power
        os.set_blocking(inner, False)
        self._inner = inner
        self._to_board.clear()
        self._hold_until = 0.0
        self._watch = (0.0, 0.0)
        self._raw = False
        self._tail = b""
        self.starts += 1
        os.write(self._wake_w, b"x")

    def _drop(self) -> None:
        self._line.clear()
        if self._inner >= 0:
            os.close(self._inner)
            self._inner = -1
        self._to_board.clear()

    def _ended(self) -> None:
        # The interpreter ended by itself: a soft reset.
        with self._lock:
            process = self._process
            if process is None:
                return
            raw, self._process = self._raw, None
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._drop()
            if self._closing:
                return
            self._to_host += b"MPY: soft reboot\r\n"
            # In raw mode a soft reset leads back to the raw REPL, and main.py does not run.
            self._start("" if raw else self._main())
            if raw:
                self._raw = True
                self._mute = b">>> "
                self._to_board += b"\x01"

    # The relay

    def _relay(self) -> None:
        while not self._closing:
            with self._lock:
                inner = self._inner
            reads = [self._outer, self._wake_r]
            if inner >= 0 and len(self._to_host) < _BACKLOG:
                reads.append(inner)
            writes = [self._outer] if self._to_host and not self._rate else []
            now = time.monotonic()
            held = now < self._hold_until
            paced = self._rate > 0 and bool(self._line or self._to_board or self._to_host)
            if self._rate:
                reads = [fd for fd in reads if fd != self._outer or len(self._line) < 64]
            if self._to_board and inner >= 0 and not held:
                writes.append(inner)
            try:
                if paced:
                    writes = []
                pause = self._tick if paced else 0.001 if held else _HOLD / 2
                ready, writable, _ = select.select(reads, writes, [], pause)
                # Locked: a descriptor closed by a power cut may be another board's by now.
                with self._lock:
                    self._step(inner, ready, writable)
                    if self._watch[0] and now >= self._watch[0]:
                        self._watchdog(now)
            except (OSError, ValueError, termios.error):
                continue  # the descriptor of a board that has just lost its power

    def _step(self, inner: int, ready: list[int], writable: list[int]) -> None:
        if self._wake_r in ready:
            os.read(self._wake_r, 64)
        if self._outer in ready:
            data = os.read(self._outer, 65536)
            if self._inner >= 0:  # else nobody is there
                (self._line if self._rate else self._to_board).extend(data)
        if inner >= 0 and inner == self._inner:
            if self._line:
                self._carry(inner)
            if self._to_board and time.monotonic() >= self._hold_until:
                self._feed(inner)
            elif self._hold_until and not self._isig(inner):
                self._hold_until = 0.0
            if inner in ready:
                self._take(inner)
        if self._outer in writable or self._rate and self._to_host:
            n = self._due(1) if self._rate else len(self._to_host)
            try:
                n = os.write(self._outer, self._to_host[:n]) if n else 0
            except BlockingIOError:
                pass  # a UART does not wait for a reader
            del self._to_host[:n]
            self._stalled = 0.0
        elif self._to_host:
            now = time.monotonic()
            self._stalled = self._stalled or now
            if now - self._stalled > _HOLD:
                self._to_host.clear()

    def _take(self, inner: int) -> None:
        with self._lock:
            if inner != self._inner:
                return
            try:
                data = os.read(inner, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self._emit(data)
            else:
                self._ended()

    def _emit(self, data: bytes) -> None:
        if self._mute:
            data = self._tail + data
            before, found, after = data.partition(self._mute)
            if not found:
                self._tail = data[-64:]
                return
            self._mute = b""
            self._tail = b""
            data = after
        self._note_mode(data)
        if self.on_output:
            self.on_output(data)
        self._to_host += data

    def _note_mode(self, data: bytes) -> None:
        # Which REPL is it? Only its banners tell.
        text = self._tail + data
        raw = text.rfind(_RAW_BANNER)
        friendly = text.rfind(b'Type "help()" for more information.')
        if max(raw, friendly) >= 0:
            self._raw = raw > friendly
        self._tail = text[-64:]

    def _isig(self, fd: int) -> bool:
        return bool(termios.tcgetattr(fd)[3] & termios.ISIG)

    def _due(self, way: int) -> int:
        # How many bytes the UART's line has carried since it was last asked.
        waiting = self._to_host if way else self._line
        now = time.monotonic()
        if not self._busy[way]:
            self._free[way] = now  # an idle line has nothing to make up for
        n = min(len(waiting), int((now - self._free[way]) * self._rate))
        self._free[way] += n / self._rate
        self._busy[way] = n < len(waiting)
        return n

    def _carry(self, inner: int) -> None:
        # What the line has carried goes into the receive ring, or is lost.
        n = self._due(0)
        over = len(self._to_board) + n - self._room(inner)
        # A board is never kept from running: the clock of its full ring stops meanwhile.
        now = time.monotonic() - self._waited() if over > 0 else 0.0
        self._full_since = (self._full_since or now) if over > 0 else 0.0
        if over > 0 and now - self._full_since > _LAG:
            lost = min(over, n)
            self.dropped += lost
            self._to_board += self._line[: n - lost]
        else:
            self._to_board += self._line[:n]
        del self._line[:n]

    def _waited(self) -> float:
        # Seconds that the board and this thread have waited for a core so far.
        us = 0.0
        for task in (f"{self.pid}", f"self/task/{threading.get_native_id()}"):
            with contextlib.suppress(OSError, IndexError):
                us += int(Path(f"/proc/{task}/schedstat").read_text().split()[1]) / 1000
        return us / 1e6

    def _room(self, inner: int) -> int:
        # What the receive ring can still take: the board has to read the rest first.
        fd = os.open(self._inner_name, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            count = bytearray(4)
            fcntl.ioctl(fd, termios.FIONREAD, count)
        finally:
            os.close(fd)
        return max(0, self._ring - int.from_bytes(count, sys.byteorder))

    def _feed(self, inner: int) -> None:
        due = len(self._to_board)
        if self._rate:
            due = min(due, self._room(inner))
            if not due:
                return
        if not self._isig(inner):
            n = due
        else:
            n = self._to_board.find(3, 0, due)
            if n == 0:
                del self._to_board[0]
                if not self._interrupt():
                    self._write(inner, b"\x03")
                return
            if n < 0:
                n = due
        del self._to_board[: self._write(inner, self._to_board[:n])]

    def _write(self, inner: int, data: bytes | bytearray) -> int:
        try:
            # Small pieces: a kbd_intr() takes effect on what has not been received yet.
            return os.write(inner, data[:1024])
        except BlockingIOError:
            time.sleep(0.001)
            return 0

    def _watchdog(self, now: float) -> None:
        # A process of one thread that waits for a lock waits for itself.
        self._watch = (now + 0.1, self._watch[1]) if now < self._watch[1] else (0.0, 0.0)
        try:
            waits = Path(f"/proc/{self.pid}/wchan").read_text()
        except OSError:
            return
        if "futex" in waits:
            self.watchdogs += 1
            self.power_cycle()

    def _interrupt(self) -> bool:
        """Ctrl-C: SIGINT, if the board has a handler for it at this very moment."""
        with self._lock:
            process = self._process
            if process is None:
                return True
            status = Path(f"/proc/{process.pid}/status")
            if status.exists():
                # Stopped, it cannot lose its handler between the look and the signal.
                os.kill(process.pid, signal.SIGSTOP)
                try:
                    for _ in range(200):
                        text = status.read_text()
                        if re.search(r"^State:\s+[TZ]", text, re.M):
                            break
                        time.sleep(0.0005)
                    caught = re.search(r"^SigCgt:\s+(\w+)", text, re.M)
                    if not caught or not int(caught[1], 16) & 1 << (signal.SIGINT - 1):
                        return False
                    os.kill(process.pid, signal.SIGINT)
                finally:
                    os.kill(process.pid, signal.SIGCONT)
            else:
                os.kill(process.pid, signal.SIGINT)
        # More input waits until the REPL listens (which clears ISIG, and the terminal's queue),
        # or the program has had its time to go on.
        self._hold_until = time.monotonic() + 0.1
        self._watch = (self._hold_until + 0.1, self._hold_until + _WATCH)
        while self._to_board[:1] == b"\x03":
            del self._to_board[0]
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chip", type=Path, required=True, help="file of the flash content")
    parser.add_argument("--size", type=int, default=CHIP_SIZE, help="bytes of a new chip")
    parser.add_argument("--app", type=Path, help="the board's main.py")
    parser.add_argument("--link", type=Path, help="symbolic link to the port")
    parser.add_argument("--speed", type=int, default=0, help="per cent of a chip's times")
    parser.add_argument("--grain", type=int, default=0, help="bytes stored in one piece")
    parser.add_argument("--console", action="store_true", help="copy the board's output here")
    args = parser.parse_args()
    options = {"size": args.size, "link": args.link, "speed": args.speed, "grain": args.grain}
    with VirtualBoard(args.chip, args.app, **options) as board:
        print(board.port, flush=True)
        if args.console:
            board.on_output = lambda data: (sys.stdout.buffer.write(data), sys.stdout.flush())
        try:
            signal.sigwait([signal.SIGINT, signal.SIGTERM])
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
