"""What people read of a command's result: `tell(result, out)`, one function for each kind."""

from __future__ import annotations

import json
from functools import singledispatch

from . import results as r
from .image import PlainInfo
from .output import Output
from .shapes import Result
from .terminal import size_text


@singledispatch
def tell(result: Result, out: Output) -> None:
    """Show a result; what has been said while the command worked is not said again."""


@tell.register
def _ports(result: r.Ports, out: Output) -> None:
    rows = [(p.port, p.id, p.description) for p in result.ports]
    if rows:
        lines = (f"{a:<20} {b:<10} {c}" for a, b, c in rows)
        out.table(("port", "id", "description"), rows, lines)
    else:
        out.note("no serial port that may be a board")


def slot_map(slots: int, newest: int, corrupt: int, used: set[int]) -> str:
    """The ring as a map: # newest, o a checkpoint, ! corrupt, . nothing committed."""
    cells = []
    for slot in range(slots):
        mark = "o" if slot in used else "."
        mark = "!" if slot == corrupt else "#" if slot == newest else mark
        cells.append(mark)
    lines = ["".join(cells[i : i + 64]) for i in range(0, slots, 64)]
    return "\n".join(f"  {i * 64:>6} {line}" for i, line in enumerate(lines))


@tell.register
def _file(result: r.FileInfo, out: Output) -> None:
    image = result.image
    if image is not None:
        out.line(f"{image.source}: {image.kind}")
        for note in result.notes:
            out.line(f"  {note}")
        for name in ("sequence", "lease_id", "slot", "block_size", "data_len", "data_crc"):
            if hasattr(image, name):
                out.line(f"  {name:<12} {getattr(image, name)}")
        if image.schema:
            out.line(f"  {'schema':<12} {image.schema}")
    if result.dump is not None:
        d = result.dump
        out.map(slot_map(d.slots, d.newest, d.corrupt, {e.slot for e in d.history}))


@tell.register
def _board(result: r.BoardInfo, out: Output) -> None:
    agent = result.board
    out.line(f"{out.port}: {agent.python} ({agent.platform}), edgeckpt {agent.version}")
    if not result.leases:
        out.line("  no leases; a program has to create one, or a module edgeckpt_leases")
    for lease in result.leases:
        _lease(lease, out)


def _lease(lease: r.LeaseReport, out: Output) -> None:
    size = lease.blocks * lease.block_size
    out.line(
        f"lease {lease.lease_id}: {lease.health}; blocks {lease.start}..+{lease.count}, "
        f"{size_text(size)} in blocks of {lease.block_size}"
    )
    if lease.foreign:
        out.line(f"  it holds something else: {lease.foreign}")
    if lease.odd:
        out.line(f"  a commit that no writer of this lease can have made: {lease.odd}")
    if not lease.slot_blocks:
        return
    history = lease.history
    out.line(
        f"  sequence {lease.sequence}, newest in slot {lease.newest}; {lease.slots} slots of "
        f"{size_text(lease.slot_blocks * lease.block_size)}, {len(history)} checkpoints"
    )
    schema = lease.schema or (history[0].schema if history else None)
    if schema:
        out.line(f"  schema {schema}")
    if lease.given_up:
        out.line(f"  {lease.given_up} given up: they failed, or cannot be read")
    if lease.torn:
        out.line("  a checkpoint was cut by a power failure; the one before holds")
    # Not "at least": after a cut, numbers may be left out (docs/format.md).
    worn = "each unit erased" if lease.erases else "each slot written"
    more = "; each restart up to two more" if lease.erases else ""
    out.line(f"  wear: {worn} about {lease.laps} times (sequence / slots){more}")
    out.map(slot_map(lease.slots, lease.newest, lease.corrupt, {h.slot for h in history}))


@tell.register
def _log(result: r.Log, out: Output) -> None:
    rows = []
    for c in result.checkpoints:
        mark = "*" if c.slot == result.newest else "!" if c.slot == result.corrupt else " "
        numbers = (str(n) for n in (c.sequence, c.slot, c.data_len))
        rows.append((mark, *numbers, c.data_crc, c.schema_crc or "raw bytes"))
    lines = ["  sequence     slot    bytes  data CRC-32  schema CRC-32"]
    lines += [f"{m} {a:>8} {b:>8} {c:>8}  {d:<11}  {e}" for m, a, b, c, d, e in rows]
    head = ("", "sequence:", "slot:", "bytes:", "data CRC-32", "schema CRC-32")
    out.table(head, rows, lines)


@tell.register
def _pulled(result: r.Pulled, out: Output) -> None:
    image = result.image
    assert not isinstance(image, PlainInfo)  # what a board holds is none
    out.line(
        f"{result.file}: sequence {image.sequence}, {size_text(result.bytes)}, "
        f"CRC-32 {image.data_crc}"
    )


