"""`edgeckpt schema compile`: a schema text as a module for the board, ready to freeze.

Promises: the module's encoder is what `edgeckpt.generate` makes on the board, so the bytes are
the same; importing it is enough: `codec.compile(text)` then takes it, for exactly this canonical
text, and needs neither parser nor generator nor compiler.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeckpt import codec
from edgeckpt.generate import PRELUDE, Source
from edgeckpt.tree import Node

FORMS = {"attributes": "a", "dict": "d", "tuple": "t"}


def compile_schema(
    text: str,
    *,
    like: Any = None,
    form: str = "attributes",
    columns: bool = False,
    word: int = 32,
    native: bool = True,
) -> str:
    """Source of a MicroPython module for the schema `text`. SchemaError where it does not parse.

    like: a state of the form that the encoder shall expect. Where it does not say: form, one of
    FORMS, for structs; columns: a Vec of structs is one buffer per field. word: bits of the
    board's machine word, 32 or 64 (the unix port on a PC). native: viper, for boards whose port
    has the emitter (or `mpy-cross -march`); else bytecode.
    """
    if form not in FORMS or word not in (32, 64):
        raise ValueError(f"form {form!r}, word {word!r}: expected one of {list(FORMS)}, 32 or 64")
    made = codec.compile(text)
    source = Source(made.tree, like, FORMS[form], columns, word, native)
    body = source.text()
    if not body:
        raise ValueError(f"a schema of {len(source.nodes)} types is left to the tree")
    lines = [
        f'"""Encoder of one schema, written by `edgeckpt schema compile` ({word}-bit)."""',
        "",
        "import micropython" if native else "",
        "from edgeckpt.codec import known, ready",
        "from edgeckpt.columns import Columns" if source.tables else "",
        "from edgeckpt.tree import Node as N",
        "from edgeckpt.tree import nodes",
        PRELUDE,
        f"TEXT = {made.text!r}",
        f"TREE = {_tree(made.tree)}",
        "ready(TREE)",
        "_t = nodes(TREE)",
    ]
    for i in source.used:
        lines += [f"T{i} = _t[{i}]", f"P{i} = T{i}.put"]
    lines += [f"K{i} = {n}" for i, n in enumerate(source.bounds)]
    lines.append(body)
    lines += [f"C{i} = Columns(_t[{i}], look{i}, rows{i})" for i in source.tables]
    lines.append("known[TEXT] = (TREE, encode)")
    return "\n".join(line for line in lines if line) + "\n"


def write_module(text: str, path: Path, **options: Any) -> int:
    """Write `compile_schema(text, **options)` to `path`; bytes written."""
    return path.write_text(compile_schema(text, **options), encoding="utf-8")


def _tree(t: Node | None) -> str:
    if t is None:
        return "None"
    items = ", ".join(_tree(i) for i in t.items)
    return f"N({t.kind!r}, [{items}], {list(t.names)!r}, {t.count})"
