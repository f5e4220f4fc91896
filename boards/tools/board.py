"""boards/NAME/board.toml: what host tools, builds and tests know about a board.

```
name = "Raspberry Pi Pico"      # what people call it
[firmware]                      # absent: `make firmware` does not build for it
port = "rp2"                    # folder under MicroPython's ports/
uf2_family = "0xe48bff56"       # rp2 only: the family id of the UF2 file
[[lease]]                       # regions that collide with no file system
name = "flash"                  # unique in the board
device = "rp2.Flash()"          # an expression on the board that gives the block device
setup = ["import rp2"]          # statements before it
start = 320                     # in device blocks
count = 32
erase_unit = 4096               # bytes; 0: the medium overwrites in place
guard = "..."                   # expression that is True where the region is free (optional)
[run]                           # what was run where: shown in the board table
emulated = "..."
hardware = "..."
```
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

BOARDS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Region:
    """A range of a device for leases, in device blocks."""

    name: str
    device: str
    start: int
    count: int
    erase_unit: int
    setup: tuple[str, ...] = ()
    guard: str = "True"


@dataclass(frozen=True)
class Board:
    """One board folder; `port` is '' where no firmware is built."""

    name: str
    title: str
    folder: Path
    port: str = ""
    uf2_family: str = ""
    leases: tuple[Region, ...] = ()
    run: dict[str, str] = field(default_factory=dict)

    def lease(self, name: str) -> Region:
        """The region called `name`; ValueError names those there are."""
        for region in self.leases:
            if region.name == name:
                return region
        names = ", ".join(r.name for r in self.leases)
        raise ValueError(f"{self.name}: no lease {name!r}, there are: {names}")


def names() -> list[str]:
    """All boards that have a board.toml."""
    return sorted(p.parent.name for p in BOARDS.glob("*/board.toml"))


def load(name: str) -> Board:
    """Read boards/NAME/board.toml, or NAME/board.toml where NAME is a folder elsewhere, with a
    slash in it; ValueError for what is missing, unknown or out of range."""
    folder = Path(name).resolve() if "/" in name or os.sep in name else BOARDS / name
    path = folder / "board.toml"
    if not path.is_file():
        where = f"{path}: no such file" if folder.parent != BOARDS else f"no board {name!r}"
        raise ValueError(f"{where}; boards known by name: {', '.join(names())}")
    with open(path, "rb") as f:
        table = tomllib.load(f)
    unknown = set(table) - {"name", "firmware", "lease", "run"}
    if unknown:
        raise ValueError(f"{path}: unknown {', '.join(sorted(unknown))}")
    firmware = table.get("firmware", {})
    regions = []
    for i, row in enumerate(table.get("lease", [])):
        try:
            region = Region(**{**row, "setup": tuple(row.get("setup", ()))})
        except TypeError as e:
            raise ValueError(f"{path}: lease {i}: {e}") from e
        if region.start < 0 or region.count < 1:
            raise ValueError(f"{path}: lease {region.name}: {region.start}+{region.count} blocks")
        regions.append(region)
    if not regions:
        raise ValueError(f"{path}: expected a [[lease]]")
    return Board(
        name=folder.name,
        title=table["name"],
        folder=path.parent,
        port=firmware.get("port", ""),
        uf2_family=firmware.get("uf2_family", ""),
        leases=tuple(regions),
        run=table.get("run", {}),
    )
