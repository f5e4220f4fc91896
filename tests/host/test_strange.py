"""Leases without a stage, commits that cannot be, headers with another magic: what the host is
told of them; and a board that nobody knows."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

from .conftest import ROOT, Result, power_on

Boards = Callable[..., Any]

APP = """
import edgeckpt, time
from vflash import flash
lease = edgeckpt.BlockLease(flash, 8, 16, 0x5EED)
if edgeckpt.restore.find(lease, b"CKPT", 1)[0] == 0:
    stage = edgeckpt.CheckpointedStageState(bytearray(600), lease)
    for i in range(3):
        stage.state[0] = i
        stage.checkpoint()
    lease = stage.into_block_lease()
print("ready")
while True:
    time.sleep_ms(20)
"""


def forge(chip: Path, at: int, form: str, offset: int, value: int) -> None:
    """Change a field of the header at byte `at` and make its CRC-32 right again."""
    data = bytearray(chip.read_bytes())
    struct.pack_into(form, data, at + offset, value)
    struct.pack_into("<I", data, at + 60, crc32(data[at : at + 60]))
    chip.write_bytes(data)


def test_a_lease_without_a_stage_and_commits_that_cannot_be(
    board: Callable[..., Any], edgeckpt: Callable[..., Result], tmp_path: Path
) -> None:
    b = board(APP, ready=b"ready")
    port = ("--port", b.link)
    lease = edgeckpt("info", *port, "--json").json["leases"][0]
    assert (lease["owned"], lease["sequence"], lease["health"]) == (False, 3, "ok")
    edgeckpt("pull", *port, "a.img")
    edgeckpt("verify", *port, "--against", "a.img")
    edgeckpt("pull", *port, "--raw", "dump.img")
    b.power_off()
    header = 8 * 4096 + 4 * 256  # of the second slot, which was written third
    for form, offset, value in (("<H", 50, 7), ("<I", 16, 0xFFFFFFFF), ("<Q", 8, 1 << 32)):
        forge(tmp_path / "board0" / "chip.bin", header, form, offset, value)
        power_on(b)
        lease = edgeckpt("info", *port, "--json").json["leases"][0]
        assert lease["health"] == "foreign" and "slot 1" in lease["odd"]
        for words in (("show",), ("verify",), ("pull", "b.img")):
            assert "slot 1" in edgeckpt(words[0], *port, *words[1:], code=12).err
        edgeckpt("pull", *port, "--fallback", "b.img")
        assert edgeckpt("show", "b.img", "--json").json["image"]["sequence"] == 2
        edgeckpt("pull", *port, "--raw", "odd.img")
        edgeckpt("show", "odd.img", code=12)
        if offset != 50:  # a dump has to have its slots where their headers say
            image = edgeckpt("show", "odd.img", "--fallback", "--json").json["image"]
            assert image["sequence"] == 2
        b.power_off()
        forge(tmp_path / "board0" / "chip.bin", header, "<H", 50, 1)
        forge(tmp_path / "board0" / "chip.bin", header, "<I", 16, 3)
        forge(tmp_path / "board0" / "chip.bin", header, "<Q", 8, 600)


OTHER_WRITER = """
import edgeckpt, time
from vflash import flash
lease = edgeckpt.BlockLease(flash, 8, 16, 0x5EED)
options = {"magic": b"\\xc3Kpt", "version": 7}
try:
    stage = edgeckpt.CheckpointedStageState.restore(lease, **options)
except edgeckpt.EdgeError:
    stage = edgeckpt.CheckpointedStageState(bytearray(600), lease, **options)
    for i in range(3):
        stage.state[0] = i
        stage.checkpoint()
print("ready")
while True:
    time.sleep_ms(20)
"""


def test_headers_of_another_magic_and_version(
    board: Callable[..., Any], edgeckpt: Callable[..., Result], tmp_path: Path
) -> None:
    """The stage on the board knows them; a file has to be told of."""
    b = board(OTHER_WRITER, ready=b"ready")
    port = ("--port", b.link)
    options = ("--magic", "0xc34b7074", "--format-version", "7")
    lease = edgeckpt("info", *port, "--json").json["leases"][0]
    assert (lease["magic"], lease["version"], lease["health"]) == ("\xc3Kpt", 7, "ok")
    log = edgeckpt("log", *port, "--json").json
    assert [c["sequence"] for c in log["checkpoints"]] == [3, 2, 1]
    edgeckpt("verify", *port)
    edgeckpt("pull", *port, "a.img")
    assert "--magic" in edgeckpt("show", "a.img", code=8).err
    assert edgeckpt("show", "a.img", *options, "--json").json["image"]["sequence"] == 3
    edgeckpt("verify", *port, "--against", "a.img", *options)
    edgeckpt("restore", *port, "a.img", *options)
    assert edgeckpt("show", *port, "--json").json["image"]["sequence"] == 4
    edgeckpt("pull", *port, "--raw", "dump.img")
    assert edgeckpt("show", "dump.img", *options, "--json").json["image"]["sequence"] == 4
    b.power_off()
    power_on(b)
    assert edgeckpt("info", *port, "--json").json["leases"][0]["sequence"] == 4


def test_the_hil_suite_on_a_board_that_nobody_knows(board: Boards, tmp_path: Path) -> None:
    """`pytest -m hil` with a board.toml of the user's own: all passes. Left out is the proof
    that nothing is allocated: the chip of a virtual board is a model in Python."""
    b = board("")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "board.toml").write_text(
        'name = "mine"\n[[lease]]\nname = "x"\nsetup = ["from vflash import flash"]\n'
        'device = "flash"\nstart = 32\ncount = 16\nerase_unit = 4096\n'
    )
    words = f"-q -n 0 -m hil --port={b.port} --board={folder}/ --allow-erase".split()
    words += ["-k", "not allocates"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    last = done.stdout.splitlines()[-1]
    print(last)
    assert done.returncode == 0 and "passed" in last, done.stdout + done.stderr
