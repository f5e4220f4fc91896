"""The notation of the golden vectors (tests/vectors/README.md): types to schema text, values to
the values of the codec. Runs on MicroPython and CPython."""

import struct
from collections import OrderedDict

from edgeckpt.codec.tree import INTS

# Floats that `value_of` gave as bytes because this port's have single precision: they are not
# restored, but for NaNs.
inexact = [0]


def encode(c, value, room=1 << 16):
    """The bytes of a value; `room`: of the buffer."""
    buf = bytearray(room)
    return bytes(buf[: c.encode(value, buf)])


def schema_text(t):
    """Schema text of a type in the notation of the vectors."""
    if isinstance(t, str):
        return "()" if t == "unit" else t
    ((kind, arg),) = t.items()
    if kind == "option":
        return "Option<%s>" % schema_text(arg)
    if kind == "seq":
        return "Vec<%s>" % schema_text(arg)
    if kind == "array":
        return "[%s;%d]" % (schema_text(arg[0]), arg[1])
    if kind == "tuple":
        return "(%s%s)" % (_list(arg), "," if len(arg) == 1 else "")
    if kind == "map":
        return "Map<%s>" % _list(arg)
    if kind == "unit_struct":
        return "()"
    if kind == "newtype":
        return schema_text(arg[1])
    if kind == "tuple_struct":
        return schema_text({"tuple": arg[1]})
    if kind == "struct":
        return _fields(arg[1])
    if kind == "fixint":
        return arg[1] + arg[0]
    assert kind == "enum", kind
    return "enum{%s}" % ",".join([name + _payload(p) for name, p in arg[1]])


def _list(types):
    return ",".join([schema_text(t) for t in types])


def _fields(fields):
    return "{%s}" % ",".join(["%s:%s" % (n, schema_text(t)) for n, t in fields])


def _payload(p):
    if p is None:
        return ""
    ((kind, arg),) = p.items()
    if kind == "struct":
        return _fields(arg)
    return "(%s)" % (schema_text(arg) if kind == "newtype" else _list(arg))


def unhex(text):
    return bytes([int(text[i : i + 2], 16) for i in range(0, len(text), 2)])


def value_of(t, v):
    """The value of the codec for `v` in the notation of the vectors; `t`: node of the schema."""
    kind = t.kind
    if kind in INTS:
        return int(v)
    if kind in ("f32", "f64"):
        raw = bytes(reversed(list(unhex(v["bits"]))))
        form = "<f" if kind == "f32" else "<d"
        x = struct.unpack(form, raw)[0]
        if struct.pack(form, x) == raw:
            return x
        inexact[0] += x == x
        return raw
    if kind in ("bool", "char", "str", "unit"):
        return v
    if kind == "bytes":
        return unhex(v)
    if kind == "option":
        if v is None:
            return None
        x = value_of(t.inner, v["some"])
        return (x,) if t.marked else x
    if kind in ("seq", "array"):
        if isinstance(v, str):
            return unhex(v)
        values = [value_of(t.inner, x) for x in v]
        return bytes(values) if t.inner.kind == "u8" else values
    if kind == "variant" and len(t.items) == 1:
        return value_of(t.inner, v)
    if kind in ("tuple", "variant"):
        return tuple([value_of(a, b) for a, b in zip(t.items, v)])
    if kind == "struct":
        return dict([(n, value_of(a, v[n])) for n, a in zip(t.names, t.items)])
    if kind == "map":
        pairs = [(value_of(t.items[0], a), value_of(t.items[1], b)) for a, b in v]
        return OrderedDict(pairs) if t.hashable else pairs
    assert kind == "enum", kind
    payload = t.items[v["index"]]
    return v["variant"] if payload is None else (v["variant"], value_of(payload, v["value"]))


def same(a, b):
    """Equal in value and type, NaN and the sign of zero included."""
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all([same(*p) for p in zip(a, b)])
    if isinstance(a, dict):
        return len(a) == len(b) and all([k in b and same(a[k], b[k]) for k in a])
    return type(a) is type(b) and a == b


def canonical(v):
    """A value as text that is the same on every interpreter: floats by their bits."""
    if isinstance(v, float):
        return "f" + "".join(["%02x" % b for b in struct.pack(">d", v)])
    if isinstance(v, (bytes, bytearray)):
        return "x" + "".join(["%02x" % b for b in v])
    if isinstance(v, str):
        return "s" + ",".join(["%x" % ord(c) for c in v])
    if isinstance(v, dict):
        parts = ["%s=%s" % (canonical(k), canonical(v[k])) for k in v]
        return "{%s}" % ";".join(sorted(parts))
    if isinstance(v, (list, tuple)):
        mark = "[%s]" if isinstance(v, list) else "(%s)"
        return mark % ";".join([canonical(x) for x in v])
    return "%r" % (v,)
