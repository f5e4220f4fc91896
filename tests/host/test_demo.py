"""`make demo` does what it says, and the picture of it in the README is of the demo as it is."""

from __future__ import annotations

import re

from boards.tools import picture


def shape(text: str) -> list[str]:
    """The lines, without what is another value each time."""
    text = re.sub(r"[o#.]{16}$", "MAP", text, flags=re.MULTILINE)
    text = re.sub(r"\w*\.\.\.$", "...", text, flags=re.MULTILINE)  # where a line is too long
    return re.sub(r"0x[0-9a-f]+|MicroPython \S+ on \S+|[\d.]*\d", "N", text).split("\n")


def test_the_picture_is_of_the_demo() -> None:
    printed = picture.demo()
    assert "ok: the state survived the cut and the move" in printed
    told = shape(picture.drawn(picture.PICTURE.read_text()))
    assert told == shape(printed), "run: python -m boards.tools.picture"
