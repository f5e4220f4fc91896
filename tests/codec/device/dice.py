"""Random numbers from a seed, for the scripts that draw their cases."""


class Dice:
    """xorshift of 30 bits: small ints everywhere, the same numbers on every interpreter."""

    def __init__(self, seed):
        self.x = (seed * 2654435 + 97) & 0x3FFFFFFF or 1

    def below(self, n):
        x = self.x
        x ^= (x << 13) & 0x3FFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0x3FFFFFFF
        self.x = x
        return (x >> 3) % n