@tell.register
def _pulled_lease(result: r.PulledLease, out: Output) -> None:
    kept = result.resumed_blocks
    out.line(
        f"{result.file}: the whole lease, {size_text(result.bytes)}; {kept} blocks were there"
    )


@tell.register
def _verified_file(result: r.VerifiedFile, out: Output) -> None:
    image = result.image
    assert not isinstance(image, PlainInfo)  # which is an error
    decodes = ", decodes" if result.decoded else ""
    signed = ", signed" if result.signed else ""
    out.line(
        f"{result.file}: ok; sequence {image.sequence}, CRC-32 {image.data_crc}, "
        f"{size_text(image.data_len)} of state{decodes}{signed}"
    )
    for note in result.notes:
        out.line(f"  {note}")


@tell.register
def _verified(result: r.Verified, out: Output) -> None:
    out.line(
        f"{out.port}: {len(result.checkpoints)} checkpoints, all intact; newest is sequence "
        f"{result.checkpoints[0].sequence}; {size_text(result.moved)} moved"
    )


@tell.register
def _compared(result: r.Compared, out: Output) -> None:
    if not result.differing:
        out.line(f"{out.port}: as in {result.file}; {size_text(result.moved)} moved")


@tell.register
def _restored(result: r.Restored, out: Output) -> None:
    out.line(
        f"{result.file} is now sequence {result.sequence} of lease {result.lease_id}, in slot "
        f"{result.slot}; verified by the board"
    )


@tell.register
def _planned(result: r.Planned, out: Output) -> None:
    plan = result.plan
    unit = "nothing is erased"
    if plan.erase_unit is not None:
        unit = f"{plan.erases} erase unit(s) from {plan.erase_unit} on are erased"
    out.line(
        f"would write {plan.programs} blocks as sequence {plan.sequence}; {unit}; "
        f"slot {plan.replaces} stays"
    )


@tell.register
def _shown(result: r.Shown, out: Output) -> None:
    for note in result.notes:
        out.note(f"note: {note}")
    shown = result.state if out.exact else result.plain
    out.line(json.dumps(shown, indent=2, ensure_ascii=False) if result.schema else shown)


@tell.register
def _same(result: r.Differences, out: Output) -> None:
    for d in result.differences:
        out.line(f"{d.path}: {json.dumps(d.old)} -> {json.dumps(d.new)}")
    if not result.differences:
        out.line("the states are the same")


@tell.register
def _made(result: r.Made, out: Output) -> None:
    image = result.image
    out.line(f"{result.file}: {image.data_len} bytes of state, {size_text(result.bytes)}")


@tell.register
def _signed(result: r.Signed, out: Output) -> None:
    out.line(f"{result.signature}: {result.file}, sequence {result.sequence}, is signed")


@tell.register
def _installed(result: r.Installed, out: Output) -> None:
    where = result.directory or "the current directory"
    out.line(f"{out.port}: edgeckpt {result.version} in {where}")


@tell.register
def _speed(result: r.Speed, out: Output) -> None:
    out.line(f"round trip      {result.ping_ms} ms")
    out.line(f"echo both ways  {size_text(result.echo_bytes_per_s)}/s in frames of {result.frame}")
    out.line(f"read            {size_text(result.read_bytes_per_s)}/s")
    out.line(f"digest          {size_text(result.digest_bytes_per_s)}/s")


def round_line(one: r.Round) -> str:
    """One round of the self-test, when it is done."""
    return (
        f"{one.bytes:>8} bytes in {one.seconds:.3f} s: {'ok' if one.ok else 'WRONG'} (slot "
        f"{one.slot}, sequence {one.sequence})"
    )


@tell.register
def _tested(result: r.Tested, out: Output) -> None:
    out.line(f"{len(result.rounds)} rounds ok; the state from before is the newest again")


@tell.register
def _worn(result: r.Worn, out: Output) -> None:
    w = result.wear
    out.line(
        f"{w.slots} slots of {size_text(w.slot_bytes)}, {w.checkpoints_per_erase} checkpoints an "
        f"erase; each unit is erased {w.erases_per_day:.3g} times a day: {w.years:.1f} years"
    )


@tell.register
def _schema(result: r.Schema, out: Output) -> None:
    out.line(result.schema)
    largest = "without bound" if result.max_size is None else f"at most {result.max_size} bytes"
    out.note(f"CRC-32 {result.schema_crc}; encodings are {largest}")


@tell.register
def _compiled(result: r.Compiled, out: Output) -> None:
    out.note(
        f"{result.module}: {result.bytes} bytes; import it on the board before the stage is made"
    )


@tell.register
def _rust_type(result: r.RustType, out: Output) -> None:
    out.line(result.rust.rstrip())
