"""What the commands do, over the API (board, image, state). Each returns its --json document."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from edgeckpt import header as hdr

from . import state as st
from .errors import HostError
from .image import Dump, Image, build, dump_headers, parse, read_file, write_file
from .parts import PartFile
from .terminal import size_text

if TYPE_CHECKING:
    from .board import Board, Lease
    from .call import Call


# Looking


def info_file(call: Call, path: Path) -> dict[str, Any]:
    options = call.image_options()
    data = read_file(path)
    try:
        image: Image | None = parse(
            data, str(path), lease_id=call.options.get("lease_id"), fallback=True, **options
        )
    except HostError as e:
        if e.cause not in ("no-checkpoint", "corrupt"):
            raise
        found = dump_headers(data, options["magic"], options["version"])
        if not found:
            raise
        image = None
    document: dict[str, Any] = {
        "file": str(path),
        "bytes": len(data),
        "image": image.describe() if image is not None else None,
        "dump": None,
    }
    if image is not None:
        image_lines(call, image)
    found = dump_headers(data, options["magic"], options["version"])
    if found and len(data) >= found[0][1].lease_blocks * found[0][1].block_size:
        dump = Dump(
            data,
            str(path),
            found,
            lease_id=call.options.get("lease_id"),
            magic=options["magic"],
            version=options["version"],
        )
        history = [(s, slot) for s, slot in dump.ring.history()]
        ring = dump.ring
        document["dump"] = {
            "lease_start": dump.lease_start,
            "slots": ring.slots,
            "newest": ring.newest,
            "corrupt": ring.corrupt,
            "damaged": ring.damaged,
            "history": [{"sequence": s, "slot": slot} for s, slot in history],
        }
        call.out.map(
            slot_map(ring.slots, ring.newest, ring.corrupt, {slot for _, slot in history})
        )
        dump.close()
    return document


def image_lines(call: Call, image: Image) -> None:
    d = image.describe()
    call.out.line(f"{image.source}: {image.kind}")
    for note in image.notes:
        call.out.line(f"  {note}")
    for name in ("sequence", "lease_id", "slot", "block_size", "data_len", "data_crc"):
        if name in d:
            call.out.line(f"  {name:<12} {d[name]}")
    if image.schema:
        call.out.line(f"  {'schema':<12} {image.schema}")


def slot_map(slots: int, newest: int, corrupt: int, used: set[int]) -> str:
    """The ring as a map: # newest, o a checkpoint, ! corrupt, . nothing committed."""
    cells = []
    for slot in range(slots):
        mark = "o" if slot in used else "."
        mark = "!" if slot == corrupt else "#" if slot == newest else mark
        cells.append(mark)
    lines = ["".join(cells[i : i + 64]) for i in range(0, slots, 64)]
    return "\n".join(f"  {i * 64:>6} {line}" for i, line in enumerate(lines))


def lease_document(lease: Lease) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(lease), "health": lease.health, "laps": lease.laps}


def info_board(call: Call, board: Board) -> dict[str, Any]:
    hello = board.hello
    wanted = call.options.get("lease_id")
    leases = board.leases()
    if wanted is not None:
        leases = [board.lease(wanted)]
    call.out.line(
        f"{board.name}: {hello['python']} ({hello['platform']}), edgeckpt {hello['version']}"
    )
    documents = []
    if not leases:
        call.out.line("  no leases; a program has to create one, or a module edgeckpt_leases")
    for lease in leases:
        document = lease_document(lease)
        history: list[dict[str, Any]] = []
        if lease.slot_blocks:
            history = [checkpoint_document(*entry) for entry in board.history(lease)]
        document["history"] = history
        documents.append(document)
        size = lease.blocks * lease.block_size
        call.out.line(
            f"lease {lease.lease_id}: {lease.health}; blocks {lease.start}..+{lease.count}, "
            f"{size_text(size)} in blocks of {lease.block_size}"
        )
        if lease.foreign:
            call.out.line(f"  it holds something else: {lease.foreign}")
        if lease.odd:
            call.out.line(f"  a commit that no writer of this lease can have made: {lease.odd}")
        if not lease.slot_blocks:
            continue
        call.out.line(
            f"  sequence {lease.sequence}, newest in slot {lease.newest}; {lease.slots} slots of "
            f"{size_text(lease.slot_blocks * lease.block_size)}, {len(history)} checkpoints"
        )
        schema = lease.schema or (history[0]["schema"] if history else None)
        if schema:
            call.out.line(f"  schema {schema}")
        if lease.torn:
            call.out.line("  a checkpoint was cut by a power failure; the one before holds")
        # Not "at least": after a cut, numbers may be left out (docs/format.md).
        worn = "each unit erased" if lease.erases else "each slot written"
        more = "; each restart erases one more" if lease.erases else ""
        call.out.line(f"  wear: {worn} about {lease.laps} times (sequence / slots){more}")
        call.out.map(
            slot_map(lease.slots, lease.newest, lease.corrupt, {h["slot"] for h in history})
        )
    return {"board": hello, "leases": documents}


