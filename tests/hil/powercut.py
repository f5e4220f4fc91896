"""Power cuts on the emulated Pico: before, in and after every flash operation of checkpoints.

    python -m tests.hil.powercut flash|nor|sd [--first N] [--last N] [--cuts N] [--seed S]

The real firmware makes checkpoints 1, 2, ...; those from `--first` to `--last` (1 to 12) are cut.
At each operation of them the whole board is forked, as often as it is to be cut there. In the
copy power fails at that very operation; a second board, that has just booted (RAM as after
power-up, the chip initialised), gets the medium as the cut left it. There restore() must give
the last state whose checkpoint() had returned, or the one in flight, whole; after cuts *in* an
operation the next checkpoint must work too. The board that was forked goes on, uncut. On SD,
which has no erases, at least `--cuts` (200) cuts are spread evenly over the block writes.

Both boards run in this process; every operation of the on-chip flash is checked to be a whole
aligned page or sector, chips on SPI0 are the strict models of boards/models. What is the same
medium to the last cell is verified once.
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
from boards.models.sdspi import SDCardModel
from boards.models.w25q import W25Q
from boards.tools.firmware import build
from boards.tools.pico import STORAGE, Pico, PowerCut

GUEST = Path(__file__).parent / "device" / "powercut_guest.py"
REGION = (STORAGE + 320 * 4096, STORAGE + 352 * 4096)
WHEN = ("before", "in", "after")
SD_WHEN = ("before", "after", "in", "in", "in", "in", "in", "in")
GOOD = ("newest", "in flight", "nothing yet", "damage")

# As boards/tools/pico.py has them, but quick: what is not waited for need not be emulated.
CHIPS = {
    "flash": None,
    "nor": lambda clock: W25Q(1 << 20, clock, times=(50, 500, 1000, 1500, 500)),
    "sd": lambda clock: SDCardModel(4096, clock, times=(10, 50, 500)),
}


class Forks(faults.Faults):
    """In the place of a chip's faults: tells the sweep of each operation before it happens."""

    def __init__(self, sweep: Sweep):
        self.sweep = sweep

    def _cut(self, cells: Any) -> Any:
        # The fault for this operation: in a forked copy one that cuts, else none.
        when = self.sweep.at_operation()
        if when:
            cells.faults = self.sweep.fault(cells, when)
        return cells.faults if when else None

    def program(self, chip: Any, at: int, data: Any) -> Any:
        cut = self._cut(chip)
        return cut.program(chip, at, data) if cut else chip.store(at, data)

    def erase(self, chip: Any, at: int) -> Any:
        cut = self._cut(chip)
        return cut.erase(chip, at) if cut else chip.clear(at)

    def write(self, disk: Any, n: int, data: Any) -> Any:
        cut = self._cut(disk)
        return cut.write(disk, n, data) if cut else disk.store(n, data)


