"""`edgeckpt report`: one HTML page that stands alone: health, wear, map, plots, changes.

Promises: no script, nothing loaded from elsewhere; all that comes from a board or file is
escaped; readable on a telephone and in the dark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, plot
from . import state as st
from .errors import HostError
from .image import Dump, Image, dump_headers, parse, read_file, write_file
from .terminal import size_text

if TYPE_CHECKING:
    from .board import Board, Lease
    from .call import Call

_TOLD = 8  # the newest checkpoints of which is told, field by field, what changed
_PLOTTED = 64  # those that are plotted, at most,
_BYTES = 32768  # and as many of these as the states of so many bytes
_PLOTS = 60  # fields that are plotted
_ENDURANCE = 100_000  # erase cycles of a unit of NOR flash, by the data sheets

_STYLE = """
:root{color-scheme:light dark;--page:#fff;--text:#1d2429;--line:#d6dade;--faint:#5c6670;
--box:#f6f8f9;--ok:#2f7d4f;--old:#a9cdb8;--bad:#b3261e;--none:#e3e7ea;--plot:#1f6feb}
@media (prefers-color-scheme:dark){:root{--page:#14181c;--text:#e4e8eb;--line:#323a41;
--faint:#9aa5ae;--box:#1c2227;--ok:#58b97d;--old:#2f5d43;--bad:#ff8a80;--none:#272e34;
--plot:#79b0ff}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;
max-width:76rem;padding:0 1rem;background:var(--page);color:var(--text)}
h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1.25rem;margin:2rem 0 .6rem;
overflow-wrap:anywhere;border-top:1px solid var(--line);padding-top:1.2rem}
h3{font-size:1rem;margin:1.6rem 0 .5rem}
code,pre,td.n,.plot b,.plot i{font-family:ui-monospace,monospace;font-size:.84rem}
.wide{overflow-x:auto}table{border-collapse:collapse}th,td{text-align:left;
padding:.2rem .9rem .2rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--faint);font-weight:600;white-space:nowrap}td code{overflow-wrap:anywhere}
pre{background:var(--box);padding:.8rem;overflow:auto;border-radius:6px;max-height:26rem}
.glance{display:flex;flex-wrap:wrap;gap:.8rem}.glance>div{background:var(--box);
border-radius:8px;padding:.6rem .9rem;min-width:9rem;flex:1}.glance b{display:block;
font-size:1.3rem;line-height:1.4}.glance span{color:var(--faint);font-size:.85rem}
.ok b{color:var(--ok)}.bad b{color:var(--bad)}.bar{height:8px;border-radius:4px;
background:var(--none);margin:.35rem 0;overflow:hidden}.bar u{display:block;height:100%;
background:var(--ok)}.bad .bar u{background:var(--bad)}
.map{display:flex;flex-wrap:wrap;gap:3px}.map i{width:18px;height:18px;border-radius:3px;
background:var(--none)}.map i.old{background:var(--old)}.map i.new{background:var(--ok)}
.map i.bad{background:var(--bad)}.key i{display:inline-block;width:12px;height:12px;
border-radius:2px;margin:0 .3rem 0 1rem}.key i:first-child{margin-left:0}
.faint{color:var(--faint)}.badtext{color:var(--bad)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.8rem}
.plot{background:var(--box);border-radius:8px;padding:.5rem .7rem;min-width:0}
.plot div{display:flex;justify-content:space-between;gap:.5rem}.plot b{overflow-wrap:anywhere}
.plot b+b{overflow-wrap:normal;white-space:nowrap}.changes{display:grid;gap:0 2rem;
grid-template-columns:repeat(auto-fill,minmax(min(20rem,100%),1fr))}.changes>div{min-width:0}
.plot i{color:var(--faint);font-style:normal;white-space:nowrap}
svg{display:block;width:100%;overflow:visible}polyline{fill:none;stroke:var(--plot);
stroke-width:1.5;vector-effect:non-scaling-stroke}circle{fill:var(--plot)}
"""


@dataclass
class Section:
    """One lease: what the page shows of it. `states`: newest first, with their names."""

    title: str
    facts: list[tuple[str, str]]
    health: str = "ok"
    sequence: int = 0
    erases: bool = True
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
    html = f"<h2>{escape(s.title)}</h2>"
    html += "".join(f'<p class="badtext">{escape(note)}</p>' for note in s.notes)
    parts = (_glance, _map, _plots, _changes, _state, _history, _facts)
    return html + "".join(part(s) for part in parts)


def _glance(s: Section) -> str:
    # Health and wear: what one wants to know first.
    if not s.slots:
        return ""
    laps = s.sequence // s.slots
    worn = min(1.0, laps / _ENDURANCE) if s.erases else 0.0
    share = f"{100 * worn:.1f} %" if worn > 0.0005 else "below 0.1 %"
    box = '<div class="%s"><span>%s</span><b>%s</b><span>%s</span>%s</div>'
    bar = f'<div class="bar"><u style="width:{max(0.5, 100 * worn):.1f}%"></u></div>'
    cells = [
        box % ("ok" if s.health == "ok" else "bad", "health", escape(s.health), "", ""),
        box % ("", "newest", s.sequence, f"sequence; slot {s.newest}", ""),
        box % ("", "kept", len(s.history), f"checkpoints in {s.slots} slots", ""),
        box
        % (
            ("ok" if worn < 0.8 else "bad") if s.erases else "",
            "wear",
            share if s.erases else f"{laps:,}",
            f"about {laps:,} of {_ENDURANCE:,} erases" if s.erases else "writes a slot, about",
            bar if s.erases else "",
        ),
    ]
    return f'<div class="glance">{"".join(cells)}</div>'


def _map(s: Section) -> str:
    if not s.slots:
        return ""
    used = {h["slot"]: h["sequence"] for h in s.history}
    age = {h["slot"]: i for i, h in enumerate(s.history)}
    cells = []
    for slot in range(min(s.slots, 8192)):
        kind = "old" if slot in used else ""
        kind = "bad" if slot == s.corrupt else "new" if slot == s.newest else kind
        tip = f"slot {slot}" + (f", sequence {used[slot]}" if slot in used else "")
        fade = ""
        if kind == "old":  # the older, the paler
            fade = f' style="opacity:{1 - 0.5 * age[slot] / len(used):.2f}"'
        cells.append(f'<i class="{kind}" title="{tip}"{fade}></i>')
    return (
        f'<h3>Slots</h3><div class="map">{"".join(cells)}</div><p class="key faint">'
        '<i style="background:var(--ok)"></i>newest'
        '<i style="background:var(--old)"></i>older, paler with age'
        '<i style="background:var(--bad)"></i>corrupt'
        '<i style="background:var(--none)"></i>nothing committed</p>'
    )


def _plots(s: Section) -> str:
    if len(s.states) < 2:
        return ""
    marks = [name for name, _ in reversed(s.states)]
    found = plot.series(value for _, value in reversed(s.states))
    moving = {path: values for path, values in found.items() if plot.changes(values)}
    cells = []
    for path, values in list(moving.items())[:_PLOTS]:
        known = [v for v in values if v is not None]
        span = f"{plot.text(min(known))} .. {plot.text(max(known))}"
        cells.append(
            f'<div class="plot"><div><b>{escape(path)}</b><b>{plot.text(known[-1])}</b></div>'
            f"{plot.svg(path, values, marks)}<i>{span}</i></div>"
        )
    html = f"<h3>Fields, {escape(marks[0])} to {escape(marks[-1])}</h3>"
    html += f'<div class="plots">{"".join(cells)}</div>' if cells else "<p>No number changed.</p>"
    if len(moving) > _PLOTS:
        html += f'<p class="faint">{len(moving) - _PLOTS} more fields changed.</p>'
    still = [path for path in found if path not in moving]
    if cells and still:
        more = f" and {len(still) - 12} more" if len(still) > 12 else ""
        html += f'<p class="faint">Without a change: {escape(", ".join(still[:12]))}{more}.</p>'
    return html


def _changes(s: Section) -> str:
    html = ""
    told = s.states[: _TOLD + 1]
    for (new_name, new), (old_name, old) in zip(told, told[1:]):
        rows = "".join(
            f'<tr><td class="n">{escape(p)}</td><td class="n">{escape(json.dumps(a))}</td>'
            f'<td class="n">{escape(json.dumps(b))}</td></tr>'
            for p, a, b in st.differences(old, new)
        )
        table = f"<table><tr><th>field</th><th>old</th><th>new</th></tr>{rows}</table>"
        html += f"<div><h3>From {escape(old_name)} to {escape(new_name)}</h3>" + (
            f'<div class="wide">{table}</div></div>' if rows else "<p>no field changed</p></div>"
        )
    return f'<div class="changes">{html}</div>' if html else ""


def _state(s: Section) -> str:
    if not s.states:
        return ""
    name, newest = s.states[0]
    text = json.dumps(newest, indent=2, ensure_ascii=False)
    return f"<h3>State, {escape(name)}</h3><pre>{escape(text)}</pre>"


def _history(s: Section) -> str:
    if not s.history:
        return ""
    rows = "".join(
        f'<tr><td class="n">{h["sequence"]}</td><td class="n">{h["slot"]}</td>'
        f'<td class="n">{h["data_len"]}</td><td class="n">{h["data_crc"]}</td></tr>'
        for h in s.history
    )
    return (
        '<h3>History</h3><div class="wide"><table><tr><th>sequence</th><th>slot</th>'
        f"<th>bytes</th><th>data CRC-32</th></tr>{rows}</table></div>"
    )


def _facts(s: Section) -> str:
    facts = "".join(
        f"<tr><th>{escape(k)}</th><td><code>{escape(v)}</code></td></tr>" for k, v in s.facts
    )
    return f"<h3>Details</h3><table>{facts}</table>"


def _wanted(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # The newest checkpoints whose states are read: what changed, and what is plotted.
    each = max((h["data_len"] for h in history), default=1) or 1
    return history[: max(_TOLD + 1, min(_PLOTTED, _BYTES // each))]


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
            "corrupt" if dump.corrupt >= 0 else "ok" if ring.newest >= 0 else "empty",
            0, ring.lease.erases, ring.slots, ring.newest, dump.corrupt,
        )  # fmt: skip
        for sequence, slot in ring.history():
            h = ring.read_header(slot)
            section.history.append(
                {"sequence": sequence, "slot": slot, "data_len": h.data_len,
                 "data_crc": f"0x{h.data_crc:08x}"}
            )  # fmt: skip
        section.sequence = section.history[0]["sequence"] if section.history else 0
        for entry in _wanted(section.history):
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
        lease.health,
        lease.sequence,
        lease.erases,
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
    for entry in _wanted(section.history):
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
