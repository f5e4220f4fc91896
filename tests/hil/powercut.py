"""Power cuts on the emulated Pico: before, in and after every flash operation of checkpoints.

    python -m tests.hil.powercut flash|nor|sd [--checkpoints N] [--cuts N] [--seed S]

The real firmware runs N consecutive checkpoints (12). For each operation of each of them, in a
forked copy of the whole board: power fails there, and a second board that has just booted (RAM
as after power-up) gets the medium as the cut left it. There restore() must give the last state
whose checkpoint() had returned, or the one in flight, whole; and the next checkpoint must work.
On SD, which has no erases, `--cuts` (200) cuts are spread over the block writes.

Both boards run in this process; every operation of the on-chip flash is checked to be a whole
aligned page or sector, chips on SPI0 are the strict models of boards/models.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from boards.models import faults, ram
from boards.tools.firmware import build
from boards.tools.pico import STORAGE, Pico, PowerCut, chip

GUEST = Path(__file__).parent / "device" / "powercut_guest.py"
REGION = (STORAGE + 320 * 4096, STORAGE + 352 * 4096)
WHEN = ("before", "in", "after")
SD_WHEN = ("before", "after", "in", "in", "in", "in", "in", "in")


class Medium:
    """What differs between the three: where operations are counted, cut and kept."""

    def __init__(self, name: str, image: Path):
        self.name = name
        self.unrelated = False
        maker = None if name == "flash" else chip(name)
        self.writer = Pico(image, maker)
        self.reader = Pico(image, maker)
        for board in (self.writer, self.reader):
            board.reset()
            board.exec(GUEST.read_text())
            board.exec(f"make = {name}")
            board.watch()
            if name == "nor":
                board.chip.array.fence = (16 * 4096, 19 * 4096)
            elif name == "sd":
                board.chip.disk.fence = (64, 80)

    def _cells(self, board: Pico) -> Any:
        """The array of the chip on SPI0."""
        return board.chip.array if self.name == "nor" else board.chip.disk

    @property
    def ops(self) -> int:
        return self.writer.ops if self.name == "flash" else self._cells(self.writer).ops

    def arm(self, op: int, when: str, seed: int) -> None:
        """Cut at the operation that comes after `op` others."""
        if self.name == "flash":
            self.writer.cut_at, self.writer.cut_when = op, when
            self.writer.dice = random.Random(seed)
            return
        dice = faults.Dice(seed)
        steady = {"before": "none", "after": "all"}.get(when)
        if self.name == "nor":
            program = steady or dice.pick(faults.PROGRAM_CUTS)
            cut: Any = faults.Cut(op + 1, program, steady or dice.pick(faults.ERASE_CUTS), dice)
        elif steady is None and dice.below(8) == 0:
            self.unrelated = True
            cut = ram.SectorCut(op + 1, dice.pick(ram.UNRELATED_CUTS), dice)
        else:
            cut = ram.SectorCut(op + 1, steady or dice.pick(ram.SECTOR_CUTS), dice)
        self._cells(self.writer).faults = cut

    def hand_over(self) -> str:
        """Give the medium, as the cut left it, to the board that has just booted.

        Returns a digest of it: what is the same to the last cell is verified once.
        """
        if self.name == "flash":
            left: Any = self.writer.save(*REGION)
            self.reader.load(left, REGION[0])
        else:
            left = self._cells(self.writer).save()
            self._cells(self.reader).restore(left)
            self.reader.chip.power_cycle()
        return hashlib.sha256(repr(left).encode()).hexdigest()

    def damaged(self) -> bool:
        """Whether a sector that was not being written was damaged, as SD cards do."""
        return self.unrelated

    def violations(self) -> list[str]:
        """What a real chip would not have stood."""
        if self.name == "flash":
            return []  # every one ends the run at once
        cells = self._cells(self.writer)
        found = list(cells.violations) + [f"refused: {r}" for r in self.writer.chip.refused]
        if self.name == "nor" and (cells.over or cells.again):
            found.append(f"{cells.again} pages programmed twice, {cells.over} over other bits")
        return found


def one_cut(
    medium: Medium, op: int, when: str, number: int, seed: int, known: dict[str, str]
) -> tuple[str, str]:
    """In a forked copy: the digest of the medium, and "newest", "in flight", "nothing yet",
    "damage", or what went wrong."""
    medium.arm(op, when, seed)
    try:
        medium.writer.exec(f"step({number})")
        return "", f"operation {op} was never reached"
    except PowerCut:
        pass
    digest = f"{medium.hand_over()} {number} {medium.damaged()}"
    if digest in known:
        return digest, known[digest]
    go_on = when == "in"
    answer = medium.reader.exec(f"verify(make, {medium.damaged()}, {go_on})").split()
    result = f"LOST: {' '.join(answer)}"
    if answer[0] == "none" and number == 1:
        result = "nothing yet"
    elif answer[0] == "state" and answer[2] == "True":
        if int(answer[1]) in (number - 1, number):
            result = "in flight" if int(answer[1]) == number else "newest"
        elif medium.damaged() and int(answer[1]) < number:
            result = "damage"
    elif medium.damaged() and answer[0] == "none":
        result = "damage"
    return digest, result


def forked(medium: Medium, *arguments: object) -> tuple[str, str]:
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            pair = one_cut(medium, *arguments)
        except BaseException as e:
            pair = ("", f"{type(e).__name__}: {e}")
        os.write(write, json.dumps(pair)[:4000].encode())
        os._exit(0)
    os.close(write)
    parts = []
    while part := os.read(read, 4096):
        parts.append(part)
    os.close(read)
    os.waitpid(pid, 0)
    return tuple(json.loads(b"".join(parts)))


def reached(medium: Medium, number: int) -> int:
    """How many operations step(number) takes: tried in a forked copy."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            first = medium.ops
            medium.writer.exec(f"step({number})")
            os.write(write, str(medium.ops - first).encode())
        finally:
            os._exit(0)
    os.close(write)
    count = int(os.read(read, 20) or b"-1")
    os.close(read)
    os.waitpid(pid, 0)
    return count


