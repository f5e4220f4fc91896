"""The board of the suite: the one at `--port`, else emulated Picos, one for each lease.

Promises: one body of tests for both; on a real board, tests that write need `--allow-erase` and
use only the lease region of its board.toml. Nothing is installed and no file is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from edgeckpt_boards.tools.board import load
from edgeckpt_host.pytest_plugin import board_file
from edgeckpt_host.rig import PicoRig, Rig

from boards.tools.firmware import build
from tests.tools.micropythons import or_skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Every lease of the emulated Pico's board.toml; on a real board the one that was chosen.
    if "medium_lease" in metafunc.fixturenames:
        config = metafunc.config
        leases = [r.name for r in load("RPI_PICO").leases]
        if config.option.edgeckpt_port:
            known = board_file(config, "RPI_PICO").leases
            leases = [config.option.edgeckpt_lease or known[0].name]
        metafunc.parametrize("medium_lease", leases)


@pytest.fixture(scope="session")
def stock_firmware() -> object:
    """The .uf2 of an RPI_PICO without edgeckpt, for tests that install it."""
    made = or_skip("the firmware of the Pico", lambda: build("RPI_PICO", "stock.py"))
    return made / "firmware.uf2"


@pytest.fixture
def board(
    request: pytest.FixtureRequest,
    edgeckpt_rig: Callable[..., Rig],
    edgeckpt_picos: Callable[[str], PicoRig],
) -> Rig:
    """The board under test; emulated ones with the chip for the test's `medium_lease`."""
    option = request.config.option
    if option.edgeckpt_port:
        file = board_file(request.config, "RPI_PICO")
        write = option.edgeckpt_allow_erase
        return edgeckpt_rig(
            "board",
            lambda _: Rig(option.edgeckpt_port, file, option.edgeckpt_lease, may_write=write),
        )
    lease = "flash"
    if "medium_lease" in request.fixturenames:
        lease = request.getfixturevalue("medium_lease")
    return edgeckpt_picos(lease)


@pytest.fixture
def writable(board: Rig) -> Rig:
    """The board, for tests that write to its lease region."""
    if not board.may_write:
        if os.environ.get("CI") == "true":
            pytest.fail("a real board without --allow-erase under CI")
        r = board.lease
        pytest.skip(
            f"NOT TESTED: give --allow-erase to write to {r.device}, blocks"
            f" {r.start}..{r.start + r.count - 1}, of the board at {board.port}"
        )
    return board
