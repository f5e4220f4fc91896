"""The pytest plugin as its users have it: a pytest of its own, in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from edgeckpt_host.rig import PicoRig

from boards.tools.firmware import build
from tests.tools.micropythons import or_skip

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sensor_logger"
FULL = os.environ.get("EDGECKPT_FULL") == "1"
BLOCK = re.compile(r"^```python (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUIET = ("-p", "no:cacheprovider", "-p", "no:labgrid")
CLEAN = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTHONPATH", "EDGECKPT_PORT")}


def run_pytest(
    folder: Path, *options: str, python: str = sys.executable, code: int = 0, **env: str
) -> str:
    """pytest in `folder`, as a user runs it; what it prints."""
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-rs", *QUIET, *options],
        cwd=folder,
        env={**CLEAN, **env},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """An empty folder with the two files that docs/testing.md tells to put there."""
    for name, text in BLOCK.findall((ROOT / "docs" / "testing.md").read_text()):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools leaves things behind where it builds."""
    copy = tmp_path_factory.mktemp("wheel") / "source"
    skip = shutil.ignore_patterns("__pycache__", "*.mpy")
    for name in ("firmware", "host_tools", "boards"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(copy.parent)]
    subprocess.run([*command, str(copy)], check=True, timeout=300)
    return next(copy.parent.glob("edgeckpt-*.whl"))


def test_the_manual_has_the_example(example: Path) -> None:
    lines = 0
    for path in sorted(EXAMPLE.glob("*.py")):
        assert (example / path.name).read_text() == path.read_text(), path
        lines += sum(1 for line in path.read_text().splitlines() if line.strip())
    assert 0 < lines <= 30


def test_the_example_from_the_wheel(example: Path, wheel: Path, tmp_path: Path) -> None:
    """Unpacked before everything else on the path: nothing of the checkout is used."""
    at = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(at)
    (example / "test_where.py").write_text(
        "import edgeckpt, edgeckpt_host, edgeckpt_boards.unix.vboard as v\n"
        f"def test(): assert all(m.__file__.startswith({str(at)!r})"
        " for m in (edgeckpt, edgeckpt_host, v))\n"
    )
    assert "3 passed" in run_pytest(example, PYTHONPATH=str(at))


def test_the_example_on_the_emulated_pico(example: Path) -> None:
    image = or_skip("the firmware of the Pico", lambda: build("RPI_PICO")) / "firmware.uf2"
    options = ["--edgeckpt-board", "RPI_PICO", "--edgeckpt-image", str(image)]
    if not FULL:
        options += ["-k", "restart"]
    said = run_pytest(example, *options)
    assert ("2 passed" if FULL else "1 passed") in said, said


def test_the_example_on_a_board_at_a_port(example: Path) -> None:
    """As on a board in the hand: an emulated Pico that the plugin knows only by its port. In the
    full run it has no module yet, which the fixture then installs."""
    manifest = "stock.py" if FULL else "manifest.py"
    made = or_skip("the firmware of the Pico", lambda: build("RPI_PICO", manifest))
    rig = PicoRig(made / "firmware.uf2")
    try:
        options = ["--edgeckpt-port", rig.port, "--edgeckpt-board", "RPI_PICO"]
        before = rig.run("import os; print(os.listdir())")
        said = run_pytest(example, *options)
        assert "2 skipped" in said and "--edgeckpt-allow-erase" in said
        assert rig.run("import os; print(os.listdir())") == before
        options += ["--edgeckpt-allow-erase"]
        if FULL:
            said = run_pytest(example, *options)
            assert "1 passed, 1 skipped" in said and "cannot fail at a given operation" in said
        else:
            assert "1 passed" in run_pytest(example, *options, "-k", "restart")
    finally:
        rig.close()


def _venv(python: str, folder: Path, what: str) -> str:
    """The Python of a new virtual environment with `what` installed."""
    subprocess.run([python, "-m", "venv", folder], check=True, timeout=120)
    made = str(folder / "bin" / "python")
    subprocess.run([made, "-m", "pip", "install", "-q", what], check=True, timeout=600)
    return made


def _pythons() -> list[str]:
    """Other Pythons on the path that work; a shim of pyenv is one only where it is switched on."""
    found = []
    for minor in range(10, 30):
        python = shutil.which(f"python3.{minor}")
        if python and minor != sys.version_info.minor:
            version = subprocess.run([python, "--version"], capture_output=True, timeout=60)
            if version.returncode == 0:
                found.append(python)
    return found


