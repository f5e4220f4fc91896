"""What --json documents are made of: the dataclasses of results.py, as values and as JSON Schema.

Promises: a document has exactly the fields of its dataclass, under their names; the schema is
derived from the same annotations, so neither can say what the other does not. A dataclass may
name properties in `also` that belong to its document.

    python -m edgeckpt_host.shapes    prints the JSON Schema of everything that --json prints
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from .errors import EXIT

Count = Annotated[int, ("minimum", 0)]
Slot = Annotated[int, ("minimum", -1)]
Sequence = Annotated[int, ("minimum", 1), ("maximum", (1 << 30) - 1)]
BlockSize = Annotated[int, ("minimum", 128), ("maximum", 65536)]
LeaseId = Annotated[str, ("pattern", "^0x[0-9a-f]{32}$")]
Crc = Annotated[str, ("pattern", "^0x[0-9a-f]{8}$")]
Magic = Annotated[str, ("minLength", 4), ("maxLength", 4)]
UsbId = Annotated[str, ("pattern", "^[0-9a-f]{4}:[0-9a-f]{4}$")]
Health = Literal["ok", "empty", "corrupt", "damaged", "foreign", "unreadable"]

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def to_json(value: Any) -> Any:
    """A value as --json has it: dataclasses as objects, all else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value)] + list(getattr(value, "also", ()))
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, list):
        return [to_json(v) for v in value]
    return value


class Shapes:
    """Derives schemas; `defs` collects those of the dataclasses met on the way."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}

    def of(self, t: Any) -> dict[str, Any]:
        """The schema of a type."""
        origin = get_origin(t)
        if t is Any:
            return {}
        if origin is Annotated:
            inner, *more = get_args(t)
            return {**self.of(inner), **dict(more)}
        if origin is Literal:
            return {"enum": list(get_args(t))}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(part) for part in get_args(t)]}
        if origin is list:
            return {"type": "array", "items": self.of(get_args(t)[0])}
        if is_dataclass(t):
            assert isinstance(t, type)
            if t.__name__ not in self.defs:
                self.defs[t.__name__] = {}
                self.defs[t.__name__] = self.object(self.members(t))
            return {"$ref": f"#/$defs/{t.__name__}"}
        return {"type": _PLAIN[t]}

    def members(self, t: type) -> dict[str, Any]:
        """The schema of each field of a dataclass, and of each property in its `also`."""
        hints = get_type_hints(t, include_extras=True)
        found = {f.name: self.of(hints[f.name]) for f in fields(t)}
        for name in getattr(t, "also", ()):
            getter = getattr(t, name).fget
            found[name] = self.of(get_type_hints(getter, include_extras=True)["return"])
        return found

    @staticmethod
    def object(members: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
        """An object with these fields and no others."""
        return {
            "type": "object",
            "properties": members,
            "required": [name for name in members if name not in optional],
            "additionalProperties": False,
        }


class Result:
    """What a command gives. `command`: its name; `port`: whether a document names the port it
    came from (None: where it was a board's). `ok`: found nothing that is an error (then the
    document is the `details` of it)."""

    command: ClassVar[str]
    port: ClassVar[bool | None] = True
    also: ClassVar[tuple[str, ...]] = ()


def schema() -> dict[str, Any]:
    """The JSON Schema of everything that --json prints."""
    from . import results

    shapes = Shapes()
    kinds = [t for t in vars(results).values() if _is_result(t)]
    commands = list(dict.fromkeys(t.command for t in kinds))
    told = [_success(shapes, t) for t in kinds]
    where = shapes.object(
        {
            "block": {"type": "integer"},
            **{name: shapes.of(Count) for name in ("slot", "sequence", "have", "want")},
            "rounds": shapes.of(list[results.Round]),
        }
    )
    del where["required"]
    error = {
        "cause": {"enum": [cause for cause in EXIT if cause != "ok"]},
        "exit_code": {"type": "integer", "minimum": 1, "maximum": 130},
        "message": {"type": "string", "minLength": 1},
        "hint": {"type": "string"},
        "details": {"anyOf": [where, *(shapes.of(t) for t in results.FOUND)]},
    }
    failure = shapes.object(
        {
            "ok": {"const": False},
            # null: the arguments name none
            "command": {"enum": [*commands, None]},
            "port": {"type": "string"},
            "error": shapes.object(error),
        },
        ("port",),
    )
    one = {"oneOf": [*told, failure]}
    several = shapes.object(
        {
            "ok": {"type": "boolean"},
            "command": {"enum": commands},
            "boards": {
                "type": "array",
                "minItems": 2,
                "items": {"$ref": "#/$defs/one", "required": ["ok", "port"]},
            },
        }
    )
    look = shapes.object(
        {"command": {"const": "watch"}, "port": {"type": "string"}, **shapes.members(results.Look)}
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What edgeckpt prints with --json",
        "oneOf": [{"$ref": "#/$defs/one"}, several, look],
        "$defs": {"one": one, **shapes.defs},
    }


def _is_result(t: Any) -> bool:
    return isinstance(t, type) and issubclass(t, Result) and is_dataclass(t)


def _success(shapes: Shapes, t: type[Result]) -> dict[str, Any]:
    head: dict[str, Any] = {"ok": {"const": True}, "command": {"const": t.command}}
    if t.port is not False:
        head["port"] = {"type": "string"}
    return shapes.object({**head, **shapes.members(t)}, () if t.port is not None else ("port",))


if __name__ == "__main__":
    import json

    print(json.dumps(schema(), indent=2))
