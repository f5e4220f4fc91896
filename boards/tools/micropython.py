"""A MicroPython source tree, and the 32-bit unix MicroPython that the tests run on.

Promises: what is built is cached, keyed on all that goes into it (recipe, compiler, tree), and
built by one process at a time. `MPY_DIR` names a tree to use instead of Debian's sources.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from boards.tools.debian import Archive, cache, digest, locked, need, run, versions

HERE = Path(__file__).resolve().parent
JOBS = f"-j{os.cpu_count() or 2}"

# A manifest without micropython-lib, which Debian's sources do not bring.
_UNIX_MANIFEST = 'include("$(MPY_DIR)/extmod/asyncio")\n'
_UNIX_OPTIONS = ["MICROPY_PY_FFI=0", "MICROPY_PY_SSL=0", "MICROPY_SSL_MBEDTLS=0"]
_UNIX_OPTIONS += ["MICROPY_PY_BTREE=0", "LDFLAGS_EXTRA=-static"]
_TOOLS32 = {"i686-linux-gnu-gcc": "gcc-i686-linux-gnu", "make": "make"}
_TOOLS32["/usr/i686-linux-gnu/lib/libc.a"] = "libc6-dev-i386-cross"
_HOST_TOOLS = {"gcc": "gcc", "make": "make", "/usr/include/stdio.h": "libc6-dev"}


def tree() -> Path:
    """A MicroPython tree with its mpy-cross built: MPY_DIR, or Debian's sources.

    Debian's tree gets the libraries of the rp2 port, which its package leaves out, as links.
    Unavailable where the archive cannot be reached; ValueError for an MPY_DIR that is none.
    """
    given = os.environ.get("MPY_DIR")
    if given:
        at = Path(given).resolve()
        if not (at / "py" / "mkrules.mk").exists():
            raise ValueError(f"MPY_DIR={given}: no MicroPython tree (py/mkrules.mk is missing)")
    else:
        at = _debian_tree()
    cross = at / "mpy-cross" / "build" / "mpy-cross"
    with locked("mpy-cross"):
        if not cross.exists():
            need(_HOST_TOOLS)
            log = cache() / "mpy-cross.log"
            run("make", JOBS, "-C", at / "mpy-cross", log=log, what="building mpy-cross")
    return at


def _debian_tree() -> Path:
    with locked("tree"):
        parts = Archive().sources(
            micropython="source",
            mbedtls="source",
            pico_sdk_source="binary",
            tinyusb_source="binary",
        )
        at = cache() / f"micropython-{digest(versions(parts), Path(__file__))}"
        if not at.exists():
            new = Path(tempfile.mkdtemp(dir=cache()))
            shutil.copytree(parts["micropython"], new / "tree", symlinks=True)
            lib = new / "tree" / "lib"
            for name, source in (
                ("mbedtls", parts["mbedtls"]),
                ("pico-sdk", parts["pico-sdk-source"] / "usr" / "src" / "pico-sdk"),
                ("tinyusb", parts["tinyusb-source"] / "usr" / "src" / "tinyusb"),
            ):
                (lib / name).rmdir()
                (lib / name).symlink_to(source)
            (new / "tree" / "SOURCES").write_text(versions(parts) + "\n")
            (new / "tree").rename(at)
            new.rmdir()
    return at


def sources_of(at: Path) -> str:
    """What the tree is, for messages and records."""
    record = at / "SOURCES"
    if record.exists():
        return record.read_text().strip()
    git = ["git", "-C", str(at), "describe", "--always", "--dirty"]
    found = subprocess.run(git, capture_output=True, text=True)
    return f"{at} {found.stdout.strip()}"


def identity_of(at: Path) -> str:
    """A text that changes whenever the tree does; for a tree of the user's the tree itself."""
    record = at / "SOURCES"
    if record.exists():
        return record.read_text()
    newest = max(
        (
            p.stat().st_mtime_ns
            for d in ("py", "extmod", "shared", "ports", "lib", "drivers")
            for p in (at / d).rglob("*.[chS]")
        ),
        default=0,
    )
    return f"{sources_of(at)} {newest}"


def compiler(command: str) -> str:
    """The version line of a compiler, '' where there is none."""
    if not shutil.which(command):
        return ""
    return subprocess.run([command, "--version"], capture_output=True, text=True).stdout


def build_unix32(single: bool = False) -> Path:
    """The path of a static 32-bit x86 unix MicroPython (small ints of 31 bits).

    single: floats of single precision, as boards have. Unavailable where the compiler or the
    sources cannot be had; RuntimeError where the build fails.
    """
    name = "micropython32f" if single else "micropython32"
    recipe = digest(Path(__file__), compiler("i686-linux-gnu-gcc"), os.environ.get("MPY_DIR"))
    with locked(name):
        stamp = cache() / name / "key"
        binary = cache() / name / "micropython"
        if binary.exists() and stamp.exists() and stamp.read_text() == recipe:
            if not os.environ.get("MPY_DIR"):
                return binary
        need(_TOOLS32)
        at = tree()
        recipe = digest(Path(__file__), compiler("i686-linux-gnu-gcc"), os.environ.get("MPY_DIR"))
        if os.environ.get("MPY_DIR"):
            recipe = digest(recipe, identity_of(at))
            if binary.exists() and stamp.exists() and stamp.read_text() == recipe:
                return binary
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            _make_unix32(at, Path(folder), single, cache() / f"{name}.log")
            binary.parent.mkdir(exist_ok=True)
            stamp.unlink(missing_ok=True)
            shutil.copy2(Path(folder) / "build" / "micropython", f"{binary}.new")
            os.replace(f"{binary}.new", binary)
            stamp.write_text(recipe)
    return binary


def _make_unix32(at: Path, folder: Path, single: bool, log: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "README.md").touch()
    (folder / "manifest.py").write_text(_UNIX_MANIFEST)
    log.unlink(missing_ok=True)
    run(
        *("make", JOBS, "-C", at / "ports" / "unix", "VARIANT=standard"),
        *(f"BUILD={folder / 'build'}", "CROSS_COMPILE=i686-linux-gnu-"),
        *(f"FROZEN_MANIFEST={folder / 'manifest.py'}", f"MPY_LIB_DIR={folder / 'lib'}"),
        *_UNIX_OPTIONS,
        *(["CFLAGS_EXTRA=-DMICROPY_FLOAT_IMPL=1"] if single else []),
        log=log,
        what=f"the 32-bit unix MicroPython ({sources_of(at)})",
    )


def main() -> int:
    for single in (False, True) if "--all" in sys.argv else (False,):
        print(build_unix32(single))
    return 0


if __name__ == "__main__":
    sys.exit(main())