def test_the_example_in_an_empty_venv(example: Path, wheel: Path, tmp_path: Path) -> None:
    """pip install of the wheel, and nothing else: the example on both boards, and the command;
    on the virtual one with every Python from 3.10 on that is on the path."""
    for other in _pythons():
        python = _venv(other, tmp_path / Path(other).name, f"edgeckpt[pytest] @ {wheel.as_uri()}")
        assert "2 passed" in run_pytest(example, python=python), other
    python = _venv(sys.executable, tmp_path / "venv", f"edgeckpt[pico] @ {wheel.as_uri()}")
    assert "2 passed" in run_pytest(example, python=python)
    image = or_skip("the firmware of the Pico", lambda: build("RPI_PICO")) / "firmware.uf2"
    pico = ["--edgeckpt-board", "RPI_PICO", "--edgeckpt-image", str(image)]
    assert "2 passed" in run_pytest(example, *pico, python=python)
    (tmp_path / "state.json").write_text("[1, 2, 3]")
    for words in (
        "make state.json s.img --schema [u8;3]",
        "info s.img",
        "verify s.img",
        "show s.img --schema [u8;3]",
    ):
        command = [Path(python).with_name("edgeckpt"), *words.split()]
        subprocess.run(command, check=True, timeout=60, env=CLEAN, cwd=tmp_path)


FAILS = """
def test_it(virtual_board):
    virtual_board.run('''
import edgeckpt
from edgeckpt_leases import lease
state = {"n": 2, "xs": [1, 2]}
stage = edgeckpt.CheckpointedStageState(state, lease, "{n:u32,xs:Vec<u16>}")
stage.checkpoint()
''')
    assert virtual_board.checkpoint_state() == {"n": 3, "xs": [1, 2, 5]}
"""


def test_a_failure_tells_fields_trace_and_image(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILS)
    said = run_pytest(tmp_path, "--junitxml=out.xml", code=1)
    assert "the states differ in 2 fields:" in said, said
    assert "n: 2 != 3" in said and "xs[2]: None != 5" in said, said
    assert "CheckpointedStageState" in said.partition("virtual_board: last of its line")[2]
    properties = {
        p.attrib["name"]: p.attrib["value"]
        for p in ET.parse(tmp_path / "out.xml").iter("property")
    }
    trace = Path(properties["edgeckpt-trace-virtual_board"])
    image = Path(properties["edgeckpt-image-virtual_board"])
    assert str(trace) in said and str(image) in said
    assert b"checkpoint()".hex() in trace.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "edgeckpt_host.cli", "show", str(image)],
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and '"n": 2' in done.stdout, done


RAISES = """
def test_raises(virtual_board):
    virtual_board.run("print('before')\\n1 // 0")

def test_never_ends(virtual_board):
    virtual_board.run("while True: print('on and on')", timeout=0.5)

def test_nobody_switches_it(virtual_board):
    from edgeckpt_host.rig import Rig
    plain = Rig(virtual_board.port, virtual_board.board, may_write=True)
    assert plain.run("print(1)") == "1\\n"
    plain.cut_power_during("print(1)", after=0.1)

def test_not_without_leave(virtual_board):
    from edgeckpt_host.rig import Rig
    Rig(virtual_board.port, virtual_board.board).put("x = 1", "x.py")

def test_main_runs(virtual_board):
    virtual_board.put("n = 7", "main.py")
    virtual_board.power_cycle()
    assert virtual_board.run("print(n)") == "7\\n"
    assert virtual_board.cut_power_during("while True: pass", after=0.3)
    assert not virtual_board.cut_power_during("n = 8", after=30)
    assert virtual_board.run("print(n)") == "8\\n"
"""


def test_what_a_board_says_and_cannot(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(RAISES)
    said = run_pytest(tmp_path, code=1)
    assert "2 failed, 1 passed, 2 skipped" in said, said
    assert "ZeroDivisionError" in said and "before" in said
    assert "within 0.5 s" in said
    assert "nothing here switches its power" in said
    assert "--edgeckpt-allow-erase" in said


@pytest.mark.parametrize(
    "options, told",
    [
        (["--edgeckpt-board", "NONE"], "nothing emulates it"),
        (["--edgeckpt-port", "/dev/null"], "expected --edgeckpt-board"),
        (["--edgeckpt-port", "/dev/null", "--edgeckpt-board", "NONE"], "no board 'NONE'"),
        (["--edgeckpt-port", "/dev/null", "--edgeckpt-board=./x"], "board.toml: no such file"),
        (["--edgeckpt-board", "RPI_PICO", "--edgeckpt-image", "x.uf2"], "expected a .uf2 file"),
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str], told: str) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(board): pass\n")
    said = run_pytest(tmp_path, *options, code=1)
    assert told in said and "Traceback" not in said, said
