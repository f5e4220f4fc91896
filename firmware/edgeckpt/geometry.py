"""`Geometry`: how the slots of a lease lie and in which order they are used. Arithmetic only.

    lease   | group 0          | group 1          | group 2          | ...
    slots   | 0   1   2   3    | 4   5   6   7    | 8   9   10  11   |
    slot    | header | data 1 .. data N |             in layout blocks

A *group* is what is erased together: one erase unit that holds `per_group` slots, or the
`group_units` erase units of one large slot. Where the medium overwrites in place a group is a
slot, and nothing is erased.

The order of use: group after group where there is erasing, since what is worn lies alone. In
place on rings of more than 8 slots it is a step near 0.38 of the ring: neighbours in time lie
apart, so that an area that is lost costs one checkpoint.
"""

from .errors import LeaseError
from .port import const

_APART = const(8)  # rings of more slots than this have their neighbours in time apart


def blocks_for(capacity, block_size):
    """Layout blocks of a slot that holds `capacity` bytes of state, the header included."""
    return 1 + (capacity + block_size - 1) // block_size


class Geometry:
    """Slots of `slot_blocks` layout blocks on `lease`. LeaseError where there are not two.

    Attributes: `slots`, `groups`, `per_group`, `group_units` (0 in place), `group_blocks`,
    `capacity` (bytes of state a slot holds), `step` (from a group to the next one used).
    """

    def __init__(self, lease, slot_blocks):
        self.lease = lease
        self.slot_blocks = slot_blocks
        unit = lease.unit_blocks
        self.per_group = 1
        self.group_units = 0
        self.group_blocks = slot_blocks
        if lease.erases:
            self.group_units = (slot_blocks + unit - 1) // unit
            self.group_blocks = self.group_units * unit
            if 0 < slot_blocks < unit:
                self.per_group = unit // slot_blocks
        self.groups = lease.blocks // self.group_blocks if slot_blocks > 0 else 0
        self.slots = self.groups * self.per_group
        self.capacity = (slot_blocks - 1) * lease.block_size
        if slot_blocks < 2 or self.groups < 2:
            raise LeaseError(
                "argument",
                "slots of %d layout blocks of %d bytes" % (slot_blocks, lease.block_size),
                "%d in %d erase units" % (self.slots, self.groups),
                "at least 2, in different erase units",
            )
        self.step = 1 if lease.erases or self.slots <= _APART else _coprime(self.groups)

    def first_block(self, slot):
        """Layout block, in the lease, of the header of `slot`."""
        return (
            slot // self.per_group * self.group_blocks + slot % self.per_group * self.slot_blocks
        )

    def after(self, group):
        """The group that is used after `group`."""
        return (group + self.step) % self.groups

    def at(self, turn):
        """The group that is used as number `turn` of a lap, from 0."""
        return turn * self.step % self.groups


def _coprime(n):
    step = n * 382 // 1000
    while _divisor(step, n) > 1:
        step += 1
    return step


def _divisor(a, b):
    while b:
        a, b = b, a % b
    return a
