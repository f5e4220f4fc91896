"""What lies where on each board: file system, lease, reserved ranges, from MicroPython's sources.

    python -m boards.tools.layout [TREE]        # default: MPY_DIR, or Debian's sources

Promises: every number comes from the sources of the port or from what this repository builds with
(board.toml, partitions.csv, _boot.py), none is written here; a lease that overlaps a file system,
a reserved range or an end, and a board whose layout is not read at all, make it fail.

Sizes of the flash of rp2 boards are the Pico SDK's (src/boards/include/boards).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from boards.tools.board import BOARDS, Board, load, names

BLOCK = 4096


@dataclass(frozen=True)
class Range:
    """Bytes [start, end) of one medium, and what they are; `source` says where that stands."""

    medium: str
    what: str
    start: int
    end: int
    source: str
    lease: bool = False


def _number(text: str, **names: int) -> int:
    """An expression of a C header or of CMake: integers, the given names, + - * and brackets."""
    for name, value in names.items():
        text = text.replace(name, str(value))
    text = re.sub(r"(?<=\d)[uUlL]+\b", "", text.strip())
    if not re.fullmatch(r"[\s\dxXa-fA-F+*()-]+", text):
        raise ValueError(f"cannot read the number {text!r}")
    return int(eval(text))  # checked above: digits and operators only


def _find(paths: list[Path], pattern: str) -> tuple[str, Path]:
    for path in paths:
        if path.is_file():
            found = re.search(pattern, path.read_text(), re.M)
            if found:
                return found[1], path
    raise ValueError(f"{pattern!r} is in none of {', '.join(str(p) for p in paths)}")


def rp2(board: Board, tree: Path) -> list[Range]:
    """Storage at the end of the flash; our _boot.py leaves its last blocks to leases."""
    folder = tree / "ports" / "rp2" / "boards" / board.name
    sdk = board.name.removeprefix("RPI_").lower()
    text, header = _find(
        [tree / "lib/pico-sdk/src/boards/include/boards" / f"{sdk}.h"],
        r"define PICO_FLASH_SIZE_BYTES\s+(.*)",
    )
    flash = _number(text)
    text, config = _find(
        [folder / "mpconfigboard.h", folder / "mpconfigboard.cmake"],
        r"MICROPY_HW_FLASH_STORAGE_BYTES\s+(\d+|\([^)\n]*\))",
    )
    storage = _number(text, PICO_FLASH_SIZE_BYTES=flash)
    boot = BOARDS / "RPI_PICO" / "modules" / "_boot.py"
    left = _number(_find([boot], r"_mount\(_total - (\d+)\)")[0])
    found = [
        Range("rp2.Flash()", "file system", 0, storage - left * BLOCK, str(boot)),
        Range("rp2.Flash()", "end", storage, flash + storage, str(config)),
    ]
    if "2" in sdk:
        # RP2350-E10: a UF2 file for it carries a block for the last address, and the boot ROM of
        # the first revisions erases the last sector of the flash for it.
        found.append(Range("rp2.Flash()", "RP2350-E10", storage - BLOCK, storage, str(header)))
    return found


def _csv(path: Path) -> dict[str, tuple[int, int]]:
    rows = {}
    for line in path.read_text().splitlines():
        words = [w.strip() for w in line.split("#")[0].split(",")]
        if len(words) >= 5:
            rows[words[0]] = (_number(words[3]), _number(words[4]))
    return rows


def esp32(board: Board, tree: Path) -> list[Range]:
    """Our partition table beside the port's: all but vfs is where it was."""
    ours = _csv(board.folder / "partitions.csv")
    mib = _number(_find([board.folder / "board.toml"], r"^name = .*\((\d+) MiB\)")[0])
    folder = tree / "ports" / "esp32"
    tables = [folder / f"partitions-{k}.csv" for k in (f"{mib}MiB", "4MiBplus")]
    stock = next((p for p in tables if p.exists()), None)  # "plus" since it finds the size itself
    if stock is None:
        raise ValueError(f"none of {', '.join(str(p) for p in tables)}")
    for name, place in _csv(stock).items():
        if name != "vfs" and ours.get(name) != place:
            raise ValueError(f"{board.name}: {name} is {ours.get(name)}, in {stock} {place}")
    found = [
        Range(
            "flash",
            name,
            start,
            start + size,
            str(board.folder / "partitions.csv"),
            name == "ckpt",
        )
        for name, (start, size) in ours.items()
    ]
    found.append(Range("flash", "end", mib << 20, mib << 21, "board.toml"))
    found.append(Range("flash", "boot loader, partition table", 0, 0x9000, "ESP-IDF, 0x8000"))
    return found


def whole_chip(board: Board, tree: Path) -> list[Range]:
    """A chip or card that is only on the board if somebody put it there: nothing to overlap. The
    port must know the board by this name."""
    if not any(tree.glob(f"ports/*/boards/{board.name}")):
        raise ValueError(f"{board.name}: no such board in {tree}/ports")
    return []


def ranges(name: str, tree: Path) -> list[Range]:
    """All that lies on the media of a board; ValueError where it cannot be told."""
    board = load(name)
    if (board.folder / "partitions.csv").exists():
        return esp32(board, tree)
    if name.startswith("RPI_PICO"):
        found = rp2(board, tree)
        for region in board.leases:
            if region.device == "rp2.Flash()":
                start, end = region.start * BLOCK, (region.start + region.count) * BLOCK
                toml = str(board.folder / "board.toml")
                found.append(Range("rp2.Flash()", "lease", start, end, toml, True))
        return found
    return whole_chip(board, tree)


def overlaps(found: list[Range]) -> list[str]:
    """What goes into what it must not."""
    bad = []
    for a in found:
        for b in found:
            if a.lease and a is not b and a.medium == b.medium:
                if a.start < b.end and b.start < a.end:
                    bad.append(f"{a.what} 0x{a.start:x}..0x{a.end:x} runs into {b.what}")
        if a.lease and (a.start % BLOCK or a.end % BLOCK):
            bad.append(f"{a.what} 0x{a.start:x}..0x{a.end:x}: not whole blocks of {BLOCK}")
    return bad


def main() -> int:
    from boards.tools.micropython import tree as sources

    tree = Path(sys.argv[1]) if len(sys.argv) > 1 else sources()
    failed = 0
    for name in names():
        if name == "unix":
            continue
        found = ranges(name, tree)
        print(name if found else f"{name}: leases on a medium of their own")
        for r in sorted(found, key=lambda r: r.start):
            if r.what != "end":
                print(f"  {r.medium:12} 0x{r.start:06x}..0x{r.end:06x}  {r.what:28} {r.source}")
        for why in overlaps(found):
            print(f"  OVERLAP: {why}")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
