"""States: postcard bytes and JSON, by a schema text.

Two notations. *Exact*: no bit is lost, one form for each value (docs/cli.md, "state"): integers
of 64 and 128 bits as strings, floats as `{"bits", "repr"}`, bytes as hex, options as null or
`{"some": v}`, maps as a list of pairs, enums as `{"variant", "index", "value"}`. *Plain*: what a
person would write. `encode()` takes either, and mixtures.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from edgeckpt import codec as _codec
from edgeckpt.codec import Codec
from edgeckpt.codec.tree import INTS, Node
from edgeckpt.errors import EdgeError

from .errors import HostError

if TYPE_CHECKING:
    from .image import Image

_ROOM = 1 << 16  # bytes to begin with, where a schema sets no bound
_BITS = {"f32": ("<f", 4), "f64": ("<d", 8)}


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


def of_image(image: Image, given: str | None = None) -> tuple[str, Any, Any]:
    """(schema text, exact, plain): the state in an image, by the schema `given` or its own.

    Raw bytes have no text and are hex. HostError `schema`.
    """
    crc = image.header.schema_crc if image.integrity else 0
    text = schema_for(given, image.schema, crc, image.source)
    if not text:
        return "", image.state.hex(), image.state.hex()
    tree, value = decode(text, image.state, image.source)
    return text, exact(tree, value), plain(tree, value)


def float_text(kind: str, raw: bytes) -> str:
    """The shortest text that reads back as the same float; `raw`: its bytes, little-endian."""
    form, _ = _BITS[kind]
    x = struct.unpack(form, raw)[0]
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    text = repr(x)
    if kind == "f32":
        for digits in range(1, 10):
            text = repr(float(f"{x:.{digits}g}"))
            try:
                if struct.pack(form, float(text)) == raw:
                    break
            except OverflowError:
                continue
    number, e, exponent = text.partition("e")
    return f"{number.removesuffix('.0')}e{int(exponent)}" if e else text


def _raw_float(kind: str, value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes) else struct.pack(_BITS[kind][0], value)


def exact(t: Node, v: Any) -> Any:
    """A decoded value in the exact notation."""
    kind = t.kind
    if kind in INTS:
        return str(v) if INTS[kind][1] > 32 else v
    if kind in _BITS:
        raw = _raw_float(kind, v)
        return {"bits": raw[::-1].hex(), "repr": float_text(kind, raw)}
    if kind == "bytes":
        return bytes(v).hex()
    if kind == "option":
        if v is None:
            return None
        return {"some": exact(t.inner, v[0] if t.marked else v)}
    if kind in ("seq", "array"):
        return [exact(t.inner, x) for x in v]
    if kind == "variant" and len(t.items) == 1:
        return exact(t.inner, v)
    if kind in ("tuple", "variant"):
        return [exact(a, b) for a, b in zip(t.items, v, strict=True)]
    if kind == "struct":
        return {n: exact(a, v[n]) for n, a in zip(t.names, t.items, strict=True)}
    if kind == "map":
        pairs = v.items() if hasattr(v, "items") else v
        return [[exact(t.items[0], a), exact(t.items[1], b)] for a, b in pairs]
    if kind == "enum":
        name, payload = (v, None) if isinstance(v, str) else v
        i = list(t.names).index(name)
        item = t.items[i]
        return {
            "variant": name,
            "index": i,
            "value": None if item is None else exact(item, payload),
        }
    return v


def plain(t: Node, v: Any) -> Any:
    """A decoded value in the plain notation."""
    kind = t.kind
    if kind in _BITS:
        raw = _raw_float(kind, v)
        text = float_text(kind, raw)
        return text if text in ("NaN", "inf", "-inf") else float(text)
    if kind == "bytes" or kind in ("seq", "array") and isinstance(v, (bytes, bytearray)):
        return bytes(v).hex()
    if kind == "option":
        if v is None:
            return None
        return {"some": plain(t.inner, v[0])} if t.marked else plain(t.inner, v)
    if kind in ("seq", "array"):
        return [plain(t.inner, x) for x in v]
    if kind == "variant" and len(t.items) == 1:
        return plain(t.inner, v)
    if kind in ("tuple", "variant"):
        return [plain(a, b) for a, b in zip(t.items, v, strict=True)]
    if kind == "struct":
        return {n: plain(a, v[n]) for n, a in zip(t.names, t.items, strict=True)}
    if kind == "map":
        pairs = list(v.items() if hasattr(v, "items") else v)
        if t.items[0].kind == "str":
            return {a: plain(t.items[1], b) for a, b in pairs}
        return [[plain(t.items[0], a), plain(t.items[1], b)] for a, b in pairs]
    if kind == "enum":
        if isinstance(v, str):
            return v
        name, payload = v
        return {name: plain(t.items[list(t.names).index(name)], payload)}
    return v


class _Bad(Exception):
    pass


def from_json(t: Node, v: Any, path: str = "") -> Any:
    """The value of the codec for JSON in either notation. HostError `schema` names the field."""
    try:
        return _value(t, v, path)
    except _Bad as e:
        raise HostError("schema", f"the JSON does not fit the schema: {e}") from None


def _bad(path: str, got: Any, want: str) -> _Bad:
    return _Bad(f"{path.lstrip('.') or 'the state'}: got {str(got)[:60]!r}, expected {want}")


def _hex(path: str, v: str) -> bytes:
    try:
        return bytes.fromhex(v)
    except ValueError:
        raise _bad(path, v, "hex digits") from None


def _value(t: Node, v: Any, path: str) -> Any:
    kind = t.kind
    if kind in INTS:
        try:
            if isinstance(v, bool) or isinstance(v, float) and v != int(v):
                raise ValueError
            return int(v, 0) if isinstance(v, str) else int(v)
        except (TypeError, ValueError):
            raise _bad(path, v, f"an integer ({kind})") from None
    if kind in _BITS:
        return _float(kind, v, path)
    if kind == "bytes":
        if not isinstance(v, str):
            raise _bad(path, v, "hex digits")
        return _hex(path, v)
    if kind == "option":
        if v is None:
            return None
        if isinstance(v, dict) and list(v) == ["some"]:
            v = v["some"]
        x = _value(t.inner, v, path)
        return (x,) if t.marked else x
    if kind in ("seq", "array"):
        if isinstance(v, str) and t.inner.kind == "u8":
            return _hex(path, v)
        if not isinstance(v, list):
            raise _bad(path, v, "a list")
        values = [_value(t.inner, x, f"{path}[{i}]") for i, x in enumerate(v)]
        if t.inner.kind != "u8":
            return values
        try:
            return bytes(values)
        except ValueError:
            raise _bad(path, v, "integers 0..255") from None
    if kind == "variant" and len(t.items) == 1:
        return _value(t.inner, v, path)
    if kind in ("tuple", "variant"):
        if not isinstance(v, list) or len(v) != len(t.items):
            raise _bad(path, v, f"a list of {len(t.items)}")
        return tuple(
            _value(a, b, f"{path}.{i}") for i, (a, b) in enumerate(zip(t.items, v, strict=True))
        )
    if kind == "struct":
        if not isinstance(v, dict) or set(v) != set(t.names):
            got = sorted(v) if isinstance(v, dict) else v
            raise _bad(path, got, f"an object with {', '.join(t.names)}")
        return {n: _value(a, v[n], f"{path}.{n}") for n, a in zip(t.names, t.items, strict=True)}
    if kind == "map":
        pairs = v.items() if isinstance(v, dict) else v
        try:
            values = [(_value(t.items[0], a, path), _value(t.items[1], b, path)) for a, b in pairs]
        except (TypeError, ValueError):
            raise _bad(path, v, "a list of pairs") from None
        return OrderedDict(values) if t.hashable else values
    if kind == "enum":
        return _enum(t, v, path)
    return v


def _float(kind: str, v: Any, path: str) -> Any:
    form, size = _BITS[kind]
    if isinstance(v, dict) and "bits" in v:
        raw = _hex(path, v["bits"])[::-1]
        if len(raw) != size:
            raise _bad(path, v, f"{2 * size} hex digits")
        x = struct.unpack(form, raw)[0]
        return raw if struct.pack(form, x) != raw else x
    try:
        if isinstance(v, bool):
            raise ValueError
        return float(v)
    except (TypeError, ValueError):
        raise _bad(path, v, "a number") from None


def _enum(t: Node, v: Any, path: str) -> Any:
    if isinstance(v, str):
        name, payload = v, None
    elif isinstance(v, dict) and "variant" in v:
        name, payload = v["variant"], v.get("value")
    elif isinstance(v, dict) and len(v) == 1:
        name, payload = next(iter(v.items()))
    else:
        raise _bad(path, v, f"one of {', '.join(t.names)}")
    if name not in t.names:
        raise _bad(path, name, f"one of {', '.join(t.names)}")
    item = t.items[list(t.names).index(name)]
    if item is None and payload is not None:
        raise _bad(f"{path}.{name}", payload, "no payload")
    return name if item is None else (name, _value(item, payload, f"{path}.{name}"))


def encode(text: str, value: Any) -> bytes:
    """The postcard bytes of JSON `value` in either notation. HostError `schema`."""
    codec = compile_schema(text)
    state = from_json(codec.tree, value)
    room = codec.max_size or _ROOM
    while True:
        buf = bytearray(room)
        try:
            return bytes(buf[: codec.encode(state, buf)])
        except EdgeError as e:
            if e.reason != "too-large":
                raise HostError("schema", f"the JSON does not fit the schema: {e}") from e
            room *= 4


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