class Sweep:
    """One medium; the cuts of checkpoints `first` to `last`."""

    def __init__(self, name: str, first: int, last: int, cuts: int, seed: int):
        self.name = name
        self.first, self.last = first, last
        self.dice = random.Random(f"{seed} {name} {first}")
        self.seed = 0  # of the cut that a copy makes
        # Two block writes make a checkpoint of this size on SD: its data and its header.
        self.per_sd = -(-cuts // (2 * (last - first + 1)))
        self.number = 0  # of the checkpoint being made
        self.unrelated = False  # whether a sector was damaged that nobody wrote, as SD cards do
        self.pipe = -1  # in a copy: where the result goes
        self.known: dict[str, str] = {}
        self.results = dict.fromkeys(GOOD, 0)
        self.operations = self.done = self.lost = 0
        image = build("RPI_PICO") / "firmware.uf2"
        self.writer, self.reader = (Pico(image, CHIPS[name]) for _ in range(2))
        for board in (self.writer, self.reader):
            board.reset()
            board.exec(GUEST.read_text())
            board.exec(f"lease = {name}()")
            board.watch()
            if name != "flash":
                fence = (16 * 4096, 19 * 4096) if name == "nor" else (64, 80)
                self.cells(board).fence = fence
        if name == "flash":
            self.writer.on_op = self._on_flash
        else:
            self.cells(self.writer).faults = Forks(self)

    def cells(self, board: Pico) -> Any:
        """The array of the chip on SPI0."""
        return board.chip.array if self.name == "nor" else board.chip.disk

    # At each operation

    def at_operation(self) -> str:
        """Before each operation: fork for each cut. "" in the board that goes on; in a copy
        when, relative to the operation, power is to fail."""
        if self.pipe >= 0 or not self.first <= self.number <= self.last:
            return ""
        self.operations += 1
        plan = WHEN
        if self.name == "sd":
            plan = tuple(SD_WHEN[i % len(SD_WHEN)] for i in range(self.per_sd))
        for when in plan:
            seed = self.dice.randrange(1 << 30)
            read, write = os.pipe()
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                os.close(read)
                self.pipe, self.when, self.seed = write, when, seed
                return when
            os.close(write)
            with os.fdopen(read, "rb") as f:
                answer = f.read()
            os.waitpid(pid, 0)
            self._count(when, answer)
        return ""

    def _count(self, when: str, answer: bytes) -> None:
        digest, result = json.loads(answer) if answer else ("", "the copy died")
        if digest:
            self.known[digest] = result
        self.done += 1
        if result in GOOD:
            self.results[result] += 1
        else:
            self.lost += 1
            where = f"checkpoint {self.number}, {when} operation {self.operations}"
            print(f"{where} of the sweep: {result}")

    def _on_flash(self, kind: str, at: int, size: int, data: bytes) -> None:
        when = self.at_operation()
        if when:
            self.writer.cut_at, self.writer.cut_when = self.writer.ops - 1, when
            self.writer.dice = random.Random(self.seed)

    def fault(self, cells: Any, when: str) -> Any:
        """A fault that cuts the operation that `cells` has just begun."""
        dice = faults.Dice(self.seed)
        steady = {"before": "none", "after": "all"}.get(when)
        if self.name == "nor":
            program = steady or dice.pick(faults.PROGRAM_CUTS)
            return faults.Cut(cells.ops, program, steady or dice.pick(faults.ERASE_CUTS), dice)
        self.unrelated = steady is None and dice.below(8) == 0
        ways = ram.UNRELATED_CUTS if self.unrelated else ram.SECTOR_CUTS
        return ram.SectorCut(cells.ops, steady or dice.pick(ways), dice)

    # In a copy, after the cut

    def _hand_over(self) -> str:
        # The medium, as the cut left it, to the other board; a digest of it.
        hashed = hashlib.sha256()
        if self.name == "flash":
            left: Any = self.writer.save(*REGION)
            self.reader.load(left, REGION[0])
            hashed.update(left)
        else:
            left = self.cells(self.writer).save()
            self.cells(self.reader).restore(left)
            hashed.update(left[0])
            hashed.update(repr(left[1:] if self.name == "sd" else left[1]).encode())
            if self.name == "nor" and left[2]:
                hashed.update(f"marginal cells of {self.seed}".encode())
        return hashed.hexdigest()

    def verdict(self) -> tuple[str, str]:
        """The digest of the medium, and one of GOOD or what went wrong."""
        go_on = self.when == "in"
        digest = f"{self._hand_over()} {self.number} {self.unrelated} {go_on}"
        if digest in self.known:
            return digest, self.known[digest]
        said = self.reader.exec(f"verify(lease, {self.unrelated}, {go_on})").split()
        if broken := self.violations(self.reader):
            return digest, f"violated: {broken}"
        if said[0] == "none" and self.number == 1:
            return digest, "nothing yet"
        if said[0] == "state" and said[2] == "True":
            if int(said[1]) in (self.number - 1, self.number):
                return digest, "in flight" if int(said[1]) == self.number else "newest"
            if self.unrelated and int(said[1]) < self.number:
                return digest, "damage"
        if self.unrelated and said[0] == "none":
            return digest, "damage"
        return digest, f"LOST: {' '.join(said)}"

    def _end_copy(self, error: BaseException) -> None:
        if isinstance(error, PowerCut):
            try:
                pair = self.verdict()
            except BaseException as e:
                pair = ("", f"{type(e).__name__}: {e}")
        else:
            pair = ("", f"no power cut, but {type(error).__name__}: {error}")
        os.write(self.pipe, json.dumps(pair).encode()[:60000])
        os._exit(0)

    # All of it

    def run(self) -> None:
        """Make the checkpoints, and the cuts."""
        self._tried("begin(lease)")
        for number in range(1, self.last + 1):
            self.number = number
            self._tried(f"step({number})")

    def _tried(self, source: str) -> None:
        try:
            self.writer.exec(source, timeout=3600)  # the copies' time is in it
        except BaseException as e:
            if self.pipe >= 0:
                self._end_copy(e)
            raise
        if self.pipe >= 0:
            self._end_copy(AssertionError("the script ended"))

    def violations(self, board: Pico) -> list[str]:
        """What a real chip would not have stood."""
        if self.name == "flash":
            return []  # every one ends the run at once
        cells = self.cells(board)
        found = list(cells.violations) + [f"refused: {r}" for r in board.chip.refused]
        if self.name == "nor" and (cells.over or cells.again):
            found.append(f"{cells.again} pages programmed twice, {cells.over} over other bits")
        return found


def sweep(name: str, first: int, last: int, cuts: int, seed: int) -> int:
    """Print every loss and the totals; returns the number of losses."""
    begun = time.monotonic()
    run = Sweep(name, first, last, cuts, seed)
    booted = time.monotonic()
    run.run()
    for text in run.violations(run.writer):
        run.lost += 1
        print(text)
    if name == "sd" and run.done < cuts:
        run.lost += 1
        print(f"{run.done} cuts made, {cuts} asked for")
    now = time.monotonic()
    print(
        f"{name}: checkpoints {first}..{last}, {run.operations} operations, {run.done} cuts,"
        f" {run.lost} states lost; {len(run.known)} different media; {run.results}; seed {seed};"
        f" {now - begun:.0f} s, {(now - booted) / max(1, run.done):.2f} s a cut"
    )
    return run.lost


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.hil.powercut")
    words.add_argument("medium", choices=["flash", "nor", "sd"])
    words.add_argument("--first", type=int, default=1, help="checkpoint that is cut first")
    words.add_argument("--last", type=int, default=12)
    words.add_argument("--cuts", type=int, default=200, help="on SD")
    words.add_argument("--seed", type=int, default=1)
    options = words.parse_args()
    lost = sweep(options.medium, options.first, options.last, options.cuts, options.seed)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
