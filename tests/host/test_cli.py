"""The command as a user has it: what it says, its exit codes, its JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from edgeckpt_host.errors import EXIT
from edgeckpt_host.image import write_file

from .conftest import ENV, STAGE_APP, VECTORS, Result, VirtualBoard, raw_app, wait_for

IMAGES = sorted((VECTORS / "images").glob("*.img"))
IMAGE_SCHEMA = (
    "{epoch:u32,sequence:u64,gains:[f32;8],label:Option<str>,"
    "samples:Vec<{ts:u64,ch:u8,value:i32}>,mode:enum{Idle,Sampling{rate_hz:u32,channels:Vec<u8>},"
    "Calibrating(u16),Fault(u32,str)},key:[u8;32]}"
)
Run = Callable[..., Result]


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)


Boards = Callable[..., VirtualBoard]


def test_there_are_images() -> None:
    assert len(IMAGES) >= 4


@pytest.mark.parametrize("image", IMAGES, ids=lambda p: p.stem)
def test_plain_images(edgeckpt: Run, image: Path) -> None:
    expected = json.loads(image.with_suffix(".json").read_text())
    shown = edgeckpt("show", "--json", image, "--schema", IMAGE_SCHEMA).json
    assert shown["state"] == expected["state"]
    assert shown["image"]["block_size"] == expected["block_size"]
    assert shown["image"]["integrity"] is False and shown["image"]["kind"] == "plain"
    # Readable is not proved: it has its own exit code.
    words = ("verify", "--json", image, "--schema", IMAGE_SCHEMA)
    verified = edgeckpt(*words, code=EXIT["unproved"]).json["error"]["details"]
    assert verified["image"]["integrity"] is False and verified["decoded"] is True
    assert "no integrity data" in edgeckpt("verify", image, code=EXIT["unproved"]).err
    assert "no integrity data" in edgeckpt("info", image).out


@pytest.fixture
def stage(board: Boards, edgeckpt: Run) -> VirtualBoard:
    return board(app=STAGE_APP, ready=b"saved 20 ")


def test_main_job(stage: VirtualBoard, board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    """info, pull, verify, show, restore onto a second board, compare."""
    port = stage.link
    info = edgeckpt("info", "-p", port, "--leave", "--json").json
    lease = info["leases"][0]
    assert lease["health"] == "ok" and lease["sequence"] >= 20
    assert lease["lease_id"] == f"0x{0x5EED:032x}" and len(lease["history"]) >= 14
    pulled = edgeckpt("pull", "-p", port, "--leave", "--json", "s.img").json
    assert pulled["bytes"] == 512 and not (tmp_path / "s.img.part").exists()
    assert edgeckpt("verify", "s.img", "--json").json["decoded"] is True
    (tmp_path / "link.img").symlink_to("target.img")
    edgeckpt("pull", "-p", port, "--leave", "link.img")
    assert (tmp_path / "link.img").is_symlink() and (tmp_path / "target.img").stat().st_size == 512
    state = edgeckpt("show", "s.img", "--json").json["state"]
    assert state["mode"] == {"variant": "Run", "index": 1, "value": {"rate_hz": 100}}
    other = board(app=STAGE_APP, ready=b"saved 3 ")
    done = edgeckpt("restore", "-p", other.link, "--leave", "s.img", "--json").json
    there = edgeckpt("show", "-p", other.link, "--leave", "--json").json
    assert there["state"] == state and there["image"]["sequence"] == done["sequence"]
    assert "are the same" in edgeckpt("diff", "s.img", "-p", other.link, "--leave").out
    assert edgeckpt("verify", "-p", other.link, "--leave").out
    # The board's program goes on from it.
    edgeckpt("restore", "-p", other.link, "s.img")
    lines = other.console.lines  # type: ignore[attr-defined]
    wait_for(lambda: ["resumed", str(done["sequence"] + 1), state["samples"]] in lines())


def test_raw_pull_and_digests(board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    b = board(raw_app(3000, 40, units=64), ready=b"ready")
    full = edgeckpt("pull", "-p", b.link, "--leave", "--raw", "a.img", "--json").json
    raw = (tmp_path / "a.img").read_bytes()
    assert raw == b.chip.read_bytes()[8 * 4096 : 72 * 4096] and full["bytes"] == len(raw)
    blank = sum(raw[i : i + 256] == b"\xff" * 256 for i in range(0, len(raw), 256))
    assert full["moved"] < len(raw) - 256 * blank + 8192
    again = edgeckpt(
        "pull", "-p", b.link, "--leave", "--raw", "b.img", "--against", "a.img", "--json"
    ).json
    assert (tmp_path / "b.img").read_bytes() == raw and again["moved"] < 8192
    edgeckpt("verify", "-p", b.link, "--leave", "--against", "a.img")
    changed = bytearray(raw)
    changed[5000] ^= 1
    changed[70000] ^= 128
    (tmp_path / "c.img").write_bytes(changed)
    r = edgeckpt(
        "verify", "-p", b.link, "--leave", "--against", "c.img", "--json", code=EXIT["differs"]
    )
    assert r.json["error"]["details"]["differing"] == [5000 // 256, 70000 // 256]
    shown = edgeckpt("show", "a.img", "--json").json
    live = edgeckpt("show", "-p", b.link, "--leave", "--json").json
    assert shown["state"] == live["state"]


def test_verify_moves_digests_only(board: Boards, edgeckpt: Run) -> None:
    """A lease of 1 MiB against its own dump: less than 8 KB on the line, both ways."""
    from edgeckpt_host.board import Board

    b = board(raw_app(100_000, 9, start=0, units=256), ready=b"ready")
    edgeckpt("pull", "-p", b.link, "--leave", "--raw", "a.img")
    r = edgeckpt("verify", "-p", b.link, "--leave", "--against", "a.img", "--json").json
    assert r["blocks"] * 256 == 1 << 20 and r["moved"] < 8192
    data = b.chip.read_bytes()
    with Board.open(b.port, restart=False) as host:
        link = host.link
        assert host.differing(host.lease(), 0, data) == []
    assert link.received + link.sent < 8192


def test_resumed_pull(board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    """Cut at 20 points, repeated: the whole file, and at most 1.1 times its bytes."""
    import random

    from edgeckpt_host.board import Board
    from edgeckpt_host.errors import HostError
    from edgeckpt_host.image import write_file
    from edgeckpt_host.parts import PartFile

    from .conftest import CutStream

    size = 262_144
    text = raw_app(size, 0, units=140).replace("for i in range(0)", "import os\nfor i in range(1)")
    text = text.replace("state[0] = i & 255", "state[:] = os.urandom(len(state))")
    b = board(text, ready=b"ready")
    rng = random.Random(7)
    moved = cuts = 0

    class Cut(CutStream):
        left: int | None = None
        received = 0

        def read(self, timeout: float) -> bytes:
            data = super().read(timeout)
            if self.left is not None:
                data, lost = data[: self.left], data[self.left :]
                self.left -= len(data)
                if lost:
                    self.limit = self.sent
            self.received += len(data)
            return data

    while True:
        stream = Cut(b.port)
        begun = 0
        try:
            with Board.open(b.port, stream=stream, restart=False) as host:
                lease = host.lease()
                begun = stream.received
                if cuts < 20:
                    stream.left = rng.randrange(10_000, 14_000)
                key = f"checkpoint {lease.lease_id} {lease.newest}"
                with PartFile(tmp_path / "r.img", key, lease.block_size) as part:
                    image = host.pull(lease, have=part.have)
                    moved += stream.received - begun
                    write_file(tmp_path / "r.img", image.blocks)
                    part.done()
                break
        except HostError as e:
            assert e.cause in ("link", "no-answer"), e
            moved += stream.received - begun
            cuts += 1
    assert cuts == 20
    assert moved <= 1.1 * size, f"{moved} bytes for {size}"
    assert edgeckpt("verify", "r.img", "--json").json["image"]["data_len"] == size


BAD_FILES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda d: b"", "file"),
    ("random", lambda d: bytes((i * 91 + 7) & 255 for i in range(4096)), "file"),
    ("truncated", lambda d: d[:-300], "file"),
    ("header only", lambda d: d[:40], "file"),
    ("data bit", lambda d: d[:300] + bytes([d[300] ^ 4]) + d[301:], "corrupt"),
    ("header bit", lambda d: d[:20] + bytes([d[20] ^ 4]) + d[21:], "corrupt"),
    ("version", lambda d: d[:4] + b"\x02" + d[5:], "version"),
]


@pytest.fixture
def sample(edgeckpt: Run, tmp_path: Path) -> Path:
    (tmp_path / "s.json").write_text(json.dumps({"a": list(range(500)), "b": "x" * 100}))
    edgeckpt("make", "s.json", "s.img", "--schema", "{a:Vec<u16>,b:str}", "--lease", "0x5eed")
    return tmp_path / "s.img"


def test_what_is_no_regular_file_is_written_into(tmp_path: Path) -> None:
    write_file("/dev/null", b"image")
    assert Path("/dev/null").is_char_device()
    target, link = tmp_path / "target.img", tmp_path / "link.img"
    link.symlink_to(target)
    for data in (b"one", b"another"):
        write_file(link, data)
        assert link.is_symlink() and target.read_bytes() == data
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        write_file(fifo, b"through")
        assert reader.communicate(timeout=20)[0] == b"through"
    assert fifo.is_fifo()


@pytest.mark.parametrize("name,change,cause", BAD_FILES, ids=[b[0] for b in BAD_FILES])
def test_bad_files(
    edgeckpt: Run, sample: Path, name: str, change: Callable[[bytes], bytes], cause: str
) -> None:
    bad = sample.with_name("bad.img")
    bad.write_bytes(change(sample.read_bytes()))
    for command in ("verify", "show", "info"):
        if command == "info" and name == "data bit":
            continue
        r = edgeckpt(command, bad, code=None)
        wanted = {EXIT[cause]} | ({EXIT["schema"]} if name == "header only" else set())
        assert r.code in wanted, r
        assert r.err.startswith("edgeckpt: ") and str(bad) in r.err and not r.out, r
    document = edgeckpt("verify", bad, "--json", code=None).json
    assert document["ok"] is False and document["error"]["exit_code"] in wanted


def test_every_byte_of_an_image_is_covered(sample: Path) -> None:
    """No single changed byte goes unnoticed, but in the padding of the last block."""
    from edgeckpt_host.errors import HostError
    from edgeckpt_host.image import parse

    good = sample.read_bytes()
    image = parse(good, "good")
    covered = list(range(0, 64 + image.header.schema_len))
    covered += range(image.block_size, image.block_size + image.header.data_len)
    for at in covered:
        bad = bytearray(good)
        bad[at] ^= 0x10
        with pytest.raises(HostError) as raised:
            parse(bytes(bad), "bad")
        assert raised.value.cause in ("file", "corrupt", "version"), at


def test_ports_and_boards_that_are_not(board: Boards, edgeckpt: Run, tmp_path: Path) -> None:
    def fails(cause: str, *words: object, **env: str) -> Result:
        r = edgeckpt(*words, code=EXIT[cause], **env)
        assert r.err.count("\n") <= 2 and r.err.startswith("edgeckpt: "), r
        return r

    fails("port", "info", "-p", tmp_path / "nothing")
    fails("port", "info", "-p", "socket://127.0.0.1:1")
    fails("port", "info", "-p", "socket://nowhere")
    fails("port", "info", "-p", "rfc2217://127.0.0.1:1")
    (tmp_path / "file").write_text("no port")
    fails("port", "info", "-p", tmp_path / "file")
    without = board(module=False)
    r = fails("no-module", "info", "-p", without.link)
    assert "edgeckpt install" in r.err
    bare = board()
    fails("lease", "pull", "-p", bare.link, "x.img")
    deaf_master, deaf_slave = os.openpty()
    quick = ("--timeout", "0.1", "--retries", "1")
    fails("no-answer", "info", "-p", os.ttyname(deaf_slave), *quick)
    os.close(deaf_master)
    os.close(deaf_slave)


def test_wrong_lease_schema_geometry(
    board: Boards, edgeckpt: Run, sample: Path, tmp_path: Path
) -> None:
    b = board(raw_app(600), ready=b"ready")
    port = ("-p", b.link, "--leave")
    content = b.chip.read_bytes()
    edgeckpt("pull", *port, "x.img", "--lease", "0x1234", code=EXIT["lease"])
    edgeckpt("pull", *port, "x.img", "--slot", "999", code=EXIT["no-checkpoint"])
    edgeckpt("restore", *port, sample, code=EXIT["schema"])
    edgeckpt("restore", *port, sample, "--any-schema", code=EXIT["geometry"])
    edgeckpt("make", "s.json", "o.img", "--schema", "{a:Vec<u16>,b:str}", "--lease", "7")
    edgeckpt("restore", *port, "o.img", code=EXIT["lease"])
    edgeckpt("restore", *port, IMAGES[0], code=EXIT["refused"])
    edgeckpt("restore", *port, tmp_path / "none", code=EXIT["file"])
    (tmp_path / "r.bin").write_bytes(os.urandom(5000))
    edgeckpt("restore", *port, tmp_path / "r.bin", code=EXIT["file"])
    assert b.chip.read_bytes() == content


def test_make_show_round_trip(edgeckpt: Run, tmp_path: Path) -> None:
    exact = json.loads(IMAGES[-1].with_suffix(".json").read_text())["state"]
    (tmp_path / "in.json").write_text(json.dumps(exact))
    edgeckpt("make", "in.json", "m.img", "--schema", IMAGE_SCHEMA, "--sequence", "9")
    shown = edgeckpt("show", "m.img", "--json", "--schema", IMAGE_SCHEMA).json
    assert shown["state"] == exact and shown["image"]["sequence"] == 9
    (tmp_path / "plain.json").write_text(json.dumps(shown["plain"]))
    edgeckpt("make", "plain.json", "n.img", "--schema", IMAGE_SCHEMA, "--sequence", "9")
    assert (tmp_path / "n.img").read_bytes() == (tmp_path / "m.img").read_bytes()
    edgeckpt("make", "in.json", "x.img", "--schema", "{a:u8}", code=EXIT["schema"])
    edgeckpt("show", "m.img", "--schema", "{a:u8}", code=EXIT["schema"])
    r = edgeckpt("diff", "m.img", "n.img", "--schema", IMAGE_SCHEMA)
    assert "same" in r.out


def test_install(board: Boards, edgeckpt: Run) -> None:
    b = board(module=False)
    edgeckpt("info", "-p", b.link, code=EXIT["no-module"])
    done = edgeckpt("install", "-p", b.link, "--json").json
    assert "edgeckpt/agent.mpy" in done["files"] and done["version"]
    assert edgeckpt("info", "-p", b.link, "--json").json["leases"] == []


def test_report_selftest_bench_log(stage: VirtualBoard, edgeckpt: Run, tmp_path: Path) -> None:
    port = ("-p", stage.link, "--leave")
    assert edgeckpt("log", *port).out.count("\n") >= 14
    edgeckpt("report", *port, "-o", "page.html")
    edgeckpt("pull", *port, "--raw", "d.img")
    edgeckpt("report", "d.img", "-o", "file.html")
    for name in ("page.html", "file.html"):
        text = (tmp_path / name).read_text()
        tags = Tags()
        tags.feed(text)
        assert "table" in tags.seen and "script" not in tags.seen and "http" not in text
        assert "samples" in text and "From sequence" in text
    before = edgeckpt("show", *port, "--json").json["state"]
    done = edgeckpt("selftest", *port, "--lease", "0x5eed", "--rounds", "4", "--json").json
    assert [r["ok"] for r in done["rounds"]] == [True] * 4
    assert edgeckpt("show", *port, "--json").json["state"] == before
    assert edgeckpt("bench", *port, "--json").json["read_bytes_per_s"] > 0


def test_trace_shows_the_wire(stage: VirtualBoard, edgeckpt: Run, tmp_path: Path) -> None:
    edgeckpt("info", "-p", stage.link, "--leave", "--trace", "wire.txt")
    lines = (tmp_path / "wire.txt").read_text().splitlines()
    assert any(" > c501" in line for line in lines) and any(" < c546" in line for line in lines)


def test_help_fits_80_columns(edgeckpt: Run) -> None:
    from edgeckpt_host.cli import cli

    text = edgeckpt("--help").out
    assert "..." not in text.partition("Commands:")[2]
    for name in cli.commands:
        assert name in text
        page = edgeckpt(name, "--help").out
        assert all(len(line) <= 80 for line in page.splitlines()), name
    assert "_EDGECKPT_COMPLETE" in edgeckpt("completion", "bash").out


def test_starts_as_fast_as_mpremote() -> None:
    """`edgeckpt --version` takes at most 1.5 times `mpremote version`, in the same run."""
    mpremote = [str(Path(sys.executable).with_name("mpremote")), "version"]
    ours = [sys.executable, "-m", "edgeckpt_host.cli", "--version"]

    def best(command: list[str]) -> float:
        times = []
        for _ in range(7):
            start = time.monotonic()
            subprocess.run(command, env=ENV, check=True, capture_output=True, timeout=60)
            times.append(time.monotonic() - start)
        return min(times)

    a, b = best(ours), best(mpremote)
    assert a <= 1.5 * b, f"edgeckpt {a:.3f} s, mpremote {b:.3f} s"


def test_exit_codes_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for cause, code in EXIT.items():
        assert f"| {code} | `{cause}` |" in text, (cause, code)


def run_server(code: str, *args: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE, text=True, env=ENV,
    )  # fmt: skip
    assert process.stdout is not None
    return process


# pyserial's own RFC 2217 implementation, as its example server uses it
RFC2217 = """
import serial, serial.rfc2217, socket, sys, threading
class Pty(serial.Serial):  # which has no modem lines
    cts = dsr = ri = cd = property(lambda self: True)
    _update_dtr_state = _update_rts_state = lambda self: None
