"""What lies on a lease where it is no sound header of this ring. Loaded on doubt only.

Promises: nothing is changed; a block is looked at with patience, and what looks like a header is
told from what a cut, the bus or one flipped bit made of one; nothing is believed whose CRC-32
does not hold. A checkpoint that succeeds never comes here.
"""

from . import header
from .errors import CheckpointFailed, LeaseError, RestoreFailed
from .geometry import Geometry
from .loops import blank
from .port import const
from .scan import WHOLE, read, read_data

_LOOKS = const(8)  # at a block that looks like a header and is not valid
_FIRM = const(5)  # of them that are alike make it one that does not change
_AHEAD = const(64)  # how far above the newest a torn header's number is looked for
_WEAK = const(8)  # cells of the number that may be marginal in a header that can turn valid
_UNKNOWN = const(128)  # numbers left out where headers cannot be read, or are damaged
_JUNK = const(16)  # and where a block never looked like one
_SKIPPED = const(4)  # groups before a newer one that other boots may have given up
_STEPPED = const(5)  # groups that are stepped over, with the last one
_FIRST = const(512)  # blocks that a first look reads one by one
_STARTS = const(1400)  # and starts of units after them, at most

# Bytes of a header that are known before: all but length, numbers, CRCs, index.
_KNOWN = (0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15) + tuple(range(24, 40)) + (46, 47, 48, 49)
_KNOWN += (52, 53, 54, 55)


def _cut_short(buf, lease, want):
    """Whether a cut program of a header of `lease` explains the block in `buf`.

    On flash a cut program leaves some bits 1 that were to go to 0, and no bit 0 that was to
    stay 1: so the fields that are known before must hold all their ones. Never true on media
    that overwrite in place: what is damaged there has no direction.
    """
    if not lease.erases:
        return False
    return all([buf[i] & want[i] == want[i] for i in _KNOWN])


def _template(lease, magic, version):
    t = header.Template(lease.block_size, lease.blocks, 0, lease.id_bytes, magic, version)
    return t.block


def _repair(buf, want, magic, version):
    """The header that `buf` is one bit away from, by its CRC-32, or None."""
    wrong = 0
    for i in _KNOWN:
        x = buf[i] ^ want[i]
        if x:
            wrong += 1 if x & (x - 1) == 0 else 2
        if wrong > 1:
            return None
    block = bytearray(buf)
    for bit in _suspects(block):
        block[bit >> 3] ^= 1 << (bit & 7)
        h = header.parse(block, magic, version)
        if h is not None and h.kind == header.VALID:
            return h
        block[bit >> 3] ^= 1 << (bit & 7)
    return None


def _suspects(block):
    # The bits that may be the wrong one: those of the length of the schema text, and the one
    # that the CRC-32 points to.
    found = list(range(44 * 8, 46 * 8))
    end = header.SIZE + block[44] + 256 * block[45]
    if end > len(block):
        return found
    acc = bytearray(4)
    header.crc32.reset(acc)
    header.crc32.update(acc, block, 0, 60)
    header.crc32.update(acc, block, header.SIZE, end)
    error = int.from_bytes(acc, "little") ^ int.from_bytes(block[60:64], "little")
    if error & (error - 1) == 0:
        for bit in range(32):
            if error >> bit == 1:
                return [60 * 8 + bit]
    # What one wrong bit does to the CRC-32, from the last bit of the message to the first.
    x = 0xEDB88320
    for at in list(range(end - 1, header.SIZE - 1, -1)) + list(range(59, -1, -1)):
        for bit in range(7, -1, -1):
            if x == error:
                found.append(at * 8 + bit)
            x = x >> 1 ^ (0xEDB88320 if x & 1 else 0)
    return found


def settle(lease, at, block, h, magic, version):
    """What is in layout block `at`, which read as `h` (None, or not valid) into `block`: (Header
    or None, kind, number). kind: "valid", "torn" (a cut explains it), "damaged", "strange" (a
    header of another version, or a plain one), "junk". number: what its sequence field may hold.
    Of a torn one that reads differently each time no header is given.

    A bit that the bus turned is right at the next look: what then reads valid, with one exception
    at most, is valid. Of a cut program the bits tell (`_cut_short`), of a cut erase that the block
    reads differently each time: nothing that was ever committed does.
    """
    want = _template(lease, magic, version)
    cut = _cut_short(block, lease, want)
    firm = True
    if h is None and not cut:
        return None, "junk", 0
    first = bytes(block)
    fixed = _repair(first, want, magic, version)
    if fixed is not None and not header.impossible(fixed):
        if read_data(lease, at, fixed, block):
            return fixed, "valid", fixed.sequence
    claim = int.from_bytes(first[16:20], "little")
    valid = bad = 0
    for _ in range(_LOOKS):
        if not read(lease, at, block):
            continue
        claim |= int.from_bytes(block[16:20], "little")
        firm = firm and block == first
        cut = cut or lease.erases and not firm
        again = header.parse(block, magic, version)
        if again is not None and again.kind == header.VALID:
            valid += 1
            found = again
        else:
            bad += 1
        if cut and bad > (valid > 0) and (not firm or bad > _FIRM):
            return h if firm else None, "torn", claim
    if valid > bad:
        return found, "valid", found.sequence
    if h is None or h.kind == header.DAMAGED:
        return h, "damaged", claim
    if not lease.erases and first[60:64] == b"\xff\xff\xff\xff":
        # A header block is cleared before it is written: here a cut came after the first bytes.
        return h, "damaged", claim
    return h, "strange", claim


