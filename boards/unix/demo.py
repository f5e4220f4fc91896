#!/usr/bin/env python3
"""`make demo`: the main job on a virtual board, over a serial line, on one screen. Exit 0 or 1.

Everything here is the real thing: MicroPython, the module, a pty, the `edgeckpt` command. Only
the chip is a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from vboard import ROOT, VirtualBoard  # noqa: E402

APP = HERE / "stage_app.py"
ENV = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(
        [str(ROOT / "firmware"), str(ROOT / "host_tools"), os.environ.get("PYTHONPATH", "")]
    ),
    "NO_COLOR": "1",
}
CHECKPOINTS = 300


class Console:
    """What the board's program prints: `saving N`, `saved SEQUENCE N`, `resumed SEQUENCE N`."""

    def __init__(self) -> None:
        self.text = b""

    def __call__(self, data: bytes) -> None:
        self.text += data

    def last(self, word: str, start: int = 0) -> list[int]:
        """The numbers of the last whole line, from `start` on, that begins with `word`."""
        for line in reversed(self.text[start:].split(b"\n")[:-1]):
            fields = line.split()
            if fields[:1] == [word.encode()]:
                return [int(n) for n in fields[1:]]
        return []


def wait(what: str, condition, seconds: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"demo: no {what} within {seconds:.0f} s")
        time.sleep(0.0005)


def edgeckpt(*words: object, show: int = 99) -> str:
    """Run the command as a user does; print it and the first lines of what it says."""
    args = [str(w) for w in words]
    print("  $ edgeckpt " + " ".join(a.replace(f"{os.getcwd()}/", "") for a in args))
    command = [sys.executable, "-m", "edgeckpt_host.cli", *args]
    r = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=60)
    lines = r.stdout.splitlines()
    for line in lines[:show]:
        print("    " + (line if len(line) < 93 else line[:90] + "..."))
    if len(lines) > show:
        print("    ...")
    if r.returncode:
        raise SystemExit(f"demo: exit code {r.returncode}: {r.stderr.strip()}")
    return r.stdout


def state_of(path: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "edgeckpt_host.cli", "show", "--json", str(path)]
    text = subprocess.run(command, env=ENV, capture_output=True, text=True, check=True).stdout
    document: dict[str, object] = json.loads(text)
    return document


def cut_in_flush(board: VirtualBoard, console: Console) -> tuple[int, int]:
    """Kill the board while a checkpoint is being written: (samples saved, samples under way)."""
    for _ in range(2000):
        n = console.last("saved")[1]
        wait("further checkpoint", lambda n=n: (console.last("saving") or [0])[0] > n)
        board.power_off()
        saving, saved = console.last("saving")[0], console.last("saved")[1]
        if saving > saved:
            return saved, saving
        board.power_on()
        wait("further checkpoint", lambda n=n: console.last("saved")[1] > n)
    raise SystemExit("demo: the power never failed in the middle of a checkpoint")


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        here = Path(directory)
        console = Console()
        timing = {"speed": 5, "grain": 16, "env": {"STAGE_PERIOD_MS": "2"}}
        a = VirtualBoard(here / "a.chip", APP, link=here / "boardA", **timing)
        b = VirtualBoard(here / "b.chip", APP, link=here / "boardB", env={"STAGE_PERIOD_MS": "50"})
        try:
            print("1. A board (MicroPython, 1 MiB NOR flash) runs a sensor pipeline and saves its")
            print("   state after every sample, in a ring of slots on its flash.")
            a.on_output = console
            a.power_on()
            wait("checkpoints", lambda: (console.last("saved") or [0])[0] >= CHECKPOINTS)
            saved, saving = cut_in_flush(a, console)
            print(f"   POWER CUT while it was writing sample {saving}; sample {saved} was saved.")
            before = len(console.text)
            a.power_on()
            wait("restart", lambda: len(console.last("resumed", before)) == 2)
            resumed = console.last("resumed", before)[1]
            print(f"   Power is back: it goes on from sample {resumed}. Nothing was lost.")
            if resumed not in (saved, saving):
                print(f"demo: FAILED: resumed {resumed}, expected {saved} or {saving}")
                return 1
            print("2. From the host, over the serial line:")
            edgeckpt("info", "--port", "boardA")
            edgeckpt("pull", "--port", "boardA", "--leave", "state.img")
            edgeckpt("verify", "state.img")
            shown = edgeckpt("show", "state.img", show=6)
            if json.loads(shown)["samples"] < resumed:
                print("demo: FAILED: the state pulled is older than the one resumed")
                return 1
            print("3. A second board takes the state over, as a new checkpoint of its own:")
            b.power_on()
            time.sleep(0.5)
            edgeckpt("restore", "--port", "boardB", "--leave", "state.img")
            edgeckpt("pull", "--port", "boardB", "--leave", "copy.img")
            edgeckpt("diff", "state.img", "copy.img")
            same = state_of(here / "state.img")["state"] == state_of(here / "copy.img")["state"]
            print("ok: the state survived the cut and the move" if same else "FAILED: they differ")
            return 0 if same else 1
        finally:
            a.close()
            b.close()
            os.chdir("/")


if __name__ == "__main__":
    sys.exit(main())