def checkpoint_document(sequence: int, slot: int, h: hdr.Header) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "slot": slot,
        "data_len": h.data_len,
        "data_crc": f"0x{h.data_crc:08x}",
        "schema_crc": f"0x{h.schema_crc:08x}" if h.schema_crc else None,
        "schema": h.schema.decode("utf-8", "replace") or None,
    }


def log(call: Call, board: Board) -> dict[str, Any]:
    lease = board.lease(call.options["lease_id"])
    history = [checkpoint_document(*entry) for entry in board.history(lease)]
    rows = []
    for h in history:
        mark = "*" if h["slot"] == lease.newest else "!" if h["slot"] == lease.corrupt else " "
        numbers = (str(h[name]) for name in ("sequence", "slot", "data_len"))
        rows.append((mark, *numbers, h["data_crc"], h["schema_crc"] or "raw bytes"))
    lines = ["  sequence     slot    bytes  data CRC-32  schema CRC-32"]
    lines += [f"{m} {a:>8} {b:>8} {c:>8}  {d:<11}  {e}" for m, a, b, c, d, e in rows]
    head = ("", "sequence:", "slot:", "bytes:", "data CRC-32", "schema CRC-32")
    call.out.table(head, rows, lines)
    return {"lease_id": lease.lease_id, "newest": lease.newest, "checkpoints": history}


def show(call: Call, image: Image) -> dict[str, Any]:
    text, exact, plain = st.of_image(image, call.schema())
    if not text and not image.integrity:
        raise HostError(
            "schema",
            f"{image.source}: a plain image has no schema",
            "give it with --schema TEXT or --schema FILE",
        )
    for note in image.notes:
        call.out.note(f"note: {note}")
    shown = exact if call.options["exact"] else plain
    call.out.line(json.dumps(shown, indent=2, ensure_ascii=False) if text else shown)
    return {
        "image": image.describe(),
        "notes": image.notes,
        "schema": text or None,
        "state": exact,
        "plain": plain,
    }


def diff(call: Call, old: Image, new: Image) -> dict[str, Any]:
    given = call.schema()
    values = []
    for image in (old, new):
        crc = image.header.schema_crc if image.integrity and not given else 0
        text = st.schema_for(given, image.schema, crc, image.source)
        if not text:
            values.append(image.state.hex())
            continue
        tree, value = st.decode(text, image.state, image.source)
        values.append(st.plain(tree, value))
    found = st.differences(*values)
    for path, a, b in found:
        call.out.line(f"{path}: {json.dumps(a)} -> {json.dumps(b)}")
    document = {
        "old": old.describe(),
        "new": new.describe(),
        "differences": [{"path": p, "old": a, "new": b} for p, a, b in found],
    }
    if found:
        raise Differs(f"{len(found)} fields differ", document)
    call.out.line("the states are the same")
    return document


class Differs(HostError):
    """A comparison that found something: exit code 10, with the whole document in --json."""

    def __init__(self, message: str, document: dict[str, Any]) -> None:
        super().__init__("differs", message, **document)


# Moving


