"""Two ways onto a board that has no edgeckpt yet; the emulated Pico, with a file system only."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeckpt_host.rig import PicoRig

from boards.tools import mpy
from boards.tools.packages import sources
from tests.tools import sizes

pytestmark = pytest.mark.hil
ROOT = Path(__file__).parents[2]
FULL = os.environ.get("EDGECKPT_FULL") == "1"
SUITE = """
stage = edgeckpt.CheckpointedStageState({"n": 1, "s": [1, 2, 3]}, lease, "{n:u32,s:Vec<u8>}")
stage.checkpoint()
stage.state["n"] = 2
stage.checkpoint()
lease = stage.into_block_lease()
back = edgeckpt.CheckpointedStageState.restore(lease)
print(edgeckpt.__file__, back.sequence, back.state["n"], list(back.state["s"]))
"""


@pytest.fixture
def bare(stock_firmware: Path) -> Iterator[PicoRig]:
    """A board without the module."""
    board = PicoRig(stock_firmware)
    said = board.run("try:\n import edgeckpt\nexcept ImportError: print('not there')")
    assert said.strip() == "not there"
    yield board
    board.close()


def works(board: PicoRig, file: str) -> None:
    board.power_cycle()
    said = board.run(board.make_lease() + SUITE, timeout=300)
    assert said.split(maxsplit=3) == [file, "2", "2", "[1, 2, 3]\n"], said


def test_edgeckpt_install(bare: PicoRig) -> None:
    bare.tool("edgeckpt", "install", "--port", bare.port, "--timeout", 10)
    works(bare, "/lib/edgeckpt/__init__.mpy")


def test_mip_install_from_a_served_folder(bare: PicoRig, tmp_path: Path) -> None:
    """The board then passes the suite, as a board in the hand does: by its port."""
    mpy.release(sources(), tmp_path, ("armv6m",))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_port}/all-armv6m.json"
        try:
            bare.tool("mpremote", "connect", bare.port, "resume", "mip", "install", where)
        finally:
            server.shutdown()
    works(bare, "/lib/edgeckpt/__init__.mpy")
    sizes.check_ram(bare, ".mpy files")
    reads_only = suite(bare, "RPI_PICO")
    assert "failed" not in reads_only and "NOT TESTED: give --allow-erase" in reads_only
    own = tmp_path / "OWN_BOARD"
    own.mkdir()
    (own / "board.toml").write_text(OWN_BOARD)
    assert "skipped" not in suite(bare, str(own), "--allow-erase")


# A board that nobody here knows, with a device of its own that holds a buffer of its own.
OWN_BOARD = """
name = "a board of the user's"

[[lease]]
name = "own"
setup = [
    "import rp2",
    '''
class OwnFlash:
    def __init__(self):
        self.inner = rp2.Flash()
        self.cache = bytearray(700)
    def ioctl(self, op, arg):
        return self.inner.ioctl(op, arg)
    def readblocks(self, n, buf, off=0):
        return self.inner.readblocks(n, buf, off)
    def writeblocks(self, n, buf, off=0):
        return self.inner.writeblocks(n, buf, off)
''',
]
device = "OwnFlash()"
start = 330
count = 8
erase_unit = 4096
"""


def suite(board: PicoRig, folder: str, *options: str) -> str:
    """The suite on the board, as docs/manual.md says for one in the hand; what pytest printed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "hil",
        "-rs",
        "-v",
        "--durations=5",
        "-p",
        "no:cacheprovider",
    ]
    command += [f"--port={board.port}", f"--board={folder}", *options]
    if not FULL:
        command += ["-k", "not golden"]  # minutes; the frozen module has them in test_board.py
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "CI"},  # where skips are failures
        capture_output=True,
        text=True,
        timeout=3000 if FULL else 300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    return done.stdout