def mismatch(h, lease, slot_blocks):
    """Why `h` is not of this ring (slot_blocks 0: of this lease), as a reason, or None."""
    if h.kind == header.PLAIN:
        return "plain"
    if h.kind != header.VALID:
        return "version"
    if h.lease_id != lease.id_bytes:
        return "lease-id"
    if h.lease_blocks != lease.blocks or h.block_size != lease.block_size:
        return "geometry"
    if slot_blocks and h.slot_blocks != slot_blocks:
        return "geometry"
    return None


# One slot of a scan, and the findings of all


def examine(scan, slot, h):
    """The header of `slot`, which read as `h` into `scan.block`, after all; else a note."""
    if h is None or h.kind != header.VALID:
        at = scan.first_block(slot)
        h, kind, number = settle(scan.lease, at, scan.block, h, scan.magic, scan.version)
        if kind == "strange" and (slot == 0 or h.kind != header.PLAIN):
            scan.notes[slot] = ("foreign", h, None)
        elif kind != "valid":
            firm = h is not None  # a torn one that does not change
            scan.notes[slot] = ("junk" if kind == "strange" else kind, number, firm)
        if kind != "valid":
            return None
    wrong = mismatch(h, scan.lease, scan.slot_blocks)
    if wrong == "geometry":
        scan.notes[slot] = ("odd", h, (describe(h), describe_ring(scan)))
    elif wrong:
        scan.notes[slot] = ("foreign", h, None)
    elif h.slot_index != slot & 0xFFFF:
        scan.notes[slot] = ("odd", h, ("slot index %d" % h.slot_index, "%d" % (slot & 0xFFFF)))
    elif header.impossible(h):
        scan.notes[slot] = ("odd", h, header.impossible(h))
    else:
        return h
    return None


_WORST = ("odd", "data", "foreign", "read", "damaged", "torn")


