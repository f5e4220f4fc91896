"""A state from one version of a schema to another.

Promises: what is taken over is what the old checkpoint held. By rule: a field that is new keeps
what the program's state holds, an integer (or float) that became wider is taken over, and so
within structs, tuples, options, Vecs, arrays, Maps and the variants of enums, which go by their
names. A field that is gone is dropped where the program says so: to an older program, which must
not lose it, it looks alike. All else needs a function; what neither does is refused by its path.
Nothing here knows a medium.
"""

from ..errors import EdgeError, SchemaError
from . import node
from .tree import INTS


def migrated(text, value, codec, state, function=None):
    """The state that `value`, of the schema `text`, is for `codec`, of another schema.

    state: the program's, whose fields are the defaults; it is filled in place and returned. None:
        new values, and no field may be new. function: called with (old value, text), gives the
        value to take: for a struct a dict of the fields that it knows, the others keep their
        default. None: the rules; True: fields that are gone are dropped. SchemaError and
        EncodeError where it cannot be.
    """
    tree = codec.tree
    if function is None or function is True:
        value = _Rules(function is True).taken(node(text), value, tree, state, "")
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


def _holds(new, old):
    return new.low <= old.low and old.high <= new.high


class _Rules:
    def __init__(self, drop):
        self.drop = drop

    def taken(self, old, value, new, state, path):
        """The value of type `old` for the type `new`; `state`: defaults of new fields, if any."""
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
            return self.struct(old, value, new, state, path)
        if kind == "enum":
            return self.enum(old, value, new, path)
        if kind == "option":
            if value is None:
                return None
            value = self.taken(old.inner, value[0] if old.marked else value, new.inner, None, path)
            return (value,) if new.marked else value
        if kind == "seq" or kind == "array" and old.count == new.count:
            return [self.taken(old.inner, x, new.inner, None, path + "[]") for x in value]
        if kind == "variant" and len(new.items) == 1:
            return self.taken(old.inner, value, new.inner, None, path)
        if kind in ("tuple", "variant"):
            made = []
            for i in range(len(new.items)):
                where = "%s.%d" % (path, i)
                made.append(self.taken(old.items[i], value[i], new.items[i], None, where))
            return tuple(made)
        if kind == "map":
            pairs = value.items() if isinstance(value, dict) else value
            return [self.pair(old, pair, new, path) for pair in pairs]
        _refuse(old, new, path)

    def pair(self, old, pair, new, path):
        key = self.taken(old.items[0], pair[0], new.items[0], None, path + "[key]")
        return key, self.taken(old.items[1], pair[1], new.items[1], None, path + "[]")

    def struct(self, old, value, new, state, path):
        made = {}
        for name in old.names:
            if name not in new.names and not self.drop:
                where = (path + "." + name).lstrip(".")
                raise SchemaError("value", where, "a field that is gone", "migrate=True: drop it")
        for name, item in zip(new.names, new.items):
            where = path + "." + name
            if name not in old.names:
                made[name] = _default(state, name, where.lstrip("."))
                continue
            was = old.items[list(old.names).index(name)]
            within = None
            if state is not None and item.kind == "struct":
                within = _default(state, name, where.lstrip("."))
            made[name] = self.taken(was, value[name], item, within, where)
        return made

    def enum(self, old, value, new, path):
        name = value if isinstance(value, str) else value[0]
        was = old.items[old.index[name]]
        if name not in new.index or (was is None) != (new.items[new.index[name]] is None):
            _refuse(old, new, path)
        if was is None:
            return name
        item = new.items[new.index[name]]
        if was.kind != item.kind:
            _refuse(old, new, path)
        return name, self.taken(was, value[1], item, None, path + "." + name)
