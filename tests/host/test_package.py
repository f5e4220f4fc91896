"""What a user installs: the mip package lists what there is, versions agree, sizes are told."""

import json
import re
import subprocess
import sys
from pathlib import Path

import edgeckpt_host

from boards.tools import mpy

from .conftest import ENV

ROOT = Path(__file__).parents[2]


def test_package_json_lists_the_module() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    wanted = [[str(p), f"firmware/{p}"] for p in mpy.sources()]
    assert package["urls"] == wanted, "run: python -m boards.tools.mpy --package"
    assert package["version"] == mpy.version()


def test_versions_agree() -> None:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found and found.group(1) == mpy.version() == edgeckpt_host.__version__
    assert f"## {mpy.version()} " in (ROOT / "CHANGELOG.md").read_text()


HIDDEN = """
import importlib, pkgutil, sys
for name in ("termios", "fcntl", "pty", "tty", "pwd", "grp", "resource"):
    sys.modules[name] = None  # its import fails, as on Windows
import edgeckpt_host
names = sorted(m.name for m in pkgutil.iter_modules(edgeckpt_host.__path__))
for name in names:
    importlib.import_module("edgeckpt_host." + name)
print(*names)
"""


def test_no_host_module_needs_posix_to_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN], capture_output=True, text=True, timeout=60, env=ENV
    )
    assert done.returncode == 0, done.stderr
    assert {"cli", "link", "rig", "pytest_plugin"} <= set(done.stdout.split())


def test_sizes_in_the_readme_are_true(tmp_path: Path) -> None:
    # To 3 %: other releases of mpy-cross differ by some bytes.
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"\| bytes of \.mpy .*?(?=\n\n)", readme, re.DOTALL)
    assert found, "README.md has no table of .mpy sizes"
    told, true = (
        [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines()]
        for text in (found.group(0), mpy.table(tmp_path, mpy.SHOWN))
    )
    assert told[0] == true[0] and [row[0] for row in told] == [row[0] for row in true]
    for row, row_true in zip(told[2:], true[2:]):
        for n, n_true in zip(row[1:], row_true[1:]):
            assert abs(int(n) - int(n_true)) <= 0.03 * int(n_true), (
                f"{row[0]}: {n} in README.md, {n_true} now: python -m boards.tools.mpy --readme"
            )
