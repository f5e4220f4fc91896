"""The proof of a key, for agents that ask for one before a write; loaded only then."""


def same(a, b):
    """Whether two byte strings are equal, in constant time."""
    if len(a) != len(b):
        return False
    diff = 0
    for i in range(len(a)):
        diff |= a[i] ^ b[i]
    return diff == 0


def hmac_sha256(key, message):
    """HMAC-SHA256 (RFC 2104) of `message`: 32 bytes. `key`: bytes."""
    from hashlib import sha256

    if len(key) > 64:
        key = sha256(key).digest()
    key = key + bytes(64 - len(key))
    inner = sha256(bytes(x ^ 0x36 for x in key))
    inner.update(message)
    outer = sha256(bytes(x ^ 0x5C for x in key))
    outer.update(inner.digest())
    return outer.digest()
