"""Where output goes: tables, colours and bars on a terminal (rich), plain lines elsewhere.

Promises: whatever thread writes, lines never mix, and stay above the bars; bars go to stderr and
leave nothing behind; no colour where NO_COLOR is set. rich is imported where a terminal shows it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.text import Text

_MARKS = {"#": "bold green", "o": "green", "!": "bold red", "\\.": "dim"}  # of a map of slots
_EVERY = 5.0  # seconds between the lines on a long transfer where there is no terminal


def is_terminal(stream: TextIO) -> bool:
    """Whether `stream` is one that shows bars and colours."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def colours(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def size_text(n: float) -> str:
    """Bytes for people: 512 B, 4.0 KiB, 1.5 MiB."""
    if n < 1024:
        return f"{n:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        n /= 1024
        if n < 1024 or unit == "GiB":
            return f"{n:.1f} {unit}"
    raise AssertionError


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    """A table for `Screen.show`; columns whose head ends in ":" are set to the right."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left")
    for name in head:
        made.add_column(name.rstrip(":"), justify="right" if name.endswith(":") else "left")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def coloured_map(text: str) -> Text:
    """A map of slots for `Screen.show`."""
    from rich.text import Text

    made = Text(text)
    for mark, style in _MARKS.items():
        made.highlight_regex(mark, style)
    return made


class Screen:
    """All that one command writes on, by however many threads."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._progress: Progress | None = None
        self._bars = 0

    def show(self, stream: TextIO, what: Any) -> None:
        """Write a line of text, or something that rich made. Ends the command, well, where who
        read it has gone."""
        with self._lock:
            try:
                if self._progress is not None and stream.isatty():
                    self._above_the_bars(what)
                elif isinstance(what, str):
                    stream.write(what + "\n")
                    stream.flush()
                else:
                    _console(stream).print(what)
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                raise SystemExit(0) from None

    def _above_the_bars(self, what: Any) -> None:
        from rich.text import Text

        assert self._progress is not None
        what = Text.from_ansi(what) if isinstance(what, str) else what
        self._progress.console.print(what, soft_wrap=isinstance(what, Text))

    def add(self, what: str, done: int, total: int) -> TaskID:
        """A bar, below those that are there."""
        with self._lock:
            if self._progress is None:
                self._progress = _progress()
                self._progress.start()
            self._bars += 1
            return self._progress.add_task(what, completed=done, total=total)

    def update(self, bar: TaskID, done: int, total: int) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.update(bar, completed=done, total=total)

    def remove(self, bar: TaskID) -> None:
        with self._lock:
            if self._progress is not None:
                self._bars -= 1
                if self._bars:
                    self._progress.remove_task(bar)
                else:
                    self.close()

    def close(self) -> None:
        """Take the bars away, those of workers that were left behind too."""
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None


class Bar:
    """A transfer on a terminal. Call it with the bytes done and the bytes in all."""

    def __init__(self, screen: Screen, what: str) -> None:
        self._screen = screen
        self._what = what
        self._bar: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = self._screen.add(self._what, done, total)
        else:
            self._screen.update(self._bar, done, total)

    def close(self) -> None:
        if self._bar is not None:
            self._screen.remove(self._bar)


class Lines:
    """A transfer where there is no terminal: a line now and then, if it takes long."""

    def __init__(
        self,
        show: Callable[[str], None],
        what: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._what = what
        self._clock = clock
        self._start = self._last = clock()
        self._first = -1

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if self._first < 0:
            self._first = done  # what was there before has not been moved in this time
        if now - self._last < _EVERY or done >= total:
            return
        self._last = now
        rate = (done - self._first) / (now - self._start)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        self._show(
            f"{self._what}: {100 * done // total} %, {size_text(done)} of {size_text(total)}, "
            f"{size_text(rate)}/s{left}"
        )

    def close(self) -> None:
        pass


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    colour: Any = "auto" if colours(stream) else None
    return Console(file=stream, color_system=colour, highlight=False, markup=False)


def _progress() -> Progress:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=_console(sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
