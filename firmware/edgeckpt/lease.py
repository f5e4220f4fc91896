"""`BlockLease`: a range of a device that has exactly one owner.

Promises: nothing outside the range is ever read, programmed or erased; the device's answers are
looked at; operations allocate nothing, nor do they raise what the device did: they answer True
or False and keep what it said, since a checkpoint goes on where a unit is bad. What it does not
promise is in the contract of the class: that is what the slot ring is built for.
"""

from .errors import Catch, CheckpointFailed, LeaseError
from .port import const

_READ = const(0)
_PROGRAM = const(1)
_ERASE = const(2)
_SYNC = const(3)
_READ_EACH = const(4)
_ETIMEDOUT = const(110)
READS = const(3)  # tries, of a block that cannot be read

NOT_BLANK = "it does not read 0xFF afterwards"  # `answer` where a read-back of an erase fails
live = []  # the live leases of this board, oldest first: what the host tools list


class BlockLease:
    """`count` device blocks from `start` on, in exclusive use until `release()`.

    device: MicroPython's block protocol. Extended (flash): `readblocks(n, buf, off)`,
        `writeblocks(n, buf, off)` that only programs, `ioctl(6, n)` that erases. Simple (SD,
        RAM): `readblocks(n, buf)`, `writeblocks(n, buf)`, which overwrites in place.
    start, count: in device blocks, `ioctl(5)` bytes each: whole erase units on flash.
    lease_id: int 0 .. 2^128-1, or 16 bytes, little-endian.
    block_size: the layout block in bytes, a power of two 128..65536. Default: 256, one program
        page, on flash; the device block elsewhere.
    erase: True for an extended device, False for a simple one; None finds out by one read with
        an offset, which simple devices refuse with TypeError (an OSError is of a page that
        cannot be read). A device may also have
        `erase_range(first, count)`, in device blocks, which does what erases one by one do, and
        `medium`, a value that two objects over one medium share: their leases must not overlap.
    ecc: True for flash with ECC (STM32 L4, G4, H7, U5): pages are written once, and what a cut
        has torn reads as an error. Implies erase.

    The contract, for whoever builds on a lease. A program or erase that is cut (power, reset)
    may leave behind:
    - in a program: any subset of the bits that were to go to 0, none and all included; the page
      may be weak and must not be programmed again before it is erased;
    - in an erase: any content in that unit (a ranged erase: in each of its units), and cells
      that read 1 now and 0 later, until an erase of it has run to its end. A unit that reads
      0xFF is not proved erased;
    - on media that overwrite in place: the sector torn, lost or unreadable, and on SD cards
      an unrelated sector damaged.
    Units that no operation was running on keep their content. An answer of the device proves
    nothing: `None`, `0` and `True` mean "go on and read back", all else is a failure.

    Attributes: `block_size`, `blocks` (layout blocks in the lease), `erases` (bool),
    `unit_blocks` (layout blocks in an erase unit; 1 where `erases` is False), `units`,
    `erase_unit` (bytes), `lease_id` (as given), `id_bytes` (16 bytes), `ring` (the slot ring of
    the stage that owns it, or None), `errs` (bool: what is torn may read as an error), `doing`,
    `at`, `answer` and `cause` (the operation that is running or failed, as a reason of
    CheckpointFailed, its block or unit, what the device answered and raised).
    """

    def __init__(self, device, start, count, lease_id, *, block_size=None, erase=None, ecc=False):
        total = _ask(device, 4)
        unit = _ask(device, 5, 512)
        if not isinstance(start, int) or not isinstance(count, int):
            raise LeaseError("argument", "start, count", (start, count), "two integers")
        if not 0 <= start < total:
            raise LeaseError("bounds", "lease start", start, "0..%d device blocks" % (total - 1))
        if not 0 < count <= total - start:
            raise LeaseError("bounds", "lease count", count, "1..%d blocks" % (total - start))
        if erase is None:
            erase = ecc or _is_extended(device, start, unit)
        if block_size is None:
            block_size = min(256, unit) if erase else max(unit, 128)
        self.erases = erase
        self.errs = ecc or not erase
        self.block_size = block_size
        self.lease_id = lease_id
        self.id_bytes = id_bytes(lease_id)
        self.start = start
        self.count = count
        self.ring = None
        self.doing = self.answer = self.cause = self._buf = None
        self.at = self._block = self._offset = 0
        self._caught = Catch()
        self._kept = self._caught.kept
        self._look = None
        self._left = 0
        self._divide(unit)
        self.device = device
        self.ranged = erase and hasattr(device, "erase_range")
        for other in live:
            if _same_medium(other.device, device) and start < other.start + other.count:
                if other.start < start + count:
                    raise LeaseError(
                        "overlap",
                        None,
                        "%d..%d" % (start, start + count - 1),
                        "%d..%d" % (other.start, other.start + other.count - 1),
                    )
        live.append(self)

    def _divide(self, unit):
        size = self.block_size
        if not isinstance(size, int) or size & (size - 1) or not 128 <= size <= 65536:
            raise LeaseError("argument", "block_size", size, "a power of two, 128..65536")
        if self.erases:
            if unit % size:
                raise LeaseError("argument", "block_size", size, "a part of the unit %d" % unit)
            self.unit_blocks = unit // size  # layout blocks in a device block
            self._per_block = 0
            self.blocks = self.count * self.unit_blocks
        else:
            if size % unit or self.count % (size // unit):
                raise LeaseError(
                    "argument",
                    "block_size",
                    size,
                    "a multiple of %d that divides the lease" % unit,
                )
            self.unit_blocks = 1
            self._per_block = size // unit  # device blocks in a layout block
            self.blocks = self.count // self._per_block
        self.units = self.blocks // self.unit_blocks
        self.erase_unit = self.unit_blocks * size

    # Ownership: who is in `live`

    def copy(self):
        """A handle of the same range, which has not begun: see `give()`."""
        self.check()
        new = object.__new__(BlockLease)
        for name in _FIELDS:
            setattr(new, name, getattr(self, name))
        new.ring = None
        return new

    def give(self, new):
        """End this handle and begin `new`, a copy of it, by one store."""
        live[live.index(self)] = new

    def release(self):
        """End this handle; the range is free to be leased again."""
        self.check()
        live.remove(self)

    def check(self):
        """LeaseError `ended` if this handle has been given away or released."""
        if self not in live:
            raise LeaseError("ended", None, "lease")

    # Device operations, in layout blocks from the start of the lease; allocation-free. True, or
    # False with `doing`, `at`, `answer`, `cause`. LeaseError `bounds`, `ended`; what is no
    # Exception (Ctrl-C) is passed on, and a MemoryError: it says nothing about the medium.

    def read(self, block, n, buf):
        """Read `n` layout blocks from `block` on into `buf` (n * block_size bytes).

        On flash they lie in one erase unit.
        """
        self._seek(block, n)
        self.doing = "read"
        self._buf = buf
        return self._do(_READ)

    def read_each(self, block, n, buf, look):
        """Read `n` layout blocks from `block` on, each into `buf`, and call `look()` after each,
        as long as it answers True. A block is tried up to three times.
        """
        end = block + n
        if end > self.blocks:
            self._seek(block, n)
        self._look = look
        left = READS
        while left:
            self._seek(block, 1)
            self.doing = "read"
            self._buf = buf
            self._left = end - block
            if self._do(_READ_EACH):
                break
            left = (left if self.at == block else READS) - 1
            if self.timed_out():
                left = 0
            block = self.at
        self._look = None
        return left > 0

    def timed_out(self):
        """Whether the device gave up waiting: once more would take as long, for nothing."""
        return getattr(self.cause, "errno", 0) == _ETIMEDOUT

    def _each(self):
        while self._left > 0:
            if self._per_block:
                answer = self.device.readblocks(self._block, self._buf)
            else:
                answer = self.device.readblocks(self._block, self._buf, self._offset)
            if answer is not None and _says_no(answer):
                return answer
            self.at += 1
            self._left = self._left - 1 if self._look() else 0
            self._block += self._per_block
            if not self._per_block:
                self._offset += self.block_size
                if self._offset == self.erase_unit:
                    self._offset = 0
                    self._block += 1

    def program(self, block, n, buf):
        """Write `n` layout blocks at `block`; on flash they are erased, and in one unit.

        Only a read-back proves the write.
        """
        self._seek(block, n)
        self.doing = "program"
        self._buf = buf
        return self._do(_PROGRAM)

    def erase(self, unit, count=1):
        """Erase `count` erase units from `unit` on. Flash only.

        In one call where the device has `erase_range(first, count)`: it may know larger erases.
        """
        self._seek((unit + count - 1) * self.unit_blocks, self.unit_blocks)
        at_once = count if self.ranged else 1
        while count > 0:
            self._seek(unit * self.unit_blocks, self.unit_blocks)
            self.doing = "erase"
            self.at = unit
            self._buf = at_once
            if not self._do(_ERASE):
                return False
            unit += at_once
            count -= at_once
        return True

    def sync(self):
        """Have the device write out what it holds back."""
        self.check()
        self.doing = "sync"
        return self._do(_SYNC)

    def _do(self, operation):
        self._kept[0] = self._kept[2] = self.cause = None
        with self._caught:
            self.answer = self._each() if operation == _READ_EACH else self._call(operation)
        self._buf = None
        if self._kept[0] is not None:
            self.cause = self._caught.take()
            if isinstance(self.cause, MemoryError) or not isinstance(self.cause, Exception):
                raise self.cause
            return False
        if self.answer is not None and _says_no(self.answer):
            return False
        self.doing = None
        return True

    def _call(self, operation):
        if operation == _SYNC:
            return self.device.ioctl(3, 0)
        if operation == _ERASE:
            if self._buf == 1:
                return self.device.ioctl(6, self._block)
            return self.device.erase_range(self._block, self._buf)
        if self._per_block:
            if operation == _READ:
                return self.device.readblocks(self._block, self._buf)
            return self.device.writeblocks(self._block, self._buf)
        if operation == _READ:
            return self.device.readblocks(self._block, self._buf, self._offset)
        return self.device.writeblocks(self._block, self._buf, self._offset)

    def failed(self):
        """The operation that failed, as a CheckpointFailed. Allocates."""
        if self.cause is not None:
            got = repr(self.cause)
        elif self.answer is NOT_BLANK:
            got = NOT_BLANK
        else:
            got = "the device answered %r" % (self.answer,)
        return CheckpointFailed(self.doing, self.at, got, cause=self.cause)

    def wipe(self):
        """Give up all that the lease holds: erase every unit, or overwrite every block with 0xFF.

        The only operation that destroys the newest checkpoint; nothing calls it by itself. One
        that is cut leaves what it has not come to, older checkpoints or parts of them: repeat it.
        CheckpointFailed `erase`, `program`, `sync`.
        """
        done = True
        if self.erases:
            done = self.erase(0, self.units)
        else:
            blank = b"\xff" * self.block_size
            block = 0
            while done and block < self.blocks:
                done = self.program(block, 1, blank)
                block += 1
        if not done or not self.sync():
            raise self.failed()

    def _seek(self, block, n):
        # Bounds of n layout blocks at `block`, and where they lie on the device.
        if self not in live:
            self.check()
        if block < 0 or n < 1 or block + n > self.blocks:
            raise LeaseError(
                "bounds", "layout blocks", "%d+%d" % (block, n), "0..%d" % (self.blocks - 1)
            )
        self.at = block
        if self._per_block:
            self._block = self.start + block * self._per_block
            return
        self._block = self.start + block // self.unit_blocks
        self._offset = block % self.unit_blocks * self.block_size
        if self._offset + n * self.block_size > self.erase_unit:
            raise LeaseError("bounds", "layout blocks", "%d+%d" % (block, n), "one erase unit")


_FIELDS = (
    "device",
    "start",
    "count",
    "lease_id",
    "id_bytes",
    "erases",
    "errs",
    "ranged",
    "block_size",
    "blocks",
    "unit_blocks",
    "units",
    "erase_unit",
    "doing",
    "at",
    "answer",
    "cause",
    "_buf",
    "_block",
    "_offset",
    "_per_block",
    "_caught",
    "_kept",
    "_look",
    "_left",
)


def _says_no(answer):
    # False is a failure on esp32's SDCard, +1 on mimxrt, negative ones everywhere.
    return answer is not True and (answer is False or answer != 0)


def _ask(device, op, default=None):
    # A block of None bytes is one of 512: the block protocol of MicroPython.
    try:
        n = device.ioctl(op, 0)
    except Exception as e:
        raise _no_device("ioctl(%d)" % op, e)
    if n is None:
        n = default
    if not isinstance(n, int) or n <= 0:
        raise LeaseError("device", "ioctl(%d)" % op, n, "a positive number")
    return n


def _is_extended(device, start, unit):
    try:
        device.readblocks(start, bytearray(min(256, unit)), 0)
    except TypeError:
        return False
    except OSError:
        # It took the offset; this page cannot be read, as a torn one where there is ECC.
        return True
    except Exception as e:
        raise _no_device("readblocks", e)
    return True


def _same_medium(a, b):
    # Two objects may be one medium: an esp32.Partition is found anew each time, and tells by
    # info() (type, subtype, address, size, label, encrypted) which one it is. Of an SDCard info()
    # tells the size only, which two cards may share. Others tell by `medium`.
    if a is b:
        return True
    medium = getattr(a, "medium", None)
    if medium is not None and medium == getattr(b, "medium", None):
        return True
    if type(a) is not type(b) or type(a).__name__ != "Partition":
        return False
    return a.info() == b.info()


def _no_device(call, e):
    if isinstance(e, MemoryError):
        return e
    return LeaseError("device", call, repr(e), "no error", cause=e)


def id_bytes(lease_id):
    """A lease id (int 0 .. 2^128-1, or 16 bytes) as its 16 bytes on the medium."""
    if isinstance(lease_id, int):
        if not 0 <= lease_id < 1 << 128:
            raise LeaseError("argument", "lease_id", lease_id, "0 .. 2^128-1")
        return lease_id.to_bytes(16, "little")
    try:
        found = bytes(lease_id)
    except TypeError:
        found = b""
    if len(found) != 16:
        raise LeaseError("argument", "lease_id", lease_id, "0 .. 2^128-1, or 16 bytes")
    return found
