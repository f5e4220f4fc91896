"""Why a state does not encode: slow, and only asked then.

Promises: the same verdict as the puts of `encode.py`, with the path of the first field that does
not fit, what it holds and what was expected.
"""

from .encode import MAX_UNITS, column, flag, in_f32, is_bytes, is_columns
from .errors import EncodeError
from .tree import INTS


def _has_len(v):
    # Not by hasattr: MicroPython's lists and buffers have no __len__ to be seen.
    try:
        len(v)
    except TypeError:
        return False
    return True


def explain(t, v, path):
    """EncodeError for the first field of `v` that does not fit `t`; returns if all fit."""
    kind = t.kind
    where = path.lstrip(".") or "the state"

    def bad(want):
        raise EncodeError("value", where, repr(v)[:60], want)

    if kind in INTS:
        if not isinstance(v, int) or not t.low <= v <= t.high:
            bad("%s, %d..%d" % (kind, t.low, t.high))
    elif kind in ("f32", "f64"):
        if isinstance(v, (bytes, bytearray)):
            if len(v) != t.width:
                bad("a float, or its %d bytes" % t.width)
        elif not isinstance(v, (int, float)):
            bad("a float")
        elif kind == "f32":
            try:
                in_f32(v)
            except ValueError:
                bad("a float below 3.4028236e38, or infinity")
    elif kind == "bool":
        if v is not True and v is not False:
            bad("True or False")
    elif kind in ("str", "char"):
        if not isinstance(v, str) or kind == "char" and len(v) != 1:
            bad("a str" if kind == "str" else "a str of one character")
    elif kind == "unit":
        if v is not None:
            bad("None")
    elif kind == "option":
        if v is not None:
            if t.marked and (not isinstance(v, (tuple, list)) or len(v) != 1):
                bad("None or a tuple of one, (x,)")
            explain(t.inner, v[0] if t.marked else v, path)
    elif kind in ("seq", "array") and t.rows and is_columns(t.inner, v):
        _explain_columns(t, v, path, bad)
    elif kind in ("seq", "array", "bytes"):
        if isinstance(v, (str, dict)) or not _has_len(v):
            bad("a list or a buffer")
        if kind == "array" and len(v) != t.count:
            bad("%d items, not %d" % (t.count, len(v)))
        if kind != "bytes" and not t.inner.least and len(v) > MAX_UNITS:
            bad("at most %d items of no bytes" % MAX_UNITS)
        if kind == "bytes":
            for i in range(0 if is_bytes(v) else len(v)):
                if not isinstance(v[i], int) or not 0 <= v[i] <= 255:
                    raise EncodeError("value", "%s[%d]" % (where, i), repr(v[i])[:60], "0..255")
        else:
            for i in range(len(v)):
                explain(t.inner, v[i], "%s[%d]" % (path, i))
    elif kind == "variant" and len(t.items) == 1:
        explain(t.inner, v, path)
    elif kind in ("tuple", "variant"):
        if not isinstance(v, (tuple, list)) or len(v) != len(t.items):
            bad("a tuple of %d" % len(t.items))
        for i, item in enumerate(t.items):
            explain(item, v[i], "%s.%d" % (path, i))
    elif kind == "struct":
        if isinstance(v, (tuple, list)) and len(v) != len(t.items):
            bad("%d fields" % len(t.items))
        for i, name in enumerate(t.names):
            if isinstance(v, dict):
                if name not in v:
                    bad("a field %s" % name)
                x = v[name]
            elif isinstance(v, (tuple, list)):
                x = v[i]
            else:
                if not hasattr(v, name):
                    bad("an attribute %s" % name)
                x = getattr(v, name)
            explain(t.items[i], x, path + "." + name)
    elif kind == "map":
        for k, x in v.items() if isinstance(v, dict) else v:
            explain(t.items[0], k, path + "[key]")
            explain(t.items[1], x, "%s[%r]" % (path, k))
    elif kind == "enum":
        name = v if isinstance(v, str) else v[0] if isinstance(v, (tuple, list)) and v else v
        if name not in t.names:
            bad("one of " + ", ".join(t.names[:8]))
        item = t.items[t.index[name]]
        if (item is None) != isinstance(v, str) or item is not None and len(v) != 2:
            bad("'%s'" % name if item is None else "('%s', payload)" % name)
        if item is not None:
            explain(item, v[1], path + "." + name)


def _explain_columns(t, v, path, bad):
    count = None
    for i, name in enumerate(t.inner.names):
        if name not in v if isinstance(v, dict) else not hasattr(v, name):
            bad("a column %s" % name)
        values = column(t.inner, v, i)
        if not _has_len(values):
            bad("a column %s" % name)
        if count is None:
            count = len(values)
            if t.kind == "array" and count != t.count:
                bad("columns of %d items, not %d" % (t.count, count))
        elif len(values) != count:
            bad("columns of one length, not %d and %d (%s)" % (count, len(values), name))
        item = t.inner.items[i]
        for k in range(count):
            x = flag(values[k]) if item.kind == "bool" else values[k]
            explain(item, x, "%s[%d].%s" % (path, k, name))
