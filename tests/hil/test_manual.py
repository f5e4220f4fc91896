"""docs/manual.md, command by command: it prints what the manual says, on emulated Picos.

A ```console block holds commands after `$ ` and under each what it prints; `...` matches anything
on a line. A ```python block with a name is a file. `<!-- test: ... -->` tells what a reader does
by hand, or which test runs the next block.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs" / "manual.md"
PART = re.compile(r"^```(\w*) ?(\S*)\n(.*?)^```$|<!-- test: (.*?) -->", re.DOTALL | re.MULTILINE)
SHIM = '#!/bin/sh\nexec "{python}" -m {module} "$@"\n'
MAKE = """#!/bin/sh
# `make firmware BOARD=NAME` without setting up a virtual environment first
cd "{root}" && exec "{python}" -m boards.tools.firmware "${{2#BOARD=}}"
"""


class Reader:
    """Who follows the manual, in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.boards: dict[str, subprocess.Popen[str]] = {}
        bin_ = folder / "bin"
        bin_.mkdir()
        for name, module in (("edgeckpt", "edgeckpt_host.cli"), ("mpremote", "mpremote")):
            (bin_ / name).write_text(SHIM.format(python=sys.executable, module=module))
        (bin_ / "make").write_text(MAKE.format(root=ROOT, python=sys.executable))
        (bin_ / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        for f in bin_.iterdir():
            f.chmod(0o755)
        path = os.pathsep.join(str(ROOT / p) for p in ("firmware", "host_tools", "."))
        self.environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    def start(self, command: str) -> str:
        """A command in a terminal of its own: the board whose link it names."""
        words = shlex.split(command, comments=True)
        board = subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment,
            executable=str(self.folder / "bin" / words[0]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.boards[words[words.index("--link") + 1]] = board
        assert board.stdout is not None
        assert board.stdout.readline().startswith("port "), command
        return ""

    def power_cycle(self, name: str) -> None:
        board = self.boards[name]
        assert board.stdin is not None and board.stdout is not None
        board.stdin.write("reset\n")
        assert board.stdout.readline() == "reset\n"

    def close(self) -> None:
        for board in self.boards.values():
            assert board.stdin is not None
            board.stdin.close()
            try:
                board.wait(10)
            except subprocess.TimeoutExpired:
                board.kill()


def commands(block: str) -> list[tuple[str, str]]:
    """(command, what it prints) of a console block."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        found.append((command, output))
    return found


def matches(told: str, printed: str) -> bool:
    lines = [re.escape(line.rstrip()).replace(r"\.\.\.", ".*") for line in told.splitlines()]
    text = "\n".join(line.rstrip() for line in printed.splitlines())
    return re.fullmatch("\n".join(lines), text) is not None


@pytest.mark.hil
def test_the_manual_says_what_happens(edgeckpt_image: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    ran = cycles = 0
    elsewhere = False
    try:
        for part in PART.finditer(MANUAL.read_text()):
            kind, name, text, note = part.groups()
            if note:
                if note.startswith("power cycle of "):
                    reader.power_cycle(note.rpartition(" ")[2])
                    cycles += 1
                else:
                    assert (ROOT / note.rpartition(" ")[2]).is_file(), note
                    elsewhere = True
            elif kind == "python":
                assert name, f"a python block without a file name:\n{text}"
                (tmp_path / name).write_text(text)
            elif elsewhere:
                elsewhere = False
            else:
                assert kind == "console", f"a block of another kind: {kind}"
                for command, told in commands(text):
                    alone = command.endswith("# in a terminal of its own")
                    printed = reader.start(command) if alone else reader.run(command)
                    assert matches(told, printed), f"$ {command}\ntold:\n{told}\ngot:\n{printed}"
                    ran += 1
    finally:
        reader.close()
    assert ran >= 20 and cycles == 1, (ran, cycles)
