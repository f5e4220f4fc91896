"""A device in RAM."""


class Device:
    """RAM with the extended block protocol, which counts what changes it."""

    def __init__(self, blocks=8, size=4096):
        self.data = bytearray(b"\xff" * (blocks * size))
        self.size = size
        self.changes = 0

    def readblocks(self, n, buf, off=0):
        at = n * self.size + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, n, buf, off=0):
        self.changes += 1
        at = n * self.size + off
        for i in range(len(buf)):
            self.data[at + i] &= buf[i]

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // self.size
        if op == 5:
            return self.size
        if op == 6:
            self.changes += 1
            at = arg * self.size
            self.data[at : at + self.size] = b"\xff" * self.size
        return 0
