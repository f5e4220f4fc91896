"""What says which file belongs to which package, written from the folders of firmware/.

    python -m boards.tools.packages

packages/NAME/package.json for `mip install github:edgeckpt/edgeckpt/packages/NAME` (sources),
packages/NAME/manifest.py to freeze it, merged; package.json for all of it; in pyproject.toml the
list of what the wheel holds. tests/host/test_package.py fails where they are not current.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from edgeckpt_host.build import sources_of, version_of
from edgeckpt_host.merge import ROOT as MODULE
from edgeckpt_host.merge import Package, Sources, packages

ROOT = Path(__file__).resolve().parents[2]
HOME = "github:edgeckpt/edgeckpt"


def sources() -> Sources:
    return sources_of(ROOT / "firmware" / MODULE)


def texts(of: Sources) -> dict[str, str]:
    """{path in the repository: text} of all that this tool writes."""
    version = version_of(of)
    found = {}
    for package in packages(of):
        folder = f"packages/{package.name}"
        found[f"{folder}/package.json"] = _json(
            version,
            [[f"{m}.py", f"{HOME}/firmware/{m}.py"] for m in package.modules],
            [f"{HOME}/packages/{name}" for name in package.requires],
        )
        found[f"{folder}/manifest.py"] = _manifest(package)
    found["package.json"] = _json(version, [], [f"{HOME}/packages/all"])
    found["pyproject.toml"] = _pyproject((ROOT / "pyproject.toml").read_text())
    return found


def _pyproject(text: str) -> str:
    # The list of the wheel's packages; boards/ (but for the boards themselves) is edgeckpt_boards.
    folders = {p.parent for top in ("firmware", "host_tools", "boards/[a-z]*")
               for p in ROOT.glob(f"{top}/**/*.py")} | {ROOT / "boards"}  # fmt: skip
    names = ["edgeckpt-stubs"]  # host_tools/stubs
    for folder in folders:
        first, *rest = folder.relative_to(ROOT).parts
        if folder.name != "lib" and "__pycache__" not in rest:
            names.append(".".join(["edgeckpt_boards", *rest] if first == "boards" else rest))
    lines = "".join(f'    "{name}",\n' for name in sorted(names))
    return re.sub(r"^packages = \[\n.*?^\]", f"packages = [\n{lines}]", text, flags=re.M | re.S)


def _json(version: str, urls: list[list[str]], deps: list[str]) -> str:
    document = {"version": version, "urls": urls, "deps": [[d, "HEAD"] for d in deps]}
    return json.dumps(document, indent=1) + "\n"


def _manifest(package: Package) -> str:
    lines = ["# Written by: python -m boards.tools.packages"]
    lines += ["# loops: thumb (ARM), viper (others) or plain (no native emitter on the port)."]
    lines += ['options.defaults(loops="viper")']
    includes = [f'include("../{n}/manifest.py", loops=options.loops)' for n in package.requires]
    lines += includes
    if package.modules:
        lines += [
            'merge = __import__("runpy").run_path("../../host_tools/edgeckpt_host/merge.py")'
        ]
        lines += [f'folder = merge["frozen"]("{package.name}", options.loops)']
        lines += [f'package("{MODULE}", base_path=folder, opt=3)']
    return "\n".join(lines) + "\n"


def main() -> None:
    shutil.rmtree(ROOT / "packages", ignore_errors=True)
    for path, text in texts(sources()).items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
