"""What differs between MicroPython and CPython, in one place, so that no other module asks.

Promises: `const` folds constants under mpy-cross and is the identity on the host;
`byte_view(x)` is a byte-wise view of a buffer of any item type, without a copy.
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

else:

    def const(value):
        return value

    def byte_view(x):
        """Byte-wise memoryview of the buffer `x` (bytearray, bytes, memoryview, array)."""
        return memoryview(x).cast("B")
