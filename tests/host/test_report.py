"""`edgeckpt report` in a real headless browser: what is in the file is what one sees."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boards.tools.debian import Unavailable, need
from tests.tools.browser import Browser
from tests.tools.micropythons import or_skip

from .conftest import STAGE_APP, Result, VirtualBoard, wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
COLOURS = """(() => {
  const seen = {};
  for (const cell of document.querySelectorAll('.map i')) {
    const box = cell.getBoundingClientRect();
    if (box.width < 8 || box.height < 8 || box.right > innerWidth) return 'a cell out of sight';
    const colour = getComputedStyle(cell).backgroundColor;
    seen[colour] = (seen[colour] || 0) + 1;
  }
  return seen;
})()"""


# Of each plot: the names of its points, as far as they rise from left to right.
POINTS = """(() => {
  const seen = {};
  for (const plot of document.querySelectorAll('.plot')) {
    const dots = [...plot.querySelectorAll('circle')];
    const xs = dots.map(d => d.getBoundingClientRect().x);
    seen[plot.querySelector('b').innerText] =
      dots.filter((d, i) => !i || xs[i] > xs[i - 1])
        .map(d => d.querySelector('title').textContent.split(':')[0]);
  }
  return seen;
})()"""


def _chromium() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        need({"chromium": "chromium"})
        found = shutil.which("chromium")
    if found is None:
        raise Unavailable("a Chromium (apt-get install chromium)")
    return found


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(or_skip("the report in a browser", _chromium), tmp_path / "profile")
    yield made
    made.close()


def test_report_in_a_browser(
    board: Callable[..., VirtualBoard],
    edgeckpt: Callable[..., Result],
    browser: Browser,
    tmp_path: Path,
) -> None:
    b = board(app=STAGE_APP)
    wait_for(lambda: b"saved 12" in b.console.data)  # type: ignore[attr-defined]
    info = edgeckpt("info", "-p", b.link, "--leave", "--json").json["leases"][0]
    told = edgeckpt("report", "-p", b.link, "--leave", "-o", "page.html")
    assert "page.html" in told.out
    log = edgeckpt("log", "-p", b.link, "--leave", "--json").json
    url = (tmp_path / "page.html").as_uri()
    browser.open(url)
    assert browser.requests == [url] and not browser.complaints
    history = log["checkpoints"]
    cells = browser.value(COLOURS)
    assert isinstance(cells, dict) and sum(cells.values()) == info["slots"], cells
    # The newest one, the older ones, and those without a checkpoint.
    assert sorted(cells.values()) == sorted(
        n for n in (1, len(history) - 1, info["slots"] - len(history)) if n
    )
    text = browser.value("document.body.innerText")
    assert "newest" in text and info["lease_id"] in text
    for entry in history:
        assert f"{entry['sequence']}\t{entry['slot']}\t" in text, entry
    assert f"State, sequence {info['sequence']}" in text and '"samples"' in text
    assert f"From sequence {info['sequence'] - 1} to sequence {info['sequence']}" in text
    first = f"sequence {history[-1]['sequence']}"
    assert f"Fields, {first} to sequence {info['sequence']}" in text
    points = browser.value(POINTS)
    assert points["samples"] == [f"sequence {h['sequence']}" for h in reversed(history)], points
    assert "gains[0]" in points and "boots" not in points
    # On a telephone, and in the dark: nothing is wider than the page, and the text can be read.
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    size = {"height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", width=400, **size)
    assert browser.value("document.documentElement.scrollWidth <= 400")
    browser.call("Emulation.clearDeviceMetricsOverride")
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.call("Emulation.setEmulatedMedia", features=[dark])
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 28)"
    picture = browser.screenshot()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">I", picture[16:20])[0] == 1000
    (tmp_path / "page.png").write_bytes(picture)
