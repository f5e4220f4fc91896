"""Options of the hardware-in-the-loop suite (tests/hil), over the plugin's own (pytest_plugin.py).

Promises: with `--port`, only what runs on a real board runs.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "hardware in the loop")
    group.addoption("--port", help="serial port of a real board (default: an emulated Pico)")
    group.addoption("--board", help="its folder below boards/, or elsewhere (with a slash)")
    group.addoption("--lease", help="a lease of its board.toml (default: the first)")
    group.addoption("--allow-erase", action="store_true", help="tests may write to that lease")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "hil: runs on a board, real or emulated")
    for name in ("port", "board", "lease", "allow_erase"):
        if config.getoption(name):
            setattr(config.option, f"edgeckpt_{name}", config.getoption(name))
    if config.option.edgeckpt_port and not config.option.edgeckpt_board:
        config.option.edgeckpt_board = "RPI_PICO"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # With a real board, only what runs on it.
    if config.option.edgeckpt_port:
        here = [i for i in items if "board" in getattr(i, "fixturenames", ())]
        config.hook.pytest_deselected(items=[i for i in items if i not in here])
        items[:] = here
