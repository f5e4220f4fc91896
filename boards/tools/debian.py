"""Sources and toolchains from Debian's archive, without a change to the machine's own suite.

Promises: sources come from a private apt configuration (own lists, cache and state) that reads
the archive's address from the machine's own apt sources and checks its signatures with the
machine's Debian keyring; all of it lies in the cache folder. Toolchains are installed from the
machine's own suite, and only where this runs as root. What cannot be had raises `Unavailable`
with the line that would enable it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

SUITE = "trixie"  # the suite the recipes were made with; sid's pico-sdk does not build
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Unavailable(Exception):
    """A part that this machine cannot have as it is. `str()` says what would enable it."""


def cache() -> Path:
    """The folder of everything built or fetched; EDGECKPT_CACHE overrides it."""
    path = os.environ.get("EDGECKPT_CACHE")
    folder = Path(path) if path else Path.home() / ".cache" / "edgeckpt"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time (test workers run side by side) for the artefact `name`."""
    with open(cache() / f"{name}.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def digest(*parts: object) -> str:
    """16 hex digits over file contents (Path, a folder with all below it) and text."""
    h = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
            for f in files:
                if "__pycache__" not in f.parts:
                    h.update(str(f.relative_to(part.parent)).encode() + b"\0")
                    h.update(f.read_bytes() + b"\0")
        else:
            h.update(repr(part).encode() + b"\0")
    return h.hexdigest()[:16]


def run(*command: str | Path, cwd: Path | None = None, log: Path, what: str) -> None:
    """Run a build step with its output in `log`; RuntimeError shows the end of it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    with open(log, "ab") as f:
        f.write(("$ " + " ".join(map(str, command)) + "\n").encode())
        f.flush()
        done = subprocess.run(
            [str(c) for c in command],
            cwd=cwd,
            stdout=f,
            stderr=f,
            stdin=subprocess.DEVNULL,
            env=env,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise RuntimeError(f"{what} failed ({done.returncode}), see {log}:\n{tail}")


def need(tools: dict[str, str]) -> None:
    """Have the commands (or files) `tools` maps to the Debian packages that bring them.

    Installs what is missing where this runs as root on Debian; `Unavailable` otherwise.
    """

    def missing() -> list[str]:
        return [
            package
            for tool, package in tools.items()
            if not (Path(tool).exists() if tool.startswith("/") else shutil.which(tool))
        ]

    if not missing():
        return
    line = "apt-get install --no-install-recommends " + " ".join(dict.fromkeys(missing()))
    if not shutil.which("apt-get"):
        raise Unavailable(f"needs {', '.join(missing())} (on Debian: {line})")
    if os.geteuid() != 0:
        raise Unavailable(f"needs packages; run: sudo {line}")
    log = cache() / "apt.log"
    with locked("apt"):
        if not missing():
            return
        apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
        run(*apt, "update", log=log, what="apt-get update")
        packages = dict.fromkeys(missing())
        run(
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            *apt,
            *("install", "-y", "--no-install-recommends", *packages),
            log=log,
            what=line,
        )
    if missing():
        raise RuntimeError(f"{line}: ran, but {missing()} did not bring what they should")


def archive_uri() -> str:
    """The address of the Debian archive this machine installs from."""
    etc = Path("/etc/apt")
    files = [*sorted((etc / "sources.list.d").glob("*.sources")), etc / "sources.list"]
    files += sorted((etc / "sources.list.d").glob("*.list"))
    for f in files:
        if not f.is_file():
            continue
        text = f.read_text(errors="replace")
        for stanza in re.split(r"\n\s*\n", text) if f.suffix == ".sources" else []:
            uris = re.search(r"^URIs:\s*(\S+)", stanza, re.M)
            suites = re.search(r"^Suites:\s*(.+)$", stanza, re.M)
            if uris and suites and _is_debian(uris[1], suites[1].split()):
                return uris[1]
        for m in re.finditer(r"^deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)", text, re.M):
            if f.suffix == ".list" and _is_debian(m[1], [m[2]]):
                return m[1]
    raise Unavailable("no Debian archive among this machine's apt sources; set MPY_DIR instead")


def _is_debian(uri: str, suites: list[str]) -> bool:
    names = ("bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable")
    return uri.rstrip("/").endswith("debian") and any(s in names for s in suites)


class Archive:
    """The suite `SUITE` of the machine's archive, in a private apt configuration."""

    def __init__(self) -> None:
        self.home = cache() / f"apt-{SUITE}"
        self.log = self.home / "log"

    def _options(self) -> list[str]:
        h = self.home
        return [
            *("-o", f"Dir::Etc::sourcelist={h / 'etc' / 'archive.list'}"),
            *("-o", "Dir::Etc::sourceparts=-", "-o", "Dir::Etc::preferencesparts=-"),
            *("-o", f"Dir::State={h / 'state'}", "-o", f"Dir::State::status={h / 'status'}"),
            *("-o", f"Dir::Cache={h / 'cache'}", "-o", "APT::Sandbox::User=root"),
            *("-o", "Acquire::Retries=3", "-o", "Debug::NoLocking=true"),
        ]

    def _update(self) -> None:
        for tool in ("apt-get", "dpkg-source"):
            if not shutil.which(tool):
                need({"apt-get": "apt", "dpkg-source": "dpkg-dev"})
        for folder in ("etc", "state/lists/partial", "cache/archives/partial"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "status").touch()
        signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
        where = f"{signed}{archive_uri()} {SUITE} main\n"
        (self.home / "etc" / "archive.list").write_text(f"deb {where}deb-src {where}")
        run("apt-get", *self._options(), "update", log=self.log, what=f"lists of {SUITE}")

    def sources(self, **packages: str) -> dict[str, Path]:
        """Unpacked folders of the packages: name="source" or name="binary" (`_` for `-`).

        Kept in the cache once they are there; a folder's `.version` says which one it is.
        """
        out = {n.replace("_", "-"): kind for n, kind in packages.items()}
        with locked(f"apt-{SUITE}"):
            if not all((self._at(n) / ".version").exists() for n in out):
                self._update()
            for name, kind in out.items():
                if not (self._at(name) / ".version").exists():
                    self._fetch(name, kind)
        return {name: self._at(name) for name in out}

    def _at(self, name: str) -> Path:
        return self.home / "unpacked" / name

    def _fetch(self, name: str, kind: str) -> None:
        drop = self.home / "fetched" / name
        shutil.rmtree(drop, ignore_errors=True)
        drop.mkdir(parents=True)
        at = self._at(name)
        shutil.rmtree(at, ignore_errors=True)
        at.parent.mkdir(parents=True, exist_ok=True)
        what = f"{name} of {SUITE}"
        apt = ["apt-get", *self._options(), "-q"]
        if kind == "source":
            run(*apt, "source", "--download-only", name, cwd=drop, log=self.log, what=what)
            found = next(drop.glob("*.dsc"))
            run("dpkg-source", "-x", found, at, cwd=drop, log=self.log, what=f"unpacking {found}")
        else:
            run(*apt, "download", name, cwd=drop, log=self.log, what=what)
            found = next(drop.glob("*.deb"))
            run("dpkg-deb", "-x", found, at, log=self.log, what=f"unpacking {found}")
        (at / ".version").write_text(found.stem + "\n")
        shutil.rmtree(drop)


def versions(folders: dict[str, Path]) -> str:
    """`name_version` of each unpacked package, for messages and records."""
    return ", ".join((f / ".version").read_text().strip() for f in folders.values())