def pull(call: Call, board: Board, path: Path) -> dict[str, Any]:
    o = call.options
    lease = board.lease(o["lease_id"])
    path = call.file(path)
    if o["raw"]:
        return _pull_raw(call, board, lease, path)
    slot = o["slot"] if o["slot"] is not None else lease.newest
    key = f"checkpoint {lease.lease_id} {slot}"
    with PartFile(path, key, lease.block_size) as part, call.out.progress("pull") as progress:
        image = board.pull(
            lease, o["slot"], fallback=o["fallback"], have=part.have, progress=progress
        )
        write_file(path, image.blocks)
        part.done()
    call.out.line(
        f"{path}: sequence {image.header.sequence}, {size_text(len(image.blocks))}, "
        f"CRC-32 0x{image.header.data_crc:08x}"
    )
    return {
        "file": str(path),
        "bytes": len(image.blocks),
        "moved": board.link.received,
        "resumed_blocks": part.resumed,
        "image": image.describe(),
    }


def _pull_raw(call: Call, board: Board, lease: Lease, path: Path) -> dict[str, Any]:
    size = lease.block_size
    old = call.options["against"]
    key = f"lease {lease.lease_id} {lease.blocks}"
    with PartFile(path, key, size) as part, call.out.progress("pull") as progress:
        known = dict(part.have)
        if old is not None:
            data = read_file(old)
            if len(data) != lease.blocks * size:
                raise HostError(
                    "geometry", f"{old}: {len(data)} bytes, the lease has {lease.blocks * size}"
                )
            known = {i: data[i * size : i * size + size] for i in range(lease.blocks)} | known
        # What is known may have changed since: the digests say so.
        for first, count in _runs(sorted(known)):
            blocks = b"".join(known[i] for i in range(first, first + count))
            for i in board.differing(lease, first, blocks):
                known.pop(i)
        kept = len(known)
        for i, block in known.items():
            dict.__setitem__(part.have, i, block)
        data = board.read_raw(lease, part.have, progress=progress)
        write_file(path, data)
        part.done()
    call.out.line(f"{path}: the whole lease, {size_text(len(data))}; {kept} blocks were there")
    return {
        "file": str(path),
        "bytes": len(data),
        "moved": board.link.received,
        "resumed_blocks": kept,
        "lease": lease_document(lease),
    }


