# Viper knows its machine types by name: nothing to import here.
# ruff: noqa: F821
"""Varints of the bytes of a number as viper code; the import fails without a native emitter.

Promises: the names and results of `varints_plain`; nothing allocates.
"""

import micropython


@micropython.viper
def varint(b, p: int, w, n: int) -> int:
    out = ptr8(b)
    s = ptr8(w)
    while n > 1 and s[n - 1] == 0:
        n -= 1
    have = 0
    bits = 0
    i = 0
    while True:
        if bits < 7 and i < n:
            have |= s[i] << bits
            bits += 8
            i += 1
        out[p] = have & 127 | 128
        p += 1
        have >>= 7
        bits -= 7
        if i == n and have == 0:
            break
    out[p - 1] &= 127
    return p


@micropython.viper
def zigzag(w, n: int):
    p = ptr8(w)
    sign = 255 if p[n - 1] & 128 else 0
    carry = 0
    i = 0
    while i < n:
        x = p[i]
        p[i] = (x << 1 | carry) ^ sign
        carry = x >> 7
        i += 1
