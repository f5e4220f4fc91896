"""What the commands do: one typed function each, for programs and for the command line.

Promises: what comes back is what was found (results.py), nothing is printed; what goes wrong is a
`HostError`. A file is a path, `-` for stdin or stdout, or an `Image` that is loaded already.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from edgeckpt import header as hdr

from . import results as r
from .board import Board, Lease, Progress, complete_schema
from .errors import HostError
from .image import Dump, Image, build, dump_headers, load, parse, read_file, write_file
from .parts import PartFile
from .shapes import to_json

if TYPE_CHECKING:
    from .link import Link

Source = Image | Path | str


def _loaded(source: Source) -> Image:
    return source if isinstance(source, Image) else load(source)


def lease_document(lease: Lease) -> dict[str, Any]:
    """A lease as --json has it."""
    document: dict[str, Any] = to_json(lease)
    return document


# Looking


def list_ports() -> r.Ports:
    """The serial ports that may be boards."""
    from .ports import boards

    return r.Ports(boards())


def info_file(
    path: Path | str,
    *,
    block_size: int | None = None,
    lease_id: int | None = None,
    magic: bytes = hdr.MAGIC,
    version: int = hdr.VERSION,
) -> r.FileInfo:
    """What a file is: a checkpoint, a plain image, the dump of a lease."""
    data = read_file(path)
    source = str(path)
    image: Image | None = None
    found = dump_headers(data, magic, version)
    try:
        image = parse(
            data,
            source,
            block_size=block_size,
            lease_id=lease_id,
            fallback=True,
            magic=magic,
            version=version,
        )
    except HostError as e:
        if e.cause not in ("no-checkpoint", "corrupt") or not found:
            raise
    told = r.FileInfo(source, len(data), None, None, [])
    if image is not None:
        told.image, told.notes = image.info, image.notes
    if found and len(data) >= found[0][1].lease_blocks * found[0][1].block_size:
        dump = Dump(data, source, found, lease_id=lease_id, magic=magic, version=version)
        ring = dump.ring
        told.dump = r.DumpInfo(
            dump.lease_start,
            ring.slots,
            ring.newest,
            dump.corrupt,
            dump.damaged,
            len(set(ring.avoid)),
            [r.Entry(sequence, slot) for sequence, slot in ring.history()],
        )
        dump.close()
    return told


def info(board: Board, *, lease_id: int | None = None) -> r.BoardInfo:
    """A board: its agent, its leases (or that one), their checkpoints."""
    names = {f.name for f in fields(r.AgentInfo)}
    agent = r.AgentInfo(**{k: v for k, v in board.hello.items() if k in names})
    leases = board.leases() if lease_id is None else [board.lease(lease_id)]
    return r.BoardInfo(agent, [_report(board, lease) for lease in leases])


def _report(board: Board, lease: Lease) -> r.LeaseReport:
    return r.LeaseReport(**vars(lease), history=_history(board, lease))


def _history(board: Board, lease: Lease) -> list[r.Checkpoint]:
    return [
        r.Checkpoint(
            sequence,
            slot,
            h.data_len,
            f"0x{h.data_crc:08x}",
            f"0x{h.schema_crc:08x}" if h.schema_crc else None,
            h.schema.decode("utf-8", "replace") or None,
        )
        for sequence, slot, h in board.history(lease)
    ]


def log(board: Board, *, lease_id: int | None = None) -> r.Log:
    """All checkpoints that are still in the lease, newest first."""
    lease = board.lease(lease_id)
    return r.Log(lease.lease_id, lease.newest, lease.corrupt, _history(board, lease))


def show(source: Source, *, schema: str | None = None) -> r.Shown:
    """The state of an image, decoded by its own schema or the one given."""
    from . import state as st

    image = _loaded(source)
    text, exact, plain = st.of_image(image, schema)
    if not text and not image.integrity:
        raise HostError(
            "schema",
            f"{image.source}: a plain image has no schema",
            "give it with --schema TEXT or --schema FILE",
        )
    return r.Shown(image.info, image.notes, text or None, exact, plain)


def diff(old: Source, new: Source, *, schema: str | None = None) -> r.Differences:
    """Two states, field by field."""
    from . import state as st

    images = (_loaded(old), _loaded(new))
    values = []
    for image in images:
        crc = image.header.schema_crc if image.integrity and not schema else 0
        text = st.schema_for(schema, image.schema, crc, image.source)
        if not text:
            values.append(image.state.hex())
            continue
        tree, value = st.decode(text, image.state, image.source)
        values.append(st.plain(tree, value))
    found = [r.Difference(*one) for one in st.differences(*values)]
    return r.Differences(images[0].info, images[1].info, found)


def pulled_image(
    board: Board,
    *,
    lease_id: int | None = None,
    slot: int | None = None,
    fallback: bool = False,
    progress: Progress | None = None,
) -> Image:
    """A checkpoint of the board, its schema text completed."""
    lease = board.lease(lease_id)
    image = board.pull(lease, slot, fallback=fallback, progress=progress)
    complete_schema(image, lease)
    return image


# Moving


def pull(
    board: Board,
    path: Path | str,
    *,
    lease_id: int | None = None,
    slot: int | None = None,
    fallback: bool = False,
    progress: Progress | None = None,
) -> r.Pulled:
    """A checkpoint (default: the newest) into a file; goes on where one that was cut stopped."""
    lease = board.lease(lease_id)
    key = f"checkpoint {lease.lease_id} {lease.newest if slot is None else slot}"
    with PartFile(Path(path), key, lease.block_size) as part:
        image = board.pull(lease, slot, fallback=fallback, have=part.have, progress=progress)
        write_file(path, image.blocks)
        part.done()
    size = len(image.blocks)
    return r.Pulled(str(path), size, board.link.received, part.resumed, image.info)


def pull_lease(
    board: Board,
    path: Path | str,
    *,
    lease_id: int | None = None,
    against: Path | str | None = None,
    progress: Progress | None = None,
) -> r.PulledLease:
    """The whole lease into a file, block by block; against: an older dump, of which only what
    differs travels."""
    lease = board.lease(lease_id)
    size = lease.block_size
    key = f"lease {lease.lease_id} {lease.blocks}"
    with PartFile(Path(path), key, size) as part:
        known = dict(part.have)
        if against is not None:
            data = read_file(against)
            if len(data) != lease.blocks * size:
                raise HostError(
                    "geometry",
                    f"{against}: {len(data)} bytes, the lease has {lease.blocks * size}",
                )
            known = {i: data[i * size : i * size + size] for i in range(lease.blocks)} | known
        # What is known may have changed since: the digests say so.
        for first, count in runs(sorted(known)):
            blocks = b"".join(known[i] for i in range(first, first + count))
            for i in board.differing(lease, first, blocks):
                known.pop(i)
        kept = len(known)
        for i, block in known.items():
            dict.__setitem__(part.have, i, block)
        data = board.read_raw(lease, part.have, progress=progress)
        write_file(path, data)
        part.done()
    return r.PulledLease(str(path), len(data), board.link.received, kept, lease)


def runs(blocks: list[int]) -> list[tuple[int, int]]:
    """(first, count) of the runs in ascending numbers."""
    found: list[tuple[int, int]] = []
    for i in blocks:
        if found and sum(found[-1]) == i:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((i, 1))
    return found


class _Restore:
    """What is to be restored onto which lease, with all that can be refused refused."""

    def __init__(
        self,
        board: Board,
        image: Image,
        lease_id: int | None,
        any_lease: bool,
        any_schema: bool,
        plain: bool,
        schema: str | None,
    ) -> None:
        from . import state as st

        self.lease = lease = board.lease(lease_id)
        self.state = image.state
        h = image.header
        if not image.integrity:
            if not plain:
                raise HostError(
                    "refused",
                    f"{image.source}: a plain image: nothing vouches for its bytes",
                    "--plain restores it all the same; --schema names its schema",
                )
            self.schema, self.schema_crc, self.blocks = schema or "", 0, 0
            if schema:
                self.schema = st.compile_schema(schema).text
                st.decode(self.schema, image.state, image.source)
                self.schema_crc = crc32(self.schema.encode())
        else:
            theirs = int.from_bytes(h.lease_id, "little")
            if theirs != lease.id and not any_lease:
                raise HostError(
                    "lease",
                    f"{image.source}: an image of lease 0x{theirs:032x}, the board's is "
                    f"{lease.lease_id}",
                    "--any-lease restores it all the same",
                )
            self.schema, self.schema_crc = schema or image.schema or "", h.schema_crc
            self.blocks = h.slot_blocks
            if schema:
                self.schema = st.schema_for(schema, image.schema, self.schema_crc, image.source)
        if not any_schema:
            self._same_schema(board)

    def _same_schema(self, board: Board) -> None:
        # A state that the board's program could not decode would stop it at its next start.
        lease = self.lease
        if lease.schema:
            theirs = crc32(lease.schema.encode())
        elif lease.newest >= 0:
            known: dict[int, bytes] = {}
            first = board.first_block(lease, lease.newest)
            board.link.read(lease.index, lease.block_size, [(first, 1)], known.__setitem__)
            h = hdr.parse(known[first])
            if h is None or h.kind != hdr.VALID:
                return
            theirs = h.schema_crc
        else:
            return
        if theirs != self.schema_crc:
            raise HostError(
                "schema",
                f"the image has schema CRC-32 0x{self.schema_crc:08x}, the board's state "
                f"0x{theirs:08x}",
                "--any-schema restores it all the same",
            )


def plan(
    board: Board,
    source: Source,
    *,
    lease_id: int | None = None,
    any_lease: bool = False,
    any_schema: bool = False,
    plain: bool = False,
    schema: str | None = None,
) -> r.Planned:
    """What `restore()` would write and erase."""
    image = _loaded(source)
    what = _Restore(board, image, lease_id, any_lease, any_schema, plain, schema)
    found = board.plan(what.lease, what.state, what.schema, what.blocks)
    names = {f.name for f in fields(r.Plan)}
    said: dict[str, Any] = {k: v for k, v in found.items() if k in names}
    return r.Planned(True, what.lease.lease_id, r.Plan(**said))


def restore(
    board: Board,
    source: Source,
    *,
    lease_id: int | None = None,
    any_lease: bool = False,
    any_schema: bool = False,
    plain: bool = False,
    schema: str | None = None,
    key: Path | str | None = None,
    signature: Path | str | None = None,
    allow_older: bool = False,
    progress: Progress | None = None,
) -> r.Restored:
    """Make an image the newest checkpoint of the board; its program runs again on `close()`.

    key: the public key by which the image has to be signed (in the file `signature`; default: the
    image's name and `.sig`), and not older than what the board has, unless `allow_older`.
    """
    image = _loaded(source)
    if key is not None:
        from .sign import check

        check(image, key, signature)
    what = _Restore(board, image, lease_id, any_lease, any_schema, plain, schema)
    if key is not None and not allow_older and image.header.sequence < what.lease.sequence:
        raise HostError(
            "refused",
            f"{image.source}: sequence {image.header.sequence} is older than the board's, "
            f"{what.lease.sequence}",
            "--allow-older restores it all the same",
        )
    done = board.restore(
        what.lease,
        what.state,
        what.schema,
        schema_crc=what.schema_crc,
        slot_blocks=what.blocks,
        progress=progress,
    )
    board.restart = True if board.restart is None else board.restart
    return r.Restored(False, image.source, what.lease.lease_id, board.link.sent, **done)


def make(
    json_file: Path | str,
    path: Path | str,
    schema: str,
    *,
    lease_id: int = 0,
    block_size: int = 256,
    sequence: int = 1,
    lease_blocks: int | None = None,
    slot_blocks: int | None = None,
) -> r.Made:
    """An image from JSON (exact or plain notation), for provisioning."""
    from . import state as st

    text = st.compile_schema(schema).text
    try:
        value = json.loads(read_file(json_file))
    except ValueError as e:
        raise HostError("file", f"{json_file}: not JSON: {e}") from e
    data = st.encode(text, value)
    if not 0 < sequence <= hdr.MAX_SEQUENCE or not 0 <= lease_id < 1 << 128:
        raise HostError("usage", "--sequence 1 .. 2^30-1, --lease 0 .. 2^128-1")
    blocks = build(
        data,
        text,
        block_size=block_size,
        lease_id=lease_id,
        sequence=sequence,
        lease_blocks=lease_blocks,
        slot_blocks=slot_blocks,
    )
    made = parse(blocks, str(path)).info
    write_file(path, blocks)
    return r.Made(str(path), len(blocks), made)


# Checking


def verify_file(
    source: Source,
    *,
    schema: str | None = None,
    key: Path | str | None = None,
    signature: Path | str | None = None,
) -> r.VerifiedFile:
    """An image: header, data, schema, and with a public key its signature. HostError `unproved`
    for a plain image, which is read as far as it can be, and without a right signature."""
    from . import state as st

    image = _loaded(source)
    h = image.header
    found = r.VerifiedFile(image.source, image.info, False, False, image.notes)
    if image.integrity and h.schema_crc and not image.schema and not schema:
        image.notes.append("the schema is not in the image: the state was not decoded")
    else:
        crc = h.schema_crc if image.integrity else 0
        text = st.schema_for(schema, image.schema, crc, image.source)
        if text:
            st.decode(text, image.state, image.source)
            found.decoded = True
    if not image.integrity:
        raise HostError(
            "unproved",
            f"{image.source}: a plain image, {h.data_len} bytes of state"
            f"{', decodes' if found.decoded else ''}: nothing vouches for its bytes",
            "; ".join(image.notes),
            **to_json(found),
        )
    if key is not None:
        from .sign import check

        check(image, key, signature)
        found.signed = True
    return found


def verify(board: Board, *, lease_id: int | None = None, slot: int | None = None) -> r.Verified:
    """All checkpoints of a lease, or that in a slot; the board computes. HostError `corrupt`."""
    lease = board.lease(lease_id)
    checked = [
        r.Verdict(sequence, at, board.data_crc(lease, at, h) == h.data_crc)
        for sequence, at, h in board.history(lease)
        if slot is None or at == slot
    ]
    found = r.Verified(lease.lease_id, lease.health, checked, board.link.received)
    bad = [f"{v.slot} (sequence {v.sequence})" for v in checked if not v.ok]
    if bad:
        raise HostError(
            "corrupt",
            f"{board.name}: {len(bad)} of {len(checked)} corrupt: slots {', '.join(bad)}",
            **to_json(found),
        )
    if slot is None:
        board.refuse_odd(lease)
    if not checked:
        raise HostError(
            "no-checkpoint",
            f"{board.name}: lease {lease.lease_id}: {lease.health}",
            **to_json(found),
        )
    return found


def compare(
    board: Board,
    path: Path | str,
    *,
    lease_id: int | None = None,
    slot: int | None = None,
    block_size: int | None = None,
    magic: bytes = hdr.MAGIC,
    version: int = hdr.VERSION,
) -> r.Compared:
    """The board against a file, by digests only."""
    lease = board.lease(lease_id)
    size = lease.block_size
    data = read_file(path)
    first = 0
    if len(data) != lease.blocks * size:
        image = parse(data, str(path), block_size=block_size, magic=magic, version=version)
        data = image.blocks
        slot = lease.newest if slot is None else slot
        if slot < 0:
            raise HostError("no-checkpoint", f"{board.name}: lease {lease.lease_id} is empty")
        if image.block_size != size or len(data) > lease.slot_blocks * size:
            raise HostError(
                "geometry", f"{path}: blocks of {image.block_size}, the lease has {size}"
            )
        first = board.first_block(lease, slot)
    bad = board.differing(lease, first, data)
    return r.Compared(lease.lease_id, str(path), len(data) // size, bad, board.link.received)


def check_schema(text: str) -> r.Schema:
    """A schema text: its canonical form, its CRC-32, its largest encoding."""
    from . import state as st

    codec = st.compile_schema(text)
    crc = int.from_bytes(codec.crc, "little")
    return r.Schema(codec.text, f"0x{crc:08x}", codec.max_size)


def compile_schema(
    text: str, path: Path | str, *, form: str = "attributes", columns: bool = False
) -> r.Compiled:
    """The encoder of a schema as a module for the board."""
    from . import schema_compile
    from . import state as st

    made = st.compile_schema(text)
    source = schema_compile.compile_schema(made.text, form=form, columns=columns)
    write_file(path, source.encode())
    return r.Compiled(made.text, str(path), len(source))


def schema_from_rust(path: Path | str, wanted: str | None = None) -> r.Schema:
    """The schema of the Rust type `wanted` in a file; without it, of the only one there."""
    from .schema_rust import Rust

    try:
        source = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise HostError("file", f"{path}: cannot be read: {e}") from e
    return check_schema(Rust(source).schema(wanted))


def schema_to_rust(text: str, name: str = "State") -> r.RustType:
    """A Rust type `name` for a schema text."""
    from . import state as st
    from .schema_rust import to_rust

    made = st.compile_schema(text)
    return r.RustType(made.text, to_rust(made.text, name))


def estimate_wear(
    size: int,
    per_day: float,
    units: int,
    *,
    capacity: int | None = None,
    restarts_per_day: float = 1.0,
    erase_unit: int = 4096,
    block_size: int = 256,
    endurance: int = 100_000,
) -> r.Worn:
    """How long a lease lasts."""
    from edgeckpt.errors import EdgeError

    from .wear import estimate

    try:
        return r.Worn(
            estimate(
                size,
                per_day,
                units,
                capacity=capacity,
                restarts_per_day=restarts_per_day,
                erase_unit=erase_unit,
                block_size=block_size,
                endurance=endurance,
            )
        )
    except (EdgeError, ValueError) as e:
        raise HostError("usage", f"wear: {e}") from e


def sign_image(source: Source, key: Path | str, signature: Path | str | None = None) -> r.Signed:
    """Sign an image with a private Ed25519 key (PEM), into a file beside it."""
    from .sign import write

    return write(_loaded(source), key, signature)


# Boards


def install_module(
    link: Link,
    *,
    source: Path | None = None,
    packages: tuple[str, ...] = ("all",),
    no_compile: bool = False,
    told: Callable[[str], None] = lambda line: None,
) -> r.Installed:
    """The module onto a board, through its REPL; told: each file, and what else is to be said."""
    from .install import install as copy

    return r.Installed(*copy(link, source, packages, no_compile, told))


def bench(board: Board, *, lease_id: int | None = None, size: int = 65_536) -> r.Speed:
    """Speed of the line and of the board, reading only."""
    from edgeckpt import wire

    lease = board.lease(lease_id)
    block = lease.block_size
    frame = board.hello["frame"]
    blob = bytes(range(256)) * (frame // 256 + 1)
    start = time.monotonic()
    for _ in range(16):
        board.link.ping()
    ping = (time.monotonic() - start) / 16
    count = max(1, min(size, 1 << 20) // frame)
    start = time.monotonic()
    for _ in range(count):
        board.link.request(wire.ECHO, payload=blob[:frame], expect=wire.DATA)
    echo = count * frame / (time.monotonic() - start)
    blocks = min(lease.blocks, max(1, size // block))
    start = time.monotonic()
    board.link.digests(lease.index, 0, blocks, 16)
    digest = blocks * block / (time.monotonic() - start)
    got: dict[int, bytes] = {}
    before = board.link.received
    start = time.monotonic()
    board.link.read(lease.index, block, [(0, blocks)], got.__setitem__)
    read = blocks * block / (time.monotonic() - start)
    moved = board.link.received - before
    return r.Speed(round(ping * 1000, 3), round(echo), round(digest), round(read), moved, frame)


def selftest(
    board: Board,
    lease_id: int,
    *,
    rounds: int = 8,
    told: Callable[[r.Round], None] = lambda one: None,
) -> r.Tested:
    """Restores of test data of several lengths, each read back; then the state before again."""
    import os

    lease = board.lease(lease_id)
    before = board.pull(lease) if lease.newest >= 0 else None
    if before is None:
        raise HostError(
            "no-checkpoint",
            f"{board.name}: lease {lease.lease_id} is empty; the test gives back what it found",
            "make a checkpoint first",
        )
    done: list[r.Round] = []
    try:
        for i in range(rounds):
            length = lease.capacity * (i + 1) // rounds
            data = os.urandom(length)
            start = time.monotonic()
            made = board.restore(lease, data)
            seconds = round(time.monotonic() - start, 4)
            image = board.pull(board.status(lease.index))
            good = image.state == data and image.header.sequence == made["sequence"]
            done.append(r.Round(length, seconds, good, **made))
            told(done[-1])
    finally:
        board.restore(lease, before.state, before.schema, schema_crc=before.header.schema_crc)
    if not all(one.ok for one in done):
        raise HostError(
            "medium",
            f"{board.name}: what was read back is not what was written",
            rounds=to_json(done),
        )
    return r.Tested(lease.lease_id, done)
