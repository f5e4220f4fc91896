"""What a user installs: the mip package lists what there is, versions agree, sizes are told."""

import json
import re
from pathlib import Path

from boards.tools import mpy

ROOT = Path(__file__).parents[2]


def test_package_json_lists_the_module() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    wanted = [[str(p), f"firmware/{p}"] for p in mpy.sources()]
    assert package["urls"] == wanted, "run: python -m boards.tools.mpy --package"
    assert package["version"] == mpy.version()


def test_versions_agree() -> None:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found and found.group(1) == mpy.version()


def test_sizes_in_the_readme_are_true(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"\| bytes of \.mpy .*?(?=\n\n)", readme, re.DOTALL)
    assert found, "README.md has no table of .mpy sizes"
    assert found.group(0) == mpy.table(tmp_path, mpy.SHOWN), (
        "run: python -m boards.tools.mpy --readme"
    )
