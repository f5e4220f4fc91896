"""Varints of the bytes of a number as bytecode, for ports without a native emitter and the host.

Promises: nothing allocates. The machine code of its sisters does not look where `b` ends.
"""


def varint(b, p, w, n):
    """The n bytes of `w`, little-endian, as a varint at b[p]; the position behind it."""
    while n > 1 and w[n - 1] == 0:
        n -= 1
    have = bits = i = 0
    while True:
        if bits < 7 and i < n:
            have |= w[i] << bits
            bits += 8
            i += 1
        b[p] = have & 127 | 128
        p += 1
        have >>= 7
        bits -= 7
        if i == n and have == 0:
            break
    b[p - 1] &= 127
    return p


def zigzag(w, n):
    """Turn the n bytes of `w`, a two's complement number, into its zigzag, in place."""
    sign = 255 if w[n - 1] & 128 else 0
    carry = i = 0
    while i < n:
        x = w[i]
        w[i] = (x << 1 & 255 | carry) ^ sign
        carry = x >> 7
        i += 1
