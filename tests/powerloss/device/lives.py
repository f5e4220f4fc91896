"""Lives of a board for the scripts that try whole kinds of damage: boots that `resume`, and what
each must begin with.

The oracle is the one of harness.py, by the public API only: a boot begins with a state that was
passed, never with an older one than the last that returned, unless `fell_back` says so; never
with the state it was given once a checkpoint has returned.
"""

import sys

from edgeckpt import BlockLease, CheckpointedStageState, RestoreFailed
from harness import LEASE_ID, Failure, Geometry, SectorGeometry, forget
from sweep import WRONG, Tally

GIVEN = 1 << 20  # the number of the state that resume() is given

SHAPES = {}
for shape in (
    Geometry("8x2", 512, 128, 8, 100),
    Geometry("6x1", 512, 128, 6, 300),
    Geometry("4x4", 1024, 128, 4, 60),
    Geometry("4x8", 4096, 256, 4, 100),
    Geometry("5by2", 512, 128, 10, 700),
    Geometry("nor66", 512, 128, 33, 100),
    Geometry("nor300", 512, 128, 150, 100),
    Geometry("nor2048", 2048, 128, 256, 100),
    SectorGeometry("sd8", 24, 900),
    SectorGeometry("sd16", 32, 100),
    SectorGeometry("sd66", 132, 100),
    SectorGeometry("sd300", 600, 100),
    SectorGeometry("sd2048", 4096, 100),
):
    SHAPES[shape.name] = shape


class Life:
    """A device that is booted again and again. `low`: the last number that returned, -1: none;
    `high`: the last that was passed."""

    def __init__(self, geometry, device):
        self.geometry = geometry
        self.device = device
        self.low = self.high = -1
        self.stage = None

    def boot(self, **options):
        """Resume: the number that it begins with, GIVEN for a fresh start. RestoreFailed."""
        forget()
        g = self.geometry
        lease = BlockLease(self.device, g.before, g.units, LEASE_ID, block_size=g.block)
        given = bytearray(g.state(GIVEN))
        options.setdefault("capacity", g.size)
        self.stage = CheckpointedStageState.resume(given, lease, **options)
        n = g.number(self.stage.state)
        if n is None:
            raise Failure("bytes that were never passed to checkpoint()")
        return n

    def begin(self):
        """A boot that must not fail: right is low..high, or the given state before the first."""
        try:
            n = self.boot()
        except RestoreFailed as e:
            raise Failure("resume raised %s" % e) from e
        if n == GIVEN and self.low < 0:
            return n
        if not self.low <= n <= self.high or n == GIVEN:
            raise Failure("restored state %d, right are %d..%d" % (n, self.low, self.high))
        return n

    def save(self):
        """The next checkpoint; what it raises is raised."""
        self.high += 1
        self.stage.state[:] = self.geometry.state(self.high)
        self.stage.checkpoint()
        self.low = self.high


def headers(geometry, data):
    """[(sequence, address)] of what begins as a header in the lease, newest first."""
    g = geometry
    found = []
    for at in range(g.before * g.unit, (g.before + g.units) * g.unit, g.block):
        if data[at : at + 4] == b"CKPT":
            found.append((int.from_bytes(data[at + 16 : at + 20], "little"), at))
    return sorted(found, reverse=True)


def main(parts, part, *words):
    """Run `parts[part](tally, *words)`; the last line is JSON, as of sweep.py."""
    tally = Tally()
    try:
        parts[part](tally, *words)
    except WRONG as e:
        tally.wrong(":".join((part,) + words), e)
    tally.report()
    return 1 if tally.failures else 0


def once(parts):
    """The command line of a script: its parts, or `replay` and one case."""
    words = sys.argv[1:]
    sys.exit(main(parts, *words))
