"""Flash with ECC over its pages (STM32 L4, G4, H7, U5): written once, torn pages do not read.

Promises: a page that a cut program or erase left half done raises OSError on every read, or on
some, until its unit has been erased; a second program of a page between two erases is a
violation. Runs on MicroPython and CPython.
"""

from .faults import Faults
from .nor import NorChip

# What a cut leaves of a page that it was in
ECC_CUTS = (
    "none",  # as it was
    "all",  # done
    "torn",  # every read raises
    "wavering",  # a read raises, or gives what was meant
)


class EccChip(NorChip):
    """A `NorChip` with ECC. `torn`: page -> dice of a wavering one, or None."""

    def __init__(self, size, unit=2048, page=256, **options):
        NorChip.__init__(self, size, unit, page, once=True, **options)
        self.torn = {}

    def readblocks(self, n, buf, off=None):
        if self.torn:
            at = n * self.unit + (off or 0)
            for page in range(at // self.page, (at + len(buf) - 1) // self.page + 1):
                if page in self.torn:
                    dice = self.torn[page]
                    if dice is None or dice.below(2):
                        raise OSError(5)
        return NorChip.readblocks(self, n, buf, off)

    def clear(self, at):
        for page in range(at // self.page, (at + self.unit) // self.page):
            self.torn.pop(page, None)
        return NorChip.clear(self, at)

    def save(self):
        return NorChip.save(self), dict(self.torn)

    def restore(self, saved):
        NorChip.restore(self, saved[0])
        self.torn = dict(saved[1])


class EccCut(Faults):
    """Cuts the power in operation `op` of the chip, in the way `how` of ECC_CUTS."""

    def __init__(self, op, how, dice):
        self.op = op
        self.how = how
        self.dice = dice
        self.done = None

    def program(self, chip, at, data):
        if chip.ops != self.op:
            return chip.store(at, data)
        self._tear(chip, at, at + chip.page, chip.store, data)

    def erase(self, chip, at):
        if chip.ops != self.op:
            return chip.clear(at)
        self._tear(chip, at, at + chip.unit, chip.clear)

    def _tear(self, chip, at, end, call, *data):
        self.done = "0x%x %s" % (at, self.how)
        if self.how != "none":
            call(at, *data)
        if self.how == "torn" or self.how == "wavering":
            for page in range(at // chip.page, end // chip.page):
                # Of an erase some pages may be as they should be.
                if end - at == chip.page or self.dice.below(4):
                    chip.torn[page] = self.dice if self.how == "wavering" else None
                chip.writes[page] = chip.writes[page] or 1
        chip.power_off()
