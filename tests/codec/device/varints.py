"""Varints of the bytes of a number: those in use, and every implementation that loads, against the
definition. The last line names them; it runs on a board as it is (tests/hil)."""

DIGITS = (0, 1, 0x7F, 0x80, 0xFF)


def by_definition(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def numbers(n):
    for i in range(8 * n):
        yield from ((1 << i) - 1, 1 << i, (1 << i) + 1, (1 << 8 * n) - (1 << i))
    yield from (int.from_bytes(bytes([d] * n), "little") for d in DIGITS)


def main():
    found = []
    for name in ("postcard", "varints_plain", "varints_viper", "varints_thumb"):
        try:
            package = __import__("edgeckpt.codec." + name)
        except (SyntaxError, ValueError, ImportError, AttributeError):
            continue  # none for this processor, or no package of that name on the host
        module = getattr(package.codec, name)
        found.append(name)
        for n in (4, 8, 16):
            for v in numbers(n):
                w = bytearray(20)
                w[0:n] = v.to_bytes(n, "little")
                b = bytearray(b"\x5a" * 24)
                p = module.varint(b, 3, w, n)
                want = by_definition(v)
                assert b[3:p] == want and b[:3] + b[p:] == b"\x5a" * (24 - len(want)), (n, v)
                w[0:n] = v.to_bytes(n, "little")
                module.zigzag(w, n)
                signed = v - (1 << 8 * n) if v >> (8 * n - 1) else v
                want = signed << 1 if signed >= 0 else ~(signed << 1)
                assert int.from_bytes(bytes(w[0:n]), "little") == want, (n, v)
    print("ok", *found)


main()
