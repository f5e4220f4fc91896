"""`Call`: what every command has: options, output, and the way to boards and files.

Promises: one document and one exit code for each command, whatever number of boards it is for;
what is done on one board shares nothing with what is done on another, but the screen.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .errors import EXIT, HostError
from .shapes import Result, to_json

if TYPE_CHECKING:
    from threading import Event

    from .board import Board
    from .image import Image
    from .link import Link
    from .output import Output
    from .results import Compared, Differences
    from .stream import StoppableStream

Document = dict[str, Any]


class Call:
    """One command with its options; in the thread of a board, for that board's `port` only."""

    port = ""
    out: Output
    stop: Event  # set when all work has to end
    _suffix = ""

    def __init__(self, options: dict[str, Any], *, lines: bool = False) -> None:
        """lines: with --json the document is on one line, as there may be others before it."""
        from threading import Event

        from .output import Output

        self.options = options
        self.command = click.get_current_context().command.name
        self.out = Output(options.get("as_json", False), options.get("quiet", False))
        self.stop = Event()
        self._lines = lines

    # Ports

    def ports(self) -> list[str]:
        """The ports to work on: those given, or the only board there is. HostError `port`."""
        given: list[str] = [
            name
            for part in self.options.get("ports") or ()
            for name in (part.split() if "://" not in part else [part])
        ]
        places = [f"labgrid://{name}" for name in self.options.get("places") or ()]
        if places:
            # $EDGECKPT_PORT is no more than a default.
            given = places
        if given and given != ["all"]:
            return list(dict.fromkeys(given))
        from .ports import boards

        found = [b.port for b in boards()]
        if not found:
            raise HostError(
                "port", "no board found", "give its port with --port, or $EDGECKPT_PORT"
            )
        if not given and len(found) > 1:
            raise HostError(
                "port", f"several boards: {', '.join(found)}", "choose with --port, or --port all"
            )
        return found

    def _of(self, ports: list[str]) -> list[Call]:
        # The same call for each port; files that it writes are told apart by the port's name.
        short = [port.rstrip("/").rpartition("/")[2] for port in ports]
        calls = []
        for port, name in zip(ports, short):
            call = copy(self)
            call.port = port
            if len(ports) > 1:
                call.out = self.out.of(port)
                name = name if short.count(name) == 1 else port.strip("/")
                call._suffix = "-" + re.sub(r"[^\w.]+", "_", name)
            call.out.port = port
            calls.append(call)
        return calls

    def file(self, path: Path) -> Path:
        """The file to write for this board, where the options name `path`. That on stdout moves
        what people read to stderr. HostError `usage`."""
        if str(path) == "-":
            if self._suffix or self.out.as_json:
                raise HostError(
                    "usage", "-: stdout takes one file, and nothing beside it (no --json)"
                )
            self.out.stdout_is_data = True
            return path
        if not self._suffix:
            return path
        return path.with_name(f"{path.stem}{self._suffix}{path.suffix}")

    # The work

    def run(self, work: Callable[[], Result]) -> None:
        """One result: print it, or its error, and exit."""
        try:
            document = self._good(work())
        except (HostError, KeyboardInterrupt) as e:
            self._fail(e)
        self._print(document)

    def each_port(self, work: Callable[[Call], Result]) -> None:
        """The same for all ports that the options name, at once; one summary for several."""
        from .workers import at_once

        documents: list[Document] = []
        causes: set[str] = set()

        def done(i: int, result: Result | HostError) -> None:
            call = calls[i]
            if isinstance(result, HostError):
                causes.add(result.cause)
                documents.append(call._bad(result))
                call.out.error(result)
            else:
                causes.add("ok")
                documents.append(call._good(result))
            if len(calls) > 1:
                call.out.release()

        def job(call: Call) -> Callable[[], Result]:
            return lambda: work(call)

        try:
            calls = self._of(self.ports())
            patience = 10.0 + 3 * self.options["timeout"]
            at_once([job(call) for call in calls], done, self.stop, patience)
        except (HostError, KeyboardInterrupt) as e:
            self._fail(e)
        finally:
            self.out.close()
        if len(calls) == 1:
            self._print(documents[0])
        else:
            self._sum_up(documents)
        sys.exit(EXIT[causes.pop() if len(causes) == 1 else "partial"])

    def each_board(self, work: Callable[[Call, Board], Result]) -> None:
        """The same, with the agent of the board answering."""
        from .link import AgentError

        def on_board(call: Call) -> Result:
            stream = call.stream()
            with call.open(stream) as board:
                try:
                    return work(call, board)
                except AgentError as e:
                    raise e.as_host_error(board.name) from e
                finally:
                    stream.armed = False

        self.each_port(on_board)

    def differs(self, result: Compared | Differences) -> Result:
        """The result of a comparison, or the HostError `differs` with all of it in `details`."""
        from .commands import runs
        from .present import tell
        from .results import Compared

        if isinstance(result, Compared):
            parts = (f"{a}" if n == 1 else f"{a}..{a + n - 1}" for a, n in runs(result.differing))
            many = len(result.differing)
            what = f"{self.port} differs from {result.file} in {many} blocks: {', '.join(parts)}"
        else:
            many = len(result.differences)
            what = f"{many} fields differ"
        if not many:
            return result
        tell(result, self.out)
        raise HostError("differs", what, **to_json(result))

    def _good(self, result: Result) -> Document:
        from .present import tell

        tell(result, self.out)
        return {"ok": True, **self._head(), **to_json(result)}

    def _bad(self, error: HostError) -> Document:
        from .output import error_value

        return {"ok": False, **self._head(), "error": error_value(error)}

    def _head(self) -> Document:
        return {"command": self.command, **({"port": self.port} if self.port else {})}

    def _print(self, document: Document) -> None:
        self.out.json(document, one_line=self._lines)

    def _fail(self, e: HostError | KeyboardInterrupt) -> NoReturn:
        if isinstance(e, KeyboardInterrupt):
            self._print(self._bad(HostError("interrupted", "interrupted")))
            raise e
        self.out.error(e)
        self._print(self._bad(e))
        sys.exit(e.exit_code)

    def _sum_up(self, documents: list[Document]) -> None:
        good = sum(d["ok"] for d in documents)
        text = f"{good} of {len(documents)} boards"
        rows = [
            (d["port"], *(("ok", "") if d["ok"] else (d["error"]["cause"], d["error"]["message"])))
            for d in documents
        ]
        self.out.table(("port", "result", "message"), rows, [f"== {text}"], text)
        self._print({"ok": good == len(documents), "command": self.command, "boards": documents})

    # Boards

    def stream(self) -> StoppableStream:
        """The line to the port, open. HostError `port`."""
        from .stream import StoppableStream, open_stream

        o = self.options
        trace = self.file(o["trace"]) if o["trace"] else None
        return StoppableStream(open_stream(self.port, o["baud"], trace), self.stop)

    def open(self, stream: StoppableStream) -> Board:
        """The board at that line. HostError as of `Board.open`."""
        from .board import Board

        o = self.options
        key = None
        if o["key_file"]:
            from .image import read_file

            key = read_file(o["key_file"]).strip()
        return Board.open(
            self.port,
            timeout=o["timeout"],
            retries=o["retries"],
            attach=o["attach"],
            key=key,
            restart=o["restart"],
            stream=stream,
            reset=o["reset"],
        )

    def board_image(self, board: Board) -> Image:
        """The checkpoint that the options choose on the board, its schema text completed."""
        from .commands import pulled_image

        o = self.options
        with self.out.progress("pull") as progress:
            return pulled_image(
                board,
                lease_id=o["lease_id"],
                slot=o.get("slot"),
                fallback=o["fallback"],
                progress=progress,
            )

    def at_repl(self, work: Callable[[Link], Result]) -> Result:
        """Work in the board's REPL, without an agent; its program runs again if it ran."""
        from .link import Link, leave

        o = self.options
        stream = self.stream()
        link = Link(stream, o["timeout"], o["retries"])
        try:
            if o["reset"]:
                link.reset_board()
            result = work(link)
        except BaseException:
            with suppress(HostError):  # what went wrong before is told
                leave(link, o["restart"])
            raise
        stream.armed = False
        leave(link, o["restart"])
        return result

    # Files and arguments

    def image_options(self) -> dict[str, Any]:
        o = self.options
        magic = o["magic"]
        try:
            raw = bytes.fromhex(magic[2:]) if magic.startswith("0x") else magic.encode("latin-1")
        except ValueError:
            raw = b""
        if len(raw) != 4:
            raise HostError(
                "usage", f"--magic {magic}: expected four bytes, as text or 0x and hex"
            )
        return {"block_size": o["block_size"], "magic": raw, "version": o["format_version"]}

    def load(self, path: Path, lease_id: int | None) -> Image:
        """The checkpoint in a file; of a dump of several leases that of `lease_id`."""
        from .image import load

        o = self.options
        return load(
            path,
            slot=o.get("slot"),
            lease_id=lease_id,
            fallback=o.get("fallback", False),
            **self.image_options(),
        )

    def schema(self) -> str | None:
        """The schema text that --schema gives, or None."""
        from .state import schema_argument

        given = self.options["schema"]
        return schema_argument(given) if given else None
