"""`make firmware BOARD=NAME`: a flashable image with the module frozen.

For rp2 boards, from the MicroPython tree MPY_DIR or from Debian's sources. What is to be built is
in boards/NAME/board.toml, what is frozen in boards/NAME/manifest.py. Images are cached, keyed on
the tree, the toolchain, the manifest and the frozen modules.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from boards.tools.board import BOARDS, Board, load
from boards.tools.debian import Unavailable, cache, digest, locked, need, run
from boards.tools.micropython import JOBS, compiler, identity_of, sources_of, tree

ROOT = BOARDS.parent
MERGE = ROOT / "host_tools" / "edgeckpt_host" / "merge.py"  # what is frozen goes through it
KEEP = 8  # images of older keys kept per board

_ARM = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "/usr/lib/arm-none-eabi/newlib": "libnewlib-arm-none-eabi",
    "make": "make",
}


def build(name: str, manifest: str = "manifest.py") -> Path:
    """The folder with the image of the board `name`: firmware.uf2 (or what its port makes), .elf.

    manifest: the file of the board's folder that says what is frozen.
    Unavailable where the toolchain or the sources cannot be had, RuntimeError where the build
    fails, ValueError for a board that no firmware is built for.
    """
    board = load(name)
    if board.port != "rp2":
        raise ValueError(
            f"{name}: only rp2 boards are built here; for this one give"
            f" {board.folder / 'manifest.py'} as FROZEN_MANIFEST to the build of its port"
        )
    with locked(f"firmware-{name}"):
        return _build_rp2(board, board.folder / manifest)


def _frozen(board: Board) -> list[Path]:
    return [*sorted(board.folder.rglob("*.py")), ROOT / "packages", ROOT / "firmware", MERGE]


def _build_rp2(board: Board, manifest: Path) -> Path:
    mpy_dir = os.environ.get("MPY_DIR")
    recipe = [Path(__file__), compiler("arm-none-eabi-gcc"), mpy_dir]
    name = f"firmware-{board.name}"
    known = digest(*recipe, manifest.name, *_frozen(board), board.folder / "board.toml")
    out = cache() / name / known
    if not mpy_dir and (out / "firmware.uf2").exists():
        return out
    need(_ARM | {"cmake": "cmake", "gcc": "gcc", "python3": "python3"})
    at = tree()
    recipe = [Path(__file__), compiler("arm-none-eabi-gcc"), mpy_dir]
    known = digest(*recipe, manifest.name, *_frozen(board), board.folder / "board.toml")
    if mpy_dir:
        known = digest(known, identity_of(at))
    out = cache() / name / known
    if (out / "firmware.uf2").exists():
        return out
    work = (
        cache() / name / ("work-" + digest(*recipe, identity_of(at), board.folder / "board.toml"))
    )
    for old in (cache() / name).glob("work-*"):
        if old != work:
            shutil.rmtree(old)
    log = cache() / f"{name}.log"
    log.unlink(missing_ok=True)
    what = f"the firmware of {board.name} ({sources_of(at)})"
    _cmake(board, manifest, at, work, log, what)
    # makemanifest.py keeps this where no frozen file is newer, for another manifest too.
    (work / "build" / "frozen_content.c").unlink(missing_ok=True)
    run("make", JOBS, "-C", work / "build", log=log, what=what)
    tmp = out.with_name("new")
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.mkdir(parents=True)
    for suffix in ("elf", "bin"):
        shutil.copy2(work / "build" / f"firmware.{suffix}", tmp)
    run(
        *(sys.executable, at / "tools" / "uf2conv.py", "-f", board.uf2_family),
        *("-b", "0x10000000", "-c", "-o", tmp / "firmware.uf2", tmp / "firmware.bin"),
        log=log,
        what=f"uf2conv of {board.name}",
    )
    (tmp / "BUILT").write_text(f"{what}\n{compiler('arm-none-eabi-gcc').splitlines()[0]}\n")
    tmp.rename(out)
    images = [p for p in (cache() / name).iterdir() if not p.name.startswith("work-")]
    for old in sorted(images, key=lambda p: p.stat().st_mtime)[:-KEEP]:
        shutil.rmtree(old)
    return out


def _cmake(board: Board, manifest: Path, at: Path, work: Path, log: Path, what: str) -> None:
    lib = work / "lib"
    lib.mkdir(parents=True, exist_ok=True)
    options = []
    if not (at / "lib" / "micropython-lib" / "README.md").exists():
        (lib / "README.md").touch()
        options.append(f"-DMICROPY_LIB_DIR={lib}")
    # The only C++ file of the build overrides operator new, which no C code calls; without it
    # the 1.6 GB of libstdc++ for ARM are not needed.
    environment = {"CXXFLAGS": "-DPICO_CXX_DISABLE_ALLOCATION_OVERRIDES=1", "LDFLAGS": f"-L{lib}"}
    subprocess.run(["arm-none-eabi-ar", "rcs", str(lib / "libstdc++.a")], check=True)
    run(
        "env",
        *(f"{k}={v}" for k, v in environment.items()),
        *("cmake", "-S", at / "ports" / "rp2", "-B", work / "build", "-DPICO_BUILD_DOCS=0"),
        "-DPICO_NO_PICOTOOL=1",
        f"-DMICROPY_BOARD={board.name}",
        f"-DMICROPY_FROZEN_MANIFEST={manifest}",
        *options,
        log=log,
        what=what,
    )


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m boards.tools.firmware BOARD", file=sys.stderr)
        return 2
    try:
        out = build(arguments[0])
    except (Unavailable, ValueError, RuntimeError) as e:
        print(f"firmware: {e}", file=sys.stderr)
        return 1
    target = ROOT / "build" / arguments[0]
    target.mkdir(parents=True, exist_ok=True)
    for f in sorted(
        p for p in out.iterdir() if p.suffix in (".uf2", ".elf", ".bin", ".hex", ".dfu")
    ):
        shutil.copy2(f, target)
        print(f"{os.path.relpath(target / f.name)}  {f.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
