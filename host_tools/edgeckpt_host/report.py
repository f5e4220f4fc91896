"""`edgeckpt report`: one HTML page that stands alone: map, history, states, differences.

Promises: no script, nothing loaded from elsewhere; all that comes from a board or file is
escaped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from . import state as st
from .errors import HostError
from .image import Dump, Image, dump_headers, parse, read_file, write_file
from .terminal import size_text

if TYPE_CHECKING:
    from .board import Board, Lease
    from .call import Call

_STATES = 8  # the newest checkpoints whose states are shown, with what changed between them

_STYLE = """
:root{--line:#d6dade;--faint:#5c6670;--ok:#2f7d4f;--old:#a9cdb8;--bad:#b3261e;--none:#eceff1}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;
color:#1d2429}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}code,pre,td.n{font-family:ui-monospace,
monospace;font-size:.86rem}table{border-collapse:collapse}th,td{text-align:left;padding:.2rem .8rem
.2rem 0;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--faint);
font-weight:600}pre{background:#f6f8f9;padding:.8rem;overflow:auto}
.map{display:flex;flex-wrap:wrap;gap:3px}.map i{width:18px;height:18px;border-radius:3px;
background:var(--none)}.map i.old{background:var(--old)}.map i.new{background:var(--ok)}
.map i.bad{background:var(--bad)}.key i{display:inline-block;width:12px;height:12px;
border-radius:2px;margin:0 .3rem 0 1rem}.faint{color:var(--faint)}.badtext{color:var(--bad)}
"""


@dataclass
class Section:
    """One lease: what the page shows of it."""

    title: str
    facts: list[tuple[str, str]]
    slots: int = 0
    newest: int = -1
    corrupt: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)
    states: list[tuple[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def page(title: str, sections: list[Section]) -> str:
    """The page as text."""
    body = "".join(_section(s) for s in sections) or "<p>No lease.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{body}"
        f'<p class="faint">edgeckpt {escape(__version__)}</p></body></html>\n'
    )


def _section(s: Section) -> str:
    facts = "".join(
        f"<tr><th>{escape(k)}</th><td><code>{escape(v)}</code></td></tr>" for k, v in s.facts
    )
    html = f"<h2>{escape(s.title)}</h2><table>{facts}</table>"
    html += "".join(f'<p class="badtext">{escape(note)}</p>' for note in s.notes)
    if s.slots:
        used = {h["slot"]: h["sequence"] for h in s.history}
        cells = []
        for slot in range(min(s.slots, 8192)):
            kind = "old" if slot in used else ""
            kind = "bad" if slot == s.corrupt else "new" if slot == s.newest else kind
            tip = f"slot {slot}" + (f", sequence {used[slot]}" if slot in used else "")
            cells.append(f'<i class="{kind}" title="{tip}"></i>')
        html += (
            f'<h2>Slots</h2><div class="map">{"".join(cells)}</div><p class="key faint">'
            '<i class="map new" style="background:var(--ok)"></i>newest'
            '<i style="background:var(--old)"></i>older'
            '<i style="background:var(--bad)"></i>corrupt'
            '<i style="background:var(--none)"></i>nothing committed</p>'
        )
    if s.history:
        rows = "".join(
            f'<tr><td class="n">{h["sequence"]}</td><td class="n">{h["slot"]}</td>'
            f'<td class="n">{h["data_len"]}</td><td class="n">{h["data_crc"]}</td></tr>'
            for h in s.history
        )
        html += (
            "<h2>History</h2><table><tr><th>sequence</th><th>slot</th><th>bytes</th>"
            f"<th>data CRC-32</th></tr>{rows}</table>"
        )
    if s.states:
        name, newest = s.states[0]
        text = json.dumps(newest, indent=2, ensure_ascii=False)
        html += f"<h2>State, {escape(name)}</h2><pre>{escape(text)}</pre>"
        for (new_name, new), (old_name, old) in zip(s.states, s.states[1:], strict=False):
            rows = "".join(
                f'<tr><td class="n">{escape(p)}</td><td class="n">{escape(json.dumps(a))}</td>'
                f'<td class="n">{escape(json.dumps(b))}</td></tr>'
                for p, a, b in st.differences(old, new)
            )
            html += f"<h2>From {escape(old_name)} to {escape(new_name)}</h2>" + (
                f"<table><tr><th>field</th><th>old</th><th>new</th></tr>{rows}</table>"
                if rows
                else "<p>no field changed</p>"
            )
    return html


def _add_state(section: Section, name: str, image: Image, given: str | None) -> None:
    try:
        section.states.append((name, st.of_image(image, given)[2]))
    except HostError as e:
        section.notes.append(str(e))


def of_file(call: Call, source: Path, output: Path) -> dict[str, Any]:
    """The page of an image or dump."""
    options = call.image_options()
    data = read_file(source)
    found = dump_headers(data, options["magic"], options["version"])
    given = call.schema()
    if found and len(data) >= found[0][1].lease_blocks * found[0][1].block_size:
        dump = Dump(data, str(source), found, lease_id=call.options["lease_id"],
                    magic=options["magic"], version=options["version"])  # fmt: skip
        ring = dump.ring
        section = Section(
            "Lease", [("file", str(source)), ("lease id", hex(_int(ring.lease.id_bytes))),
                      ("slots", str(ring.slots)), ("layout block", str(ring.lease.block_size))],
            ring.slots, ring.newest, dump.corrupt,
        )  # fmt: skip
        for sequence, slot in ring.history():
            h = ring.read_header(slot)
            section.history.append(
                {"sequence": sequence, "slot": slot, "data_len": h.data_len,
                 "data_crc": f"0x{h.data_crc:08x}"}
            )  # fmt: skip
        for entry in section.history[:_STATES]:
            try:
                image = dump.image(entry["slot"])
            except HostError as e:
                section.notes.append(str(e))
                continue
            _add_state(section, f"sequence {entry['sequence']}", image, given)
        dump.close()
    else:
        image = parse(data, str(source), **options)
        facts = [(k.replace("_", " "), str(v)) for k, v in image.describe().items()]
        section = Section("Image", facts, notes=list(image.notes))
        _add_state(section, "in this image", image, given)
    return _write(call, output, str(source), [section])


def of_board(call: Call, board: Board, output: Path) -> dict[str, Any]:
    """The page of a board, all its leases."""
    wanted = call.options["lease_id"]
    leases = board.leases() if wanted is None else [board.lease(wanted)]
    sections = [_board_section(call, board, lease) for lease in leases]
    return _write(call, output, f"{board.name}, {board.hello['python']}", sections)


def _board_section(call: Call, board: Board, lease: Lease) -> Section:
    from .board import complete_schema

    section = Section(
        f"Lease {lease.lease_id}",
        [
            ("health", lease.health),
            ("device blocks", f"{lease.start} .. {lease.start + lease.count - 1}"),
            ("layout block", f"{lease.block_size} bytes"),
            ("sequence", str(lease.sequence)),
            ("slots", str(lease.slots)),
        ],
        lease.slots,
        lease.newest,
        lease.corrupt,
    )
    for sequence, slot, h in board.history(lease):
        section.history.append(
            {
                "sequence": sequence,
                "slot": slot,
                "data_len": h.data_len,
                "data_crc": f"0x{h.data_crc:08x}",
            }
        )
    for entry in section.history[:_STATES]:
        try:
            image = board.pull(lease, entry["slot"])
        except HostError as e:
            if e.cause == "link":
                raise
            section.notes.append(str(e))
            continue
        complete_schema(image, lease)
        _add_state(section, f"sequence {entry['sequence']}", image, call.schema())
    return section


def _int(b: bytes) -> int:
    return int.from_bytes(b, "little")


def _write(call: Call, output: Path, title: str, sections: list[Section]) -> dict[str, Any]:
    text = page(title, sections).encode()
    write_file(output, text)
    call.out.line(f"{output}: {size_text(len(text))}, open it in a browser")
    return {"file": str(output), "bytes": len(text), "leases": len(sections)}
