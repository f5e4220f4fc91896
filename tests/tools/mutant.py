"""A defect put into a copy of the firmware, to see that the tests bite."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"


@dataclass(frozen=True)
class Mutant:
    """`old`, which must occur exactly once in `file` (below edgeckpt/), becomes `new`: a mutant
    that no longer fits the source fails loudly. `caught_by`: runs of device scripts, any of
    which must fail."""

    name: str
    file: str
    old: str
    new: str
    caught_by: tuple[tuple[str, ...], ...]

    def build(self, folder: Path) -> Path:
        """A copy of the firmware with this defect below `folder`; what to import from."""
        shutil.copytree(FIRMWARE / "edgeckpt", folder / "edgeckpt")
        path = folder / "edgeckpt" / self.file
        text = path.read_text()
        assert text.count(self.old) == 1, f"{self.name}: no longer fits {self.file}"
        path.write_text(text.replace(self.old, self.new))
        return folder
