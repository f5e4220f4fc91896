"""A state from one version of a schema to another.

Promises: what is taken over is what the old checkpoint held. By rule: a field that is new keeps
what the program's state holds, a field that is gone is dropped, an integer (or float) that became
wider is taken over, and so within structs, tuples, options, Vecs, arrays, Maps and the variants of
enums, which go by their names. All else needs a function; what neither does is refused by its
path. Nothing here knows a medium.
"""

from ..errors import EdgeError, SchemaError
from . import node
from .tree import INTS


def migrated(text, value, codec, state, function=None):
    """The state that `value`, of the schema `text`, is for `codec`, of another schema.

    state: the program's, whose fields are the defaults; it is filled in place and returned. None:
        new values, and no field may be new. function: called with (old value, text), gives the
        value to take: for a struct a dict of the fields that it knows, the others keep their
        default. SchemaError and EncodeError where it cannot be.
    """
    tree = codec.tree
    if function is None:
        value = _taken(node(text), value, tree, state, "")
    else:
        value = _given(function(value, text), tree, state)
    buf = bytearray(codec.max_size or 256)
    while True:
        try:
            n = codec.encode(value, buf)
            break
        except EdgeError as e:
            if e.reason != "too-large":
                raise
            buf = bytearray(e.got)
    return codec.decode(buf, n, state)


def _given(value, tree, state):
    if value is None:
        raise SchemaError("value", "migrate=", None, "the value for the new schema")
    if tree.kind != "struct" or not isinstance(value, dict):
        return value
    for name in value:
        if name not in tree.names:
            raise SchemaError("value", "migrate=", name, "fields of the new schema")
    made = {}
    for name in tree.names:
        made[name] = value[name] if name in value else _default(state, name, name)
    return made


def _default(state, name, path):
    try:
        return state[name] if isinstance(state, dict) else getattr(state, name)
    except (AttributeError, LookupError):
        raise SchemaError("value", path, "a new field", "a state that holds its default")


def _refuse(old, new, path):
    want = "%s: taken over by a function, migrate=" % new.text()
    raise SchemaError("value", path.lstrip(".") or "the state", old.text(), want)


def _taken(old, value, new, state, path):
    # The value of type `old` for the type `new`; `state` holds the defaults of new fields, if any.
    kind = new.kind
    if old.text() == new.text():
        return value
    if old.kind in INTS and kind in INTS:
        return value if _holds(new, old) else _refuse(old, new, path)
    if old.kind == "f32" and kind == "f64" and not isinstance(value, bytes):
        return value
    if old.kind != kind or len(old.items) != len(new.items) and kind in ("tuple", "variant"):
        _refuse(old, new, path)
    if kind == "struct":
        return _struct(old, value, new, state, path)
    if kind == "enum":
        return _enum(old, value, new, path)
    if kind == "option":
        if value is None:
            return None
        if old.marked:
            value = value[0]
        value = _taken(old.inner, value, new.inner, None, path)
        return (value,) if new.marked else value
    if kind == "seq" or kind == "array" and old.count == new.count:
        return [_taken(old.inner, x, new.inner, None, path + "[]") for x in value]
    if kind == "tuple":
        parts = range(len(new.items))
        return tuple(
            [
                _taken(old.items[i], value[i], new.items[i], None, "%s.%d" % (path, i))
                for i in parts
            ]
        )
    if kind == "variant" and len(new.items) == 1:
        return _taken(old.inner, value, new.inner, None, path)
    if kind == "variant":
        pairs = zip(old.items, value, new.items)
        return tuple([_taken(a, x, b, None, path) for a, x, b in pairs])
    if kind == "map":
        pairs = value.items() if isinstance(value, dict) else value
        return [_pair(old, pair, new, path) for pair in pairs]
    _refuse(old, new, path)


def _pair(old, pair, new, path):
    key = _taken(old.items[0], pair[0], new.items[0], None, path + "[key]")
    return key, _taken(old.items[1], pair[1], new.items[1], None, path + "[]")


def _holds(new, old):
    return new.low <= old.low and old.high <= new.high


def _struct(old, value, new, state, path):
    made = {}
    for name, item in zip(new.names, new.items):
        where = path + "." + name
        if name not in old.names:
            made[name] = _default(state, name, where.lstrip("."))
            continue
        was = old.items[list(old.names).index(name)]
        within = None
        if state is not None and item.kind == "struct":
            within = _default(state, name, where.lstrip("."))
        made[name] = _taken(was, value[name], item, within, where)
    return made


def _enum(old, value, new, path):
    name = value if isinstance(value, str) else value[0]
    was = old.items[old.index[name]]
    if name not in new.index or (was is None) != (new.items[new.index[name]] is None):
        _refuse(old, new, path)
    if was is None:
        return name
    item = new.items[new.index[name]]
    if was.kind != item.kind:
        _refuse(old, new, path)
    return name, _taken(was, value[1], item, None, path + "." + name)
