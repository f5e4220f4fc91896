"""The drivers on the checkpoint path fit 11 words too; see tests/core/test_frames.py."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = [
    f"edgeckpt.drivers.{name}"
    for name in ("spinor", "sfdp", "sdcard", "spifram", "adapters", "crc_plain")
]

# Detection, initialisation, the probe, and what leads to a raise.
OFF_THE_PATH = {
    "spinor.py": {"__init__", "_adopt", "_out_of_range", "_query"},
    "sfdp.py": {
        "<listcomp>",
        "<genexpr>",
        "__init__",
        "_basic",
        "_four",
        "_said",
        "_tables",
        "_timing",
        "erases",
    },
    "sdcard.py": {"__init__", "_go_idle", "_identify", "_start"},
    "spifram.py": {"__init__", "_size"},
    "adapters.py": {"<listcomp>", "_place", "_prove", "any_device", "probe"},
}


def test_frames_fit_the_stack(mpy64: list[str]) -> None:
    path = ROOT / "tests" / "core" / "test_frames.py"
    spec = importlib.util.spec_from_file_location("core_frames", path)
    assert spec and spec.loader
    core = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(core)
    found = [f for f in core.frames(mpy64, MODULES) if f[0] in {*OFF_THE_PATH, "crc_plain.py"}]
    assert {f for f, _, _ in found} == {*OFF_THE_PATH, "crc_plain.py"}
    over = [
        f"{f}: {name} needs {words} words"
        for f, name, words in found
        if words > core.LIMIT and name != "<module>" and name not in OFF_THE_PATH.get(f, set())
    ]
    assert not over, over
