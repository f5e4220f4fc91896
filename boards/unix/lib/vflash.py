"""The virtual board's flash chip: `from vflash import flash`, as `rp2.Flash()` on a Pico.

Its content is the file that the supervisor was given (`--chip`), its size that of the file. A
process that is killed leaves it as it was at that moment, torn where it was being written.
"""

import os
import time

from nor import NorChip


def _number(name, default):
    return int(os.getenv(name) or default)


def _pause(us):
    time.sleep_us(us * _speed // 100)


# Per cent of the model time that operations take; 0: as fast as it goes.
_speed = _number("VBOARD_SPEED", 0)

flash = NorChip(
    _number("VBOARD_CHIP_SIZE", 0) or os.stat(os.getenv("VBOARD_CHIP"))[6],
    path=os.getenv("VBOARD_CHIP"),
    grain=_number("VBOARD_GRAIN", 0),
    pause=_pause if _speed else None,
)


def cut(at, seed):
    """Let the power fail in the `at`-th program or erase from now on (the first is 0; -1: never);
    `seed` decides what the cells then hold. The chip is dead from there on (`flash.dead`)."""
    import faults

    dice = faults.Dice(seed)
    # The first of each read the same each time: the file keeps no others.
    how = dice.pick(faults.PROGRAM_CUTS[:9]), dice.pick(faults.ERASE_CUTS[:8])
    flash.faults = None if at < 0 else faults.Cut(flash.ops + 1 + at, *how, dice)
