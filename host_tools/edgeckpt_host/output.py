"""What people and programs see: plain lines, JSON, progress, colours only on a terminal.

Promises: with --json exactly one JSON document goes to stdout, whatever happens, and nothing
else does; progress and errors go to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from types import TracebackType
from typing import Any

from .errors import HostError


def colours(stream: Any = sys.stdout) -> bool:
    """Whether to use colours on `stream`: a terminal, and NO_COLOR not set."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def size_text(n: float) -> str:
    """Bytes for people: 512 B, 4.0 KiB, 1.5 MiB."""
    if n < 1024:
        return f"{n:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        n /= 1024
        if n < 1024 or unit == "GiB":
            return f"{n:.1f} {unit}"
    raise AssertionError


class Output:
    """Where a command reports. `line()` for people, `result` for --json."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet

    def line(self, text: str = "") -> None:
        """A line of the result, for people."""
        if not self.as_json and not self.quiet:
            print(text)

    def note(self, text: str) -> None:
        """A remark that is not the result."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def json(self, document: dict[str, Any]) -> None:
        if self.as_json:
            print(json.dumps(document, indent=2, ensure_ascii=False, default=str))

    def error(self, error: HostError) -> None:
        """One line on what went wrong, one on what to do."""
        if self.as_json:
            self.json(error_document(error))
            return
        mark = "\x1b[31medgeckpt:\x1b[0m" if colours(sys.stderr) else "edgeckpt:"
        print(f"{mark} {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)

    def progress(self, what: str) -> Progress:
        return Progress(what, shown=not self.quiet and sys.stderr.isatty())


def error_document(error: HostError) -> dict[str, Any]:
    """The shape of an error in --json (docs/cli.md, "error")."""
    return {
        "ok": False,
        "error": {
            "cause": error.cause,
            "exit_code": error.exit_code,
            "message": str(error),
            "hint": error.hint,
            "details": {k: v for k, v in error.details.items() if v is not None},
        },
    }


class Progress:
    """Bytes done of bytes in all, with rate and time left, on one line of a terminal."""

    def __init__(self, what: str, shown: bool) -> None:
        self.what = what
        self.shown = shown
        self._start = time.monotonic()
        self._last = 0.0
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        if not self.shown:
            return
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._last < 0.1 and done < total:
            return
        self._last = now
        rate = (done - self._first) / max(now - self._start, 1e-3)
        left = f"{(total - done) / rate:4.0f} s left" if rate and done < total else " " * 11
        share = min(100, 100 * done // max(total, 1))
        bar = "#" * (share * 20 // 100)
        sys.stderr.write(
            f"\r{self.what} [{bar:<20}] {share:3d} % {size_text(done):>10} "
            f"{size_text(rate):>10}/s {left}"
        )
        sys.stderr.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.shown and self._first is not None:
            sys.stderr.write("\r" + " " * 78 + "\r")
            sys.stderr.flush()
