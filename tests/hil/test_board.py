"""The same tests for the emulated Pico and for a board in the hand (`--port`).

What needs a blank file system or another firmware (installing) is in test_install.py.
"""

import json
import os
import struct
from pathlib import Path

import pytest

from tests.tools.hil import Remote

pytestmark = pytest.mark.hil
VECTORS = Path(__file__).parents[1] / "vectors" / "postcard_vectors.jsonl"
NOTATION = Path(__file__).parents[1] / "codec" / "device" / "notation.py"
FULL = os.environ.get("EDGECKPT_FULL") == "1"
SCHEMA = "{boots:u32,total:u64,gains:[f32;2],mode:enum{Idle,Run(u8)}}"


def test_module_is_there(board: Remote) -> None:
    said = board.exec("import edgeckpt\nprint(edgeckpt.__version__)")
    assert said.strip().count(".") == 2, said


def test_states_survive_power_cycles(writable: Remote) -> None:
    board = writable
    begin = "lease.wipe()\nstage = edgeckpt.CheckpointedStageState(bytearray(300), lease)\n"
    board.exec(board.make_lease() + begin + "stage.checkpoint()\n", timeout=300)
    for cycle in range(1, 4):
        board.power_cycle()
        said = board.exec(
            board.make_lease()
            + "stage = edgeckpt.CheckpointedStageState.restore(lease, into=bytearray(300))\n"
            + "print(stage.sequence, len(stage.state), stage.state[0], stage.state[299])\n"
            + f"for i in range(2): stage.state[0] = stage.state[299] = {cycle}\n"
            + "stage.checkpoint()\nstage.checkpoint()\n"
        )
        assert [int(w) for w in said.split()] == [2 * cycle - 1, 300, cycle - 1, cycle - 1]


def test_checkpoint_allocates_nothing(writable: Remote) -> None:
    said = writable.exec(writable.make_lease() + ALLOCATION, timeout=300)
    assert said.split() == ["0", "0", "4"], said


ALLOCATION = """
import gc, micropython
lease.wipe()
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

stage.checkpoint()
gc.collect()
gc.disable()
before = gc.mem_free()
a = gc.mem_free()
stage.checkpoint()
b = gc.mem_free()
print(a - b - (before - a))
gc.enable()
gc.collect()
run(2)
print(0, stage.sequence)
"""


def test_tools_work_against_the_console(writable: Remote, tmp_path: Path) -> None:
    board = writable
    begin = f"""
lease.wipe()
state = {{"boots": 7, "total": 1 << 40, "gains": [0.5, -2.0], "mode": ("Run", 9)}}
stage = edgeckpt.CheckpointedStageState(state, lease, "{SCHEMA}")
stage.checkpoint()
state["boots"] = 8
stage.checkpoint()
"""
    board.exec(board.make_lease() + begin, timeout=300)
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


def _exact_in_single(value: object) -> bool:
    """Whether no f64 in the value needs more than the single precision of boards."""
    if isinstance(value, dict):
        bits = value.get("bits")
        if isinstance(bits, str) and len(bits) == 16:
            x = struct.unpack(">d", bytes.fromhex(bits))[0]
            try:
                return x == x and struct.unpack(">f", struct.pack(">f", x))[0] == x
            except OverflowError:
                return False
        return all(_exact_in_single(v) for v in value.values())
    return all(_exact_in_single(v) for v in value) if isinstance(value, list) else True


def test_golden_vectors(board: Remote) -> None:
    """Encoded on the board, the values of the Rust crate give its bytes, and back."""
    vectors = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    exact = [v for v in vectors if _exact_in_single(v["value"])]
    print(f"{len(vectors) - len(exact)} vectors hold an f64 that needs double precision")
    if board.emulated and not FULL:
        kinds: dict[str, dict[str, object]] = {}
        for v in exact:
            kinds.setdefault(v["kind"].split(" ")[0], v)
        exact = list(kinds.values())[:: max(1, len(kinds) // 16)]
    board.exec(GOLDEN, timeout=300)
    for v in exact:
        said = board.exec(f"vector({json.dumps(json.dumps(v))})", timeout=600)
        assert said.strip() == "ok", f"{said}\n{v}"
    print(f"{len(exact)} vectors on the board")


GOLDEN = (
    NOTATION.read_text()
    + """
import json

def vector(text):
    case = json.loads(text)
    c = codec.compile(schema_text(case["type"]))
    value = value_of(c.tree, case["value"])
    data = unhex(case["hex"])
    got = encode(c, value)
    assert got == data, got
    got = c.decode(data, len(data))
    assert same(got, value), got
    print("ok")
"""
)


def test_benchmark(writable: Remote) -> None:
    """Prints times; asserts only what must hold anywhere."""
    said = writable.exec(
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
