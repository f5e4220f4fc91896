"""`edgeckpt watch`: sequence, slot and health of a lease, look by look, and how its state
changes; on a terminal each number that changes with a line of its values so far.

Promises: each line or document is shown at once, of several boards each with its port; a state
that cannot be read or decoded ends nothing, a line or board that is gone does.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from . import plot
from . import state as st
from .board import complete_schema
from .commands import lease_document
from .errors import HostError
from .terminal import is_terminal

if TYPE_CHECKING:
    from .board import Board, Lease
    from .call import Call

_BREATH = 2.0  # seconds after which an agent that was started has to hear of us
_LONGEST = 48  # hex digits of raw bytes that are shown
_VALUES = 24  # of a field, in its sparkline
_GONE = ("link", "no-answer", "port")


def watch(call: Call, board: Board) -> dict[str, Any]:
    o = call.options
    lease = board.lease(o["lease_id"])
    if board.link.repl:
        call.out.note_now(
            "the board's program is stopped meanwhile, nothing changes; one that polls an Agent "
            "on its own stream can be watched live (--attach direct)"
        )
    seen = _Seen(call)
    looks = 0
    while True:
        looks += 1
        told = seen.look(board, lease)
        _tell(call, looks, lease, told)
        if o["count"] and looks >= o["count"]:
            return {"looks": looks, "lease": lease_document(lease)}
        _wait(call, board, o["interval"])
        lease = board.status(lease.index)


def _tell(call: Call, look: int, lease: Lease, told: tuple[Any, list[str]]) -> None:
    exact, lines = told
    call.out.json(
        {
            "command": call.command,
            "port": call.port,
            "look": look,
            "time": time.time(),
            "lease": lease_document(lease),
            "state": exact,
        },
        one_line=True,
    )
    clock = time.strftime("%H:%M:%S")
    call.out.now(f"{clock} sequence {lease.sequence} slot {lease.newest} {lease.health}")
    for line in lines:
        call.out.now(f"  {line}")


def _wait(call: Call, board: Board, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if call.stop.wait(min(left, _BREATH)):
            raise KeyboardInterrupt
        if left > _BREATH:
            board.link.ping()


class _Seen:
    """What was shown of a lease so far: which checkpoint, and its state."""

    def __init__(self, call: Call) -> None:
        self._given = call.schema()
        self._shown: tuple[int, int] | None = None  # sequence, slot
        self._plain: Any = None
        self._trouble = ""
        self._states: deque[dict[str, plot.Number]] = deque(maxlen=_VALUES)
        self._draws = is_terminal(sys.stdout) and "utf" in (sys.stdout.encoding or "").lower()

    def look(self, board: Board, lease: Lease) -> tuple[Any, list[str]]:
        """(the state in the exact notation, lines on it) where it has changed, else (None, [])."""
        now = (lease.sequence, lease.newest)
        if lease.newest < 0 or now == self._shown:
            return None, []
        try:
            image = board.pull(lease, lease.newest)
            complete_schema(image, lease)
            text, exact, plain = st.of_image(image, self._given)
        except HostError as e:
            if e.cause in _GONE:
                raise
            # Said once, and tried again at the next look: it may have been written meanwhile.
            again = str(e) == self._trouble
            self._trouble = str(e)
            return None, [] if again else [f"the state cannot be shown: {e}"]
        first = self._shown is None
        lines = [_text(plain, text)] if first else _changes(self._plain, plain, text)
        if text and self._draws:
            self._states.append(plot.numbers(plain))
            lines = lines if first else [self._drawn(line) for line in lines]
        self._shown, self._plain, self._trouble = now, plain, ""
        return exact, lines

    def _drawn(self, line: str) -> str:
        # A line of a change, and behind it the field's values so far.
        path = line.partition(": ")[0]
        values = [numbers.get(path) for numbers in self._states]
        drawn = plot.sparkline(values) if plot.changes(values) else ""
        return f"{line}  {drawn}" if drawn else line


def _text(plain: Any, schema: str) -> str:
    if not schema:
        return _short(plain)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _short(digits: str) -> str:
    if len(digits) <= _LONGEST:
        return digits
    return f"{digits[:_LONGEST]}.. ({len(digits) // 2} bytes)"


def _changes(old: Any, new: Any, schema: str) -> list[str]:
    if schema:
        found = st.differences(old, new)
        return [f"{path}: {_text(a, schema)} -> {_text(b, schema)}" for path, a, b in found]
    pairs = [(old[i : i + 2], new[i : i + 2]) for i in range(0, max(len(old), len(new)), 2)]
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
    if at is None:
        return []
    return [f"from byte {at} on: {_short(old[2 * at :])} -> {_short(new[2 * at :])}"]
