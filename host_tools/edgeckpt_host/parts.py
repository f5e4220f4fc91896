"""Interrupted pulls: the blocks that have come, kept beside the file they are to become.

A part file is a text line (what it is a part of) and records of index, CRC-32 and one block.

Promises: a record counts only if its CRC-32 holds, so a file that was cut anywhere is good up to
there; a part of something else is never used.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from zlib import crc32

from .errors import HostError


class PartFile:
    """The part file of `path` for the thing `key` names, in blocks of `block_size` bytes.

    `have`: the blocks that are there, a dict; what is stored in it is written at once. Beside
    stdout, a device or a FIFO nothing is kept.
    """

    def __init__(self, path: Path, key: str, block_size: int) -> None:
        self.path = path.with_name(path.name + ".part")
        self._head = f"edgeckpt part 1 {block_size} {key}\n".encode()
        self._size = block_size
        self.have: dict[int, bytes] = _Kept(self)
        self.resumed = 0
        if str(path) == "-" or path.exists() and not path.is_file():
            self.path = Path(os.devnull)
        try:
            self._load()
            self._file = self.path.open("ab")
            if not self._file.tell():
                self._file.write(self._head)
        except OSError as e:
            raise HostError("file", f"{self.path}: cannot be written: {e.strerror or e}") from e

    def _load(self) -> None:
        if not self.path.is_file():
            return
        data = self.path.read_bytes()
        if not data.startswith(self._head):
            self.path.unlink()
            return
        at = len(self._head)
        record = 8 + self._size
        while at + record <= len(data):
            block = data[at + 8 : at + record]
            index = int.from_bytes(data[at : at + 4], "little")
            if crc32(block) != int.from_bytes(data[at + 4 : at + 8], "little"):
                break
            dict.__setitem__(self.have, index, block)
            at += record
        self.resumed = len(self.have)
        if at < len(data):
            with self.path.open("r+b") as f:
                f.truncate(at)

    def store(self, index: int, block: bytes) -> None:
        self._file.write(index.to_bytes(4, "little") + crc32(block).to_bytes(4, "little") + block)

    def restart(self) -> None:
        """Forget all blocks."""
        if self.path.is_file():
            self._file.truncate(len(self._head))
        self.resumed = 0

    def done(self) -> None:
        """The whole has been written elsewhere: the part is not needed any more."""
        self._file.close()
        self._remove()

    def _remove(self) -> None:
        if self.path.is_file():
            self.path.unlink()

    def __enter__(self) -> PartFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self.have:
            self._remove()


class _Kept(dict[int, bytes]):
    # The blocks in memory; each goes to the file when it comes.
    def __init__(self, part: PartFile) -> None:
        super().__init__()
        self._part = part

    def __setitem__(self, index: int, block: bytes) -> None:
        if self.get(index) != block:
            self._part.store(index, block)
        super().__setitem__(index, block)

    def clear(self) -> None:
        super().clear()
        self._part.restart()
