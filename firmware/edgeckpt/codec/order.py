"""The order of the crate's BTreeMap: of the keys of a Map, whatever their type.

Promises: `less` is what Rust's derived `Ord` says; it allocates nothing, but where a key holds a
Map of its own.
"""

from .postcard import LISTS


def less(t, a, b):
    """Whether key `a` comes before key `b`, of type `t`."""
    kind = t.kind
    if kind in _PARTS:
        return _less_part(t, a, b)
    if kind == "enum":
        return _less_enum(t, a, b)
    if kind == "option":
        return _less_option(t, a, b)
    if kind == "map":
        return _less_map(t, a, b)
    return kind != "unit" and a < b


_PARTS = ("tuple", "struct", "variant", "newtype", "seq", "array")


def _less_option(t, a, b):
    if b is None:
        return False
    if a is None:
        return True
    return less(t.inner, a[0], b[0]) if t.marked else less(t.inner, a, b)


def _less_map(t, a, b):
    # Pair by pair in the order of the keys, and the shorter first.
    a = merged(t.items[0], _pairs(a))
    b = merged(t.items[0], _pairs(b))
    for x, y in zip(a, b):
        for i in (0, 1):
            if less(t.items[i], x[i], y[i]):
                return True
            if less(t.items[i], y[i], x[i]):
                return False
    return len(a) < len(b)


def _pairs(v):
    return list(v.items()) if isinstance(v, dict) else v


def _less_enum(t, a, b):
    i = _variant(t, a)
    if i != _variant(t, b) or t.items[i] is None:
        return i < _variant(t, b)
    return less(t.items[i], a[1], b[1])


def _variant(t, v):
    return t.index[v if isinstance(v, str) else v[0]]


def _less_part(t, a, b):
    # Part by part, and the shorter first. A newtype variant has its one part for a value.
    if t.kind == "variant" and len(t.items) == 1:
        return less(t.inner, a, b)
    i = 0
    while i < _parts(t, a) and i < _parts(t, b):
        k = _less_at(t, a, b, i)
        if k is not None:
            return k
        i += 1
    return _parts(t, a) < _parts(t, b)


def _less_at(t, a, b, i):
    a = _part(t, a, i)
    b = _part(t, b, i)
    t = t.inner if t.kind == "seq" or t.kind == "array" else t.items[i]
    return True if less(t, a, b) else False if less(t, b, a) else None


def _parts(t, v):
    return len(t.items) if t.kind == "struct" else len(v)


def _part(t, v, i):
    if t.kind != "struct" or isinstance(v, LISTS):
        return v[i]
    return v[t.names[i]] if isinstance(v, dict) else getattr(v, t.names[i])


def ascending(t, pairs):
    """The `pairs` with keys of type `t` in order; a list of their own only where they were not.

    ValueError where a key is there twice.
    """
    i = 1
    while i < len(pairs):
        if not less(t, pairs[i - 1][0], pairs[i][0]):
            break
        i += 1
    if i >= len(pairs):
        return pairs
    made = merged(t, pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def merged(t, pairs):
    """The `pairs` in order, of those with the same key the last. Allocates."""
    n = len(pairs)
    if n < 2:
        return list(pairs)
    a = merged(t, pairs[: n // 2])
    b = merged(t, pairs[n // 2 :])
    made = []
    i = 0
    for pair in b:
        while i < len(a) and less(t, a[i][0], pair[0]):
            made.append(a[i])
            i += 1
        if i < len(a) and not less(t, pair[0], a[i][0]):
            i += 1
        made.append(pair)
    made.extend(a[i:])
    return made
