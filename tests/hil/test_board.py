"""The same tests for the emulated Pico and for a board in the hand (`--port`).

What needs a blank file system or another firmware (installing) is in test_install.py.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeckpt_host.rig import Rig

from tests.tools import sizes

pytestmark = pytest.mark.hil
VECTORS = Path(__file__).parents[1] / "vectors"
FULL = os.environ.get("EDGECKPT_FULL") == "1"
CODEC = Path(__file__).parents[1] / "codec" / "device"
CORE = CODEC.parents[1] / "core" / "device"
DRIVERS = CODEC.parents[1] / "drivers" / "device"
STACK = 4800  # bytes, README.md
SCHEMA = "{boots:u32,total:u64,gains:[f32;2],mode:enum{Idle,Run(u8)}}"


def test_module_is_there(board: Rig) -> None:
    said = board.run("import edgeckpt\nprint(edgeckpt.__version__)")
    assert said.strip().count(".") == 2, said


def test_states_survive_power_cycles(writable: Rig) -> None:
    board = writable
    begin = "lease.wipe()\nstage = edgeckpt.CheckpointedStageState(bytearray(300), lease)\n"
    board.run(board.make_lease() + begin + "stage.checkpoint()\n", timeout=300)
    for cycle in range(1, 4):
        board.power_cycle()
        said = board.run(
            board.make_lease()
            + "stage = edgeckpt.CheckpointedStageState.restore(lease, into=bytearray(300))\n"
            + "print(stage.sequence, len(stage.state), stage.state[0], stage.state[299])\n"
            + f"for i in range(2): stage.state[0] = stage.state[299] = {cycle}\n"
            + "stage.checkpoint()\nstage.checkpoint()\n"
        )
        assert [int(w) for w in said.split()] == [2 * cycle - 1, 300, cycle - 1, cycle - 1]


def test_checkpoint_allocates_nothing(writable: Rig, medium_lease: str) -> None:
    board = writable
    kind = "Flash" if board.lease.erase_unit else "Disk"
    said = board.run(board.make_lease() + ALLOCATION.replace("KIND", kind), timeout=300)
    *lines, stack = said.splitlines()
    assert lines == ["success 0 2", "locked program 4", "free program 4", "restored 4"]
    print(f"{board.port}: {stack} bytes of a checkpoint, where the device is called")
    if board.emulated:  # of the 8 KB of a Pico; a driver takes its share
        assert int(stack.split()[1]) <= STACK


@pytest.mark.parametrize(
    "script, in_use",
    [
        (CORE / "loops.py", "in-use"),
        (CODEC / "varints.py", "postcard"),
        (DRIVERS / "checksums.py", "sdcard"),
    ],
)
def test_byte_loops(board: Rig, script: Path, in_use: str) -> None:
    found = board.run(script.read_text(), timeout=300).split()
    print(board.port, found)
    assert found[:1] == ["ok"] and in_use in found


def test_byte_loops_are_machine_code(board: Rig) -> None:
    """CRC-32 takes 19 cycles a byte on a Pico as Thumb code, 103 as viper code."""
    said = board.run(
        """
import time
from edgeckpt.loops import crc
acc = bytearray(4)
buf = bytearray(4096)
t = time.ticks_us()
crc(acc, buf, 0, 4096)
print(time.ticks_diff(time.ticks_us(), t))
"""
    )
    print(f"{board.port}: CRC-32 of 4096 bytes in {said.strip()} us")
    if board.emulated:
        assert int(said) < 25 * 4096 / 125


ALLOCATION = """
import gc, micropython

class Disk:
    # In front of the device: a write that fails when told so; how deep in the stack it is called.
    def __init__(self, device):
        self.device = device
        self.fail = False
        self.deepest = 0
    def look(self):
        self.deepest = max(self.deepest, micropython.stack_use())
        return self.device
    def ioctl(self, op, arg):
        return self.look().ioctl(op, arg)
    def readblocks(self, n, buf):
        return self.look().readblocks(n, buf)
    def writeblocks(self, n, buf):
        return False if self.fail else self.look().writeblocks(n, buf)

class Flash(Disk):
    def readblocks(self, n, buf, off):
        return self.look().readblocks(n, buf, off)
    def writeblocks(self, n, buf, off):
        return False if self.fail else self.look().writeblocks(n, buf, off)

lease.wipe()
front = KIND(device)
lease = edgeckpt.BlockLease(front, lease.start, lease.count, lease.release() or 0xED6E)
stage = edgeckpt.CheckpointedStageState(bytearray(600), lease)

def run(n):
    # Allocation-free itself: what is measured is checkpoint() alone.
    micropython.heap_lock()
    try:
        while n:
            n -= 1
            stage.checkpoint()
    finally:
        micropython.heap_unlock()

def refused(f, n):
    try:
        f(n)
    except edgeckpt.CheckpointFailed as e:
        return e.reason
    return "no error"

def used():
    # Locals: a new global may make its dict grow.
    gc.collect()
    gc.disable()
    before = gc.mem_free()
    a = gc.mem_free()
    stage.checkpoint()
    b = gc.mem_free()
    gc.enable()
    return a - b - (before - a)

