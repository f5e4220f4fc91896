"""Restores that are cut, repeated and resumed: the older checkpoint survives, bytes do not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from edgeckpt import wire
from edgeckpt_host.board import Board
from edgeckpt_host.errors import HostError
from edgeckpt_host.image import parse

from .conftest import CutStream, VirtualBoard, power_on, raw_app, seed_of

SIZE = 3000
CUTS = 50
SHARDS = 2


def old_state(count: int = 5) -> bytes:
    data = bytearray((i * 7 + i // 256) & 255 for i in range(SIZE))
    data[0] = count - 1
    return bytes(data)


def transfer_bytes(b: VirtualBoard, new: bytes) -> tuple[int, int]:
    """Bytes to the board before the restore begins, and until its COMMIT is on its way."""
    stream = CutStream(b.port)
    with Board.open(b.port, stream=stream, restart=False) as host:
        lease = host.lease()
        start = stream.sent
        host.restore(lease, new)
        return start, stream.sent


class CutBeforeCommit(CutStream):
    """A line that is dead before the last byte of a COMMIT: no checkpoint can have been made.

    A transfer that goes on where the one before was cut is shorter than a whole one: it may get
    to its COMMIT long before `limit`.
    """

    def write(self, data: bytes) -> None:
        if data[:2] == bytes((wire.MAGIC, wire.COMMIT)):
            assert self.limit is not None
            self.limit = min(self.limit, self.sent + len(data) - 1)
        super().write(data)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_cut_transfers(board: Callable[..., VirtualBoard], shard: int) -> None:
    """The line goes dead, or the board loses power too, at a random byte of the transfer."""
    seed = seed_of(f"test_cut_transfers[{shard}]")
    rng = random.Random(seed)
    b = board(raw_app(SIZE), ready=b"ready")
    new = rng.randbytes(SIZE)
    start, end = transfer_bytes(b, new)
    b.power_off()
    b.chip.write_bytes(b"\xff" * b.chip.stat().st_size)
    power_on(b)
    for i in range(CUTS // SHARDS):
        cut = rng.randrange(start, end)
        stream = CutBeforeCommit(b.port, cut)
        with pytest.raises(HostError) as raised:
            with Board.open(b.port, stream=stream, restart=False) as host:
                before = host.lease()
                host.restore(before, new)
        assert raised.value.cause in ("link", "no-answer"), (seed, i, raised.value)
        if rng.random() < 0.4:
            b.power_off()
            power_on(b)
        with Board.open(b.port, restart=False) as host:
            lease = host.lease()
            image = host.pull(lease)
            assert image.state[1:] == old_state()[1:], (seed, i, cut)
            assert image.header.sequence == lease.sequence
    b.power_off()
    assert parse(b.chip.read_bytes(), "chip").state[1:] == old_state()[1:]


def test_resumed_restore_moves_no_byte_twice(board: Callable[..., VirtualBoard]) -> None:
    """Cut at 20 points, resumed: at most 1.1 times the bytes in all (frames count)."""
    seed = seed_of("test_resumed_restore_moves_no_byte_twice")
    rng = random.Random(seed)
    size = 262_144
    b = board(raw_app(size, 0, units=140), ready=b"ready")
    new = rng.randbytes(size)
    moved = cuts = begun = 0
    while True:
        stream = CutStream(b.port)
        try:
            with Board.open(b.port, stream=stream, restart=False) as host:
                lease = host.lease()
                begun = stream.sent
                # Whole frames of the transfer that pass before this cut.
                if cuts < 20:
                    stream.limit = stream.sent + rng.randrange(9_000, 13_000)
                done = host.restore(lease, new)
                moved += stream.sent - begun
                break
        except HostError as e:
            assert e.cause == "link", e
            moved += stream.sent - begun
            cuts += 1
    assert cuts == 20 and done["resumed"], cuts
    assert moved <= 1.1 * size, f"{moved} bytes for {size}"
    with Board.open(b.port, restart=False) as host:
        assert host.pull(host.lease()).state == new


def test_lost_answer_to_commit_makes_no_second_checkpoint(
    board: Callable[..., VirtualBoard],
) -> None:
    b = board(raw_app(SIZE), ready=b"ready")
    with Board.open(b.port, restart=False) as host:
        lease = host.lease()
        first = host.restore(lease, bytes(SIZE))
        again = host.link.request(wire.COMMIT, expect=wire.OK)[-1]
        assert (again.a, again.b) == (first["sequence"], first["slot"])
        assert host.status(0).sequence == first["sequence"]
        second = host.restore(lease, bytes(SIZE))
        assert second["sequence"] == first["sequence"] + 1


def test_dry_run_changes_nothing(board: Callable[..., VirtualBoard]) -> None:
    b = board(raw_app(SIZE), ready=b"ready")
    with Board.open(b.port, restart=False) as host:
        lease = host.lease()
        content = b.chip.read_bytes()
        plan = host.plan(lease, bytes(SIZE), "")
        assert plan["sequence"] == lease.sequence + 1 and plan["replaces"] == lease.newest
        assert b.chip.read_bytes() == content


def test_too_large_is_refused(board: Callable[..., VirtualBoard]) -> None:
    b = board(raw_app(SIZE), ready=b"ready")
    with Board.open(b.port, restart=False) as host:
        content = b.chip.read_bytes()
        with pytest.raises(HostError) as raised:
            host.restore(host.lease(), bytes(99999))
        assert raised.value.cause == "geometry" and "99999" in str(raised.value)
        assert b.chip.read_bytes() == content
