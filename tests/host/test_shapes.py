"""The documents of --json: each command's own shape (shapes.py), which takes nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from edgeckpt_host import results
from edgeckpt_host.errors import EXIT
from edgeckpt_host.shapes import _is_result, schema

from .conftest import ROOT, STAGE_APP, Result, VirtualBoard
from .test_cli import IMAGE_SCHEMA, IMAGES
from .test_sign import write_keys

Run = Callable[..., Result]
SHAPES = schema()
COMMANDS = list(dict.fromkeys(t.command for t in vars(results).values() if _is_result(t)))
FILES_TOO = ("show", "diff", "report")  # of a board, or of a file: then without a port
SCHEMA = "{a:Vec<u16>,b:str}"


def valid(document: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SHAPES).is_valid(document))


def strict(document: dict[str, Any]) -> None:
    """No field may be missing, have another type, or be there that is not told of."""
    assert valid(document)
    command = document["command"]
    for name, value in document.items():
        optional = name == "port" and ("error" in document or command in FILES_TOO)
        without = {k: v for k, v in document.items() if k != name}
        assert optional or not valid(without), (command, name)
        if name not in ("state", "plain"):
            assert not valid({**document, name: [value]}), (command, name)
        if isinstance(value, dict) and name not in ("state", "plain"):
            assert not valid({**document, name: {**value, "surplus": 1}}), (command, name)
    assert not valid({**document, "surplus": 1}), command


def documents_of(
    board: Callable[..., VirtualBoard], edgeckpt: Run, tmp_path: Path
) -> list[dict[str, Any]]:
    """One of each command and way to call it, in the order of the calls."""
    b = board(app=STAGE_APP, ready=b"saved 20 ")
    bare = board(module=False)
    port = ("-p", b.link, "--leave")
    (tmp_path / "s.json").write_text(json.dumps({"a": [1, 2], "b": "x"}))
    (tmp_path / "t.json").write_text(json.dumps({"a": [1, 3], "b": "x"}))
    calls: list[tuple[Any, ...]] = [
        ("ports",),
        ("make", "s.json", "s.img", "--schema", SCHEMA),
        ("make", "t.json", "t.img", "--schema", SCHEMA),
        ("info", "s.img"),
        ("info", *port),
        ("log", *port),
        ("pull", *port, "p.img"),
        ("pull", *port, "--raw", "d.img"),
        ("info", "d.img"),
        ("verify", "s.img"),
        ("verify", *port),
        ("verify", *port, "--against", "d.img"),
        ("restore", *port, "--dry-run", "p.img"),
        ("restore", *port, "p.img"),
        ("show", "s.img"),
        ("show", *port),
        ("diff", "s.img", "s.img"),
        ("diff", "p.img", *port),
        ("watch", *port, "--count", 1),
        ("install", "-p", bare.link),
        ("bench", *port),
        ("selftest", *port, "--lease", "0x5eed", "--rounds", 2),
        ("report", "d.img", "-o", "d.html"),
        ("report", *port, "-o", "b.html"),
        ("wear", "--size", 64, "--per-day", 1440, "--units", 4),
        ("schema", SCHEMA),
        ("schema", "compile", SCHEMA, "m.py"),
        ("sign", "p.img", "--key", "key.pem"),
        ("verify", "p.img", "--key", "public.pem"),
        ("schema", "to-rust", SCHEMA),
    ]
    write_keys(tmp_path)
    made = []
    for words in calls:
        said = edgeckpt(*words, "--json")
        if words[0] == "watch":
            looked, last = said.out.splitlines()
            strict(json.loads(looked))
            made.append(json.loads(last))
        else:
            made.append(said.json)
        assert made[-1]["command"] == words[0]
        assert made[-1].get("port", "") in map(str, words + ("",))
    failures = [
        (("diff", "s.img", "t.img"), "differs"),
        (("verify", *port, "--against", "d.img"), "differs"),
        (("pull", *port, "--slot", 999, "x.img"), "no-checkpoint"),
        (("info", "none.img"), "file"),
        (("verify", IMAGES[0], "--schema", IMAGE_SCHEMA), "unproved"),
        (("show", "s.img", "--surprise"), "usage"),
        (("surprise",), "usage"),
    ]
    for words, cause in failures:
        made.append(edgeckpt(*words, "--json", code=EXIT[cause]).json)
        assert made[-1]["error"]["cause"] == cause
        assert made[-1]["command"] == (None if words == ("surprise",) else words[0])
    made.append(edgeckpt("info", *port, "-p", "none", "--json", code=EXIT["partial"]).json)
    return made


def documented(documents: list[dict[str, Any]]) -> None:
    """docs/cli.md names, in its table, the fields of each command."""
    text = (ROOT / "docs" / "cli.md").read_text()
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    told: dict[str, str] = {}
    for command, fields in rows:
        name = command.split()[0].strip("`")
        told[name] = told.get(name, "") + fields
    for document in documents:
        if not document.get("ok") or "boards" in document:
            continue
        for name in set(document) - {"ok", "command", "port"}:
            assert f"`{name}`" in told[document["command"]], (document["command"], name)


def test_every_command_has_its_shape(
    board: Callable[..., VirtualBoard], edgeckpt: Run, tmp_path: Path
) -> None:
    from edgeckpt_host.cli import cli

    documents = documents_of(board, edgeckpt, tmp_path)
    assert {d["command"] for d in documents} - {None} == set(cli.commands) - {"completion"}
    assert set(COMMANDS) == set(cli.commands) - {"completion"}
    for document in documents:
        strict(document)
    several = documents[-1]
    for one in several["boards"]:
        strict(one)
    one = copy.deepcopy(several)
    del one["boards"][0]["port"]
    assert not valid(one)
    one = copy.deepcopy(several)
    one["boards"][0]["leases"][0]["laps"] = "1"
    assert not valid(one)
    # A document of one command is none of another.
    for document in documents:
        for name in COMMANDS:
            if document.get("ok") and "boards" not in document and name != document["command"]:
                assert not valid({**document, "command": name}), (document["command"], name)
    documented(documents)


def test_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner
    from edgeckpt_host.cli import cli
    from serial.tools import list_ports
    from serial.tools.list_ports_common import ListPortInfo

    pico = ListPortInfo("/dev/ttyACM7")
    pico.vid, pico.pid, pico.serial_number = 0x2E8A, 5, None
    monkeypatch.setattr(list_ports, "comports", lambda: [pico, ListPortInfo("/dev/ttyS0")])
    document = json.loads(CliRunner().invoke(cli, ["ports", "--json"]).output)
    strict(document)
    assert [p["id"] for p in document["ports"]] == ["2e8a:0005"]
    line = CliRunner().invoke(cli, ["ports"]).output
    assert line == "/dev/ttyACM7         2e8a:0005  Raspberry Pi\n"