def sweep(name: str, checkpoints: int, cuts: int, seed: int) -> int:
    """Print every loss and the totals; returns the number of losses."""
    begun = time.monotonic()
    medium = Medium(name, build("RPI_PICO") / "firmware.uf2")
    medium.writer.exec("begin(make)")
    dice = random.Random(seed)
    results: dict[str, int] = {}
    known: dict[str, str] = {}
    operations = done = lost = 0
    first_life = medium.ops
    for number in range(1, checkpoints + 1):
        count = reached(medium, number)
        base = medium.ops
        if name == "sd":
            per = -(-cuts // checkpoints)
            plan = [(base + i % count, SD_WHEN[(i // count) % 8]) for i in range(per)]
        else:
            plan = [(base + i, when) for i in range(count) for when in WHEN]
        for op, when in plan:
            one = dice.randrange(1 << 30)
            digest, result = forked(medium, op, when, number, one, known)
            known[digest] = result
            results[result] = results.get(result, 0) + 1
            done += 1
            if result not in ("newest", "in flight", "nothing yet", "damage"):
                lost += 1
                print(f"checkpoint {number}, {when} operation {op - first_life}: {result}")
        medium.writer.exec(f"step({number})")
        operations += count
    for text in medium.violations():
        lost += 1
        print(text)
    seconds = time.monotonic() - begun
    print(
        f"{name}: {checkpoints} checkpoints, {operations} operations, {done} cuts,"
        f" {lost} states lost; {len(known)} different media; {results};"
        f" seed {seed}; {seconds:.0f} s"
    )
    return lost


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.hil.powercut")
    words.add_argument("medium", choices=["flash", "nor", "sd"])
    words.add_argument("--checkpoints", type=int, default=12)
    words.add_argument("--cuts", type=int, default=200, help="on SD")
    words.add_argument("--seed", type=int, default=1)
    options = words.parse_args()
    lost = sweep(options.medium, options.checkpoints, options.cuts, options.seed)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
