"""What people and programs see of a command: lines, tables, JSON, progress, errors.

Promises: with --json exactly one JSON document goes to stdout, whatever happens, and nothing
else does (of `watch` one a line); progress and errors go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from .errors import HostError
from .terminal import Bar, Lines, Screen, coloured_map, colours, is_terminal, table


class Output:
    """Where a command reports. `line()` for people, `json()` for programs.

    port: of the board. exact: states are shown in the exact notation.
    name: of the board, where there are several; what is said of it is kept until `release()`,
    but for what is shown `now()`.
    """

    def __init__(
        self,
        as_json: bool = False,
        quiet: bool = False,
        name: str = "",
        screen: Screen | None = None,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.name = name
        self.port = ""
        self.exact = False
        self.stdout_is_data = False  # then stderr is for people
        self._screen = screen or Screen()
        self._kept: list[tuple[TextIO, Any]] | None = [] if name else None

    def of(self, name: str) -> Output:
        """The output of one board of several."""
        return Output(self.as_json, self.quiet, name, self._screen)

    def release(self) -> None:
        """Show what was kept, below the name."""
        kept, self._kept = self._kept, None
        if kept:
            self.line(f"== {self.name}")
        for stream, what in kept or ():
            self._say(stream, what)

    def close(self) -> None:
        self._screen.close()

    def _say(self, stream: TextIO, what: Any) -> None:
        if self._kept is not None:
            self._kept.append((stream, what))
        else:
            self._screen.show(stream, what)

    @property
    def _for_people(self) -> bool:
        return not self.as_json and not self.quiet

    @property
    def _rich(self) -> bool:
        return self._for_people and is_terminal(self._people)

    @property
    def _people(self) -> TextIO:
        return sys.stderr if self.stdout_is_data else sys.stdout

    # The result

    def line(self, text: str = "") -> None:
        """A line of the result, for people."""
        if self._for_people:
            self._say(self._people, text)

    def now(self, text: str) -> None:
        """A line of the result that does not wait for the end."""
        if self._for_people:
            self._screen.show(self._people, self._named(text))

    def table(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        lines: Iterable[str],
        title: str = "",
    ) -> None:
        """A table on a terminal; `lines` say the same elsewhere."""
        if self._rich:
            self._say(self._people, table(title, head, rows))
            return
        for text in lines:
            self.line(text)

    def map(self, text: str) -> None:
        """A map of slots; in colours on a terminal."""
        if self._rich:
            self._say(self._people, coloured_map(text))
        else:
            self.line(text)

    def json(self, document: dict[str, Any], *, one_line: bool = False) -> None:
        """The document of the command, or one of several on a line each."""
        if self.as_json:
            indent = None if one_line else 2
            text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
            self._screen.show(sys.stdout, text)

    # Remarks

    def note(self, text: str) -> None:
        """A remark that is not the result."""
        if not self.quiet:
            self._say(sys.stderr, text)

    def note_now(self, text: str) -> None:
        """One that does not wait for the end."""
        if not self.quiet:
            self._screen.show(sys.stderr, self._named(text))

    def error(self, error: HostError) -> None:
        """One line on what went wrong, one on what to do; with --json the document says it."""
        if self.as_json:
            return
        mark = "\x1b[31medgeckpt:\x1b[0m" if colours(sys.stderr) else "edgeckpt:"
        self._say(sys.stderr, f"{mark} {error}")
        if error.hint:
            self._say(sys.stderr, f"  {error.hint}")

    @contextmanager
    def progress(self, what: str) -> Iterator[Bar | Lines | None]:
        """What is to be told of a transfer: (bytes done, bytes in all). None: nobody looks."""
        shown: Bar | Lines | None = None
        what = f"{self.name} {what}" if self.name else what
        if not self.quiet:
            if is_terminal(sys.stderr):
                shown = Bar(self._screen, what)
            elif not self.as_json:
                shown = Lines(lambda text: self._screen.show(sys.stderr, text), what)
        try:
            yield shown
        finally:
            if shown is not None:
                shown.close()

    def _named(self, text: str) -> str:
        return f"{self.name}: {text}" if self.name else text


def error_value(error: HostError) -> dict[str, Any]:
    """What --json has in `error` (docs/cli.md)."""
    return {
        "cause": error.cause,
        "exit_code": error.exit_code,
        "message": str(error),
        "hint": error.hint,
        "details": {k: v for k, v in error.details.items() if v is not None},
    }
