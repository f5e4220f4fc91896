"""No function of the checkpoint path may need a frame of more than 11 words.

MicroPython keeps a bytecode function's frame on the C stack up to 11 words (n_state + 3 for each
nested `try`), and allocates a larger one at every call (py/vm.h, VM_MAX_STATE_ON_STACK). The
compiler says what each function needs; what is larger must be listed here as off that path.
"""

import os
import re
import subprocess
from pathlib import Path

FIRMWARE = Path(__file__).parents[2] / "firmware"
LIMIT = 11
MODULES = ["edgeckpt", "edgeckpt.loops_plain", "edgeckpt.agent", "edgeckpt.key"]
MODULES += ["edgeckpt.codec." + name for name in ("ready", "schema", "into", "explain")]

# Modules of which nothing runs within a checkpoint that succeeds.
OFF = {"decode.py", "explain.py", "into.py", "migrate.py"}

# Constructors, restore and search: they run before or after, never within, a checkpoint.
# Of the agent: what answers requests other than READ, DIGEST and WRITE.
OFF_THE_PATH = {
    "agent.py": {
        "__init__",
        "_asked",
        "_auth",
        "_begin",
        "_plan",
        "_status",
        "serve",
    },
    "__init__.py": {"__init__", "_fail", "_read", "_read_into", "compile", "decode"},
    "order.py": {"_less_map", "merged"},  # of what is out of order; see there
    "postcard.py": {"_float", "_host_string", "_joined", "number"},
    "errors.py": {"__init__"},
    "header.py": {"__init__", "parse"},
    "lease.py": {"__init__", "_ask", "_is_extended", "copy"},
    "line.py": {"<listcomp>", "_error", "_text"},
    "port.py": {"byte_view"},
    "restore.py": {"_decode", "_newest", "_plain", "find", "read_state", "restore"},
    "ring.py": {"__init__"},
    "scan.py": {"_evidence", "_opened_last", "_read_data", "_read_more", "read_data", "scan"},
    "schema.py": {"type"},
    "stage.py": {
        "__init__",
        "_begin",
        "_cut",
        "_fail",
        "_second_look",
        "into_block_lease",
        "older",
        "restore",
        "resume",
        "with_observer",
    },
    "transfer.py": {"__init__"},
    "tree.py": {"<listcomp>"},
}


def frames(micropython: list[str], modules: list[str]) -> list[tuple[str, str, int]]:
    """(file, function, words) of every bytecode function of the modules."""
    program = "\n".join(f"import {name}" for name in modules)
    dump = subprocess.run(
        [*micropython, "-v", "-v", "-c", program],
        env=dict(os.environ, MICROPYPATH=str(FIRMWARE)),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(
        r"File (\S+), code block '([^']+)'.*?\(N_STATE (\d+)\)\n\(N_EXC_STACK (\d+)\)",
        dump,
        re.DOTALL,
    )
    return [
        (Path(f).name, name, int(n) + 3 * int(x))
        for f, name, n, x in found
        if Path(f).name not in OFF
    ]


def test_frames_fit_the_stack(mpy64: list[str]) -> None:
    found = frames(mpy64, MODULES)
    assert {f for f, _, _ in found} >= {
        "stage.py",
        "commit.py",
        "ring.py",
        "scan.py",
        "lease.py",
        "agent.py",
        "line.py",
        "transfer.py",
        "wire.py",
    }
    over = [
        f"{f}: {name} needs {words} words"
        for f, name, words in found
        if words > LIMIT and name != "<module>" and name not in OFF_THE_PATH.get(f, set())
    ]
    assert not over, over


def test_the_list_is_not_stale(mpy64: list[str]) -> None:
    found = {(f, name) for f, name, words in frames(mpy64, MODULES) if words > LIMIT}
    stale = [
        (f, name) for f, names in OFF_THE_PATH.items() for name in names if (f, name) not in found
    ]
    assert not stale, stale
