"""What differs between MicroPython and CPython, in one place, so that no other module asks.

Promises: `const` folds constants under mpy-cross and is the identity on the host;
`byte_view(x)` is a byte-wise view of a buffer of any item type, without a copy;
`turn(flag)` is a value that no other call that runs at the time has, not even one of an interrupt
handler or of another core, and `flag_of(turn)` what it was made with.
"""

import sys

if sys.implementation.name == "micropython":
    from micropython import const

    def byte_view(x):
        """Byte-wise memoryview of the buffer `x` (bytearray, bytes, memoryview, array)."""
        view = memoryview(x)
        if len(view) and len(bytes(view[0:1])) > 1:
            # MicroPython has no memoryview.cast; the caller keeps x alive.
            from uctypes import addressof, bytearray_at

            view = memoryview(bytearray_at(addressof(x), len(view) * len(bytes(view[0:1]))))
        return view

    _core = None
    if sys.platform == "rp2":
        try:
            from _thread import get_ident as _core  # of two that run at once
        except ImportError:
            pass
    _turns = 0

    def turn(flag):
        """Allocates nothing."""
        global _turns
        # A handler in between ends before this goes on: then both may have the same.
        _turns = _turns + 4 & 0x3FFFFFFC
        if _core is not None and _core():
            return _turns + flag + 2
        return _turns + flag

    def flag_of(turn):
        return turn & 1

else:

    class turn:
        def __init__(self, flag):
            self.flag = flag

    def flag_of(turn):
        return turn.flag

    def const(value):
        return value

    def byte_view(x):
        """Byte-wise memoryview of the buffer `x` (bytearray, bytes, memoryview, array)."""
        return memoryview(x).cast("B")
