"""States: postcard bytes, by a schema text, and JSON in either notation of jsonform.py.

Promises: a state is decoded to its last byte or not at all; a schema that the user gives is
checked against the CRC-32 in the image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

from edgeckpt import codec as _codec
from edgeckpt.codec import Codec
from edgeckpt.errors import EdgeError, EncodeError
from edgeckpt.schema import Node

from .errors import HostError
from .jsonform import from_exact, from_human, to_exact, to_human

__all__ = ["decode", "differences", "encode", "to_exact", "to_human"]


def compile_schema(text: str) -> Codec:
    """The codec of a schema text. HostError `schema`."""
    try:
        return _codec.compile(text)
    except EdgeError as e:
        raise HostError("schema", f"schema: {e}") from e


def schema_argument(value: str) -> str:
    """What `--schema` was given: a text, or the name of a file that holds one."""
    path = Path(value[1:] if value.startswith("@") else value)
    try:
        if value.startswith("@") or path.is_file():
            return path.read_text().strip()
    except OSError as e:
        if value.startswith("@"):
            raise HostError("file", f"{path}: cannot be read: {e.strerror or e}") from e
    return value


def schema_for(given: str | None, in_image: str, schema_crc: int, source: str) -> str:
    """The schema text of an image, canonical: the user's, checked against the image, or its own.

    "" for raw bytes. HostError `schema`.
    """
    if given is None:
        if in_image or not schema_crc:
            return in_image
        raise HostError(
            "schema",
            f"{source}: the schema (CRC-32 0x{schema_crc:08x}) is not in the image",
            "give it with --schema TEXT or --schema FILE",
        )
    text = str(compile_schema(given).text)
    if schema_crc and crc32(text.encode()) != schema_crc:
        raise HostError(
            "schema",
            f"{source}: the schema given has CRC-32 0x{crc32(text.encode()):08x}, "
            f"the image was written with 0x{schema_crc:08x}",
        )
    return text


def decode(text: str, data: bytes, source: str) -> tuple[Node, Any]:
    """(schema tree, value) of the state `data`, to its last byte. HostError `schema`."""
    codec = compile_schema(text)
    try:
        return codec.tree, codec.decode(data, len(data))
    except EdgeError as e:
        raise HostError("schema", f"{source}: the state does not decode: {e}") from e


def from_json(t: Node, v: Any) -> Any:
    """The value of the codec for JSON in the exact or the plain notation. EncodeError."""
    try:
        return from_exact(t, v)
    except EncodeError:
        return from_human(t, v)


class _Sink:
    # What the encoder of the board writes into (docs/design.md, "Sink").
    mark = 4096

    def __init__(self) -> None:
        self.buf = bytearray(self.mark + _codec.SLACK)
        self.out = bytearray()
        self.at = 0

    def spill(self, pos: int) -> int:
        self.out += self.buf[: self.mark]
        self.buf[: pos - self.mark] = self.buf[self.mark : pos]
        return pos - self.mark


def encode(text: str, value: Any) -> bytes:
    """The postcard bytes of JSON `value` in either notation. HostError `schema`."""
    codec = compile_schema(text)
    sink = _Sink()
    try:
        end = codec.encode(from_json(codec.tree, value), sink, 0)
    except EdgeError as e:
        raise HostError("schema", f"the JSON does not fit the schema: {e}") from e
    return bytes(sink.out) + bytes(sink.buf[:end])


def differences(a: Any, b: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(path, in a, in b) for each field of two values in plain notation that differs."""
    if isinstance(a, dict) and isinstance(b, dict):
        found = []
        for key in dict.fromkeys([*a, *b]):
            found += differences(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        return found
    if isinstance(a, list) and isinstance(b, list):
        found = []
        for i in range(max(len(a), len(b))):
            x = a[i] if i < len(a) else None
            y = b[i] if i < len(b) else None
            found += differences(x, y, f"{path}[{i}]")
        return found
    return [] if a == b else [(path or "the state", a, b)]
