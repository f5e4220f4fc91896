"""Image files: what they are, and what they hold.

Three kinds: a *checkpoint* (header block and used data blocks, as `edgeckpt pull` writes), a
*plain* image (16 bytes of header, no integrity data, of any Durable-style writer), and a *dump*
(the raw content of a lease or of a whole chip), read by the very ring code of the board.

Promises: nothing is believed that its CRC-32 does not cover, except in plain images, which say
so (`integrity` is False).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from edgeckpt import header as hdr
from edgeckpt.errors import CheckpointFailed, LeaseError
from edgeckpt.lease import BlockLease
from edgeckpt.look import hex_id
from edgeckpt.scan import Scan

from .errors import HostError
from .shapes import BlockSize, Count, Crc, LeaseId, Magic, Sequence, to_json

BLOCK_SIZES = tuple(1 << n for n in range(7, 17))
MAX_FILE = 1 << 30


@dataclass
class PlainInfo:
    """A plain image: nothing vouches for its bytes."""

    source: str
    kind: Literal["plain"]
    integrity: Literal[False]
    magic: Magic
    version: Count
    block_size: BlockSize
    data_len: Count
    schema: str | None


@dataclass
class CheckpointInfo:
    """A checkpoint, of a file or of a board."""

    source: str
    kind: Literal["checkpoint"]
    integrity: Literal[True]
    magic: Magic
    version: Count
    block_size: BlockSize
    data_len: Count
    schema: str | None
    sequence: Sequence
    slot: Count
    lease_id: LeaseId
    data_crc: Crc
    schema_crc: Crc | None
    lease_blocks: Count
    slot_blocks: Count


@dataclass
class Image:
    """One checkpoint. `state`: the postcard bytes; `blocks`: header block and data blocks.

    `schema`: the text in the image, "" if there is none; `slot`: of the ring, -1 in a file.
    """

    source: str
    kind: str  # "checkpoint" or "plain"
    header: hdr.Header
    block_size: int
    state: bytes
    blocks: bytes
    schema: str = ""
    slot: int = -1
    notes: list[str] = field(default_factory=list)

    @property
    def integrity(self) -> bool:
        return self.kind == "checkpoint"

    @property
    def info(self) -> PlainInfo | CheckpointInfo:
        """What is told of an image."""
        h = self.header
        what = (h.magic.decode("latin-1"), h.version, self.block_size, h.data_len)
        schema = self.schema or None
        if not self.integrity:
            return PlainInfo(self.source, "plain", False, *what, schema)
        return CheckpointInfo(
            self.source,
            "checkpoint",
            True,
            *what,
            schema,
            h.sequence,
            h.slot_index,
            hex_id(h.lease_id),
            f"0x{h.data_crc:08x}",
            f"0x{h.schema_crc:08x}" if h.schema_crc else None,
            h.lease_blocks,
            h.slot_blocks,
        )

    def describe(self) -> dict[str, Any]:
        """The same as a dict (docs/cli.md, "image")."""
        info: dict[str, Any] = to_json(self.info)
        return info


class FileDevice:
    """Bytes as a read-only device of the extended or the simple block protocol."""

    def __init__(self, data: bytes, unit: int, erases: bool) -> None:
        self.data = data
        self.unit = unit
        if erases:
            self.readblocks: Callable[..., None] = self._extended
        else:
            self.readblocks = self._simple

    def _simple(self, n: int, buf: bytearray) -> None:
        self._extended(n, buf, 0)

    def _extended(self, n: int, buf: bytearray, off: int) -> None:
        at = n * self.unit + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, *_: object) -> None:
        raise OSError(30, "read-only image")

    def ioctl(self, op: int, arg: int) -> int:
        if op == 4:
            return len(self.data) // self.unit
        if op == 5:
            return self.unit
        raise OSError(30, "read-only image")


def read_file(path: Path | str) -> bytes:
    """The bytes of a file; `-` is stdin. HostError `file`."""
    path = Path(path)
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as f:
            data = f.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise HostError("file", f"{path}: larger than {MAX_FILE} bytes: no image")
        return data
    except OSError as e:
        raise HostError("file", f"{path}: cannot be read: {e.strerror or e}") from e


def load(
    path: Path | str,
    *,
    block_size: int | None = None,
    slot: int | None = None,
    lease_id: int | None = None,
    fallback: bool = False,
    magic: bytes = hdr.MAGIC,
    version: int = hdr.VERSION,
) -> Image:
    """The checkpoint in a file: the only one, the newest of a dump, or that in `slot`.

    block_size: of plain images, where the size of the file leaves it open.
    fallback: take an older checkpoint of a dump where the newest is corrupt.
    HostError `file`, `corrupt`, `no-checkpoint`, `version`, `lease`, `geometry`.
    """
    return parse(
        read_file(path),
        str(path),
        block_size=block_size,
        slot=slot,
        lease_id=lease_id,
        fallback=fallback,
        magic=magic,
        version=version,
    )


def parse(
    data: bytes,
    source: str,
    *,
    block_size: int | None = None,
    slot: int | None = None,
    lease_id: int | None = None,
    fallback: bool = False,
    magic: bytes = hdr.MAGIC,
    version: int = hdr.VERSION,
) -> Image:
    """As `load`, of bytes."""
    if block_size is not None and block_size not in BLOCK_SIZES:
        raise HostError(
            "geometry", f"block size {block_size}: expected a power of two, 128..65536"
        )
    h = hdr.parse(data[: hdr.SIZE + 65536], magic, version)
    if h is not None and h.kind == hdr.VALID and len(data) < h.lease_blocks * h.block_size:
        _same_lease(h, lease_id, source)
        return _checkpoint(data, h, source)
    found = dump_headers(data, magic, version)
    if found:
        dump = Dump(data, source, found, lease_id=lease_id, magic=magic, version=version)
        try:
            return dump.image(slot, fallback=fallback)
        finally:
            dump.close()
    if h is None:
        start = data[:4]
        raise HostError(
            "file",
            f"{source}: not an image: begins with {start.hex() or 'nothing'}, expected "
            f"{magic.hex()} ({magic.decode('latin-1')})",
            "images of other writers: --magic",
        )
    if h.kind == hdr.DAMAGED:
        raise HostError("corrupt", f"{source}: the header is corrupt (CRC-32 mismatch)")
    if h.kind == hdr.OTHER_VERSION:
        raise HostError("version", f"{source}: format version {h.version}, expected {version}")
    return _plain(data, h, source, block_size)


def _same_lease(h: hdr.Header, lease_id: int | None, source: str) -> None:
    if lease_id is not None and int.from_bytes(h.lease_id, "little") != lease_id:
        raise HostError(
            "lease", f"{source}: lease id {hex_id(h.lease_id)}, expected 0x{lease_id:032x}"
        )


def _checkpoint(data: bytes, h: hdr.Header, source: str, slot: int = -1) -> Image:
    wrong = hdr.impossible(h)
    if wrong:
        raise HostError("geometry", f"{source}: {wrong[0]} in the header, expected {wrong[1]}")
    size = h.block_size
    end = size + h.data_len
    if len(data) < end:
        raise HostError(
            "file",
            f"{source}: truncated: {len(data)} bytes, the header says {size} + {h.data_len}",
            "pull it again; an interrupted pull goes on where it stopped",
            have=len(data),
            want=end,
        )
    state = data[size:end]
    if crc32(state) != h.data_crc:
        raise HostError(
            "corrupt",
            f"{source}: sequence {h.sequence}: the data is corrupt: CRC-32 0x{crc32(state):08x}, "
            f"the header says 0x{h.data_crc:08x}",
            sequence=h.sequence,
        )
    whole = size * (1 + -(-h.data_len // size))
    blocks = data[:whole] + b"\xff" * (whole - len(data[:whole]))
    return Image(source, "checkpoint", h, size, state, blocks, schema_text(h, source), slot)


def schema_text(h: hdr.Header, source: str) -> str:
    """The schema text in a valid header. HostError `schema`."""
    try:
        return str(h.schema.decode())
    except UnicodeDecodeError as e:
        raise HostError("schema", f"{source}: the schema text is not UTF-8: {e}") from e


def _plain(data: bytes, h: hdr.Header, source: str, block_size: int | None) -> Image:
    size = block_size or plain_block_size(data, h.data_len, source)
    end = size + h.data_len
    if len(data) < end:
        raise HostError(
            "file",
            f"{source}: truncated: {len(data)} bytes, {size} + {h.data_len} expected for a block "
            f"size of {size}",
            have=len(data),
            want=end,
        )
    notes = ["a plain image: no integrity data, nothing vouches for these bytes"]
    whole = size * (1 + -(-h.data_len // size))
    return Image(source, "plain", h, size, data[size:end], data[:whole], notes=notes)


def plain_block_size(data: bytes, data_len: int, source: str) -> int:
    """The block size of a plain image, from its size and `data_len`. HostError `geometry`."""
    for size in BLOCK_SIZES:
        if len(data) == size * (1 + -(-data_len // size)):
            return size
    # The last block may have been left short, or more may follow: the gap between the 16 bytes
    # and block 1 must be filled with one value then.
    fits = [n for n in BLOCK_SIZES if n + data_len <= len(data)]
    if not fits:
        raise HostError(
            "file",
            f"{source}: truncated: {len(data)} bytes, but {data_len} bytes of state in blocks",
            have=len(data),
            want=BLOCK_SIZES[0] + data_len,
        )
    short = [n for n in fits if n + data_len == len(data)]
    padded = [n for n in fits if len(set(data[16:n])) == 1]
    if len(short) == 1:
        return short[0]
    if len(padded) == 1:
        return padded[0]
    raise HostError(
        "geometry",
        f"{source}: the block size of this plain image cannot be told from its size of "
        f"{len(data)} bytes",
        f"--block-size, one of {', '.join(map(str, fits))}",
    )


def dump_headers(data: bytes, magic: bytes, version: int) -> list[tuple[int, hdr.Header]]:
    """All valid headers in a dump, as (position in bytes, header)."""
    found = []
    at = data.find(magic)
    while at >= 0:
        if at % 128 == 0:
            h = hdr.parse(data[at : at + hdr.SIZE + 65536], magic, version)
            if h is not None and h.kind == hdr.VALID:
                found.append((at, h))
        at = data.find(magic, at + 1)
    return found


class Dump:
    """The raw content of a lease, or of a chip with leases on it, under the board's own code.

    `ring` is the Scan of it; `corrupt` and `damaged` the slots of its findings, or -1;
    `lease_start` the position of the lease in bytes.
    """

    def __init__(
        self,
        data: bytes,
        source: str,
        found: list[tuple[int, hdr.Header]],
        *,
        lease_id: int | None = None,
        magic: bytes = hdr.MAGIC,
        version: int = hdr.VERSION,
    ) -> None:
        ids = sorted({h.lease_id for _, h in found})
        if lease_id is not None:
            ids = [i for i in ids if int.from_bytes(i, "little") == lease_id]
        if len(ids) != 1:
            have = ", ".join(sorted({hex_id(h.lease_id) for _, h in found}))
            raise HostError(
                "lease", f"{source}: leases here: {have}; one expected", "choose one with --lease"
            )
        heads = [(at, h) for at, h in found if h.lease_id == ids[0]]
        newest = max(heads, key=lambda f: f[1].sequence)[1]
        heads = [
            (at, h)
            for at, h in heads
            if (h.lease_blocks, h.slot_blocks, h.block_size_log2)
            == (newest.lease_blocks, newest.slot_blocks, newest.block_size_log2)
        ]
        self.source = source
        self.lease_start, unit, erases = _place(heads, newest, len(data), source)
        size = newest.lease_blocks * newest.block_size
        self.data = data[self.lease_start : self.lease_start + size]
        device = FileDevice(self.data, unit, erases)
        try:
            lease = BlockLease(
                device, 0, size // unit, ids[0], block_size=newest.block_size, erase=erases
            )
        except LeaseError as e:
            raise HostError("geometry", f"{source}: {e}") from e
        try:
            self.ring = Scan(lease, newest.slot_blocks, magic, version)
            self.ring.scan()
        except (LeaseError, CheckpointFailed) as e:
            lease.release()
            raise HostError("geometry", f"{source}: {e}") from e

        self.corrupt = self._finding("data")
        self.damaged = self._finding("damaged")

    def _finding(self, kind: str) -> int:
        return next((int(f[1]) for f in self.ring.findings if f[0] == kind), -1)

    def close(self) -> None:
        self.ring.lease.release()

    def image(self, slot: int | None = None, *, fallback: bool = False) -> Image:
        """The newest checkpoint, or that in `slot`."""
        ring = self.ring
        if slot is None:
            if ring.findings and ring.findings[0][0] == "odd" and not fallback:
                raise HostError(
                    "geometry",
                    f"{self.source}: slot %d: %s; expected %s" % ring.findings[0][1:],
                    "--fallback takes the newest one that fits",
                )
            if self.corrupt >= 0 and not fallback:
                raise HostError(
                    "corrupt",
                    f"{self.source}: slot {self.corrupt}: the data of the newest checkpoint is "
                    "corrupt (CRC-32 mismatch)",
                    "--fallback takes the newest intact one",
                    slot=self.corrupt,
                )
            slot = ring.newest
            if slot < 0:
                raise HostError("no-checkpoint", f"{self.source}: no intact checkpoint")
        if not 0 <= slot < ring.slots:
            raise HostError(
                "no-checkpoint", f"{self.source}: slot {slot}, expected 0..{ring.slots - 1}"
            )
        h = ring.read_header(slot)
        if h is None:
            raise HostError("no-checkpoint", f"{self.source}: no checkpoint in slot {slot}")
        at = ring.first_block(slot) * ring.lease.block_size
        end = at + ring.slot_blocks * ring.lease.block_size
        image = _checkpoint(self.data[at:end], h, f"{self.source}, slot {slot}", slot)
        if self.corrupt >= 0 and slot == ring.newest:
            image.notes.append(f"slot {self.corrupt} is newer, but its data is corrupt")
        return image


def _place(
    heads: list[tuple[int, hdr.Header]], h: hdr.Header, size: int, source: str
) -> tuple[int, int, bool]:
    # Where the lease begins, and the erase unit: the one choice that puts every slot where it is.
    lease = h.lease_blocks * h.block_size
    choices = [(n, True) for n in (4096, *BLOCK_SIZES) if n >= h.block_size]
    for unit, erases in [*choices, (h.block_size, False)]:
        if lease % unit:
            continue
        per_unit = unit // h.block_size
        group = h.slot_blocks
        per_group = 1
        if erases:
            group = -(-h.slot_blocks // per_unit) * per_unit
            per_group = max(1, per_unit // h.slot_blocks)
        starts = {
            at
            - (f.slot_index // per_group * group + f.slot_index % per_group * f.slot_blocks)
            * h.block_size
            for at, f in heads
        }
        start = starts.pop()
        if not starts and start >= 0 and start % unit == 0 and start + lease <= size:
            return start, unit, erases
    raise HostError(
        "geometry",
        f"{source}: {size} bytes do not hold the lease of {lease} bytes that its headers tell of",
        "a dump has to be the whole lease or chip",
    )


def from_blocks(
    data: bytes, source: str, slot: int = -1, magic: bytes = hdr.MAGIC, version: int = hdr.VERSION
) -> Image:
    """A checkpoint from its blocks, header first. HostError as of `load`."""
    h = hdr.parse(data, magic, version)
    if h is None or h.kind != hdr.VALID:
        raise HostError("corrupt", f"{source}: no valid header")
    return _checkpoint(data, h, source, slot)


def build(
    state: bytes,
    schema: str = "",
    *,
    block_size: int = 256,
    lease_id: int = 0,
    sequence: int = 1,
    lease_blocks: int | None = None,
    slot_blocks: int | None = None,
    magic: bytes = hdr.MAGIC,
    version: int = hdr.VERSION,
) -> bytes:
    """The bytes of an image with `state` in it: for provisioning. `schema`: canonical text."""
    if block_size not in BLOCK_SIZES:
        raise HostError(
            "geometry", f"block size {block_size}: expected a power of two, 128..65536"
        )
    used = 1 + -(-len(state) // block_size)
    slot_blocks = max(slot_blocks or 2, used, 2)
    lease_blocks = lease_blocks or 2 * slot_blocks
    template = hdr.Template(
        block_size, lease_blocks, slot_blocks, lease_id.to_bytes(16, "little"), magic, version
    )
    text = schema.encode()
    template.set_schema(text, bytearray(crc32(text).to_bytes(4, "little") if text else 4))
    template.stamp(len(state), sequence, 0, bytearray(crc32(state).to_bytes(4, "little")))
    return bytes(template.block) + state + b"\xff" * ((used - 1) * block_size - len(state))


def write_file(path: Path | str, data: bytes) -> None:
    """Write a file so that it is there whole or not at all; behind a symlink, its target. What is
    no regular file (a device, a FIFO) is written into, never replaced; `-` is stdout. HostError
    `file`."""
    path = Path(path)
    try:
        if str(path) == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = Path(os.path.realpath(path))
        part = target.with_name(target.name + ".tmp")
        with part.open("wb") as f:
            f.write(data)
            f.flush()
        part.replace(target)
    except OSError as e:
        raise HostError("file", f"{path}: cannot be written: {e.strerror or e}") from e
