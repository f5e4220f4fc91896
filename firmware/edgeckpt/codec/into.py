"""Bytes into what exists: `into(node, reader, old) -> value`, field by field.

Promises: `old` is filled in place and returned where it can take the value: attributes of an
object, items of a dict or list, elements of an array or buffer, columns; so that other references
see it, and no more memory is taken than for what is new. Else a new value is returned. After a
DecodeError `old` may hold a part of the value.
"""

from array import array

from ..errors import DecodeError
from ..loops import copy
from ..port import byte_view
from .decode import within
from .encode import is_columns
from .postcard import is_bytes, typecode

_FIXED = (int, float, str, bytes, tuple)  # and None: nothing can be put into them


def into(t, r, old):
    if old is None or isinstance(old, _FIXED):
        return t.get(t, r)
    take = _TAKES.get(t.kind)
    return take(t, r, old) if take else t.get(t, r)


def _option(t, r, old):
    if t.marked:
        return t.get(t, r)
    return into(t.inner, r, old) if r.option() else None


def _struct(t, r, old):
    if isinstance(old, list):
        return _tuple(t, r, old) if len(old) == len(t.items) else t.get(t, r)
    get, put = (_of_dict, _to_dict) if isinstance(old, dict) else (_of_object, setattr)
    i = 0
    try:
        for item in t.items:
            put(old, t.names[i], into(item, r, get(old, t.names[i])))
            i += 1
    except DecodeError as e:
        raise within(e, "." + t.names[i])
    return old


def _of_object(old, name):
    return getattr(old, name, None)


def _of_dict(old, name):
    return old.get(name)


def _to_dict(old, name, value):
    old[name] = value


def _tuple(t, r, old):
    if not isinstance(old, list) or len(old) != len(t.items):
        return t.get(t, r)
    i = 0
    try:
        for item in t.items:
            old[i] = into(item, r, old[i])
            i += 1
    except DecodeError as e:
        raise within(e, ".%d" % i)
    return old


def _map(t, r, old):
    value = t.get(t, r)
    if isinstance(old, list) and isinstance(value, list):
        old[:] = value
        return old
    if not isinstance(old, dict) or not isinstance(value, dict):
        return value
    old.clear()
    old.update(value)
    return old


def _octets(t, r, old):
    n = t.count if t.kind == "array" else r.length()
    at = r.take(n)
    if isinstance(old, dict) or not _sequence(old):
        return bytes(r.buf[at : at + n])
    old = _sized(old, n, 0)
    if is_bytes(old):
        copy(old, 0, r.buf, at, n)
    else:
        for i in range(n):
            _store(old, i, r.buf[at + i], r)
    return old


def _store(old, i, v, r):
    # An array holds what its type does: MicroPython stores another number without a word.
    try:
        old[i] = v
        if old[i] == v or v != v:
            return
    except (TypeError, ValueError, OverflowError):
        pass
    r.fail("%r, expected what the array that it is put into holds" % (v,))


def _sequence(old):
    # Not by hasattr: MicroPython's lists and buffers have no __len__ to be seen.
    try:
        len(old)
    except TypeError:
        return False
    return True


def _items(t, r, old):
    if t.octets:
        return _octets(t, r, old)
    columns = t.rows and is_columns(t.inner, old)
    if not columns and (isinstance(old, dict) or not _sequence(old)):
        return t.get(t, r)
    n = r.items(r.length() if t.kind == "seq" else t.count, t.inner.least)
    if columns:
        _columns(t.inner, r, old, n)
        return old
    old = _sized(old, n)
    if t.floats is None or not t.floats.into(r, old, n):
        _each(t.inner, r, old, n)
    return old


def _each(t, r, old, n):
    i = 0
    try:
        if isinstance(old, list):
            for i in range(n):
                old[i] = into(t, r, old[i])
        else:
            for i in range(n):
                _store(old, i, t.get(t, r), r)
    except DecodeError as e:
        raise within(e, "[%d]" % i)


def _columns(t, r, old, n):
    columns = []
    views = []
    get, put = (_of_dict, _to_dict) if isinstance(old, dict) else (_of_object, setattr)
    for name in t.names:
        column = get(old, name)
        if column is None or isinstance(column, _FIXED):
            column = []
        sized = _sized(column, n)
        if sized is not get(old, name):
            put(old, name, sized)
        columns.append(sized)
        views.append(_bytes_of(t.items[len(views)], sized))
    i = k = 0
    try:
        for i in range(n):
            k = 0
            for item in t.items:
                if views[k] is not None:
                    copy(views[k], i * item.width, r.buf, r.take(item.width), item.width)
                elif isinstance(columns[k], list):
                    columns[k][i] = into(item, r, columns[k][i])
                else:
                    _store(columns[k], i, item.get(item, r), r)
                k += 1
    except DecodeError as e:
        raise within(e, "[%d].%s" % (i, t.names[k]))


def _bytes_of(t, column):
    # A column of floats of the type is filled byte by byte, as `postcard.Floats` does.
    if t.kind not in ("f32", "f64") or not isinstance(column, array):
        return None
    return byte_view(column) if typecode(column) == ("f" if t.kind == "f32" else "d") else None


def _sized(old, n, item=None):
    """`old` with n items, or a new one of its kind that has them."""
    if len(old) == n:
        return old
    if isinstance(old, list):
        if len(old) > n:
            old[n:] = []
        old.extend([item] * (n - len(old)))
        return old
    if isinstance(old, memoryview):
        return bytearray(n) if is_bytes(old) else [item] * n
    if len(old) > n:
        try:
            old[n:] = old[0:0]
        except (TypeError, NotImplementedError):  # a port without it
            old = old[0:n]
        return old
    for _ in range(n - len(old)):
        old.append(0)
    return old


def _float(t, r, old):
    # Bytes of the float's width keep it as it is, also where no float of this port holds it.
    if not isinstance(old, (bytearray, memoryview)) or len(old) != t.width:
        return t.get(t, r)
    copy(old, 0, r.buf, r.take(t.width), t.width)
    return old


_TAKES = {
    "f32": _float,
    "f64": _float,
    "option": _option,
    "struct": _struct,
    "tuple": _tuple,
    "map": _map,
    "seq": _items,
    "array": _items,
    "bytes": _octets,
}
