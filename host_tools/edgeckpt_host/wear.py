"""How long a lease lasts: erase cycles for a state size, a rate and a number of restarts.

Geometry comes from the ring itself (`edgeckpt.geometry`), so that the figures are those of the
board. Endurance is the datasheet's: 100,000 erase cycles for most SPI NOR (W25Q128JV, revision F,
section 9.1), 10,000 for most flash inside of microcontrollers.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeckpt import BlockLease
from edgeckpt.geometry import Geometry, blocks_for

_DAYS_PER_YEAR = 365.25


class _Size:
    """A device of which nothing but its size is asked."""

    def __init__(self, units: int, erase_unit: int) -> None:
        self._answers = {4: units, 5: erase_unit}

    def ioctl(self, op: int, arg: int) -> int:
        return self._answers[op]


@dataclass(frozen=True)
class Wear:
    """What `estimate()` found. Sizes in bytes, times in days of steady use."""

    slot_bytes: int
    slots: int
    checkpoints_per_erase: int
    erases_per_day: float  # of each erase unit
    programmed_per_checkpoint: int
    amplification: float
    years: float


def estimate(
    size: int,
    per_day: float,
    units: int,
    *,
    capacity: int | None = None,
    restarts_per_day: float = 1.0,
    erase_unit: int = 4096,
    block_size: int = 256,
    endurance: int = 100_000,
) -> Wear:
    """The wear of a lease of `units` erase units by a state of `size` bytes.

    per_day: checkpoints a day. capacity: bytes that a slot holds, where that was set larger than
    the state. restarts_per_day: each restart costs the erases of up to two units
    more. Raises LeaseError where the lease does not hold two slots in different units,
    ValueError for what is no size or rate.
    """
    for name, value in (("size", size), ("units", units), ("endurance", endurance)):
        if value < 1:
            raise ValueError(f"{name}: got {value}, expected 1 or more")
    if per_day <= 0 or restarts_per_day < 0:
        raise ValueError(f"rates: got {per_day} and {restarts_per_day}, expected more than 0")
    if capacity is not None and capacity < size:
        raise ValueError(f"capacity: got {capacity}, expected at least the size, {size}")
    lease = BlockLease(_Size(units, erase_unit), 0, units, 0, block_size=block_size, erase=True)
    try:
        ring = Geometry(lease, blocks_for(capacity or size, block_size))
    finally:
        lease.release()
    programmed = blocks_for(size, block_size) * block_size
    # After a restart two units are opened anew, the second one with the second checkpoint.
    more = min(2.0 * restarts_per_day, per_day)
    group_erases = per_day / ring.per_group + more
    per_unit = group_erases / ring.groups
    return Wear(
        slot_bytes=ring.slot_blocks * block_size,
        slots=ring.slots,
        checkpoints_per_erase=ring.per_group,
        erases_per_day=per_unit,
        programmed_per_checkpoint=programmed,
        amplification=programmed / size,
        years=endurance / per_unit / _DAYS_PER_YEAR,
    )
