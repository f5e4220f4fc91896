"""`edgeckpt schema compile`: a schema text as a module for the board, ready to freeze.

Promises: the module's functions are what `edgeckpt.compiler` makes on the board, so the bytes are
the same; importing it is enough: `codec.compile(text)` then takes them, for exactly this canonical
text, and needs neither parser nor compiler.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeckpt import codec
from edgeckpt.compiler import Source

FORMS = {"attributes": "a", "dict": "d", "tuple": "t"}


def compile_schema(
    text: str, *, like: Any = None, form: str = "attributes", columns: bool = False
) -> str:
    """Source of a MicroPython module for the schema `text`. SchemaError where it does not parse.

    like: a state of the form that the encoder shall expect. Where it does not say: form, one of
    FORMS, for structs; columns: a Vec of structs is one buffer per field.
    """
    if form not in FORMS:
        raise ValueError(f"form {form!r}: expected one of {list(FORMS)}")
    made = codec.compile(text)
    lines = [
        '"""Encoder and decoder of one schema, written by `edgeckpt schema compile`."""',
        "",
        "from edgeckpt.codec import known",
        Source(made.tree, like, FORMS[form], columns).text(),
        f"TEXT = {made.text!r}",
        f"known[TEXT] = ({made.max_size}, (encode, decode))",
    ]
    return "\n".join(lines) + "\n"


def write_module(text: str, path: Path, **options: Any) -> int:
    """Write `compile_schema(text, **options)` to `path`; bytes written."""
    return path.write_text(compile_schema(text, **options), encoding="utf-8")
