"""The agent by itself, on real MicroPython with its frames on stdin; and the host's parser."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
from pathlib import Path
from zlib import crc32

import pytest
from edgeckpt import wire
from edgeckpt_host.frames import Parser, build

from .conftest import FULL, ROOT, seed_of

DEVICE = Path(__file__).parent / "device"
FUZZ = 1_000_000  # frames
AT_AGENT = FUZZ if FULL else 250_000


ON_BOARD = {
    **os.environ,
    "MICROPYPATH": os.pathsep.join(
        map(str, (ROOT / "firmware", ROOT / "tests/core/device", DEVICE))
    ),
}


def talk(command: list[str], code: str, frames: bytes) -> subprocess.CompletedProcess[bytes]:
    """What a board that runs `code` answers to `frames`."""
    return subprocess.run(
        [*command, "-c", code], input=frames, env=ON_BOARD, capture_output=True, timeout=60
    )


def run(command: list[str], script: str, frames: bytes, *args: object, timeout: float = 400):
    done = subprocess.run(
        [*command, str(DEVICE / script), *map(str, args)],
        input=frames,
        env=ON_BOARD,
        capture_output=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-2000:].decode(errors="replace")
    return done


def range_payload(first: int, count: int, step: int = 1) -> bytes:
    return struct.pack("<III", first, count, step)


def transfer(state: bytes, nonce: int) -> list[bytes]:
    """The frames of a restore."""
    payload = struct.pack("<III", nonce, crc32(state), 0)
    frames = [build(wire.BEGIN, 1, a=len(state), payload=payload)]
    for at in range(0, len(state), 256):
        frames.append(build(wire.WRITE, 2, a=at, payload=state[at : at + 256]))
    return [*frames, build(wire.COMMIT, 3)]


@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
@pytest.mark.parametrize("what", ["read", "digest", "write"])
def test_frames_allocate_nothing(request: pytest.FixtureRequest, on: str, what: str) -> None:
    command = request.getfixturevalue(on)
    if what == "read":
        frames = [build(wire.READ, 1, payload=range_payload(0, 64)) for _ in range(40)]
    elif what == "digest":
        frames = [build(wire.DIGEST, 1, payload=range_payload(0, 64, 4)) for _ in range(40)]
    else:
        state = bytes(range(256)) * 2
        one = transfer(state, 1)[:1]
        # The same offset again and again is acknowledged, the first one is stored.
        one += [build(wire.WRITE, 2, a=0, payload=state[:256]) for _ in range(40)]
        frames = one
    done = run(command, "agent_alloc.py", b"".join(frames), len(frames))
    assert re.search(rb"allocated 0 in \d\d frames", done.stderr), done.stderr


LIGHT = (2, 3, 4, 6, 7, 8, 9, 11, 13, 14)  # kinds that the agent answers quickly


def mutated(rng: random.Random, pool: list[bytes], count: int) -> bytes:
    """Frames: as they are, changed, cut, joined, or made up; few of them whole and sound."""
    out = []
    for _ in range(count):
        kind = rng.randrange(8)
        frame = rng.choice(pool)
        if kind == 0:
            out.append(frame)
        elif kind <= 3:
            i = rng.randrange(len(frame))
            out.append(frame[:i] + bytes([rng.randrange(256)]) + frame[i + 1 :])
        elif kind == 4:
            out.append(frame[: rng.randrange(len(frame))])
        elif kind == 5:
            out.append(rng.randbytes(rng.randrange(1, 40)))
        else:
            # A sound frame with fields that make no sense.
            out.append(
                build(
                    rng.choice((*LIGHT, rng.randrange(256))),
                    rng.randrange(256),
                    rng.choice((0, 0, 1, 255)),
                    rng.choice((0, 1, 255, 256, rng.randrange(1 << 30))),
                    rng.choice((0, 1, 65535)),
                    rng.randbytes(rng.choice((0, 0, 12, 12, 16, 40))),
                )
            )
    return b"".join(out)


@pytest.fixture(scope="module")
def pool() -> list[bytes]:
    state = bytes(i & 255 for i in range(700))
    slow = [build(wire.HELLO, 1, a=1), build(wire.STATUS, 2), *transfer(state, 5)]
    quick = [
        build(wire.READ, 3, payload=range_payload(0, 3)),
        build(wire.DIGEST, 4, payload=range_payload(0, 8, 8)),
        build(wire.ECHO, 5, payload=b"hello"),
        build(wire.ABORT, 6),
        build(wire.AUTH, 7),
    ]
    return quick * 12 + slow


@pytest.mark.parametrize("shard", range(4))
def test_agent_takes_anything(mpy64: list[str], pool: list[bytes], shard: int) -> None:
    """Mutated frames at the agent, in four parts; in the full run a million."""
    seed = seed_of(f"test_agent_takes_anything[{shard}]")
    rng = random.Random(seed)
    # Blocks of mutated frames, repeated in random order: as wild, and quicker to make.
    blocks = [mutated(rng, pool, 250) for _ in range(40)]
    stream = b"".join(rng.choice(blocks) for _ in range(AT_AGENT // 4 // 250))
    stream += bytes(2 * wire.MAX_PAYLOAD) + build(wire.BYE, 1, a=77)
    done = run(mpy64, "agent_fuzz.py", stream)
    found = re.search(rb"frames (\d+), commits (\d+)", done.stderr)
    assert found and int(found[1]) > AT_AGENT // 4 // 8, done.stderr
    print(done.stderr.decode())


def test_parser_takes_anything(pool: list[bytes]) -> None:
    """A million frames at the host's parser: no exception, bounded memory, only sound frames."""
    seed = seed_of("test_parser_takes_anything")
    rng = random.Random(seed)
    parser = Parser()
    blocks = [mutated(rng, pool, 500) for _ in range(40)]
    frames = 0
    for _ in range(FUZZ // 500):
        block = rng.choice(blocks)
        at = 0
        while at < len(block):
            n = rng.randrange(1, 3000)
            for frame in parser.feed(block[at : at + n]):
                frames += 1
                assert len(frame.payload) <= wire.MAX_PAYLOAD and 0 <= frame.a < 1 << 30
            at += n
            assert len(parser._buf) <= wire.MAX_PAYLOAD + wire.HEAD + 4 + 3000
    assert frames > FUZZ // 10
    parser.reset()
    assert [f.tag for f in parser.feed(build(wire.OK, 9))] == [9]


def test_a_head_is_no_payload(mpy64: list[str]) -> None:
    """A payload is lost on the line: the head behind it, 12 bytes and their CRC-32, is none."""
    whole = build(wire.READ, 5, payload=range_payload(0, 3))
    cut = whole[: wire.HEAD] + build(wire.ABORT, 6)
    assert Parser().feed(cut + build(wire.ABORT, 7))[0].tag == 6
    code = "import agent_rig\nagent, stage = agent_rig.build()\nagent.poll(1000)\n"
    done = talk(mpy64, code, cut)
    (reply,) = Parser().feed(done.stdout)
    assert (reply.kind, reply.tag, reply.b) == (wire.ERROR, 5, wire.E_FRAME), done.stderr


def test_frames_of_both_sides_are_the_same(pool: list[bytes]) -> None:
    for frame in pool:
        (parsed,) = Parser().feed(frame)
        again = build(parsed.kind, parsed.tag, parsed.aux, parsed.a, parsed.b, parsed.payload)
        assert again == frame


def test_writes_need_leave_and_key(mpy64: list[str]) -> None:
    """read_only refuses every write; a key is proved by HMAC-SHA256."""
    import hmac

    from edgeckpt.key import hmac_sha256

    for key, text in ((b"k" * 100, b"abc"), (b"", b""), (b"key", b"x" * 200)):
        assert hmac_sha256(key, text) == hmac.new(key, text, "sha256").digest()
    code = (
        "import agent_rig, edgeckpt\n"
        "from edgeckpt import wire\n"
        "agent, stage = agent_rig.build(%s)\n"
        "for i in range(%d): agent.poll(1000)\n"
    )
    frames = transfer(bytes(700), 1)
    for options in ("read_only=True", "key=b'secret'"):
        done = talk(mpy64, code % (options, len(frames)), b"".join(frames))
        replies = Parser().feed(done.stdout)
        assert len(replies) == len(frames), (replies, done.stderr)
        wanted = wire.E_READ_ONLY if "read" in options else wire.E_AUTH
        assert all(r.kind == wire.ERROR and r.b == wanted for r in replies), replies
