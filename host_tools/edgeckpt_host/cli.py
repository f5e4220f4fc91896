"""The command `edgeckpt`. Thin: what it does is in the modules that it imports when it needs them.

Promises: one exit code per cause (errors.py, docs/cli.md); no traceback for anything that a user
can cause; with --json one document on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import __version__
from .call import Call
from .errors import EXIT, HostError
from .shapes import Result

if TYPE_CHECKING:
    from .board import Board
    from .image import Image

F = TypeVar("F", bound=Callable[..., Any])


class _Number(click.ParamType):  # type: ignore[type-arg]
    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(value, 0)
        except ValueError:
            self.fail(f"{value!r}: expected a number, decimal or 0x...", param, ctx)


NUMBER = _Number()
FILE = click.Path(path_type=Path, dir_okay=False)  # - is stdin or stdout


def _many(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(f: F) -> F:
        for option in reversed(options):
            f = option(f)
        return f

    return decorate


_output = _many(
    click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
    click.option("--quiet", "-q", is_flag=True, help="Only errors."),
)
_line = _many(
    click.option(
        "--port",
        "-p",
        "ports",
        multiple=True,
        envvar="EDGECKPT_PORT",
        help="Serial port, socket://HOST:PORT or rfc2217://HOST:PORT; repeat it for several "
        "boards, or say 'all'. Default: $EDGECKPT_PORT, else the only board there is.",
    ),
    click.option(
        "--place",
        "places",
        multiple=True,
        help="A place of a labgrid lab that you have acquired, instead of --port; repeat it.",
    ),
    click.option("--baud", default=115200, show_default=True, help="Speed of a real UART."),
    click.option(
        "--timeout", default=2.0, show_default=True, help="Seconds until an answer counts as lost."
    ),
    click.option("--retries", default=4, show_default=True, help="Attempts after the first."),
    click.option("--trace", type=FILE, help="Write all that passes on the line to this file."),
    click.option(
        "--attach",
        type=click.Choice(["auto", "repl", "direct"]),
        default="auto",
        show_default=True,
        help="Start the agent through the REPL, or talk to one that the board's program polls.",
    ),
    click.option(
        "--reset",
        is_flag=True,
        help="First reset the board, by DTR and RTS: for a program that takes Ctrl-C for itself.",
    ),
    click.option(
        "--key-file",
        type=FILE,
        envvar="EDGECKPT_KEY_FILE",
        help="Key of an agent that wants one before it writes. Default: $EDGECKPT_KEY_FILE.",
    ),
    click.option(
        "--restart/--leave",
        default=None,
        help="Afterwards, run the board's program again or leave it stopped. "
        "Default: run it if it ran.",
    ),
)
_lease = click.option(
    "--lease", "lease_id", type=NUMBER, help="Lease id, where there are several."
)
_image = _many(
    click.option("--block-size", type=NUMBER, help="Of a plain image, where it cannot be told."),
    click.option(
        "--magic",
        default="CKPT",
        show_default=True,
        help="Of a file: first four bytes, or 0x and hex.",
    ),
    click.option(
        "--format-version", default=1, show_default=True, help="Of a file: as its headers say."
    ),
)
_schema = click.option("--schema", help="Schema text, or a file that holds it.")
_key = click.option("--key", type=FILE, help="Public key (PEM) by which FILE has to be signed.")
_signature = click.option("--signature", type=FILE, help="Its signature. Default: FILE.sig.")
_fallback = click.option(
    "--fallback", is_flag=True, help="Take an older checkpoint where the newest is corrupt."
)


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order people need them


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: " + ", ".join(f"{code} {cause}" for cause, code in EXIT.items()) + ".",
)
@click.version_option(__version__, prog_name="edgeckpt", message="%(prog)s %(version)s")
def cli() -> None:
    """Durable checkpoints of MicroPython boards: read, verify and restore them over serial.

    An image file is one checkpoint (edgeckpt pull), a plain image of another writer, or the raw
    content of a lease or chip; - is stdin or stdout.
    """


@cli.command()
@_output
def ports(**options: Any) -> None:
    """List the serial ports that may be boards."""
    from . import commands

    Call(options).run(commands.list_ports)


@cli.command(short_help="Leases, slots, newest sequence, schema, health, wear.")
@click.argument("file", type=FILE, required=False)
@_line
@_lease
@_image
@_output
def info(file: Path | None, **options: Any) -> None:
    """Leases, slots, newest sequence, schema, sizes, health: of a board or of FILE."""
    from . import commands

    call = Call(options)
    lease_id = options["lease_id"]
    if file is not None:
        call.run(lambda: commands.info_file(file, lease_id=lease_id, **call.image_options()))
    else:
        call.each_board(lambda c, board: commands.info(board, lease_id=lease_id))


@cli.command()
@_line
@_lease
@_output
def log(**options: Any) -> None:
    """All checkpoints that are still in the lease, newest first."""
    from . import commands

    Call(options).each_board(lambda c, board: commands.log(board, lease_id=options["lease_id"]))


@cli.command(short_help="Read a checkpoint, or the whole lease, into a file.")
@click.argument("file", type=FILE)
@click.option("--slot", type=NUMBER, help="This slot; default: the newest checkpoint.")
@click.option("--raw", is_flag=True, help="The whole lease, block by block.")
@click.option("--against", type=FILE, help="With --raw: an older dump; only what differs travels.")
@_fallback
@_line
@_lease
@_output
def pull(file: Path, **options: Any) -> None:
    """Read a checkpoint from the board into FILE; goes on where an interrupted pull stopped."""
    from . import commands

    o = options
    where = {"lease_id": o["lease_id"]}

    def work(call: Call, board: Board) -> Result:
        path = call.file(file)
        with call.out.progress("pull") as bar:
            if o["raw"]:
                return commands.pull_lease(
                    board, path, against=o["against"], progress=bar, **where
                )
            return commands.pull(
                board, path, slot=o["slot"], fallback=o["fallback"], progress=bar, **where
            )

    Call(options).each_board(work)


@cli.command(short_help="Check a file, or all checkpoints of a board.")
@click.argument("file", type=FILE, required=False)
@click.option("--against", type=FILE, help="Compare the board with this file, by digests only.")
@click.option("--slot", type=NUMBER, help="Only this slot.")
@_key
@_signature
@_schema
@_line
@_lease
@_image
@_output
def verify(file: Path | None, against: Path | None, **options: Any) -> None:
    """Check FILE, or all checkpoints of a board: headers, data, schema, signature.

    On a board it is the board that computes, only CRC-32s travel. With --against the blocks that
    differ are named. A plain image has no integrity data: exit 19, though it may be read.
    """
    from . import commands

    call = Call(options)
    o = options

    def of_file() -> Result:
        assert file is not None
        image = call.load(file, o["lease_id"])
        return commands.verify_file(
            image, schema=call.schema(), key=o["key"], signature=o["signature"]
        )

    def of_board(c: Call, board: Board) -> Result:
        if against is None:
            return commands.verify(board, lease_id=o["lease_id"], slot=o["slot"])
        return c.differs(
            commands.compare(
                board, against, lease_id=o["lease_id"], slot=o["slot"], **c.image_options()
            )
        )

    if file is not None and against is None:
        call.run(of_file)
    else:
        call.each_board(of_board)


@cli.command()
@click.argument("file", type=FILE)
@click.option("--dry-run", is_flag=True, help="Say what would be written and erased.")
@click.option("--slot", type=NUMBER, help="With a dump as FILE: this slot of it.")
@click.option("--any-lease", is_flag=True, help="Though the image is of another lease.")
@click.option("--any-schema", is_flag=True, help="Though the board's state has another schema.")
@click.option("--plain", is_flag=True, help="Though it is a plain image without integrity data.")
@click.option("--allow-older", is_flag=True, help="With --key: though it is an older state.")
@_key
@_signature
@_schema
@_fallback
@_line
@_lease
@_image
@_output
def restore(file: Path, dry_run: bool, **options: Any) -> None:
    """Make FILE the newest checkpoint of the board.

    The board writes it as a new checkpoint through its own commit path and verifies it before it
    commits: the one before stays, whatever happens on the line. Then its program is restarted.
    """
    from . import commands

    call = Call(options)
    names = ("lease_id", "any_lease", "any_schema", "plain")
    chosen = {name: options[name] for name in names}
    loaded: list[Image] = []

    def work(c: Call, board: Board) -> Result:
        # --lease is the board's; whether it is the image's is looked at there. Stdin comes once.
        image = loaded[0] if loaded else c.load(file, None)
        loaded[:] = [image]
        if dry_run:
            return commands.plan(board, image, schema=c.schema(), **chosen)
        with c.out.progress("restore") as bar:
            return commands.restore(
                board,
                image,
                schema=c.schema(),
                key=options["key"],
                signature=options["signature"],
                allow_older=options["allow_older"],
                progress=bar,
                **chosen,
            )

    call.each_board(work)


@cli.command()
@click.argument("file", type=FILE, required=False)
@click.option("--slot", type=NUMBER, help="This slot; default: the newest checkpoint.")
@click.option("--exact", is_flag=True, help="The exact notation, as --json has it.")
@_schema
@_fallback
@_line
@_lease
@_image
@_output
def show(file: Path | None, **options: Any) -> None:
    """The state as JSON, decoded by the schema in the image."""
    from . import commands

    call = Call(options)
    call.out.exact = options["exact"]

    def work(c: Call, board: Board) -> Result:
        c.out.exact = options["exact"]
        return commands.show(c.board_image(board), schema=c.schema())

    if file is not None:
        call.run(lambda: commands.show(call.load(file, options["lease_id"]), schema=call.schema()))
    else:
        call.each_board(work)


@cli.command(short_help="Two states, field by field: of files, or of a board.")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE, required=False)
@_schema
@_fallback
@_line
@_lease
@_image
@_output
def diff(old: Path, new: Path | None, **options: Any) -> None:
    """Two states, field by field: of OLD and NEW, or of OLD and the board. Exit 10 if any."""
    from . import commands

    call = Call(options)
    lease_id = options["lease_id"]

    def work(c: Call, image: Image) -> Result:
        return c.differs(commands.diff(c.load(old, lease_id), image, schema=c.schema()))

    if new is not None:
        call.run(lambda: work(call, call.load(new, lease_id)))
    else:
        call.each_board(lambda c, board: work(c, c.board_image(board)))


@cli.command(short_help="An image from JSON, for provisioning.")
@click.argument("json_file", type=FILE)
@click.argument("file", type=FILE)
@click.option("--schema", required=True, help="Schema text, or a file that holds it.")
@click.option("--lease", "lease_id", type=NUMBER, default=0, help="Lease id in the image.")
@click.option("--block-size", type=NUMBER, default=256, show_default=True, help="Layout block.")
@click.option("--sequence", type=NUMBER, default=1, show_default=True, help="1 .. 2^30-1.")
@click.option("--slot-blocks", type=NUMBER, help="Layout blocks of a slot. Default: as needed.")
@click.option("--lease-blocks", type=NUMBER, help="Layout blocks of the lease.")
@_output
def make(json_file: Path, file: Path, schema: str, **options: Any) -> None:
    """An image from JSON (exact or plain notation), for provisioning."""
    from . import commands
    from .state import schema_argument

    call = Call(options)
    names = ("lease_id", "block_size", "sequence", "slot_blocks", "lease_blocks")
    chosen = {name: options[name] for name in names}
    call.run(lambda: commands.make(json_file, call.file(file), schema_argument(schema), **chosen))


@cli.command(short_help="Sign an image with an Ed25519 key.")
@click.argument("file", type=FILE)
@click.option("--key", type=FILE, required=True, help="Private key, PEM.")
@_signature
@_image
@_output
def sign(file: Path, key: Path, signature: Path | None, **options: Any) -> None:
    """Sign FILE, a checkpoint, with its lease id and sequence, into FILE.sig.

    Keys are PEM: openssl genpkey -algorithm ed25519; openssl pkey -pubout.
    """
    from . import commands

    call = Call(options)
    call.run(lambda: commands.sign_image(call.load(file, None), key, signature))


@cli.command(short_help="Sequence, health and state of a lease, live.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds.")
@click.option("--count", default=0, help="End after so many looks. Default: until Ctrl-C.")
@_schema
@_line
@_lease
@_output
def watch(**options: Any) -> None:
    """Sequence, slot, health and state of a lease, live: first the whole state, then what changes.

    A board's program that polls an agent goes on meanwhile; another one is stopped. With --json
    one document per look, one a line, and the one of the command as the last line.
    """
    from .watch import watch as work

    if options["attach"] == "auto":
        options["attach"] = "live"
    from .results import Watched

    Call(options, lines=True).each_board(lambda c, board: Watched(**work(c, board)))


@cli.command(short_help="Copy the module to the board, as .mpy.")
@click.option("--source", type=click.Path(path_type=Path, file_okay=False), help="Other module.")
@click.option("--package", multiple=True, help="core, codec, agent, ... Default: all.")
@click.option("--no-compile", is_flag=True, help="Copy .py files instead of .mpy.")
@_line
@_output
def install(
    source: Path | None, package: tuple[str, ...], no_compile: bool, **options: Any
) -> None:
    """Copy the module to the board, as .mpy for its architecture and version."""
    from . import commands

    Call(options).each_port(
        lambda c: c.at_repl(
            lambda link: commands.install_module(
                link,
                source=source,
                packages=package or ("all",),
                no_compile=no_compile,
                told=c.out.line,
            )
        )
    )


@cli.command()
@click.option("--bytes", "size", type=NUMBER, default=65536, show_default=True)
@_line
@_lease
@_output
def bench(size: int, **options: Any) -> None:
    """Speed of the line and of the board, reading only."""
    from . import commands

    Call(options).each_board(
        lambda c, board: commands.bench(board, lease_id=options["lease_id"], size=size)
    )


@cli.command(short_help="Write test checkpoints to a lease and read them back.")
@click.option("--rounds", default=8, show_default=True, help="Checkpoints to write.")
@_line
@click.option("--lease", "lease_id", type=NUMBER, required=True, help="The lease to write to.")
@_output
def selftest(rounds: int, lease_id: int, **options: Any) -> None:
    """Write test checkpoints to the lease given for it, and read them back.

    The lease's last checkpoint before the test becomes its newest again at the end.
    """
    from . import commands
    from .present import round_line

    Call(options).each_board(
        lambda c, board: commands.selftest(
            board, lease_id, rounds=rounds, told=lambda one: c.out.line(round_line(one))
        )
    )


@cli.command(short_help="One HTML page of a board or a dump.")
@click.argument("source", type=FILE, required=False)
@click.option("--output", "-o", type=FILE, required=True, help="The page to write.")
@_schema
@_line
@_lease
@_image
@_output
def report(source: Path | None, output: Path, **options: Any) -> None:
    """One self-contained HTML page of a board or of a dump: map, history, states, differences."""
    from .report import of_board, of_file
    from .results import Reported

    call = Call(options)
    if source is not None:
        call.run(lambda: Reported(**of_file(call, source, call.file(output))))
    else:
        call.each_board(lambda c, board: Reported(**of_board(c, board, c.file(output))))


@cli.command()
@click.option("--size", type=NUMBER, required=True, help="Bytes of the state.")
@click.option("--per-day", type=float, required=True, help="Checkpoints a day.")
@click.option("--units", type=NUMBER, required=True, help="Erase units of the lease.")
@click.option("--capacity", type=NUMBER, help="Bytes a slot holds. Default: the size.")
@click.option("--restarts-per-day", type=float, default=1.0, show_default=True)
@click.option("--erase-unit", type=NUMBER, default=4096, show_default=True)
@click.option("--block-size", type=NUMBER, default=256, show_default=True)
@click.option("--endurance", type=NUMBER, default=100_000, show_default=True, help="Erase cycles.")
@_output
def wear(size: int, per_day: float, units: int, **options: Any) -> None:
    """How long a lease lasts, before any board is there."""
    from . import commands

    names = ("capacity", "restarts_per_day", "erase_unit", "block_size", "endurance")
    chosen = {name: options[name] for name in names}
    Call(options).run(lambda: commands.estimate_wear(size, per_day, units, **chosen))


@cli.command(short_help="Check a schema text, compile it for the board, to and from Rust.")
@click.argument("words", nargs=-1, required=True, metavar="TEXT | compile .. | from-rust ..")
@click.option(
    "--form",
    type=click.Choice(["attributes", "dict", "tuple"]),
    default="attributes",
    show_default=True,
    help="compile: what the structs of the state are.",
)
@click.option("--columns", is_flag=True, help="compile: a Vec of structs is one array per field.")
@_output
def schema(words: tuple[str, ...], **options: Any) -> None:
    """Check a schema TEXT (or file): canonical form, CRC-32, largest encoding.

    compile TEXT MODULE.py: write its encoder and decoder as a module to freeze or copy to the
    board; import it before the stage is made.

    from-rust FILE.rs [TYPE]: the schema of a type that derives Serialize (extra `rust`).

    to-rust TEXT [NAME]: a Rust type for a schema.
    """
    from . import commands
    from .state import schema_argument

    call = Call(options)
    o = options

    def compiled() -> Result:
        return commands.compile_schema(
            schema_argument(words[1]),
            call.file(Path(words[2])),
            form=o["form"],
            columns=o["columns"],
        )

    if len(words) == 3 and words[0] == "compile":
        call.run(compiled)
    elif len(words) in (2, 3) and words[0] == "from-rust":
        call.run(lambda: commands.schema_from_rust(call.file(Path(words[1])), *words[2:]))
    elif len(words) in (2, 3) and words[0] == "to-rust":
        call.run(lambda: commands.schema_to_rust(schema_argument(words[1]), *words[2:]))
    elif len(words) == 1:
        call.run(lambda: commands.check_schema(schema_argument(words[0])))
    else:
        raise click.UsageError(
            "expected: schema TEXT, schema compile TEXT MODULE.py, "
            "schema from-rust FILE.rs [TYPE], or schema to-rust TEXT [NAME]"
        )


@cli.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(edgeckpt completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "edgeckpt", "_EDGECKPT_COMPLETE").source())


def _show(error: click.ClickException) -> None:
    # There is no Call yet: click has found fault with the arguments.
    if "--json" not in sys.argv:
        error.show()
        return
    from .output import Output, error_value

    context = getattr(error, "ctx", None)
    command = context.command.name if context and context.parent else None
    value = error_value(HostError("usage", error.format_message(), "edgeckpt --help"))
    Output(as_json=True).json({"ok": False, "command": command, "error": value})


def main() -> None:
    """Entry point: no traceback for what a user can cause."""
    import signal

    try:
        cli(prog_name="edgeckpt", standalone_mode=False)
    except click.ClickException as e:
        _show(e)
        sys.exit(e.exit_code)
    except click.exceptions.Exit as e:
        sys.exit(e.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        click.echo("edgeckpt: interrupted", err=True)
        sys.exit(EXIT["interrupted"])
    finally:
        # All is done and said: a Ctrl-C while the interpreter ends changes no exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
