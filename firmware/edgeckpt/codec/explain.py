"""Why a state does not encode: slow, and only asked then.

Promises: the same verdict as the puts of `encode.py`, with the path of the first field that does
not fit, what it holds and what was expected.
"""

from ..errors import EncodeError
from .encode import column, is_columns
from .order import less, merged
from .postcard import MAX_UNITS, exact, flag, in_f32, is_bytes, no_fields, start, string
from .tree import INTS

_LARGEST = 1 << 24  # bytes that are tried for a size


def explain(t, v):
    """EncodeError for the first field of `v` that does not fit `t`; returns if all fit."""
    _Walk().at(t, v, "")


def size(t, v):
    """Bytes of the encoding of `v`, which fits `t`; what is known of them at least."""
    n = 1024
    while n <= _LARGEST:
        start()
        try:
            return t.put(t, bytearray(n), 0, v)
        except MemoryError:
            break
        except (IndexError, ValueError):
            n *= 2
        except Exception as e:
            if type(e).__name__ != "error":  # CPython's struct.error
                raise
            n *= 2
    return n // 2 + 1


def _has_len(v):
    # Not by hasattr: MicroPython's lists and buffers have no __len__ to be seen.
    try:
        len(v)
    except TypeError:
        return False
    return True


class _Walk:
    def __init__(self):
        self.units = MAX_UNITS

    def bad(self, path, v, want):
        raise EncodeError("value", path.lstrip(".") or "the state", repr(v)[:60], want)

    def at(self, t, v, path):
        kind = t.kind
        if kind in INTS:
            if not isinstance(v, int) or not t.low <= v <= t.high:
                self.bad(path, v, "%s, %d..%d" % (kind, t.low, t.high))
        elif kind in ("f32", "f64"):
            self.float(t, v, path)
        elif kind == "bool":
            if v is not True and v is not False:
                self.bad(path, v, "True or False")
        elif kind in ("str", "char"):
            self.text(t, v, path)
        elif kind == "unit":
            if v is not None:
                self.bad(path, v, "None")
        elif kind == "option":
            if v is not None:
                if t.marked and (not isinstance(v, (tuple, list)) or len(v) != 1):
                    self.bad(path, v, "None or a tuple of one, (x,)")
                self.at(t.inner, v[0] if t.marked else v, path)
        elif kind == "bytes" or kind in ("seq", "array") and t.octets:
            self.octets(t, v, path)
        elif kind in ("seq", "array"):
            self.items(t, v, path)
        elif kind == "variant" and len(t.items) == 1:
            self.at(t.inner, v, path)
        elif kind in ("tuple", "variant"):
            if not isinstance(v, (tuple, list)) or len(v) != len(t.items):
                self.bad(path, v, "a tuple of %d" % len(t.items))
            for i, item in enumerate(t.items):
                self.at(item, v[i], "%s.%d" % (path, i))
        elif kind == "struct":
            self.struct(t, v, path)
        elif kind == "map":
            self.map(t, v, path)
        else:
            self.enum(t, v, path)

    def float(self, t, v, path):
        if isinstance(v, (bytes, bytearray)):
            if len(v) != t.width:
                self.bad(path, v, "a float, or its %d bytes" % t.width)
        elif not isinstance(v, (int, float)):
            self.bad(path, v, "a float")
        elif t.kind == "f32":
            try:
                in_f32(v)
            except ValueError:
                self.bad(path, v, "a float below 3.4028236e38, or infinity")
        elif isinstance(v, int):
            try:
                exact(v)
            except (ValueError, OverflowError):
                self.bad(path, v, "an integer that a float of this port holds exactly")

    def text(self, t, v, path):
        if not isinstance(v, str):
            self.bad(path, v, "a str" if t.kind == "str" else "a str of one character")
        try:
            string(bytearray(4 * len(v) + 9), 0, v)
        except ValueError:
            self.bad(path, v, "text without halves of a character (surrogates)")
        try:
            t.leaf(bytearray(4 * len(v) + 9), 0, v)
        except TypeError:
            self.bad(path, v, "a str of one character")

    def octets(self, t, v, path):
        if isinstance(v, (str, int)) or not _has_len(v):
            self.bad(path, v, "bytes, a buffer or a list")
        if t.kind == "array" and len(v) != t.count:
            self.bad(path, v, "%d items, not %d" % (t.count, len(v)))
        if is_bytes(v):
            return
        for i in range(len(v)):
            x = self.item(v, i, path)
            if not isinstance(x, int) or not 0 <= x <= 255:
                self.bad("%s[%d]" % (path, i), x, "0..255")

    def item(self, v, i, path):
        try:
            return v[i]
        except (TypeError, LookupError):
            self.bad(path, v, "a list or a buffer")

    def items(self, t, v, path):
        if t.rows and is_columns(t.inner, v):
            self.columns(t, v, path)
            return
        if isinstance(v, (str, dict)) or not _has_len(v):
            self.bad(path, v, "a list or a buffer")
        if t.kind == "array" and len(v) != t.count:
            self.bad(path, v, "%d items, not %d" % (t.count, len(v)))
        self.empty(t.inner.least, v, path)
        for i in range(len(v)):
            self.at(t.inner, self.item(v, i, path), "%s[%d]" % (path, i))

    def empty(self, least, v, path):
        if not least:
            self.units -= len(v)
            if self.units < 0:
                self.bad(path, v, "at most %d items of no bytes in all" % MAX_UNITS)

    def keys(self, t, v, path):
        for name in v:
            if name not in t.names:
                self.bad(path, name, "no key but " + ", ".join(t.names))

    def struct(self, t, v, path):
        if isinstance(v, (tuple, list)):
            if len(v) != len(t.items):
                self.bad(path, v, "%d fields" % len(t.items))
            v = dict(zip(t.names, v))
        for i, name in enumerate(t.names):
            if isinstance(v, dict):
                if name not in v:
                    self.bad(path, v, "a field %s" % name)
                x = v[name]
            else:
                if not hasattr(v, name):
                    self.bad(path, v, "an attribute %s" % name)
                x = getattr(v, name)
            self.at(t.items[i], x, path + "." + name)
        if isinstance(v, dict):
            self.keys(t, v, path)
        elif not t.items:
            try:
                no_fields(v)
            except TypeError:
                self.bad(path, v, "an object or a dict without keys")

    def map(self, t, v, path):
        if not isinstance(v, (dict, list, tuple)):
            self.bad(path, v, "a dict, or a list of (key, value)")
        self.empty(t.least_pair, v, path)
        pairs = list(v.items()) if isinstance(v, dict) else v
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                self.bad(path, pair, "a (key, value)")
            self.at(t.items[0], pair[0], path + "[key]")
            self.at(t.items[1], pair[1], "%s[%r]" % (path, pair[0]))
        pairs = merged(t.items[0], pairs)
        if len(pairs) < len(v):
            self.bad(path, v, "each key once")
        for i in range(1, len(pairs)):
            if not less(t.items[0], pairs[i - 1][0], pairs[i][0]):
                self.bad(path, pairs[i][0], "keys that have an order")

    def enum(self, t, v, path):
        name = v if isinstance(v, str) else v[0] if isinstance(v, (tuple, list)) and v else v
        if not isinstance(name, str) or name not in t.names:
            self.bad(path, v, "one of " + ", ".join(t.names[:8]))
        item = t.items[t.index[name]]
        if (item is None) != isinstance(v, str) or item is not None and len(v) != 2:
            self.bad(path, v, "'%s'" % name if item is None else "('%s', payload)" % name)
        if item is not None:
            self.at(item, v[1], path + "." + name)

    def columns(self, t, v, path):
        n = None
        for i, name in enumerate(t.inner.names):
            if name not in v if isinstance(v, dict) else not hasattr(v, name):
                self.bad(path, v, "a column %s" % name)
            values = column(t.inner, v, i)
            if isinstance(values, (str, dict)) or not _has_len(values):
                self.bad(path, values, "a column %s" % name)
            if n is None:
                n = len(values)
                if t.kind == "array" and n != t.count:
                    self.bad(path, v, "columns of %d items, not %d" % (t.count, n))
                self.empty(t.inner.least, values, path)
            elif len(values) != n:
                got = "%d and %d" % (n, len(values))
                self.bad(path, v, "columns of one length, not %s (%s)" % (got, name))
            item = t.inner.items[i]
            for k in range(n):
                x = self.item(values, k, "%s.%s" % (path, name))
                where = "%s[%d].%s" % (path, k, name)
                self.at(item, flag(x) if item.kind == "bool" else x, where)
        if isinstance(v, dict):
            self.keys(t.inner, v, path)
