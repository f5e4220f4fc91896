"""docs/api.md: its example runs, and what it names is there, as it says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import edgeckpt_host
import pytest
from edgeckpt_host import board as board_module
from edgeckpt_host import commands, image, state
from edgeckpt_host.board import Board

from .conftest import ENV, ROOT, Result, VirtualBoard

TEXT = (ROOT / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
APP = """
import edgeckpt, time
from vflash import flash
state = {"boots": 3, "gains": [1.0, 0.5]}
lease = edgeckpt.BlockLease(flash, 8, 4, 0x5EED)
stage = edgeckpt.CheckpointedStageState(state, lease, "{boots:u32,gains:[f32;2]}")
stage.checkpoint()
print("ready")
while True:
    time.sleep_ms(20)
"""


def test_the_example(
    board: Callable[..., VirtualBoard], edgeckpt: Callable[..., Result], tmp_path: Path
) -> None:
    assert len(BLOCKS) == 1
    b = board(APP, ready=b"ready")

    def run(port: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", BLOCKS[0]],
            env={**ENV, "EDGECKPT_PORT": str(port)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = run(b.link)
    assert done.stdout.splitlines() == [
        "sequence 1 health ok",
        "boots 3",
        "now sequence 2",
        "sequence 2 slot 8 ok",
        "sequence 1 slot 0 ok",
        "checkpoint of 9 bytes",
    ], done
    shown = edgeckpt("show", "state.img", "--json").json
    assert shown["plain"] == {"boots": 3, "gains": [1.0, 0.5]}
    failed = run(tmp_path / "none")
    assert failed.returncode == 1 and failed.stderr.startswith("port: "), failed


def test_the_example_of_the_package(board: Callable[..., VirtualBoard], tmp_path: Path) -> None:
    b = board(APP, ready=b"ready")
    with Board.open(str(b.link), restart=False) as host:
        image.write_file(tmp_path / "other.img", host.pull(host.lease()).blocks)
    lines = re.findall(r"^    (.*)$", edgeckpt_host.__doc__ or "", re.MULTILINE)
    code = "\n".join(lines).replace("/dev/ttyACM0", str(b.link))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=ENV, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.stdout.split() == [b"1"] and (tmp_path / "state.img").exists(), done
    with Board.open(str(b.link), restart=False) as host:
        # Its program ran again meanwhile, and made one of its own.
        assert [sequence for sequence, _, _ in host.history(host.lease())][-2:] == [2, 1]


def test_the_names_of_the_package() -> None:
    for place, names in edgeckpt_host._PLACES.items():
        for name in names:
            assert getattr(edgeckpt_host, name).__module__ == f"edgeckpt_host.{place}"
    with pytest.raises(AttributeError, match="surprise"):
        edgeckpt_host.surprise  # noqa: B018


ELSEWHERE = ("progress", "ping", "describe", "read", "write", "close")
PLACES = {
    "commands": (commands,),
    "board": (Board, board_module),
    "image": (image,),
    "state": (state,),
}


@pytest.mark.parametrize("name", PLACES)
def test_the_signatures(name: str) -> None:
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert section
    for function, told in re.findall(r"`(?:Board\.)?(\w+)\(([^`]*)\)`", section[1]):
        if function in ELSEWHERE or "..." in told:
            continue
        found = next((getattr(p, function) for p in PLACES[name] if hasattr(p, function)), None)
        assert found is not None, function
        parameters = inspect.signature(found).parameters.values()
        true = [
            p.name if p.default is p.empty else f"{p.name}={p.default!r}"
            for p in parameters
            if p.name not in ("self", "cls")
        ]
        given = [a.replace('"', "'") for a in told.split(", ") if a != "*"]
        assert [a for a in given if a] == true, function