def _runs(blocks: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for i in blocks:
        if runs and sum(runs[-1]) == i:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((i, 1))
    return runs


def restore(call: Call, board: Board, path: Path) -> dict[str, Any]:
    o = call.options
    lease = board.lease(o["lease_id"])
    image = call.load(path, None)  # --lease is the board's; whether it is the image's is below
    h = image.header
    given = call.schema()
    if not image.integrity:
        if not o["plain"]:
            raise HostError(
                "refused",
                f"{path}: a plain image: nothing vouches for its bytes",
                "--plain restores it all the same; --schema names its schema",
            )
        schema, schema_crc = given or "", 0
        if schema:
            schema = st.compile_schema(schema).text
            st.decode(schema, image.state, str(path))
            schema_crc = crc32(schema.encode())
    else:
        theirs = int.from_bytes(h.lease_id, "little")
        if theirs != lease.id and not o["any_lease"]:
            raise HostError(
                "lease",
                f"{path}: an image of lease 0x{theirs:032x}, the board's is {lease.lease_id}",
                "--any-lease restores it all the same",
            )
        schema, schema_crc = given or image.schema or "", h.schema_crc
        if given:
            schema = st.schema_for(given, image.schema, schema_crc, str(path))
    _same_schema(call, board, lease, schema_crc)
    blocks = h.slot_blocks if image.integrity else 0
    if o["dry_run"]:
        plan = board.plan(lease, image.state, schema, blocks)
        unit = "nothing is erased"
        if plan["erase_unit"] is not None:
            unit = f"{plan['erases']} erase unit(s) from {plan['erase_unit']} on are erased"
        call.out.line(
            f"would write {plan['programs']} blocks as sequence {plan['sequence']}; {unit}; "
            f"slot {plan['replaces']} stays"
        )
        return {"dry_run": True, "lease_id": lease.lease_id, "plan": plan}
    with call.out.progress("restore") as progress:
        done = board.restore(
            lease,
            image.state,
            schema,
            schema_crc=schema_crc,
            slot_blocks=blocks,
            progress=progress,
        )
    board.restart = True if board.restart is None else board.restart
    call.out.line(
        f"{path} is now sequence {done['sequence']} of lease {lease.lease_id}, in slot "
        f"{done['slot']}; verified by the board"
    )
    return {
        "dry_run": False,
        "file": str(path),
        "lease_id": lease.lease_id,
        "moved": board.link.sent,
        **done,
    }


def _same_schema(call: Call, board: Board, lease: Lease, schema_crc: int) -> None:
    # A state that the board's program could not decode would stop it at its next start.
    if call.options["any_schema"]:
        return
    if lease.schema:
        theirs = crc32(lease.schema.encode())
    elif lease.newest >= 0:
        known: dict[int, bytes] = {}
        first = board.first_block(lease, lease.newest)
        board.link.read(lease.index, lease.block_size, [(first, 1)], known.__setitem__)
        h = hdr.parse(known[first])
        if h is None or h.kind != hdr.VALID:
            return
        theirs = h.schema_crc
    else:
        return
    if theirs != schema_crc:
        raise HostError(
            "schema",
            f"the image has schema CRC-32 0x{schema_crc:08x}, the board's state 0x{theirs:08x}",
            "--any-schema restores it all the same",
        )


def make(call: Call, json_file: Path, path: Path) -> dict[str, Any]:
    o = call.options
    text = st.compile_schema(st.schema_argument(o["schema"])).text
    try:
        value = json.loads(read_file(json_file))
    except ValueError as e:
        raise HostError("file", f"{json_file}: not JSON: {e}") from e
    data = st.encode(text, value)
    if not 0 < o["sequence"] <= hdr.MAX_SEQUENCE or not 0 <= o["lease_id"] < 1 << 128:
        raise HostError("usage", "--sequence 1 .. 2^30-1, --lease 0 .. 2^128-1")
    blocks = build(
        data,
        text,
        block_size=o["block_size"],
        lease_id=o["lease_id"],
        sequence=o["sequence"],
        lease_blocks=o["lease_blocks"],
        slot_blocks=o["slot_blocks"],
    )
    image = parse(blocks, str(path)).describe()
    write_file(call.file(path), blocks)
    call.out.line(f"{path}: {len(data)} bytes of state, {size_text(len(blocks))}")
    return {"file": str(path), "bytes": len(blocks), "image": image}


# Checking


def verify_file(call: Call, path: Path) -> dict[str, Any]:
    image = call.load(path, call.options["lease_id"])
    document: dict[str, Any] = {"file": str(path), "image": image.describe()}
    given = call.schema()
    h = image.header
    decoded = False
    if image.integrity and h.schema_crc and not image.schema and not given:
        image.notes.append("the schema is not in the image: the state was not decoded")
    else:
        text = st.schema_for(
            given, image.schema, h.schema_crc if image.integrity else 0, str(path)
        )
        if text:
            st.decode(text, image.state, str(path))
            decoded = True
    document.update(decoded=decoded, notes=image.notes)
    what = f"sequence {h.sequence}, CRC-32 0x{h.data_crc:08x}" if image.integrity else "plain"
    call.out.line(f"{path}: {'ok' if image.integrity else 'readable'}; {what}, "
                  f"{size_text(h.data_len)} of state{', decodes' if decoded else ''}")  # fmt: skip
    for note in image.notes:
        call.out.line(f"  {note}")
    return document


def verify_board(call: Call, board: Board) -> dict[str, Any]:
    lease = board.lease(call.options["lease_id"])
    wanted = call.options["slot"]
    results = []
    for sequence, slot, h in board.history(lease):
        if wanted is not None and slot != wanted:
            continue
        good = board.data_crc(lease, slot, h) == h.data_crc
        results.append({"sequence": sequence, "slot": slot, "ok": good})
        if not good:
            call.out.line(f"slot {slot}, sequence {sequence}: the data is corrupt")
    bad = [r for r in results if not r["ok"]]
    document: dict[str, Any] = {
        "lease_id": lease.lease_id,
        "health": lease.health,
        "checkpoints": results,
        "moved": board.link.received,
    }
    if bad:
        slots = ", ".join(str(r["slot"]) for r in bad)
        raise HostError(
            "corrupt", f"{board.name}: {len(bad)} of {len(results)} corrupt: slots {slots}", "",
            **document,
        )  # fmt: skip
    if wanted is None:
        board.refuse_odd(lease)
    if not results:
        raise HostError(
            "no-checkpoint", f"{board.name}: lease {lease.lease_id}: {lease.health}", **document
        )
    call.out.line(
        f"{board.name}: {len(results)} checkpoints, all intact; newest is sequence "
        f"{results[0]['sequence']}; {size_text(board.link.received)} moved"
    )
    return document


def verify_against(call: Call, board: Board, path: Path) -> dict[str, Any]:
    lease = board.lease(call.options["lease_id"])
    size = lease.block_size
    data = read_file(path)
    first = 0
    what = "the lease"
    if len(data) != lease.blocks * size:
        image = parse(data, str(path), **call.image_options())
        data = image.blocks
        slot = call.options["slot"]
        slot = lease.newest if slot is None else slot
        if slot < 0:
            raise HostError("no-checkpoint", f"{board.name}: lease {lease.lease_id} is empty")
        if image.block_size != size or len(data) > lease.slot_blocks * size:
            raise HostError(
                "geometry", f"{path}: blocks of {image.block_size}, the lease has {size}"
            )
        first = board.first_block(lease, slot)
        what = f"slot {slot}"
    bad = board.differing(lease, first, data)
    document = {
        "lease_id": lease.lease_id,
        "file": str(path),
        "blocks": len(data) // size,
        "differing": bad,
        "moved": board.link.received,
    }
    if bad:
        runs = ", ".join(f"{a}" if n == 1 else f"{a}..{a + n - 1}" for a, n in _runs(bad))
        raise Differs(f"{what} differs from {path} in {len(bad)} blocks: {runs}", document)
    call.out.line(f"{what} is as in {path}; {size_text(board.link.received)} moved")
    return document


def schema(call: Call, text: str) -> dict[str, Any]:
    codec = st.compile_schema(st.schema_argument(text))
    crc = int.from_bytes(codec.crc, "little")
    call.out.line(codec.text)
    largest = "without bound" if codec.max_size is None else f"at most {codec.max_size} bytes"
    call.out.note(f"CRC-32 0x{crc:08x}; encodings are {largest}")
    return {"schema": codec.text, "schema_crc": f"0x{crc:08x}", "max_size": codec.max_size}


def schema_compile(call: Call, text: str, path: Path) -> dict[str, Any]:
    from .schema_compile import compile_schema

    o = call.options
    made = st.compile_schema(st.schema_argument(text))
    source = compile_schema(made.text, form=o["form"], columns=o["columns"])
    write_file(call.file(path), source.encode())
    call.out.note(f"{path}: {len(source)} bytes; import it on the board before the stage is made")
    return {"schema": made.text, "module": str(path), "bytes": len(source)}


def schema_from_rust(call: Call, path: Path, wanted: str | None = None) -> dict[str, Any]:
    from .schema_rust import Rust

    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise HostError("file", f"{path}: cannot be read: {e}") from e
    return schema(call, Rust(source).schema(wanted))


def schema_to_rust(call: Call, text: str, name: str = "State") -> dict[str, Any]:
    from .schema_rust import to_rust

    made = st.compile_schema(st.schema_argument(text))
    source = to_rust(made.text, name)
    call.out.line(source.rstrip())
    return {"schema": made.text, "rust": source}


def wear(call: Call) -> dict[str, Any]:
    from dataclasses import asdict

    from edgeckpt.errors import EdgeError

    from .wear import estimate

    o = call.options
    names = ("capacity", "restarts_per_day", "erase_unit", "block_size", "endurance")
    try:
        w = estimate(o["size"], o["per_day"], o["units"], **{n: o[n] for n in names})
    except (EdgeError, ValueError) as e:
        raise HostError("usage", f"wear: {e}") from e
    call.out.line(
        f"{w.slots} slots of {size_text(w.slot_bytes)}, {w.checkpoints_per_erase} checkpoints an "
        f"erase; each unit is erased {w.erases_per_day:.3g} times a day: {w.years:.1f} years"
    )
    return {"wear": asdict(w)}


# Boards


def bench(call: Call, board: Board) -> dict[str, Any]:
    from edgeckpt import wire

    lease = board.lease(call.options["lease_id"])
    size = lease.block_size
    frame = board.hello["frame"]
    blob = bytes(range(256)) * (frame // 256 + 1)
    start = time.monotonic()
    for _ in range(16):
        board.link.ping()
    ping = (time.monotonic() - start) / 16
    count = max(1, min(call.options["size"], 1 << 20) // frame)
    start = time.monotonic()
    for _ in range(count):
        board.link.request(wire.ECHO, payload=blob[:frame], expect=wire.DATA)
    echo = count * frame / (time.monotonic() - start)
    blocks = min(lease.blocks, max(1, call.options["size"] // size))
    start = time.monotonic()
    board.link.digests(lease.index, 0, blocks, 16)
    digest = blocks * size / (time.monotonic() - start)
    got: dict[int, bytes] = {}
    before = board.link.received
    start = time.monotonic()
    board.link.read(lease.index, size, [(0, blocks)], got.__setitem__)
    read = blocks * size / (time.monotonic() - start)
    result = {
        "ping_ms": round(ping * 1000, 3),
        "echo_bytes_per_s": round(echo),
        "digest_bytes_per_s": round(digest),
        "read_bytes_per_s": round(read),
        "read_moved": board.link.received - before,
        "frame": frame,
    }
    call.out.line(f"round trip      {result['ping_ms']} ms")
    call.out.line(f"echo both ways  {size_text(echo)}/s in frames of {frame}")
    call.out.line(f"read            {size_text(read)}/s")
    call.out.line(f"digest          {size_text(digest)}/s")
    return result


def selftest(call: Call, board: Board) -> dict[str, Any]:
    """Restores of test data of several lengths, each read back; then the state before again."""
    import os

    lease = board.lease(call.options["lease_id"])
    before = board.pull(lease) if lease.newest >= 0 else None
    if before is None:
        raise HostError(
            "no-checkpoint",
            f"{board.name}: lease {lease.lease_id} is empty; the test gives back what it found",
            "make a checkpoint first",
        )
    results = []
    rounds = call.options["rounds"]
    try:
        for i in range(rounds):
            length = lease.capacity * (i + 1) // rounds
            data = os.urandom(length)
            start = time.monotonic()
            done = board.restore(lease, data)
            seconds = time.monotonic() - start
            image = board.pull(board.status(lease.index))
            good = image.state == data and image.header.sequence == done["sequence"]
            results.append({"bytes": length, "seconds": round(seconds, 4), "ok": good, **done})
            call.out.line(
                f"{length:>8} bytes in {seconds:.3f} s: {'ok' if good else 'WRONG'} (slot "
                f"{done['slot']}, sequence {done['sequence']})"
            )
    finally:
        board.restore(lease, before.state, before.schema, schema_crc=before.header.schema_crc)
    if not all(r["ok"] for r in results):
        raise HostError("medium", f"{board.name}: what was read back is not what was written",
                        rounds=results)  # fmt: skip
    call.out.line(f"{rounds} rounds ok; the state from before is the newest again")
    return {"lease_id": lease.lease_id, "rounds": results}


def report_file(call: Call, source: Path, output: Path) -> dict[str, Any]:
    from .report import of_file

    return of_file(call, source, output)


def report_board(call: Call, board: Board, output: Path) -> dict[str, Any]:
    from .report import of_board

    return of_board(call, board, call.file(output))
