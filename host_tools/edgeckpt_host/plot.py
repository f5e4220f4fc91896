"""The numeric fields of states over the checkpoints of a ring: as SVG for a page, as text for a
terminal.

Promises: a state of any shape gives its numbers, by path; what is no number (text, NaN, a field
that is not there) leaves a gap, never a wrong point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

Number = int | float
Series = Sequence[Number | None]

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH, _HEIGHT, _EDGE = 240, 56, 4


def numbers(state: Any, path: str = "") -> dict[str, Number]:
    """The numbers in a state in plain notation, by path, in its order."""
    if isinstance(state, bool):
        return {}
    if isinstance(state, (int, float)):
        return {path or "the state": state} if math.isfinite(state) else {}
    found: dict[str, Number] = {}
    if isinstance(state, dict):
        for key, value in state.items():
            found.update(numbers(value, f"{path}.{key}" if path else str(key)))
    elif isinstance(state, list):
        for i, value in enumerate(state):
            found.update(numbers(value, f"{path}[{i}]"))
    return found


def series(states: Iterable[Any]) -> dict[str, list[Number | None]]:
    """{path: its value in each state, None where there is none}, states oldest first."""
    rows = [numbers(state) for state in states]
    paths = dict.fromkeys(path for row in rows for path in row)
    return {path: [row.get(path) for row in rows] for path in paths}


def changes(values: Series) -> bool:
    """Whether a field has more than one value."""
    return len(set(values) - {None}) > 1


def text(value: Number) -> str:
    """A number for people: all digits of an integer, seven of others."""
    return str(value) if isinstance(value, int) else f"{value:.7g}"


def _scaled(values: Series) -> list[float | None]:
    # Each between 0 and 1; integers of any size, floats of any exponent.
    known = [v for v in values if v is not None]
    low, high = min(known), max(known)
    if low == high:
        return [None if v is None else 0.5 for v in values]
    if isinstance(low, int) and isinstance(high, int) and all(isinstance(v, int) for v in known):
        return [None if v is None else (v - low) / (high - low) for v in values]
    # Halves: the span of -1e308 and 1e308 is no float.
    span = high / 2 - low / 2
    return [None if v is None else (v / 2 - low / 2) / span if span else 0.5 for v in values]


def sparkline(values: Series, width: int = 24) -> str:
    """The newest `width` values as a line of blocks; a gap is a space."""
    shown = values[-width:]
    if not any(v is not None for v in shown):
        return ""
    return "".join(
        " " if y is None else _BARS[min(len(_BARS) - 1, int(y * len(_BARS)))]
        for y in _scaled(shown)
    )


def svg(path: str, values: Series, marks: Sequence[str]) -> str:
    """A small plot, inline; `marks` name the checkpoints. Its colours are the page's."""
    known = [v for v in values if v is not None]
    ys = _scaled(values)
    step = (_WIDTH - 2 * _EDGE) / max(1, len(values) - 1)
    lines: list[list[str]] = [[]]
    dots = []
    for i, (y, value, mark) in enumerate(zip(ys, values, marks)):
        if y is None or value is None:
            lines.append([])
            continue
        x, down = _EDGE + i * step, _HEIGHT - _EDGE - y * (_HEIGHT - 2 * _EDGE)
        lines[-1].append(f"{x:.1f},{down:.1f}")
        tip = f"<title>{escape(mark)}: {escape(text(value))}</title>"
        dots.append(f'<circle cx="{x:.1f}" cy="{down:.1f}" r="2.5">{tip}</circle>')
    drawn = "".join(f'<polyline points="{" ".join(p)}"/>' for p in lines if len(p) > 1)
    told = f"{path} from {text(known[0])} to {text(known[-1])}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(told)}">'
        f"{drawn}{''.join(dots)}</svg>"
    )
