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