def conclude(scan):
    """Turn the notes of a scan into its findings, the numbers that are reserved, the groups that
    are better not erased next."""
    newest = scan.found.sequence if scan.found is not None else -1
    claims = []
    junk = False
    hidden = []  # ways to what cannot be read
    limit = scan.sequence
    for slot, (kind, found, expected) in list(scan.notes.items()):
        if kind == "odd":
            # One that is older than the newest is no matter; a newer one is to be outdone.
            if found.sequence > newest:
                scan.findings.append((kind, slot) + expected)
                if found.sequence <= header.MAX_SEQUENCE:
                    limit = max(limit, found.sequence)
        elif kind == "data" or kind == "foreign":
            scan.findings.append((kind, slot, found, None))
        elif kind == "read":
            way = _way_to(scan, slot)
            hidden.append(way)
            scan.findings.append((kind, slot, way > 0, None))
            scan.avoid.append(slot // scan.per_group)
        elif kind == "torn":
            scan.findings.append((kind, slot, None, expected))
            claims.append(found)
        elif kind == "junk":
            junk = True
        elif not scan.lease.erases and slot == scan.after(scan.newest):
            scan.findings.append(("torn", slot, None, None))  # where a cut would be
            junk = True
        else:
            way = _way_to(scan, slot)
            newer = way > 0 and 0 < found - newest <= 2 * _UNKNOWN
            scan.findings.append((kind, slot, newer, None))
            hidden.append(way)
            if newer:
                scan.avoid.append(slot // scan.per_group)
    scan.findings.sort(key=_badness)
    scan.sequence = limit
    if scan.newest < 0:
        return
    scan.reserved = _JUNK if junk else 0
    over = _lost_behind(scan) if scan.slots > WHOLE else 0
    if hidden:
        # Boots before this one may have been as blind, and have written after such a step. So the
        # next checkpoint lies behind them, and its number grows with its place.
        over = max([over] + [way - 1 for way in hidden if way <= _STEPPED])
        way = over + 1
        following = scan.last
        for _ in range(way):
            following = scan.after(following)
        while following in scan.avoid and way < scan.groups:
            following = scan.after(following)
            way += 1
        scan.reserved += _UNKNOWN + way
    for _ in range(over):
        scan.last = scan.after(scan.last)
    scan.reserved += _claimed(claims, limit + scan.reserved)


def _lost_behind(scan):
    # What is lost right behind the newest may come back: the ring goes on after it, so that a
    # search finds the numbers in order. Where no end of it is seen nobody ever wrote there.
    group = scan.last
    for count in range(scan.behind):
        group = scan.after(group)
        kind = scan.notes.get(group * scan.per_group, ("", 0, 0))[0]
        if kind not in ("read", "damaged", "junk") or group == scan.newest // scan.per_group:
            return count
    return 0


def _badness(finding):
    return (_WORST.index(finding[0]), not finding[2] if finding[0] in ("read", "damaged") else 0)


def _claimed(claims, sequence):
    # How many numbers to leave out so that the next is above all that torn headers may carry.
    # Marginal cells may make such a header read valid one day: then it must be older than what
    # was committed since. A cut program has left all ones of the number in place, and of a
    # header that can still become valid all but a few cells are as they are to be.
    top = 0
    for claim in claims:
        for n in range(_AHEAD, top, -1):
            if _may_be(claim, sequence + n):
                top = n
                break
    return top


def _may_be(claim, number):
    extra = claim ^ number
    if claim & number != number:
        return False
    ones = 0
    while extra and ones <= _WEAK:
        extra &= extra - 1
        ones += 1
    return ones <= _WEAK


def _way_to(scan, slot):
    # How many groups the ring goes on to be behind `slot`, if that may hold what is newer than
    # the newest: 1 for those that are open; 0: it may not. Not where a slot behind it in its group
    # is sound; of the groups that come next some may have been given up at the time, and be
    # readable now.
    group = slot // scan.per_group
    for other in range(slot + 1, (group + 1) * scan.per_group):
        if other in scan.sound:
            return 0
    if scan.lease.erases and scan.after(group) == scan.last:
        return 1
    at = scan.last
    for way in range(1, min(_SKIPPED + 2 + len(scan.notes), scan.groups)):
        if at == group:
            return way
        at = scan.after(at)
    return 0


# The lease before anything is known of a ring


class First:
    """What a first look at a lease found. `blocks`: layout blocks of a slot, from a sound header
    of this lease in its place, 0 if there is none; then `other` (the most telling other header)
    and `at` (its block), `torn`, `damaged`, `unread` (headers), `units` (where those lie),
    `cause`, `reads`."""

    def __init__(self):
        self.blocks = self.at = self.torn = self.damaged = self.unread = self.reads = 0
        self.other = self.cause = None
        self.units = set()

    def is_cut(self, lease):
        """Whether a cut of the very first checkpoint explains all that was found, and something
        was: then a program begins with the state it is given. It leaves no more than one unit in
        doubt, since each new attempt begins with the same one.

        Where what is torn may read as an error or as anything, the first checkpoint is written
        twice, so that of a finished one two headers are there.
        """
        if self.other is not None or len(self.units) > 1 or not self.found():
            return False
        return lease.errs or not self.damaged and not self.unread

    def found(self):
        """Whether anything was."""
        return self.other is not None or self.torn + self.damaged + self.unread > 0


def first(lease, magic, version, most=_FIRST, starts=_STARTS):
    """Look at a lease of which no geometry is known, a `First`.

    `most` blocks and `starts` starts of units are read; where anything is found there that is no
    sound header of this lease, all others too. A ring is filled from its first slot on: whoever
    wrote to a lease has written there. CheckpointFailed `read` where no block can be read.
    """
    found = First()
    block = bytearray(lease.block_size)
    most = min(most, lease.blocks)
    unit = lease.unit_blocks
    left = (lease.blocks - most) // unit
    step = (left + starts - 1) // starts * unit if starts and left else lease.blocks
    begin = (most + unit - 1) // unit * unit
    for places in (range(most), range(begin, lease.blocks, step) if starts else ()):
        for at in places:
            if _look(found, lease, at, block, magic, version):
                return found
    if found.found() and starts:
        for at in range(most, lease.blocks):
            if at < begin or (at - begin) % step:
                if _look(found, lease, at, block, magic, version):
                    return found
    if found.unread == found.reads:
        raise CheckpointFailed("read", 0, "no block can be read", cause=found.cause)
    return found


def _look(found, lease, at, block, magic, version):
    # Block `at`: whether it settles the geometry.
    found.reads += 1
    if not read(lease, at, block):
        found.unread += 1
        found.cause = lease.cause
        found.units.add(at // lease.unit_blocks)
        return False
    if blank(block, len(block)):
        return False
    h = header.parse(block, magic, version)
    if h is None or h.kind != header.VALID:
        h, kind, _ = settle(lease, at, block, h, magic, version)
        if kind == "torn" or kind == "damaged":
            found.torn += kind == "torn"
            found.damaged += kind == "damaged"
            # Not those that change: where headers of several cuts in a row did not last, those
            # do. Nor what a cut erase leaves, which may look torn, too.
            if h is not None:
                found.units.add(at // lease.unit_blocks)
        if kind != "valid" and kind != "strange":
            return False
    if h.kind == header.PLAIN and at:
        return False
    if not mismatch(h, lease, 0) and _in_place(lease, h, at):
        found.blocks = h.slot_blocks
        return True
    if found.other is None or found.other.kind > h.kind:
        found.other = h
        found.at = at
    return False


def _in_place(lease, h, at):
    # Whether a ring of such slots has slot `h.slot_index` in block `at`.
    try:
        g = Geometry(lease, h.slot_blocks)
    except LeaseError:
        return False
    for slot in range(h.slot_index, g.slots, 65536):
        if g.first_block(slot) == at:
            return True
    return False


def describe(h):
    """One line on the geometry, lease id and version of header `h`."""
    return "version %d, lease id %s, %d blocks of %d, slots of %d" % (
        h.version,
        hex_id(h.lease_id),
        h.lease_blocks,
        1 << h.block_size_log2 if h.block_size_log2 < 32 else 0,
        h.slot_blocks,
    )


def describe_ring(scan):
    """The same of a ring."""
    return "version %d, lease id %s, %d blocks of %d, slots of %d" % (
        scan.version,
        hex_id(scan.lease.id_bytes),
        scan.lease.blocks,
        scan.lease.block_size,
        scan.slot_blocks,
    )


def hex_id(b):
    """A lease id (16 bytes, little-endian) as people write it: 0x and 32 hex digits."""
    return "0x" + "".join(["%02x" % x for x in reversed(list(b))])


# What is wrong, as errors


def refuse(ring):
    """CheckpointFailed `foreign`: what keeps the ring from writing."""
    kind, slot, found, expected = ring.refused
    if kind == "odd":
        raise CheckpointFailed("foreign", None, "slot %d: %s" % (slot, found), expected)
    raise CheckpointFailed("foreign", None, describe(found), describe_ring(ring))


def unrestorable(ring):
    """RestoreFailed: why there is no slot that may be restored."""
    kind, slot, found, expected = ring.findings[0] if ring.findings else ("", 0, 0, 0)
    if kind == "data":
        raise RestoreFailed("data", slot, found, cause=ring.cause)
    if kind == "odd":
        raise RestoreFailed("geometry", slot, found, expected)
    if kind == "damaged":
        raise RestoreFailed("header", None, "slot %d's" % slot)
    seen = First()
    seen.cause = ring.cause
    seen.reads = ring.slots
    for finding in ring.findings:
        seen.torn += finding[0] == "torn"
        seen.unread += finding[0] == "read"
        if finding[0] != "torn" or finding[3]:
            seen.units.add(ring.first_block(finding[1]) // ring.lease.unit_blocks)
        if finding[0] == "foreign" and seen.other is None:
            seen.other = finding[2]
    nothing(ring.lease, seen)


def nothing(lease, seen):
    """RestoreFailed: no slot of the lease is sound; what a `First` look has `seen` instead."""
    h = seen.other
    if h is None:
        if seen.is_cut(lease):
            failed = RestoreFailed("header", None, "a", cause=seen.cause)
            failed.torn = True
            raise failed
        if seen.unread:
            raise RestoreFailed("read", None, repr(seen.cause), cause=seen.cause)
        if seen.damaged or seen.torn:
            raise RestoreFailed("header", None, "a")
        raise RestoreFailed("none", None, seen.reads)
    if h.kind == header.PLAIN:
        raise RestoreFailed("plain", 0, h.data_len)
    if h.kind == header.OTHER_VERSION:
        raise RestoreFailed("version", 0, h.version, header.VERSION)
    if h.lease_id != lease.id_bytes:
        raise RestoreFailed("lease-id", 0, hex_id(h.lease_id), hex_id(lease.id_bytes))
    got = "%d layout blocks of %d bytes" % (h.lease_blocks, h.block_size)
    want = "%d of %d" % (lease.blocks, lease.block_size)
    if h.lease_blocks == lease.blocks and h.block_size == lease.block_size:
        got = "slot index %d of slots of %d in block %d" % (h.slot_index, h.slot_blocks, seen.at)
        want = "its place"
    raise RestoreFailed("geometry", 0, got, want)