stage.state[0] = 1
print("success", used() | used(), stage.sequence)
front.deepest = 0
run(2)
deepest = front.deepest - micropython.stack_use()
front.fail = True
print("locked", refused(run, 1), stage.sequence)
gc.collect()
print("free", refused(lambda n: stage.checkpoint(), 1), stage.sequence)
front.fail = False
lease = stage.into_block_lease()
stage = edgeckpt.CheckpointedStageState.restore(lease, into=bytearray(600))
print("restored", stage.sequence)
print("stack", deepest)
"""


def test_tools_work_against_the_console(writable: Rig, tmp_path: Path) -> None:
    board = writable
    begin = f"""
lease.wipe()
state = {{"boots": 7, "total": 1 << 40, "gains": [0.5, -2.0], "mode": ("Run", 9)}}
stage = edgeckpt.CheckpointedStageState(state, lease, "{SCHEMA}")
stage.checkpoint()
state["boots"] = 8
stage.checkpoint()
"""
    board.run(board.make_lease() + begin, timeout=300)
    port = ("--port", board.port, "--timeout", 10, "--leave")
    image, again = tmp_path / "state.img", tmp_path / "again.img"
    info = json.loads(board.tool("edgeckpt", "info", "--json", *port))
    assert len(info["leases"]) == 1 and info["leases"][0]["sequence"] == 2, info
    board.tool("edgeckpt", "pull", *port, image)
    board.tool("edgeckpt", "verify", image)
    board.tool("edgeckpt", "verify", *port)
    shown = json.loads(board.tool("edgeckpt", "show", *port))
    assert shown == {
        "boots": 8,
        "total": 1 << 40,
        "gains": [0.5, -2.0],
        "mode": {"Run": 9},
    }, shown
    board.tool("edgeckpt", "restore", *port, image)
    watched = board.tool("edgeckpt", "watch", "--count", 1, "--json", *port)
    assert '"sequence": 3' in watched or '"sequence":3' in watched, watched
    board.tool("edgeckpt", "pull", *port, again)
    assert json.loads(board.tool("edgeckpt", "show", again)) == shown
    said = board.tool("mpremote", "connect", board.port, "resume", "exec", "print(stage.sequence)")
    assert said.strip() in ("2", "3"), said


def _chunks(cases: list[dict[str, object]], size: int = 3000) -> Iterator[list[str]]:
    """JSON texts of the cases without what no check reads, about `size` characters at a time."""
    chunk: list[str] = []
    for case in cases:
        kept = {k: v for k, v in case.items() if k in NEEDED}
        text = json.dumps(kept, separators=(",", ":"), ensure_ascii=False)
        if chunk and sum(map(len, chunk)) + len(text) > size:
            yield chunk
            chunk = []
        chunk.append(re.sub(r'"repr":"[^"]*",?|,"repr":"[^"]*"', "", text))
    yield chunk


NEEDED = ("id", "type", "value", "hex", "result", "result_32bit")


@pytest.mark.parametrize(
    "name, check", [("postcard_vectors", "check_vector"), ("decode_cases", "check_case")]
)
def test_golden_vectors(board: Rig, name: str, check: str) -> None:
    """The vectors of the Rust crate, both ways; f64 by the rule for single precision."""
    cases = [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines()]
    fit = [c for c in cases if len(c["hex"]) < 16384]  # as text, twice, in the RAM of a Pico
    if board.emulated and not FULL:
        # All take minutes, a dozen of them most: enums of 300 variants, states of kilobytes.
        fit = [c for c in fit if len(json.dumps([c["type"], c["hex"]])) < 3000][::5]
    board.run(GOLDEN, timeout=300)
    passed = 0
    for chunk in _chunks(fit):
        said = board.run(f"each({check}, {chunk!r})", timeout=600)
        assert said.strip() == f"ok {len(chunk)}", said
        passed += len(chunk)
    assert passed == len(fit) > len(cases) // 7
    print(f"{name}: {passed} of {len(cases)} on the board")


GOLDEN = (
    (CODEC / "notation.py").read_text()
    + re.sub("from notation .*", "", (CODEC / "vectors.py").read_text()).partition("def run(")[0]
    + """
def each(check, texts):
    for text in texts:
        case = json.loads(text)
        try:
            check(case)
        except Exception as e:
            print("case", case["id"], repr(e))
            return
    print("ok", len(texts))
"""
)


def test_buffers_are_as_the_readme_says(board: Rig, medium_lease: str) -> None:
    column = 1 if board.lease.erase_unit else 2
    rows = {row[0].strip("`"): int(row[column] or 0) for row in sizes.told("bytes of buffer")}
    setup = " ".join((*board.lease.setup, board.lease.device))
    for driver in ("SPINor", "SDCard"):
        if driver not in setup:
            rows = {name: size for name, size in rows.items() if not name.startswith(driver)}
    found = sizes.buffers(board)
    told = [{n for n in names if rows.get(n) == size} for names, size in found]
    assert all(told), f"README.md tells {rows}, the board has {found}"
    assert set(rows) <= set().union(*(names for names, _ in found)), (rows, found)


def test_benchmark(writable: Rig) -> None:
    """Prints times; asserts only what must hold anywhere."""
    said = writable.run(
        writable.make_lease()
        + """
import time
lease.wipe()
stage = edgeckpt.CheckpointedStageState(bytearray(1000), lease)
for i in range(4):
    t = time.ticks_us()
    stage.checkpoint()
    print(time.ticks_diff(time.ticks_us(), t))
""",
        timeout=300,
    )
    times = [int(w) for w in said.split()]
    print(f"{writable.port}: checkpoints of 1000 bytes took {times} us")
    assert len(times) == 4 and all(t > 0 for t in times)
