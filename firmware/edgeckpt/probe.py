"""What lies on the medium of a lease, before anything is known of a ring.

Promises: nothing is changed; a block is read with patience, and what looks like a header is told
from what a cut or the bus left of one; nothing is believed that did not read valid.
"""

from . import header
from .errors import CheckpointFailed, LeaseError
from .port import const

_READS = const(3)  # of one block that fail, before it counts as unreadable
_LOOKS = const(8)  # at a block that looks like a header and is not valid


def read(lease, at, buf):
    """Read layout block `at`: None, or the error of the last of three reads that failed.

    Whatever a device raises is a failed read. Passed on are errors of the caller (LeaseError) and
    of the heap: skipping a header for the want of RAM would restore an older state.
    """
    for _ in range(_READS):
        try:
            lease.read(at, 1, buf)
            return None
        except (LeaseError, MemoryError):
            raise
        except Exception as e:
            error = e
    return error


def look_again(h, lease, at, block, magic, version):
    """What is in layout block `at`, which read as `h` (None, or not valid) into `block`: (Header
    or None, claim). claim: what its sequence field may hold, where a cut explains it; else None.

    A bit that the bus turned is right at the next look: what then reads valid, with one exception
    at most, is valid. Of a cut program the bits tell (`header.cut_short`), of a cut erase that
    the block reads differently each time: nothing that was ever committed does.
    """
    cut = header.cut_short(block, lease, magic, version)
    if h is None and not cut:
        return None, None
    first = bytes(block)
    claim = int.from_bytes(first[16:20], "little")
    valid = bad = 0
    for _ in range(_LOOKS):
        if read(lease, at, block) is not None:
            continue
        claim |= int.from_bytes(block[16:20], "little")
        cut = cut or lease.erases and block != first
        again = header.parse(block, magic, version)
        if again is not None and again.kind == header.VALID:
            valid += 1
            found = again
        else:
            bad += 1
        if cut and bad > (valid > 0):
            return h, claim
    return (found, None) if valid > bad else (h, None)


def describe(h):
    """One line on the geometry, lease id and version of header `h`."""
    return "version %d, lease id %s, %d blocks of %d, slots of %d" % (
        h.version,
        hex_id(h.lease_id),
        h.lease_blocks,
        1 << h.block_size_log2 if h.block_size_log2 < 32 else 0,
        h.slot_blocks,
    )


def hex_id(b):
    """A lease id (16 bytes, little-endian) as people write it: 0x and 32 hex digits."""
    return "0x" + "".join("%02x" % x for x in reversed(list(b)))


def probe(lease, magic=header.MAGIC, version=header.VERSION):
    """The layout blocks of a slot, from the headers on the medium: (n, None, False, None).

    Looks at the first block of every erase unit, then at every layout block (the first 65,536).
    Where no header of the lease is valid: (0, h, torn, error), `h` the most telling other header
    or None, `torn` whether one was seen that a cut program of this lease explains, `error` of a
    block that could not be read, or None. CheckpointFailed `read` where none could.
    """
    block = bytearray(lease.block_size)
    other = error = None
    torn = False
    seen = 0
    steps = (lease.unit_blocks, 1) if lease.unit_blocks > 1 else (1,)
    for step in steps:
        for at in range(0, min(lease.blocks, 65536), step):
            failed = read(lease, at, block)
            if failed is not None:
                error = failed
                continue
            seen += 1
            h = header.parse(block, magic, version)
            if h is None:
                continue
            if h.kind != header.VALID:
                h, claim = look_again(h, lease, at, block, magic, version)
                if claim is not None:
                    torn = True
                    continue
            if h.kind == header.VALID:
                same = h.lease_id == lease.id_bytes and h.lease_blocks == lease.blocks
                if same and h.block_size == lease.block_size and h.slot_blocks >= 2:
                    return h.slot_blocks, None, False, None
            elif h.kind == header.PLAIN and at:
                continue
            if other is None or other.kind > h.kind:
                other = h
        if not seen:
            raise CheckpointFailed("read", 0, "no block can be read", cause=error)
    return 0, other, torn, error
