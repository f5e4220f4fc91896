"""`make mpy`: the module as .mpy files for every architecture, and how large they are.

    python -m boards.tools.mpy [FOLDER]        # default: build/mpy
    python -m boards.tools.mpy --readme        # writes the size table into README.md

FOLDER is what a release holds, flat: for each architecture and package a PACKAGE-ARCH.json for
`mpremote mip install`, and the .mpy files that they name, once where they are the same for all.
The architecture "bytecode" runs everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

from edgeckpt_host.build import chosen, compiled, version_of
from edgeckpt_host.merge import Sources, packages

from boards.tools.packages import ROOT, sources

BYTECODE = "bytecode"
ARCHITECTURES = (
    *(BYTECODE, "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc", "x86", "x64"),
)
SHOWN = (BYTECODE, "armv6m", "armv7emsp", "xtensawin", "rv32imc")  # in the README


def release(
    of: Sources, out: Path, architectures: tuple[str, ...] = ARCHITECTURES
) -> dict[str, dict[str, dict[str, int]]]:
    """Write the folder of a release; {architecture: {package: {file: bytes}}}."""
    out.mkdir(parents=True, exist_ok=True)
    built = {a: compiled(of, None if a == BYTECODE else a) for a in architectures}
    for arch, parts in built.items():
        for package in packages(of):
            urls = []
            for name in chosen(of, (package.name,)):
                for file, data in parts[name].items():
                    flat = _flat(file, arch, data)
                    (out / flat).write_bytes(data)
                    urls.append([file, flat])
            document = {"version": version_of(of), "urls": urls}
            text = json.dumps(document, indent=1) + "\n"
            (out / f"{package.name}-{arch}.json").write_text(text)
    return {
        arch: {name: {f: len(d) for f, d in part.items()} for name, part in parts.items()}
        for arch, parts in built.items()
    }


def _flat(file: str, arch: str, data: bytes) -> str:
    # Byte 2 of a .mpy: its architecture << 2, 0 where it holds bytecode only.
    base = file.removesuffix("/__init__.mpy").removesuffix(".mpy").replace("/", "-")
    if data[2] >> 2:
        return f"{base}-{arch}.mpy"
    return f"{base}-{hashlib.sha256(data).hexdigest()[:8]}.mpy"


def table(sizes: dict[str, dict[str, dict[str, int]]]) -> str:
    """The sizes as the Markdown table of the README: what a package loads at its import, and in
    all."""
    names = [name for name in next(iter(sizes.values())) if name != "all"]
    lines = [f"| bytes of .mpy | {' | '.join(names)} |", f"| --- | {'---: | ' * len(names)}"]
    lines[1] = lines[1].rstrip()
    for arch, parts in sizes.items():
        cells = [_cell(list(parts[name].values())) for name in names]
        lines.append(f"| {arch} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(files: list[int]) -> str:
    return f"{files[0]}" + (f" + {sum(files[1:])}" if len(files) > 1 else "")


def main() -> None:
    import tempfile

    argument = sys.argv[1] if len(sys.argv) > 1 else ""
    if argument == "--readme":
        readme = ROOT / "README.md"
        with tempfile.TemporaryDirectory() as folder:
            new = table(release(sources(), Path(folder), SHOWN))
        text = re.sub(r"\| bytes of \.mpy .*?(?=\n\n)", new, readme.read_text(), flags=re.DOTALL)
        readme.write_text(text)
    elif argument.startswith("-"):
        raise SystemExit(f"{argument}: expected --readme or a folder")
    else:
        out = Path(argument) if argument else ROOT / "build" / "mpy"
        print(table(release(sources(), out)))
        print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