port = Pty(sys.argv[1], 115200, timeout=0.02)
server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen(1)
print(server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept()
    class Connection:
        def write(self, data): client.sendall(data)
    manager = serial.rfc2217.PortManager(port, Connection())
    alive = True
    def reader():
        while alive:
            data = port.read(port.in_waiting or 1)
            if data:
                try: client.sendall(b''.join(manager.escape(data)))
                except OSError: return
    thread = threading.Thread(target=reader, daemon=True); thread.start()
    while True:
        try: data = client.recv(4096)
        except OSError: break
        if not data: break
        port.write(b''.join(manager.filter(data)))
    alive = False; thread.join(); client.close()
"""
TCP = """
import os, select, socket, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen(1)
print(server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept()
    while True:
        ready, _, _ = select.select([client, fd], [], [])
        if client in ready:
            data = client.recv(4096)
            if not data: break
            os.write(fd, data)
        if fd in ready:
            try: client.sendall(os.read(fd, 4096))
            except OSError: break
    client.close()
"""


@pytest.mark.parametrize("scheme,code", [("rfc2217", RFC2217), ("socket", TCP)])
def test_network_ports(
    board: Boards, edgeckpt: Run, tmp_path: Path, scheme: str, code: str
) -> None:
    b = board(raw_app(3000), ready=b"ready")
    server = run_server(code, b.port)
    try:
        assert server.stdout is not None
        url = f"{scheme}://127.0.0.1:{server.stdout.readline().strip()}"
        edgeckpt("pull", "-p", url, "--leave", "s.img")
        edgeckpt("restore", "-p", url, "--leave", "s.img")
        edgeckpt("verify", "-p", url, "--leave", "--against", "s.img")
    finally:
        server.kill()
        server.wait()


def test_mpremote_works_after_us(board: Boards, edgeckpt: Run) -> None:
    """The REPL is what it was: mpremote and we take turns on one port."""
    b = board(raw_app(600), ready=b"ready")
    mpremote = Path(sys.executable).with_name("mpremote")
    for _ in range(2):
        edgeckpt("info", "-p", b.link, "--leave")
        done = subprocess.run(
            [mpremote, "connect", b.port, "resume", "eval", "stage.sequence"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.strip() == "5", done


def test_what_is_no_regular_file(stage: VirtualBoard, edgeckpt: Run, tmp_path: Path) -> None:
    """`-` is stdin or stdout; a device, a FIFO, a symlink's target is written, never replaced."""
    port = ("-p", stage.link, "--leave")
    command = [sys.executable, "-m", "edgeckpt_host.cli"]

    def piped(*words: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*command, *map(str, words)],
            env=ENV,
            cwd=tmp_path,
            input=data,
            capture_output=True,
            timeout=60,
        )

    edgeckpt("pull", *port, "s.img")
    image = (tmp_path / "s.img").read_bytes()
    done = piped("pull", *port, "-")
    assert done.stdout == image and done.stderr.startswith(b"-: sequence"), done
    assert piped("show", "-", data=image).stdout == piped("show", "s.img").stdout
    assert b"sequence" in piped("verify", "-", data=image).stdout
    assert b"is now sequence" in piped("restore", *port, "-", data=image).stdout
    assert "stdout" in edgeckpt("pull", *port, "-", "--json", code=EXIT["usage"]).out
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "fifo", "r+b", buffering=0) as fifo:
        edgeckpt("pull", *port, "--slot", 0, "fifo")
        assert fifo.read(4) == b"CKPT"
    assert (tmp_path / "fifo").is_fifo()
    edgeckpt("pull", *port, "/dev/null")
    assert Path("/dev/null").is_char_device()
    assert {p.name for p in tmp_path.iterdir()} == {"board0", "s.img", "fifo"}
