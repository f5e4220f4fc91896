"""A board at a serial line: its leases, their checkpoints, and a restore onto it.

Promises: reading changes nothing on the medium; `restore()` goes through the board's own commit
path and leaves the checkpoint before it in place. The board gets its REPL back on `close()`,
and its program runs again if it ran before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar
from zlib import crc32

from edgeckpt import header as hdr
from edgeckpt import wire
from edgeckpt.key import hmac_sha256
from edgeckpt.lease import BlockLease
from edgeckpt.scan import Scan

from .errors import HostError
from .image import Image, from_blocks
from .link import AgentError, Link, leave
from .shapes import BlockSize, Count, Health, LeaseId, Magic, Slot
from .stream import Stream, open_stream

_LEAST = 256  # bytes of a frame of a restore
Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass
class Lease:
    """One lease of the board, as the agent tells of it (docs/protocol.md, STATUS)."""

    also: ClassVar[tuple[str, ...]] = ("health", "laps")

    index: Count
    lease_id: LeaseId
    start: Count
    count: Count
    block_size: BlockSize
    blocks: Count
    unit_blocks: Count
    erases: bool
    owned: bool
    slot_blocks: Count
    schema: str
    newest: Slot
    sequence: Count
    corrupt: Slot
    damaged: Slot
    torn: bool
    foreign: str | None
    slots: Count = 0
    per_group: Count = 1
    capacity: Count = 0
    unreadable: Count = 0
    given_up: Count = 0  # units that failed, or cannot be read
    odd: str | None = None
    magic: Magic = "CKPT"  # the first four bytes of its headers, latin-1
    version: Count = 1

    @property
    def id(self) -> int:
        return int(self.lease_id, 16)

    @property
    def writer(self) -> tuple[bytes, int]:
        """Magic and version of the headers: as the owner of the lease writes them, or ours."""
        return self.magic.encode("latin-1"), self.version

    @property
    def laps(self) -> Count:
        """How often the ring has been written round, by its sequence. About as often was each
        unit erased; each restart adds the erase of one unit (docs/format.md)."""
        return self.sequence // self.slots if self.slots else 0

    @property
    def health(self) -> Health:
        """One word for people: ok, empty, corrupt, damaged, foreign, unreadable."""
        if self.corrupt >= 0:
            return "corrupt"
        if self.odd:
            return "foreign"
        if self.newest >= 0:
            return "ok"
        if self.unreadable:
            return "unreadable"
        if self.foreign:
            return "foreign"
        if self.damaged >= 0:
            return "damaged"
        return "empty"


class _Remote:
    # A lease of the board as a read-only device; what was read once is kept.
    def __init__(self, link: Link, lease: Lease) -> None:
        self.link = link
        self.lease = lease
        self.cache: dict[int, bytes] = {}
        self.size = lease.block_size
        self.unit = self.size * (lease.unit_blocks if lease.erases else 1)
        if lease.erases:
            self.readblocks: Callable[..., None] = self._extended
        else:
            self.readblocks = self._simple

    def fetch(self, ranges: list[tuple[int, int]], stride: int = 1) -> None:
        self.link.read(self.lease.index, self.size, ranges, self.cache.__setitem__, stride)

    def _simple(self, n: int, buf: bytearray) -> None:
        self._extended(n, buf, 0)

    def _extended(self, n: int, buf: bytearray, off: int) -> None:
        first = (n * self.unit + off) // self.size
        count = len(buf) // self.size
        want = [b for b in range(first, first + count) if b not in self.cache]
        if want:
            self.fetch([(first, count)])
        buf[:] = b"".join(self.cache[b] for b in range(first, first + count))

    def writeblocks(self, *_: object) -> None:
        raise OSError(30, "read-only")

    def ioctl(self, op: int, arg: int) -> int:
        if op == 4:
            return self.lease.blocks * self.size // self.unit
        if op == 5:
            return self.unit
        raise OSError(30, "read-only")


class _Handle(BlockLease):  # type: ignore[misc]
    # Read-only: it needs no place among the live leases.
    def check(self) -> None:
        pass


class Board:
    """A board whose agent answers. Make one with `Board.open()`; use as a context manager.

    `hello`: what the agent said of itself; `link`: the line, with its counters.
    """

    def __init__(self, link: Link, *, restart: bool | None = None) -> None:
        self.link = link
        self.name = link.stream.name
        self.restart = restart

    @property
    def hello(self) -> dict[str, Any]:
        """What the agent said of itself."""
        return self.link.hello

    @classmethod
    def open(
        cls,
        port: str,
        *,
        baud: int = 115200,
        timeout: float = 2.0,
        retries: int = 4,
        trace: Path | None = None,
        attach: str = "auto",
        key: bytes | None = None,
        restart: bool | None = None,
        stream: Stream | None = None,
        gap_ms: int | None = None,
        reset: bool = False,
    ) -> Board:
        """Open `port` and get an agent to answer. HostError `port`, `no-answer`, `no-module`.

        attach: "repl" starts the agent through the REPL, "direct" talks to one that the
            board's program polls; "auto" tries them in that order, "live" in the other one, so
            that a program that polls is not interrupted.
        key: for agents that want one before they write.
        restart: run the board's program again on close; None: if it ran before.
        stream: an open line to use instead of `port`.
        gap_ms: silence that ends a frame for the agent that is started; default: 100.
        reset: reset the board first, by DTR and RTS.
        """
        stream = stream or open_stream(port, baud, trace)
        link = Link(stream, timeout, retries, "" if gap_ms is None else f"gap_ms={gap_ms}")
        try:
            if reset:
                link.reset_board()
            if attach == "direct" or attach == "live" and link.answers(min(timeout, 1.0)):
                link.ask_hello()
            else:
                link.start_agent()
                if attach == "repl" and not link.repl:
                    raise HostError(
                        "no-answer",
                        f"{port}: no REPL answers, but an agent of the board's program does",
                        "--attach direct talks to it",
                    )
            board = cls(link, restart=restart)
            if key is not None:
                board.authorize(key)
            return board
        except AgentError as e:
            with suppress(HostError):
                leave(link, restart)
            raise e.as_host_error(port) from e
        except BaseException:
            with suppress(HostError):  # what went wrong before is told
                leave(link, restart)
            raise

    def authorize(self, key: bytes) -> None:
        """Prove the key to an agent that wants one before it writes. HostError `refused`."""
        try:
            for attempt in range(self.link.retries + 1):
                reply = self.link.request(wire.AUTH, expect=wire.DATA)[-1]
                answer = hmac_sha256(key, reply.payload)
                try:
                    self.link.request(wire.AUTH, payload=answer, expect=wire.OK, retries=0)
                    return
                except HostError as e:
                    # A challenge serves once: what was lost is asked for anew.
                    if e.cause != "link" or attempt == self.link.retries:
                        raise
        except AgentError as e:
            raise e.as_host_error(self.name) from e

    def close(self) -> None:
        """Give the board its REPL back, and its program if it ran."""
        leave(self.link, self.restart)

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except HostError:
            if error is None:
                raise

    # Reading

    def leases(self) -> list[Lease]:
        """All leases of the board; the newest checkpoint of each, found by the board."""
        return [self.status(i) for i in range(self.hello["leases"])]

    def status(self, index: int) -> Lease:
        """One lease, looked at afresh."""
        try:
            d = json.loads(self.link.text(wire.STATUS, index))
        except AgentError as e:
            raise e.as_host_error(self.name) from e
        return Lease(**{k: v for k, v in d.items() if k in Lease.__dataclass_fields__})

    def lease(self, lease_id: int | None = None) -> Lease:
        """The lease with that id, or the only one. HostError `lease`."""
        leases = self.leases()
        if not leases:
            raise HostError(
                "lease",
                f"{self.name}: the board has no lease",
                "a program has to create one (edgeckpt.BlockLease), or a module edgeckpt_leases",
            )
        have = ", ".join(lease.lease_id for lease in leases)
        if lease_id is None:
            if len(leases) > 1:
                raise HostError(
                    "lease", f"{self.name}: several leases: {have}", "choose one with --lease"
                )
            return leases[0]
        for lease in leases:
            if lease.id == lease_id:
                return lease
        raise HostError("lease", f"{self.name}: no lease 0x{lease_id:032x}; there is {have}")

    def first_block(self, lease: Lease, slot: int) -> int:
        """Layout block of the header of `slot`."""
        return int(self._ring(lease)[0].first_block(slot))

    def _ring(self, lease: Lease) -> tuple[Scan, _Remote]:
        if not lease.slot_blocks:
            raise HostError(
                "no-checkpoint", f"{self.name}: lease {lease.lease_id} holds no checkpoint"
            )
        remote = _Remote(self.link, lease)
        count = lease.blocks * lease.block_size // remote.unit
        handle = _Handle(
            remote, 0, count, lease.id, block_size=lease.block_size, erase=lease.erases
        )
        handle.release()
        return Scan(handle, lease.slot_blocks, *lease.writer), remote

    def history(self, lease: Lease) -> list[tuple[int, int, hdr.Header]]:
        """All checkpoints of the lease, newest first: (sequence, slot, header)."""
        if not lease.slot_blocks:
            return []
        ring, remote = self._ring(lease)
        stride = ring.first_block(ring.per_group) if ring.slots > ring.per_group else 1
        try:
            for i in range(ring.per_group):
                remote.fetch([(ring.first_block(i), ring.groups)], stride)
        except AgentError as e:
            raise e.as_host_error(self.name) from e
        found = []
        for sequence, slot in ring.history():
            h = ring.read_header(slot)
            if h is not None:
                found.append((sequence, slot, h))
        return found

    def refuse_odd(self, lease: Lease) -> None:
        """HostError `geometry` where the newest commit is one that cannot be."""
        if lease.odd:
            raise HostError(
                "geometry",
                f"{self.name}: a commit that no writer of this lease can have made: {lease.odd}",
                "--fallback takes the newest one that fits",
            )

    def pull(
        self,
        lease: Lease,
        slot: int | None = None,
        *,
        fallback: bool = False,
        have: dict[int, bytes] | None = None,
        progress: Progress | None = None,
    ) -> Image:
        """The newest checkpoint of `lease`, or that in `slot`.

        have: blocks of the slot (0: header) that are known, e.g. of an interrupted pull; what
        comes is added to it. They are used as they are: the CRC-32 of the whole decides.
        HostError `no-checkpoint`, `corrupt`, `geometry`, `link`, `medium`.
        """
        if slot is None:
            if not fallback:
                self.refuse_odd(lease)
            if lease.corrupt >= 0 and not fallback:
                raise HostError(
                    "corrupt",
                    f"{self.name}: slot {lease.corrupt}: the data of the newest checkpoint is "
                    "corrupt (CRC-32 mismatch)",
                    "--fallback takes the newest intact one",
                    slot=lease.corrupt,
                )
            slot = lease.newest
        if slot < 0:
            raise HostError(
                "no-checkpoint",
                f"{self.name}: lease {lease.lease_id} holds no checkpoint ({lease.health})",
            )
        if slot >= lease.slots:
            raise HostError("no-checkpoint", f"slot {slot}, expected 0..{lease.slots - 1}")
        first = self.first_block(lease, slot)
        have = {} if have is None else have
        size = lease.block_size
        source = f"{self.name}, lease {lease.lease_id}, slot {slot}"

        def sink(block: int, data: bytes) -> None:
            have[block - first] = data
            if progress:
                progress(len(have) * size, total * size)

        total = 1
        try:
            head: dict[int, bytes] = {}
            self.link.read(lease.index, size, [(first, 1)], head.__setitem__)
            if have.get(0) != head[first]:
                have.clear()
            have[0] = head[first]
            h = hdr.parse(have[0], *lease.writer)
            if h is None or h.kind != hdr.VALID:
                raise HostError("no-checkpoint", f"{source}: no checkpoint")
            total = min(1 + -(-h.data_len // size), lease.slot_blocks)
            self.link.read(lease.index, size, _missing(have, total, first), sink)
        except AgentError as e:
            raise e.as_host_error(source) from e
        return from_blocks(b"".join(have[i] for i in range(total)), source, slot, *lease.writer)

    def read_raw(
        self,
        lease: Lease,
        have: dict[int, bytes] | None = None,
        *,
        progress: Progress | None = None,
    ) -> bytes:
        """The whole lease; `have`: layout blocks that are known, what comes is added to it."""
        have = {} if have is None else have

        def sink(block: int, data: bytes) -> None:
            have[block] = data
            if progress:
                progress(len(have) * lease.block_size, lease.blocks * lease.block_size)

        try:
            self.link.read(lease.index, lease.block_size, _missing(have, lease.blocks, 0), sink)
        except AgentError as e:
            raise e.as_host_error(self.name) from e
        return b"".join(have[i] for i in range(lease.blocks))

    def differing(self, lease: Lease, first: int, data: bytes, group: int = 16) -> list[int]:
        """The layout blocks from `first` on that are not as in `data`, by digests only."""
        size = lease.block_size
        count = len(data) // size

        def crcs(at: int, n: int, step: int) -> list[int]:
            part = data[at * size : (at + n) * size]
            return [crc32(part[i : i + step * size]) for i in range(0, len(part), step * size)]

        try:
            theirs = self.link.digests(lease.index, first, count, group)
            bad = []
            for i, (a, b) in enumerate(zip(theirs, crcs(0, count, group), strict=True)):
                if a == b:
                    continue
                at = i * group
                n = min(group, count - at)
                inner = self.link.digests(lease.index, first + at, n, 1)
                mine = crcs(at, n, 1)
                bad += [at + k for k in range(n) if inner[k] != mine[k]]
        except AgentError as e:
            raise e.as_host_error(self.name) from e
        return [first + i for i in bad]

    def data_crc(self, lease: Lease, slot: int, h: hdr.Header) -> int:
        """CRC-32 of the data of `slot` (header `h`): the board computes all but the last block."""
        size = lease.block_size
        first = self.first_block(lease, slot) + 1
        whole, rest = divmod(h.data_len, size)
        try:
            crc = self.link.digests(lease.index, first, whole, whole)[0] if whole else 0
            if rest:
                last: dict[int, bytes] = {}
                self.link.read(lease.index, size, [(first + whole, 1)], last.__setitem__)
                crc = crc32(last[first + whole][:rest], crc)
        except AgentError as e:
            raise e.as_host_error(f"{self.name}, slot {slot}") from e
        return crc

    # Writing

    def plan(
        self, lease: Lease, state: bytes, schema: str, slot_blocks: int = 0
    ) -> dict[str, object]:
        """What a restore would write and erase; nothing is changed."""
        try:
            answer = self.link.text(
                wire.PLAN, lease.index, len(state), slot_blocks, _announce(state, schema, b"0000")
            )
        except AgentError as e:
            raise e.as_host_error(self.name) from e
        plan: dict[str, object] = json.loads(answer)
        return plan

    def restore(
        self,
        lease: Lease,
        state: bytes,
        schema: str = "",
        *,
        schema_crc: int | None = None,
        slot_blocks: int = 0,
        progress: Progress | None = None,
    ) -> dict[str, int]:
        """Make `state` (postcard bytes) a new checkpoint of `lease`, by the board's commit path.

        Returns sequence, slot, and from which byte on it went (`resumed`): a transfer that was
        cut goes on where it stopped. HostError `geometry`, `medium`, `refused`, `link`.
        """
        if len(state) > wire.MAX_A:
            raise HostError("geometry", f"{len(state)} bytes: too much for a slot")
        announce = _announce(state, schema, os.urandom(4), schema_crc)
        link = self.link
        step = longest = self.hello["frame"]
        good = 0  # parts that came whole in one attempt, since the last that did not
        try:
            reply = link.request(
                wire.BEGIN,
                lease.index,
                len(state),
                slot_blocks,
                announce,
                expect=wire.OK,
                timeout=10 * self.link.timeout,
            )
            at = resumed = reply[-1].a
            if resumed:
                step = min(step, 1024)  # a line that broke before loses less with each frame
            while at < len(state):
                if progress:
                    progress(at, len(state))
                before = link.repeats

                def part(attempt: int, at: int = at, step: int = step) -> bytes:
                    # Of long frames a line with noise carries few whole.
                    return state[at : at + max(_LEAST, step >> attempt)]

                at = link.request(wire.WRITE, a=at, payload=part, expect=wire.OK)[-1].a
                good = 0 if link.repeats > before else good + 1
                if not good:
                    step = max(_LEAST, step >> link.repeats - before)
                elif good % 16 == 0:
                    step = min(longest, 2 * step)
            done = link.request(wire.COMMIT, expect=wire.OK, timeout=10 * self.link.timeout)[-1]
        except AgentError as e:
            raise e.as_host_error(self.name) from e
        if progress:
            progress(len(state), len(state))
        return {"sequence": done.a, "slot": done.b, "resumed": resumed}


def complete_schema(image: Image, lease: Lease) -> None:
    """Give an image whose schema text is too long for the header the board's, if it is that."""
    text = lease.schema
    if not image.schema and text and crc32(text.encode()) == image.header.schema_crc:
        image.schema = text


def _announce(state: bytes, schema: str, nonce: bytes, schema_crc: int | None = None) -> bytes:
    text = schema.encode()
    if schema_crc is None:
        schema_crc = crc32(text) if text else 0
    return nonce + crc32(state).to_bytes(4, "little") + schema_crc.to_bytes(4, "little") + text


def _missing(have: dict[int, bytes], total: int, first: int) -> list[tuple[int, int]]:
    # Runs of blocks 0..total-1 that are not in `have`, moved by `first`.
    runs: list[tuple[int, int]] = []
    for i in range(total):
        if i in have:
            continue
        if runs and runs[-1][0] + runs[-1][1] == first + i:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((first + i, 1))
    return runs
