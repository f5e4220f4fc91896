"""What boards/*/board.toml give to leases belongs to nobody else, by MicroPython's own sources."""

from pathlib import Path

import pytest

from boards.tools import board, layout
from boards.tools.micropython import tree
from tests.tools.micropythons import or_skip


@pytest.fixture(scope="module")
def sources() -> Path:
    return or_skip("MicroPython's sources", tree)


@pytest.mark.parametrize("name", [n for n in board.names() if n != "unix"])
def test_leases_overlap_nothing(name: str, sources: Path) -> None:
    found = layout.ranges(name, sources)
    assert not layout.overlaps(found)
    assert any(r.lease for r in found) == (name.startswith(("RPI", "ESP32")))


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("RPI_PICO2/board.toml", "count = 31", "count = 32", "RP2350-E10"),
        ("RPI_PICO/board.toml", "start = 320", "start = 319", "file system"),
        ("RPI_PICO/board.toml", "count = 32", "count = 33", "end"),
        ("RPI_PICO_W/board.toml", "start = 180", "start = 320", "end"),
        ("ESP32_GENERIC/partitions.csv", "0x3e0000, 0x20000", "0x3d0000, 0x20000", "vfs"),
        ("ESP32_GENERIC/partitions.csv", "0x3e0000, 0x20000", "0x3e0000, 0x30000", "end"),
    ],
)
def test_an_overlap_is_found(
    file: str, old: str, new: str, what: str, sources: Path, tmp_path: Path, monkeypatch
) -> None:
    for source in board.BOARDS.glob("*/*"):
        if source.suffix in (".toml", ".csv"):
            copy = tmp_path / source.parent.name / source.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(source.read_text())
    (tmp_path / "RPI_PICO" / "modules").mkdir()
    boot = "RPI_PICO/modules/_boot.py"
    (tmp_path / boot).write_text((board.BOARDS / boot).read_text())
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    monkeypatch.setattr(board, "BOARDS", tmp_path)
    monkeypatch.setattr(layout, "BOARDS", tmp_path)
    bad = layout.overlaps(layout.ranges(file.split("/")[0], sources))
    assert any(what in why for why in bad), bad


def test_a_partition_that_moved_is_refused(sources: Path, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "ESP32_GENERIC"
    folder.mkdir()
    for name in ("board.toml", "partitions.csv"):
        text = (board.BOARDS / "ESP32_GENERIC" / name).read_text()
        (folder / name).write_text(text.replace("0x10000,  0x1F0000", "0x10000,  0x1D0000"))
    monkeypatch.setattr(board, "BOARDS", tmp_path)
    with pytest.raises(ValueError, match="factory"):
        layout.ranges("ESP32_GENERIC", sources)
